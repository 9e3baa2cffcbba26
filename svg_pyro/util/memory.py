"""Errors of memory that is out."""

import torch

# Of errors that PyTorch gives no class of their own: the CPU's, cuDNN's and cuBLAS's.
_EXHAUSTED = ("can't allocate memory", "not enough memory", "STATUS_ALLOC_FAILED")


def is_exhausted(error: BaseException) -> bool:
    """Whether an exception says that there is no memory left, of any device."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return any(sign in str(error) for sign in _EXHAUSTED)
