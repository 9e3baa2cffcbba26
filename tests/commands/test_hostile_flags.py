"""Values that no flag can mean: one line that names the flag, nothing written."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import svg_pyro
from svg_pyro import SVG, TrainingConfig
from svg_pyro.commands import settings
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.main import main
from svg_pyro.commands.presets import PRESETS
from svg_pyro.commands.run_folder import RunOptions
from svg_pyro.commands.settings import RunRequest
from svg_pyro.data import VideoFolder

GENERATE = ["generate", "model.pt", "video.npy", "--horizon=2", "--num-samples=1"]
SURPRISE = ["surprise", "model.pt", "video.npy"]


@pytest.fixture
def folder(tiny, tmp_path, monkeypatch):
    """A model and a video, in the folder in which the commands run."""
    monkeypatch.chdir(tmp_path)
    svg_pyro.save(SVG(tiny), "model.pt")
    rng = np.random.default_rng(0)
    np.save("video.npy", rng.integers(0, 256, (6, 64, 64), np.uint8))
    return tmp_path


def refused(argv, capsys, folder):
    """The one line with which a command ends, once it is seen that it left nothing."""
    before = set(folder.rglob("*"))
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and len(line) < 300 and line.isprintable()
    assert set(folder.rglob("*")) == before
    return line


@pytest.mark.parametrize(
    "argv, words",
    [
        ([*GENERATE, "--horizon", "1" + 20 * "0"], "--horizon is a number beyond"),
        ([*GENERATE, "--seed", "1" + 20 * "0"], "--seed is a number beyond"),
        ([*GENERATE, "--num-samples", "1" + 15 * "0"], "num_samples is 1"),
        ([*GENERATE, "--horizon", "1" + 13 * "0"], "horizon is 1"),
        ([*GENERATE, "--fps", "nan"], "--fps is nan"),
        ([*GENERATE, "--out", ""], "--out is empty"),
        (["generate", "", "video.npy"], "CHECKPOINT is empty"),
        (["generate", "model.pt", ""], "VIDEO is empty"),
        ([*GENERATE, "--out", 300 * "a"], "File name too long"),
        ([*GENERATE, "--out", "video.npy/below"], "Not a directory"),
        ([*SURPRISE, "--threshold", "nan"], "--threshold is nan"),
        ([*SURPRISE, "--threshold", "0"], "--threshold is 0"),
        ([*SURPRISE, "--start", "4"], "holds 2 frames"),
        ([*SURPRISE, "--window", "1" + 20 * "0"], "--window is a number beyond"),
        (["train", "videos", ".", "--stride", "0"], "--stride is 0; give 1 or more"),
        (["train", "bair", "--simulated-clips", "0"], "--simulated-clips is 0"),
        (["train", "smmnist", "--num-digits", "-1"], "--num-digits is -1"),
        (["compare-parts", "--seeds", "0", "-1"], "--seeds is -1; give 0 or more"),
        (["fit-prior", "model.pt", "--lr", "0"], "lr is 0.0; give a number above 0"),
        (["fit-prior", "model.pt", "--out", "."], ". is a folder; give the name of"),
        (["hand", "model.pt", "--json", "."], ". is a folder; give the name of a file"),
        (["demo", "--clips", "101"], "--clips is 101; give 100 or less"),
        (["serve", "--port", "65536"], "--port is 65536; give 65535 or less"),
        (["train", "smmnist", "--clip-norm", "nan"], "--clip-norm is nan"),
        (["train", "smmnist", "--beta", "inf"], "--beta is inf"),
    ],
)
def test_a_value_that_no_flag_can_mean_is_said(folder, capsys, argv, words):
    assert words in refused(argv, capsys, folder)


def test_weights_of_the_first_code_predict_a_single_video_and_say_how(
    tiny, folder, capsys
):
    changes = {
        "skip_from": "before_context",
        "posterior_start": 2,
        "batch_norm": "time",
        "generation_norm": "batch",
    }
    svg = SVG(dataclasses.replace(tiny, **changes))
    svg_pyro.export_official(svg, folder / "first_code.pth")
    out = ["--shown=0", "--out=o"]
    main(["generate", "first_code.pth", "video.npy", *GENERATE[3:], *out])
    assert "BatchNorm takes its running statistics" in capsys.readouterr().out
    assert np.load("o/video.npz")["futures"].shape == (1, 2, 1, 64, 64)


def test_a_model_with_actions_asks_for_them_by_their_flag(tiny, folder, capsys):
    svg_pyro.save(SVG(dataclasses.replace(tiny, action_dim=3)), "acts.pt")
    line = refused(["generate", "acts.pt", *GENERATE[2:]], capsys, folder)
    assert "3 numbers for each step; give them by --actions FILE" in line


def test_a_file_of_flags_may_hold_no_zero_byte(folder, capsys):
    (folder / "flags.yaml").write_text('out: "a\\0b"\n')
    line = refused([*GENERATE, "--config", "flags.yaml"], capsys, folder)
    assert line == "error: --out holds a zero byte; give a text or leave it out"


def test_a_long_error_loses_its_middle(capsys):
    with pytest.raises(SystemExit), one_line_errors():
        raise svg_pyro.DataError("first " + 500 * "x" + " last")
    line = capsys.readouterr().err.rstrip("\n")
    assert len(line) == 299
    assert line.startswith("error: first xxx") and line.endswith("xxx last")


def test_lengths_of_clips_are_checked_before_videos_are_decoded(folder):
    with pytest.raises(svg_pyro.DataError, match="min_frames is 9, of clips of 4"):
        VideoFolder(
            folder,
            "train",
            4,
            image_size=64,
            channels=1,
            cache=folder / "cache",
            min_frames=9,
        )
    assert not (folder / "cache").exists()


@pytest.mark.parametrize(
    "target, status, words",
    [
        ("pipe", 141, "what reads this command's output has ended"),
        ("/dev/full", 2, "No space left on device"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="has no /dev/full")
def test_output_that_nobody_takes_is_one_line(target, status, words):
    """In a process of its own, whose streams Python closes at its end."""
    command = [sys.executable, "-c", "import svg_pyro.__main__ as m; m.main(['-h'])"]
    if target == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open(target, os.O_WRONLY)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, words in line) == (status, True), line


def test_a_name_cannot_clear_the_screen(capsys):
    with pytest.raises(SystemExit), one_line_errors():
        raise svg_pyro.DataError("\x1b[2J\u202e фильм.mp4: broken")
    line = capsys.readouterr().err
    assert line == "error: \\x1b[2J\\u202e фильм.mp4: broken\n"


def test_names_of_files_cannot_clear_the_screen_either(folder, capsys):
    """Those of the videos, of what is written of them, and of what is passed by."""
    (folder / "films").mkdir()
    for name in ("a\x1b[2J\u202e.npy", "c\x9b2J фильм.npy"):
        Path("video.npy").rename(folder / "films" / name)
        (folder / "video.npy").write_bytes((folder / "films" / name).read_bytes())
    (folder / "films" / "b\x1b]0;x\x07.mxf").touch()
    (folder / "films" / "d\x1b[2J.mp4").write_bytes(b"no film")
    main(["generate", "model.pt", "films", *GENERATE[3:], "--out", "out"])
    said = capsys.readouterr()
    lines = (said.out + said.err).splitlines()
    assert len(lines) > 4 and all(line.isprintable() for line in lines), lines
    assert "skipped: " in said.out and "фильм" in said.out and ".mxf" in said.err
    assert (folder / "out" / "a_[2J_.gif").is_file()


@pytest.mark.parametrize(
    "given, words",
    [
        ({"own_means": 0.3}, "--own-means 0.3 differs from the run in r"),
        ({"steps": 4}, "--steps is 4, and the run in r has made 5; give 5 or more"),
    ],
)
def test_a_resumed_run_takes_no_flag_that_it_cannot_follow(
    tiny, monkeypatch, given, words
):
    """`own_means` is not in the checkpoint, as in those of before there was one."""
    stored = dataclasses.asdict(TrainingConfig(steps=9))
    del stored["own_means"]
    content = {
        "config": dataclasses.asdict(tiny),
        "training": {"config": stored, "step": 5, "data": {"kind": "smmnist"}},
    }
    monkeypatch.setattr(settings.checkpoint, "read", lambda path: content)
    monkeypatch.setattr(settings, "check_state", lambda content, path: None)
    options = RunOptions(out="r", resume=True, device="cpu")
    presets = PRESETS["smmnist"]
    request = RunRequest("smmnist", options, presets, given, {"kind": "smmnist"})
    with pytest.raises(svg_pyro.ConfigError, match=words):
        settings._resumed(request, presets["small"], Path("r"))
