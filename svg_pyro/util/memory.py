"""Errors of memory that is out."""

import torch

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
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return any(sign in str(error) for sign in _EXHAUSTED)
