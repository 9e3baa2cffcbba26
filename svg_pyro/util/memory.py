"""Errors of memory that is out."""

import sys

# Of errors that PyTorch gives no class of their own: the CPU's, cuDNN's and cuBLAS's,
# and of sizes whose bytes are beyond 64 bits.
_EXHAUSTED = (
    "can't allocate memory",
    "not enough memory",
    "STATUS_ALLOC_FAILED",
    "Storage size calculation overflowed",
    "numel: integer multiplication overflow",
)


def is_exhausted(error: BaseException) -> bool:
    """Whether an exception says that there is no memory left, of any device."""
    # Programs ask before they load PyTorch, which until then has raised nothing.
    torch = sys.modules.get("torch")
    own = () if torch is None else (torch.cuda.OutOfMemoryError,)
    if isinstance(error, (MemoryError, *own)):
        return True
    return any(sign in str(error) for sign in _EXHAUSTED)
