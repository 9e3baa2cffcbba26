"""A training that is killed, again and again: no step is lost, no bit is another."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

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
from svg_pyro.training.trainer import Trainer
torch.set_num_threads(1)
out, steps = sys.argv[1], int(sys.argv[2])
torch.manual_seed(0)
config = SVGConfig(channels=1, width=2, g_dim=4, z_dim=2, rnn_size=6)
training = TrainingConfig(
    steps=steps, batch_size=3, n_frames=4, log_every=1, save_every=1,
    validate_every=10**6,
)
trainer = Trainer(SVG(config), Squares(), training, out)
if trainer.checkpoint_path.exists():
    trainer.resume()
print(trainer.step, flush=True)
trainer.run()
"""


def started(out, steps):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(out), str(steps)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=pytest.mark.long)])
def test_a_run_that_is_killed_again_and_again_is_the_run_that_was_not(tmp_path, kills):
    steps, saved = 15 * kills, 0
    whole = started(tmp_path / "whole", steps)
    draw, path = random.Random(0), tmp_path / "killed" / "checkpoint.pt"
    for _ in range(kills):
        process = started(tmp_path / "killed", steps)
        begun = int(process.stdout.readline())
        assert begun >= saved
        time.sleep(draw.uniform(0, 0.4))
        process.kill()
        process.communicate()
        if path.exists():
            saved = checkpoint.read(path)["training"]["step"]
            assert saved >= begun
    last = started(tmp_path / "killed", steps)
    for process in (last, whole):
        process.communicate()
        assert process.returncode == 0
    ours, theirs = (
        svg_pyro.load(tmp_path / name / "checkpoint.pt").state_dict()
        for name in ("killed", "whole")
    )
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    lines = (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [*range(1, steps + 1)]
