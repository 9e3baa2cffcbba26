"""Leaving long work cleanly on SIGINT and SIGTERM."""

import signal
import sys
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Turn the first SIGINT or SIGTERM into a request; the second ends the process.

    ::

        with Interrupts() as interrupts:
            while work and not interrupts.requested:
                ...

    Attributes
    ----------
    requested : bool
        Whether a signal has come.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        # Python only lets the main thread handle signals.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        name = signal.Signals(number).name
        print(
            f"\n{name}: saving and leaving; once more to leave at once",
            file=sys.stderr,
            flush=True,
        )
