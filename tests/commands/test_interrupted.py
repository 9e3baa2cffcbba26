"""Ctrl-C, wherever it meets a command: one line, status 130, and it is not lost."""

import os
import signal
import sys
import time

import pytest

from svg_pyro.commands.endings import one_line_errors
from svg_pyro.errors import DataError


def press():
    os.kill(os.getpid(), signal.SIGINT)


def in_python():
    press()


def in_a_clean_up():
    """Python prints what is raised there, and goes on."""

    class Kept:
        def __del__(self):
            press()

    kept = [Kept()]
    kept.clear()
    for _ in range(100):
        time.sleep(0.05)
    raise AssertionError("lost")


def in_code_that_makes_another_error_of_it():
    """As Matplotlib's in C++: "ValueError: Invalid bounding box"."""
    try:
        press()
        time.sleep(5)
    except KeyboardInterrupt:
        raise ValueError("Invalid bounding box") from None


def as_an_error_of_ours():
    try:
        press()
        time.sleep(5)
    except KeyboardInterrupt:
        raise DataError("the film cannot be read") from None


@pytest.mark.parametrize(
    "work",
    [
        in_python,
        in_a_clean_up,
        in_code_that_makes_another_error_of_it,
        as_an_error_of_ours,
    ],
)
def test_ctrl_c_is_one_line_wherever_it_comes(work, capsys):
    before = signal.getsignal(signal.SIGINT), sys.unraisablehook
    with pytest.raises(SystemExit) as stop, one_line_errors(), one_line_errors():
        work()
    assert stop.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before


def test_other_errors_are_not_taken_for_it(capsys):
    with pytest.raises(ValueError, match="mine"), one_line_errors():
        raise ValueError("mine")
    with pytest.raises(SystemExit) as stop, one_line_errors():
        raise DataError("theirs")
    assert stop.value.code == 2 and capsys.readouterr().err == "error: theirs\n"


def test_a_handler_of_the_program_s_own_is_left(capsys):
    own = []
    before = signal.signal(signal.SIGINT, lambda *_: own.append(1))
    try:
        with one_line_errors():
            press()
        assert own == [1]
    finally:
        signal.signal(signal.SIGINT, before)
