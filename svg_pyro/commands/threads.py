"""What the threads of a program do while they wait."""

import ctypes
import os
import sys

_POLICY = "OMP_WAIT_POLICY"


def begin_with_patient_threads() -> None:
    """Begin a program again, with threads that sleep where by default they spin.

    Threads that wait for each other burn what another process could use: beside one,
    12 steps of a training took 16.2 s of CPU, and 6.4 s with threads that sleep. The
    choice is read when PyTorch is loaded, which a program does best after this: then it
    is loaded once. Nothing is done where the user has chosen, where there is one
    thread, beside a GPU, in a notebook or other session of Python, or on Windows.
    """
    chosen = _POLICY in os.environ or _threads() == 1
    session = hasattr(sys, "ps1") or "IPython" in sys.modules
    if chosen or session or os.name != "posix" or _has_gpu():
        return
    print(
        f"{_POLICY}=PASSIVE: threads that wait leave the processor to others; set it "
        "to ACTIVE where there are none",
        file=sys.stderr,
        flush=True,
    )
    os.environ[_POLICY] = "PASSIVE"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _threads() -> int:
    """How many threads PyTorch will start, or more; by OpenMP's rule, without it."""
    # A list is of nested regions, the first number of the outermost.
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _has_gpu() -> bool:
    """Whether PyTorch has a GPU; it is loaded only where there is a driver of one."""
    if not os.path.exists("/dev/kfd"):  # ROCm's
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError:
            return False
    import torch

    return torch.cuda.is_available()
