"""The log goes to what is asked for besides its file, and only there."""

import sys
import types

import pytest
from support.squares import Squares

from svg_pyro import SVG, DataError, TrainingConfig
from svg_pyro.training.log import TRACKERS, TrainingLog
from svg_pyro.training.trainer import Trainer
from svg_pyro.util.optional import need

SHORT = TrainingConfig(steps=4, batch_size=2, n_frames=4, log_every=2, save_every=100)


class Kept:
    def __init__(self):
        self.lines, self.closed = [], 0

    def write(self, step, values):
        self.lines.append((step, values))

    def close(self):
        self.closed += 1


def test_a_tracker_gets_what_the_file_gets_and_is_closed(tiny, tmp_path):
    kept = Kept()
    Trainer(SVG(tiny), Squares(), SHORT, tmp_path, trackers=[kept]).run()
    assert [step for step, _ in kept.lines] == [2, 4] and kept.closed == 1
    assert all(
        set(v) == {"nll", "kl", "lr", "frames_per_second"} for _, v in kept.lines
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_the_log_back_and_a_resume_purges_later_steps(tmp_path):
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    for steps in ((10, 20, 30), (20, 25)):  # the second run went on from step 10
        log = TrainingLog(tmp_path / "log.jsonl", [TRACKERS["tensorboard"](tmp_path)])
        for step in steps:
            log.write(step=step, nll=float(-step), kl=0.5)
        log.close()
    events = reader.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("nll")] == [
        (10, -10.0),
        (20, -20.0),
        (25, -25.0),
    ]
    assert [e.value for e in events.Scalars("kl")] == [0.5] * 3


def test_wandb_gets_the_runs_name_and_its_steps(tmp_path, monkeypatch):
    calls = []
    run = types.SimpleNamespace(
        log=lambda values, step: calls.append((step, values)),
        finish=lambda: calls.append("finished"),
    )

    def init(**given):
        calls.append(given)
        return run

    fake = types.ModuleType("wandb")
    fake.init = init
    monkeypatch.setitem(sys.modules, "wandb", fake)
    need.cache_clear()
    log = TrainingLog(tmp_path / "log.jsonl", [TRACKERS["wandb"](tmp_path / "bair")])
    log.write(step=7, nll=-1.0)
    log.close()
    need.cache_clear()
    assert calls[0]["name"] == "bair" and calls[0]["project"] == "svg_pyro"
    assert calls[1:] == [(7, {"nll": -1.0}), "finished"]


def test_a_package_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    need.cache_clear()
    with pytest.raises(DataError, match="pip install wandb"):
        TRACKERS["wandb"](tmp_path)
    need.cache_clear()
