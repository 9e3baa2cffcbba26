"""Programs choose threads that sleep while they wait, and say so once."""

import os
import subprocess
import sys

import pytest

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
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: 1)
    threads.begin_with_patient_threads()
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    threads.begin_with_patient_threads()
