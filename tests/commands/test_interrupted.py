"""Ctrl-C, SIGTERM and SIGHUP, wherever they meet a command: one line, none is lost."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import svg_pyro
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.errors import DataError


@pytest.fixture
def heard():
    """Ctrl-C as in a terminal: a shell's script has what runs behind it ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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
def test_ctrl_c_is_one_line_wherever_it_comes(work, capsys, heard):
    before = signal.getsignal(signal.SIGINT), sys.unraisablehook
    with pytest.raises(SystemExit) as stop, one_line_errors(), one_line_errors():
        work()
    assert stop.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before


@pytest.mark.parametrize("name, status", [("SIGTERM", 143), ("SIGHUP", 129)])
@pytest.mark.parametrize("ignored", [False, True])
def test_what_asks_to_end_is_heard_as_ctrl_c_is(name, status, ignored, capsys):
    """A shell's script ignores SIGINT in what it starts in the background."""
    number = signal.Signals[name]
    before = signal.getsignal(number)
    of_ctrl_c = signal.getsignal(signal.SIGINT)

    class Kept:
        def __del__(self):
            os.kill(os.getpid(), number)

    try:
        signal.signal(number, signal.SIG_DFL)
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        with pytest.raises(SystemExit) as stop, one_line_errors():
            kept = [Kept()]
            kept.clear()
            for _ in range(100):
                time.sleep(0.05)
            raise AssertionError("lost")
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, of_ctrl_c)
        signal.signal(number, before)
    assert stop.value.code == status
    assert capsys.readouterr().err == f"error: interrupted by {name}\n"


def test_generate_that_is_asked_to_end_leaves_no_lock_and_no_part(tmp_path, tiny):
    svg_pyro.save(svg_pyro.SVG(tiny).eval(), tmp_path / "model.pt")
    film = np.random.default_rng(0).integers(0, 256, (2000, 8, 64, 64), np.uint8)
    np.save(tmp_path / "films.npy", film)
    command = ["generate", "model.pt", "films.npy", "--layout=nthw", "--out=out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "svg_pyro", *command, "--num-samples=2", "--horizon=2"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    out = tmp_path / "out"
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        if out.exists() and any(out.glob("[!.]*.npz")):
            break
        time.sleep(0.01)
    process.terminate()
    _, err = process.communicate()
    assert (process.returncode, err) == (143, "error: interrupted by SIGTERM\n")
    left = [f.name for f in out.iterdir()]
    assert left and not [name for name in left if name.startswith(".")]


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
