"""How the C library gives memory back, which costs time in training on CPUs."""

import ctypes
import sys

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for its next tensors.

    glibc maps every block over 32 MB by itself and gives it back when it is freed, so
    that each large activation is zeroed page by page at every operation: a training
    step on a CPU takes half as long again. The commands call this; put it at the top of
    a script or notebook of your own that trains on a CPU. Does nothing where the C
    library is another one.

    Returns
    -------
    bool
        Whether freed memory is kept now.

    Examples
    --------
    >>> from svg_pyro.util.allocator import keep_freed_memory
    >>> kept = keep_freed_memory()
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(
        library.mallopt(_M_TRIM_THRESHOLD, _NEVER) and library.mallopt(_M_MMAP_MAX, 0)
    )
