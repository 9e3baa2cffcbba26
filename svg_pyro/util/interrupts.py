"""Saving, and leaving long work cleanly, when signals ask for it."""

import _thread
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
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


class Heard:
    """Python's handler of Ctrl-C, which remembers the first signal that came.

    Attributes
    ----------
    signal : signal.Signals or None
        SIGINT, SIGTERM or SIGHUP; None before one has come.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, as Python's own handler does."""
        self.signal = self.signal or signal.Signals(number)
        raise KeyboardInterrupt


@contextlib.contextmanager
def hearing_interrupts() -> Iterator[Heard]:
    """See that no KeyboardInterrupt is lost on its way, and let SIGTERM be one.

    SIGTERM and SIGHUP would end Python at once, and leave locks and half-written files.
    One that is raised while Python cleans up is printed and forgotten: it is raised
    anew. One that passes through code in C may become another error, with which
    `Heard.signal` says what it was.

    Yields
    ------
    Heard
        Of the outermost of such contexts; of none in other threads than the main one.
        A signal for which the program has a handler of its own is left to it.
    """
    handlers = {number: signal.getsignal(number) for number in _LEAVING}
    for handler in handlers.values():
        if isinstance(handler, Heard):
            yield handler
            return
    heard = Heard()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    unraisable, anew = sys.unraisablehook, list[threading.Timer]()

    def raise_anew(lost: Any) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            unraisable(lost)
            return
        number = heard.signal or signal.SIGINT
        # A moment later: from here it would be printed once more.
        anew.append(threading.Timer(0.01, _thread.interrupt_main, [number]))
        anew[-1].start()

    # What is ignored, as SIGHUP under nohup, or has a handler of its own, stays so.
    usual = signal.default_int_handler, signal.SIG_DFL
    taken = {n: handler for n, handler in handlers.items() if handler in usual}
    for number in taken:
        signal.signal(number, heard)
    sys.unraisablehook = raise_anew
    try:
        yield heard
    finally:
        for timer in anew:
            timer.cancel()
        sys.unraisablehook = unraisable
        for number, handler in taken.items():
            signal.signal(number, handler)


def _say(words: str) -> None:
    print(f"\n{words}", file=sys.stderr, flush=True)
