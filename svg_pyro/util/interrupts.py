"""Saving, and leaving long work cleanly, when signals ask for it."""

import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

_LEAVING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
)
# Seconds: a launcher sends its processes what the terminal has sent them already.
LAUNCHER_PATIENCE = 5.0
_SAVING = tuple(getattr(signal, n) for n in ("SIGUSR1",) if hasattr(signal, n))


class Interrupts:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request; a second one ends all.

    SIGUSR1 asks to save and to go on. A SIGHUP that is ignored, as under nohup, stays
    ignored. ::

        with Interrupts() as interrupts:
            while work and not interrupts.requested:
                ...

    Parameters
    ----------
    patience : float
        Seconds after the first request in which further ones are the same one: a
        launcher passes on what the terminal has sent already.

    Attributes
    ----------
    requested : bool
        Whether a signal has come that asks to leave.
    """

    def __init__(self, patience: float = 0.0) -> None:
        self.requested = False
        self._save = False
        self._patience, self._since = patience, 0.0
        self._before: dict[signal.Signals, Any] = {}

    def take_save(self) -> bool:
        """Whether a save was asked for since the last call."""
        asked, self._save = self._save, False
        return asked

    def __enter__(self) -> "Interrupts":
        # Python only lets the main thread handle signals.
        if threading.current_thread() is threading.main_thread():
            for number in (*_LEAVING, *_SAVING):
                before = signal.getsignal(number)
                if number.name == "SIGHUP" and before == signal.SIG_IGN:
                    continue
                saving = number in _SAVING
                signal.signal(number, self._ask_save if saving else self._ask_leave)
                self._before[number] = before
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask_save(self, number: int, frame: FrameType | None) -> None:
        self._save = True
        _say(f"{signal.Signals(number).name}: saving and going on")

    def _ask_leave(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.requested:
            if time.monotonic() - self._since >= self._patience:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            return
        self.requested, self._since = True, time.monotonic()
        if not self._patience:
            for each in self._before:
                if each not in _SAVING:
                    signal.signal(each, signal.SIG_DFL)
        _say(f"{name}: saving and leaving; once more to leave at once")


def _say(words: str) -> None:
    print(f"\n{words}", file=sys.stderr, flush=True)
