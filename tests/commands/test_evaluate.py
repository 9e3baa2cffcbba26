"""examples/evaluate.py from end to end, and all that can be wrong with its input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import evaluate
import numpy as np
import pytest
from support.evaluations import TINY, awake
from support.places import EXAMPLES

import svg_pyro
from svg_pyro import SVGConfig
from svg_pyro.commands.held_out_data import add_test_data, find_test_data, find_test_set
from svg_pyro.commands.parser import Parser
from svg_pyro.data import make_simulated_push
from svg_pyro.evaluation import read_results

FEW = (
    "--device cpu --clips 3 --num-samples 3 --horizon 3 --particles 1 3 "
    "--likelihood-clips 1 --pictures 1 --batch-size 2 --chunk-size 2"
).split()
DIGITS = ["--data", "smmnist", "--bundled-digits"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Checkpoints and videos, in the working directory."""
    monkeypatch.chdir(tmp_path)
    svg_pyro.save(awake(TINY), "lp.pt")
    svg_pyro.save(awake(TINY, prior="none"), "none.pt")
    svg_pyro.save(awake(TINY, channels=3), "rgb.pt")
    svg_pyro.save(awake(TINY, n_past=3), "longer.pt")
    Path("videos").mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        np.save(f"videos/{name}.npy", rng.integers(0, 256, (9, 64, 64), np.uint8))
    return tmp_path


