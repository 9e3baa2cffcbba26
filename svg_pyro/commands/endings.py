"""How a command ends that cannot go on: in one line, and with a status."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn, TextIO

from svg_pyro.commands.fields import flag_of
from svg_pyro.errors import SVGError
from svg_pyro.util.interrupts import hearing_interrupts
from svg_pyro.util.memory import is_exhausted
from svg_pyro.util.words import one_line, printable, shortened

_LINE = 299  # characters of an error
# Advice of the library whose flag has another name, or that is a command.
_ADVICE = {
    "root": "--data-root",
    "test_path": "--test-data",
    "compiled": "--compile",
    "lerobot": "svg-pyro train lerobot",
}


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line and status 2 where the user can mend the error.

    Memory that does not suffice is such an error. Names that the terminal's encoding
    has no letters for are printed with escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")
    with hearing_interrupts() as heard:
        try:
            yield
            if sys.stdout is not None:
                sys.stdout.flush()  # else it fails after the last line here
        except (Exception, KeyboardInterrupt) as error:
            if heard.signal is not None or isinstance(error, KeyboardInterrupt):
                _leave_interrupted(heard.signal or signal.SIGINT)
            said = _in_words(error)
            if said is None:
                raise
            leave(*said)


def _leave_interrupted(by: signal.Signals) -> NoReturn:
    named = "" if by is signal.SIGINT else f" by {by.name}"
    leave(f"interrupted{named}", 128 + by)


def _in_words(error: Exception) -> tuple[str, int] | None:
    """What to say of an error that the user can mend, and the status; else None."""
    if isinstance(error, SVGError):
        advice = ", ".join(_ADVICE.get(name, flag_of(name)) for name in error.advice)
        return f"{error} (see {advice})" if advice else str(error), 2
    if isinstance(error, BrokenPipeError):
        return (
            "what reads this command's output has ended, and the command with it; the "
            f"files written so far are whole ({error.strerror})",
            141,
        )
    if isinstance(error, OSError):
        name = one_line(error.filename or "file system")
        return f"{name}: {error.strerror or error}", 2
    if isinstance(error, RuntimeError | MemoryError) and is_exhausted(error):
        return (
            "out of memory; ask for fewer frames, samples or clips at a time, or for a "
            "smaller model",
            2,
        )
    return None


def leave(message: str, status: int) -> NoReturn:
    """Say in one line why the program ends, and end it.

    Parameters
    ----------
    message : str
        What is wrong, and what to do.
    status : int
        Of the process.
    """
    line = "error: " + printable(" ".join(message.split()))
    with contextlib.suppress(OSError):
        print(shortened(line, _LINE), file=sys.stderr, flush=True)
    for stream in (sys.stdout, sys.stderr):
        _let_go(stream)
    sys.exit(status)


def _let_go(stream: TextIO | None) -> None:
    """Let what can no longer be written go nowhere: Python would say so at its end."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
