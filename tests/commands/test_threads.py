"""Programs choose threads that sleep while they wait, and say so once."""

import os
import subprocess
import sys

import pytest
from support.places import EXAMPLES

from svg_pyro.commands import threads

PROGRAM = """
import os, sys
from svg_pyro.commands.threads import begin_with_patient_threads
begin_with_patient_threads()
print(os.environ.get("OMP_WAIT_POLICY"), sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="begins again by exec")
@pytest.mark.parametrize("chosen", [None, "ACTIVE"])
def test_the_choice_is_made_once_and_said(tmp_path, chosen):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    env = {k: v for k, v in os.environ.items() if not k.startswith("OMP_")}
    env["OMP_NUM_THREADS"] = "2"
    if chosen:
        env["OMP_WAIT_POLICY"] = chosen
    done = subprocess.run(
        [sys.executable, str(script), "--steps", "3"],
        capture_output=True,
        text=True,
        env=env,
    )
    assert done.stdout.strip() == f"{chosen or 'PASSIVE'} ['--steps', '3']"
    said = done.stderr.strip().splitlines()
    assert len(said) == (0 if chosen else 1)
    assert chosen or said[0].startswith("OMP_WAIT_POLICY=PASSIVE: threads that wait")


def test_one_thread_and_sessions_are_left_alone(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("begun again"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads.begin_with_patient_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    threads.begin_with_patient_threads()


# What stands in for the program that is begun again says what the first has loaded.
BEGINNING = """
import ctypes, os, sys
def no_driver(name):
    raise OSError(name)
def begun_again(program, arguments):
    print(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "svg_pyro"}))
    sys.exit()
# With a driver of a GPU PyTorch is asked for it.
ctypes.CDLL, os.execv = no_driver, begun_again
sys.path.insert(0, sys.argv[1])
EXAMPLE
"""


@pytest.mark.skipif(os.name != "posix", reason="begins again by exec")
@pytest.mark.parametrize(
    "example",
    [
        "import train_bair; train_bair.main()",
        "import evaluate; evaluate.main()",
        "import svg_pyro.commands.main as m; sys.argv[1:] = ['figures']; m.main()",
    ],
)
def test_a_program_loads_pytorch_after_it_has_begun_again(example):
    env = {k: v for k, v in os.environ.items() if not k.startswith("OMP_")}
    code = BEGINNING.replace("EXAMPLE", example)
    done = subprocess.run(
        [sys.executable, "-c", code, str(EXAMPLES)],
        capture_output=True,
        text=True,
        env={**env, "OMP_NUM_THREADS": "2"},
    )
    assert done.stdout.split("\n")[0] == "['svg_pyro']", done.stderr
