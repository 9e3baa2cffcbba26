"""A training that is killed, again and again: no step is lost, no bit is another."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.group import RANKS, environment

import svg_pyro
from svg_pyro.model import checkpoint

TESTS = Path(__file__).parents[1]

# Goes on where the folder's checkpoint is, says from which step, and trains.
RUN = f"""
import sys
import torch
sys.path.insert(0, {str(TESTS)!r})
from support.squares import Squares
from svg_pyro import SVG, SVGConfig, TrainingConfig
from svg_pyro.util import distributed
from svg_pyro.training.trainer import Trainer
torch.set_num_threads(1)
distributed.start()
out, steps = sys.argv[1], int(sys.argv[2])
torch.manual_seed(0)
config = SVGConfig(channels=1, width=2, g_dim=4, z_dim=2, rnn_size=6)
training = TrainingConfig(
    steps=steps, batch_size=4, n_frames=4, log_every=1, save_every=1,
    validate_every=10**6,
)
trainer = Trainer(SVG(config), Squares(), training, out)
if trainer.checkpoint_path.exists():
    trainer.resume()
if distributed.rank() == 0:
    with open(out + ".begun", "a") as begun:
        print(trainer.step, file=begun)
trainer.run()
distributed.end()
"""


def started(out, steps):
    command = [sys.executable, "-c", RUN, str(out), str(steps)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def begun(out):
    """The steps at which processes have begun, as yet."""
    path = Path(f"{out}.begun")
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [int(line) for line in lines if line.endswith("\n")]


def until_begun(out, times, process):
    """The step at which a folder's run begins for the `times`-th time."""
    while len(begun(out)) < times:
        assert process.poll() is None
        time.sleep(0.01)
    return begun(out)[times - 1]


def saved(out):
    """The step of a folder's checkpoint; 0 without one."""
    path = out / "checkpoint.pt"
    return checkpoint.read(path)["training"]["step"] if path.exists() else 0


def check_equal(killed, whole, steps):
    ours, theirs = (
        svg_pyro.load(out / "checkpoint.pt").state_dict() for out in (killed, whole)
    )
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    lines = (killed / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [*range(1, steps + 1)]


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=pytest.mark.long)])
def test_a_run_that_is_killed_again_and_again_is_the_run_that_was_not(tmp_path, kills):
    killed, whole, steps, done = tmp_path / "killed", tmp_path / "whole", 15 * kills, 0
    draw, other = random.Random(0), started(whole, steps)
    for kill in range(kills):
        process = started(killed, steps)
        assert until_begun(killed, kill + 1, process) >= done
        time.sleep(draw.uniform(0, 0.4))
        process.kill()
        process.wait()
        done = saved(killed)
        assert done >= begun(killed)[-1]
    last = started(killed, steps)
    assert last.wait() == other.wait() == 0
    check_equal(killed, whole, steps)


def launched(out, steps, restarts=0):
    """The same run in two processes of torchrun, which starts them again."""
    script = Path(f"{out}.py")
    script.write_text(RUN)
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *(f"--nproc_per_node={RANKS}", f"--max-restarts={restarts}"),
        *map(str, (script, out, steps)),
    ]
    names = {**os.environ, **environment(0)}
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, env=names)


def children(process, script):
    command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(process.pid)]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return sorted(int(line.split()[0]) for line in lines if script in line)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks ps for child processes")
@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.long)])
def test_a_group_whose_processes_are_killed_is_the_group_that_was_not(tmp_path, kills):
    killed, whole, steps = tmp_path / "killed", tmp_path / "whole", 40 * kills
    draw, done, other = random.Random(0), 0, launched(whole, steps)
    process = launched(killed, steps, restarts=kills)
    for kill in range(kills):
        start = until_begun(killed, kill + 1, process)
        assert start >= done
        processes, last = children(process, "killed.py"), start + draw.randint(0, 30)
        while (done := saved(killed)) < last:
            time.sleep(draw.uniform(0, 0.02))
        os.kill(draw.choice(processes), signal.SIGKILL)
    assert process.wait() == other.wait() == 0
    assert len(begun(killed)) == kills + 1
    check_equal(killed, whole, steps)
