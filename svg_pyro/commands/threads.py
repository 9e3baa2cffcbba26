"""What the threads of a program do while they wait."""

import os
import sys

import torch

_POLICY = "OMP_WAIT_POLICY"


def begin_with_patient_threads() -> None:
    """Begin a program again, with threads that sleep where by default they spin.

    Threads that wait for each other burn what another process could use: beside one,
    12 steps of a training took 16.2 s of CPU, and 6.4 s with threads that sleep. The
    choice is read when PyTorch is loaded, which has happened. Nothing is done where the
    user has chosen, where there is one thread, beside a GPU, in a notebook or other
    session of Python, or on Windows.
    """
    chosen = _POLICY in os.environ or torch.get_num_threads() == 1
    session = hasattr(sys, "ps1") or "IPython" in sys.modules
    if chosen or session or os.name != "posix" or torch.cuda.is_available():
        return
    print(
        f"{_POLICY}=PASSIVE: threads that wait leave the processor to others; set it "
        "to ACTIVE where there are none",
        file=sys.stderr,
        flush=True,
    )
    os.environ[_POLICY] = "PASSIVE"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