@pytest.mark.slow
def test_several_checkpoints_make_one_table(folder, capsys):
    # The protocols of one run share its samples.
    evaluate.main(
        ["lp.pt", "none.pt", *FEW, *DIGITS, "--protocol", "srvp", "--protocol", "svg"]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("left out for want of weights: LPIPS (give")
    assert "stochastic Moving MNIST of 2 digits" in lines[1]
    assert lines[-1] == f"open {Path('runs/evaluation/report.html')}"
    starts = [line.split("  ")[0] for line in lines[2:-1]]
    names = ["SVG-LP", "deterministic", "last frame repeated"]
    assert starts == ["protocol srvp", *names, "protocol svg", *names]
    results = json.loads(Path("runs/evaluation/results.json").read_text())
    assert [p["name"] for p in results["predictors"]] == names
    assert results["settings"]["protocols"] == ["srvp", "svg"]
    best = results["predictors"][0]["scores"]["svg"]["psnr"]["best"]
    assert f"{best['mean']:.2f} ± {best['half_width']:.2f}" in lines[-4]
    # Another evaluation does not touch the first.
    evaluate.main(["NAME=lp.pt", *FEW, *DIGITS, "--clips", "1", "--pictures", "0"])
    assert Path("runs/evaluation-2/report.html").exists()
    assert capsys.readouterr().out.splitlines()[3].startswith("NAME ")


@pytest.mark.slow
def test_videos_and_simulated_pushing(folder, capsys):
    flags = ["--test-data", "videos", "--stride", "2", "--out", "v", "--horizon", "3"]
    flags += ["--protocol", "finn"]
    evaluate.main(["lp.pt", *FEW, "--data", "videos", *flags])
    results = json.loads(Path("v/results.json").read_text())
    assert results["clips"] == 3 and results["data"].startswith("videos in videos")
    root = Path("push/aux1")
    make_simulated_push(root, n_train=1, n_test=2, n_frames=5, workers=1)
    kept = {p: p.stat().st_mtime_ns for p in root.rglob("*.tfrecords")}
    flags = ["--simulated-root", "push", "--out", "b", "--pictures", "0"]
    evaluate.main(["rgb.pt", *FEW, *flags, "--protocol", "finn"])
    results = json.loads(Path("b/results.json").read_text())
    assert results["clips"] == 2 and results["data"].startswith("simulated")
    # The clips of a training run are taken as they are.
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*.tfrecords")} == kept


@pytest.mark.slow
def test_stopped_and_resumed(folder):
    flags = [
        *FEW,
        *DIGITS,
        "--clips",
        "60",
        "--likelihood-clips",
        "2",
        "--pictures",
        "0",
    ]

    def start(*more):
        command = [
            sys.executable,
            str(EXAMPLES / "evaluate.py"),
            "lp.pt",
            *flags,
            *more,
        ]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(command, env=environment, **pipes)

    process = start("--out", "parts")
    # What is printed before the first clip is scored.
    for _ in range(2):
        process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "stopped; the same command with --out parts --resume goes on" in out
    assert not Path("parts/results.json").exists()
    for more in (["--out", "parts", "--resume"], ["--out", "whole"]):
        process = start(*more)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    whole, parts = (
        json.loads(Path(name, "results.json").read_text())
        for name in ("whole", "parts")
    )
    assert whole == parts


@pytest.mark.parametrize(
    "flags, words",
    [
        (["lp.pt", *DIGITS, "--num-samples", "0"], "num_samples is 0"),
        (["lp.pt", *DIGITS, "--horizon", "0"], "horizon is 0"),
        (["lp.pt", *DIGITS, "--n-past", "0"], "n_past is 0"),
        (["lp.pt", *DIGITS, "--calibration-samples", "1"], "calibration_samples is 1"),
        (["lp.pt", *DIGITS, "--particles", "0"], "particles are [0]"),
        (["lp.pt", *DIGITS, "--protocol", "ours"], "'ours'"),
        (["lp.pt", *DIGITS, "--published-clips", "--protocol", "svg"], "no number"),
        (["lp.pt", *DIGITS, "--lpips-backbone", "no.pth"], "LPIPS needs the weights"),
        (["lp.pt", *DIGITS, "--fvd-network", "no.pt"], "FVD needs a TorchScript"),
        (["lp.pt", *DIGITS, "--resume"], "--resume needs --out"),
        (["lp.pt", *DIGITS, "--resume", "--out", "x"], "no evaluation to resume"),
        (["lp.pt", *DIGITS, "--resume", "--out", "run"], "no readable evaluation"),
        (["lp.pt", *DIGITS, "--out", "run"], "run holds an evaluation; give --resume"),
        (["lp.pt", "longer.pt", *DIGITS], "contexts of [2, 3] frames"),
        (["lp.pt", "b=rgb.pt", *DIGITS], "b takes frames (3, 64, 64)"),
        (["rgb.pt", *DIGITS], "takes frames (3, 64, 64) (C, H, W), the data's are (1,"),
        (["no.pt", *DIGITS], "no checkpoint at no.pt"),
        (["a=lp.pt", "a=none.pt", *DIGITS], "two predictors have the name 'a'"),
        (["videos/a.npy", *DIGITS], "a.npy is not a readable checkpoint"),
        (["lp.pt", "--data", "videos"], "--data videos needs --data-root"),
        (
            ["lp.pt", "--data", "videos", "--test-data", "videos", "--horizon", "8"],
            "has 9 frames; a clip of 10",
        ),
        (
            ["lp.pt", "--data", "videos", "--test-data", "videos", "--n-past", "20"],
            "has 9 frames; a clip of 23",
        ),
        (["lp.pt", "--data", "kth", "--data-root", "nowhere"], "nowhere"),
        (["rgb.pt", "--data-root", "nowhere"], "nowhere"),
        ([*DIGITS], "CHECKPOINT"),
    ],
    ids=lambda v: " ".join(v)[-48:] if isinstance(v, list) else None,
)
def test_bad_input_ends_in_one_line(folder, capsys, flags, words):
    Path("run").mkdir()
    Path("run/state.pt").write_bytes(b"spoiled")
    # A later flag takes the place of an earlier one.
    with pytest.raises(SystemExit) as stop:
        evaluate.main([*FEW, *flags])
    assert stop.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and words in line


@pytest.mark.slow
def test_the_published_moving_mnist_is_evaluated_on(folder, capsys):
    """(20, 10000, 64, 64): its clips are along the second axis."""
    clips = np.lib.format.open_memmap(
        "mnist_test_seq.npy", "w+", np.uint8, (20, 10_000, 64, 64)
    )
    clips[:, 0, 20:30, 20:30] = (np.arange(20, dtype=np.uint8) * 10)[:, None, None]
    del clips
    flags = [*FEW, "--clips", "1", "--pictures", "0", "--protocol", "srvp"]
    flags += ["--data", "smmnist", "--data-root", "mnist_test_seq.npy"]
    evaluate.main(["lp.pt", *flags, "--horizon", "18", "--out", "published"])
    out = capsys.readouterr().out
    assert "Moving MNIST in mnist_test_seq.npy, the first frames of its 10000" in out


@pytest.mark.parametrize("kind", ["smmnist", "kth"])
@pytest.mark.parametrize("layout, clips", [("tnhw", 30), ("nthw", 20)])
def test_a_file_of_clips_is_read_in_the_layout_that_is_given(
    tmp_path, kind, layout, clips
):
    """The flag that the refusal of such a file names was of no effect."""
    path = tmp_path / "seq.npy"
    np.save(path, np.zeros((20, 30, 64, 64), np.uint8))
    parser = Parser("test")
    add_test_data(parser)
    given = ["--data", kind, "--data-root", str(path), "--layout", layout]
    data = find_test_data(parser.parse(given), [])
    found, words = find_test_set(data, SVGConfig(channels=1), 10)
    assert len(found) == clips and f"its {clips} clips" in words


@pytest.mark.slow
def test_checkpoints_are_scored_as_an_ensemble_too(folder, capsys):
    few = [*FEW, "--num-samples", "5", "--protocol", "svg"]
    evaluate.main(["a=lp.pt", "b=none.pt", "--ensemble", *few, *DIGITS])
    results = read_results("runs/evaluation/results.json")
    names = [found.name for found in results.candidates]
    assert names == ["a", "b", "ensemble", "last frame repeated"]
    assert [found.spread is None for found in results.candidates] == [1, 1, 0, 1]
    spread, found = results.candidates[2].spread, results.candidates[2]
    assert spread.members == 2 and found.num_samples == 5
    assert found.likelihood is None and found.calibration is not None
    # One of them is deterministic: half of the other's variance is left.
    assert all(a > 0 for a in spread.aleatoric) and len(spread.epistemic) == 3
    line = f"ensemble: {spread.epistemic_share:.0%} of the variance of its samples"
    assert line in capsys.readouterr().out


def test_one_checkpoint_is_no_ensemble(folder, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["lp.pt", "--ensemble", *FEW, *DIGITS])
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: an ensemble needs 2 checkpoints or more; there are 1"
    )
