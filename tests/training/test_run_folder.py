"""A run's folder: one owner, whole files, the best and the last ones, damage told."""

import copy
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch
from support.owner import owners
from support.squares import Squares

import svg_pyro
from svg_pyro import SVG, CheckpointError, ConfigError, TrainingConfig, TrainingError
from svg_pyro.commands.run_folder import RunOptions, choose_folder
from svg_pyro.commands.train import train
from svg_pyro.plots.training import draw_training
from svg_pyro.training import trainer as trainer_module
from svg_pyro.training.trainer import Trainer
from svg_pyro.training.validation import Validation
from svg_pyro.util import distributed
from svg_pyro.util.files import copy_of, written_beside
from svg_pyro.util.interrupts import Interrupts
from svg_pyro.util.locks import FolderLock

SHORT = TrainingConfig(
    steps=4, batch_size=3, n_frames=4, log_every=2, validate_every=100, save_every=100
)


def make(config, out, **changes):
    validation = changes.pop("validation", None)
    torch.manual_seed(0)
    training = dataclasses.replace(SHORT, **changes)
    return Trainer(SVG(config), Squares(), training, out, validation=validation)


@pytest.fixture
def owner():
    with owners() as own:
        yield own


def test_a_folder_has_one_owner_and_an_orphan_s_is_taken_over(tiny, tmp_path, owner):
    other = owner(tmp_path / "run")
    trainer = make(tiny, tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").write_text("of the other\n")
    with pytest.raises(TrainingError, match="is in use: another run") as caught:
        trainer.run()
    assert "\n" not in str(caught.value)
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == "of the other\n"
    other.kill()
    other.wait()
    assert trainer.run()


def test_a_command_refuses_a_folder_in_use_and_passes_by_an_unnamed_one(
    tmp_path, owner, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    first = choose_folder("bair", RunOptions())
    assert str(first.out) == "runs/bair" and not first.resume
    first.lock.release()
    other = owner(tmp_path / "runs" / "bair")
    second = choose_folder("bair", RunOptions())
    assert str(second.out) == "runs/bair-2"
    second.lock.release()
    for options in (
        RunOptions(out="runs/bair"),
        RunOptions(out="runs/bair", resume=True),
    ):
        with pytest.raises(ConfigError, match="runs/bair is in use"):
            choose_folder("bair", options)
    other.kill()
    other.wait()
    third = choose_folder("bair", RunOptions(out="runs/bair"))
    third.lock.release()
    (tmp_path / "runs" / "bair" / "checkpoint.pt").touch()
    with pytest.raises(ConfigError, match="holds a run; give --resume"):
        choose_folder("bair", RunOptions(out="runs/bair"))
    resumed = choose_folder("bair", RunOptions(resume=True))
    assert (str(resumed.out), resumed.resume) == ("runs/bair", True)
    resumed.lock.release()


@pytest.mark.parametrize("out", [None, "here"])
def test_a_restart_by_torchrun_goes_on_and_finds_no_other_s_run(
    tmp_path, monkeypatch, out
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "mine")
    assert distributed.launched() and not distributed.restarted()
    place = choose_folder("bair", RunOptions(out=out))
    assert not place.resume
    place.lock.release()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    again = choose_folder("bair", RunOptions(out=out))
    assert again.out == place.out and not again.resume  # nothing had been saved
    again.lock.release()
    (place.out / "checkpoint.pt").touch()
    again = choose_folder("bair", RunOptions(out=out))
    assert again.out == place.out and again.resume
    again.lock.release()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "another")
    if out is None:
        new = choose_folder("bair", RunOptions(out=out))
        assert new.out != place.out and not new.resume
        new.lock.release()
    else:
        with pytest.raises(ConfigError, match="holds a run"):
            choose_folder("bair", RunOptions(out=out))


def test_locks_of_one_process_agree(tmp_path):
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    assert first.acquire() and second.acquire()
    second.release()
    first.release()
    second.release()


def test_a_lock_leaves_nothing_of_its_own(tmp_path, owner):
    lock = FolderLock(tmp_path / "runs" / "new")
    assert lock.acquire()
    lock.release()
    assert not (tmp_path / "runs").exists()
    inner, outer = FolderLock(tmp_path / "run"), FolderLock(tmp_path / "run")
    assert outer.acquire() and inner.acquire()
    inner.release()
    assert (tmp_path / "run" / ".lock").exists()
    (tmp_path / "run" / "checkpoint.pt").touch()
    outer.release()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["checkpoint.pt"]
    other = owner(tmp_path / "run")
    assert not outer.acquire() and (tmp_path / "run" / ".lock").exists()
    other.kill()


def test_a_training_that_fails_at_once_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        train("videos", ["nowhere", "--device", "cpu", "--out", "a/b"])
    with pytest.raises(SystemExit):
        train("videos", ["nowhere", "--device", "cpu"])
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_file_each_publish_a_whole_one(tmp_path):
    path = tmp_path / "file.pt"
    both = threading.Barrier(2)

    def write(letter):
        with written_beside(path) as beside:
            both.wait()
            beside.write_text(letter * 1000)
            both.wait()

    threads = [threading.Thread(target=write, args=(x,)) for x in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in ("a" * 1000, "b" * 1000)
    assert os.listdir(tmp_path) == ["file.pt"]


def test_what_a_killed_writer_left_is_removed_and_a_living_one_s_is_not(tmp_path):
    path = tmp_path / "file.pt"
    process = subprocess.Popen(["sleep", "60"])
    with written_beside(path) as beside:
        beside.write_text("1")
        parts = beside.name.split(".")
    names = [
        ".".join([*parts[:3], str(pid), *parts[4:]])
        for pid in (process.pid, 999_999_999)
    ]
    for name in names:
        (tmp_path / name).write_text("half")
    with written_beside(path) as beside:
        beside.write_text("2")
    left = set(os.listdir(tmp_path))
    process.kill()
    process.wait()
    assert left == {"file.pt", names[0]}
    with written_beside(path) as beside:
        beside.write_text("3")
    assert os.listdir(tmp_path) == ["file.pt"]


def test_a_second_name_is_not_changed_with_the_first(tmp_path):
    (tmp_path / "a").write_text("old")
    copy_of(tmp_path / "a", tmp_path / "deep" / "b")
    with written_beside(tmp_path / "a") as beside:
        beside.write_text("new")
    assert (tmp_path / "deep" / "b").read_text() == "old"


def test_the_best_and_the_last_ones_are_kept(tiny, tmp_path, monkeypatch):
    bounds = iter([(5.0, 1.0), (3.0, 1.0), (4.0, 1.0), (math.nan, 1.0)])
    monkeypatch.setattr(trainer_module, "held_out_terms", lambda *_, **__: next(bounds))
    clips = torch.zeros(2, 4, 1, 64, 64, dtype=torch.uint8)
    trainer = make(
        tiny,
        tmp_path,
        validation=Validation(clips),
        validate_every=1,
        save_every=1,
        keep_last=2,
    )
    assert trainer.run()

    def step(path):
        return torch.load(path, weights_only=True)["training"]["step"]

    assert step(tmp_path / "best.pt") == 2 and step(tmp_path / "checkpoint.pt") == 4
    kept = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step_0000003.pt", "step_0000004.pt"]
    assert svg_pyro.load(tmp_path / "best.pt").config == tiny
    # The best so far is known after a stop.
    again = make(tiny, tmp_path, validation=Validation(clips), steps=5)
    again.resume()
    assert again._kept.best == 4.0


def test_by_default_one_checkpoint_is_kept(tiny, tmp_path):
    assert make(tiny, tmp_path, save_every=1).run()
    names = {path.name for path in tmp_path.iterdir()} - {".lock"}
    assert names == {"checkpoint.pt", "metrics.jsonl"}


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_sigusr1_saves_and_goes_on_and_sighup_saves_and_leaves(
    tiny, tmp_path, capsys, request
):
    # Under nohup the tests themselves ignore it.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(signal.SIGHUP, before))
    trainer = make(tiny, tmp_path)
    seen = []

    def ask(bar):
        seen.append(trainer.checkpoint_path.exists())
        if trainer.step == 1:
            os.kill(os.getpid(), signal.SIGUSR1)
        if trainer.step == 3:
            os.kill(os.getpid(), signal.SIGHUP)

    trainer._at_intervals = ask
    assert not trainer.run()
    assert trainer.step == 3 and seen == [False, True, True]
    said = capsys.readouterr().err
    assert "SIGUSR1: saving and going on" in said and "SIGHUP: saving and" in said


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signal")
def test_a_hangup_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupts.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_launcher_s_second_signal_is_the_same_request():
    with Interrupts(patience=60) as interrupts:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert interrupts.requested


def test_early_previews(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "_PREVIEWS", (1, 2, 3))
    clips = torch.zeros(2, 4, 1, 64, 64, dtype=torch.uint8)
    drawn = []
    validation = Validation(clips, preview=lambda trainer: drawn.append(trainer.step))
    trainer = make(tiny, tmp_path / "a", validation=validation, validate_every=2)
    trainer.run()
    assert drawn == [1, 3]  # 2 has a validation
    plain = make(tiny, tmp_path / "b")
    plain.run()
    for name, value in plain.svg.state_dict().items():
        assert torch.equal(trainer.svg.state_dict()[name], value), name


FOREIGN = [
    b"[1, 2]\n",
    b"my own note\n",
    b"\xff\xfe\n",
    b"null\n",
    b'{"step": "two"}\n',
    b'{"step": NaN, "nll": 1}\n',
    b'{"nll": 3.0}\n',
    b'{"step": 1' + b"0" * 400 + b"}\n",
    b"[" * 50_000 + b"\n",
    b"\n",
]


def test_foreign_lines_in_the_log_are_kept_and_not_drawn(tiny, tmp_path):
    line = b"".join(FOREIGN)
    trainer = make(tiny, tmp_path)
    trainer.run()
    log = trainer.log_path
    ours = log.read_bytes()
    log.write_bytes(line + ours + line + b'{"step": 9, "nll": 1.0}\n{"step": 4, "nl')
    again = make(tiny, tmp_path, steps=6)
    again.resume()
    assert log.read_bytes() == line + ours + line
    again.run()
    draw_training(log, tmp_path / "curve.png")
    steps = [json.loads(x)["step"] for x in log.read_bytes().splitlines()[-1:]]
    assert steps == [6]


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    torch.manual_seed(0)
    config = svg_pyro.SVGConfig(
        channels=1, width=2, g_dim=4, z_dim=2, rnn_size=4, n_past=2, beta=1e-3
    )
    out = tmp_path_factory.mktemp("state")
    make(config, out, steps=1).run()
    return config, torch.load(out / "checkpoint.pt", weights_only=True)


def set_at(content, path, value):
    *most, last = path
    for key in most:
        content = content[key]
    if value is KeyError:
        del content[last]
    else:
        content[last] = value


ADAM = ("optimiser", "adam")
PLACES = [
    ("step",),
    ("rng",),
    ("optimiser",),
    ("config",),
    ("config", "steps"),
    ("config", "lr"),
    ("config", "seed"),
    ("optimiser", "step"),
    ADAM,
    (*ADAM, "state"),
    (*ADAM, "state", 3),
    (*ADAM, "state", 3, "exp_avg"),
    (*ADAM, "state", 3, "exp_avg_sq"),
    (*ADAM, "state", 3, "step"),
    (*ADAM, "param_groups"),
    (*ADAM, "param_groups", 0),
    (*ADAM, "param_groups", 0, "params"),
    (*ADAM, "param_groups", 0, "betas"),
    (*ADAM, "param_groups", 0, "lr"),
    ("moving_statistics",),
    ("moving_statistics", "encoder.stages.0.1.running_mean"),
]
VALUES = [
    KeyError,
    "text",
    -1,
    math.nan,
    [],
    {"a": 1},
    torch.full((2,), math.inf),
    b"x",
]
# Without them a state is of the first checkpoints, or the defaults hold.
OPTIONAL = ["moving_statistics", "config.steps", "config.lr", "config.seed"]
OPTIONAL += ["optimiser.adam.state.3"]  # as of a weight that no step has used


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(VALUES[:2], id="first"),
        pytest.param(VALUES[2:], id="others", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_every_damage_of_a_state_is_one_line(state, tmp_path, place, values):
    config, content = state
    for value in values:
        changed = copy.deepcopy(content)
        set_at(changed["training"], place, value)
        torch.save(changed, tmp_path / "checkpoint.pt")
        trainer = make(config, tmp_path, steps=2)
        if value is KeyError and ".".join(map(str, place)) in OPTIONAL:
            trainer.resume()
            continue
        with pytest.raises(CheckpointError) as caught:
            trainer.resume()
        text = str(caught.value)
        assert "\n" not in text and len(text) < 300 and "checkpoint.pt" in text, text
