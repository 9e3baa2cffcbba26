"""The examples from end to end at a tiny size, as a user calls them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import train_bair
from PIL import Image
from support.places import EXAMPLES

import svg_pyro
from svg_pyro.data import make_simulated_push

TINY = (
    "--device cpu --width 4 --g-dim 8 --z-dim 3 --rnn-size 12 --batch-size 4 "
    "--n-frames 4 --horizon 3 --num-samples 3 --test-clips 4 --pictures 1 "
    "--log-every 2 --validate-every 4 --save-every 2 --clip-norm 50"
).split()


def start(*arguments, **options):
    command = [sys.executable, str(EXAMPLES / "train_bair.py"), *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def run(*arguments, **options):
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A handful of simulated clips in BAIR's layout."""
    root = tmp_path_factory.mktemp("push")
    return make_simulated_push(root, n_train=8, n_test=4, n_frames=8, workers=1)


@pytest.mark.slow
def test_the_main_job(tmp_path):
    status, out, err = run(*TINY, "--steps", 5, "--simulated-clips", 8, cwd=tmp_path)
    assert status == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("preset small, device cpu, 5 steps")
    assert "simulated robot-pushing clips stand in" in lines[1]
    assert lines[2] == "8 training clips; 4 others are scored"
    folder = tmp_path / "runs" / "bair"
    results = json.loads((folder / "results.json").read_text())
    assert results["clips"] == 4 and results["horizon"] == 3
    scores = next(line for line in lines if "best of 3 samples" in line)
    found = [float(x) for x in re.findall(r"(-?\d+\.\d+) dB", scores)]
    keys = ["psnr_best", "psnr_mean", "psnr_copy_last_frame", "gain"]
    assert found == pytest.approx([results[k] for k in keys], abs=0.006)
    assert results["psnr_best"] >= results["psnr_mean"]
    assert f"held-out KL {results['kl']:.2f} nats a frame" in lines
    assert lines[-1] == f"open {Path('runs/bair/pictures/final_clip_1.gif')}"
    with Image.open(folder / "pictures" / "final_clip_1.gif") as gif:
        assert gif.n_frames == 5
    assert np.asarray(Image.open(folder / "training.png")).std() > 10
    svg = svg_pyro.load(folder / "checkpoint.pt")
    assert svg.config.z_dim == 3
    # The first run is left as it was by a second one.
    before = (folder / "checkpoint.pt").read_bytes()
    status, out, err = run(*TINY, "--steps", 1, "--simulated-clips", 8, cwd=tmp_path)
    assert status == 0 and "out runs/bair-2" in out, err
    assert (folder / "checkpoint.pt").read_bytes() == before


def weights(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)["weights"]


@pytest.mark.slow
def test_interrupt_and_resume_give_the_same_weights(tmp_path, root):
    base = [*TINY, "--data-root", root, "--steps", 40]
    status, _, err = run(*base, "--out", tmp_path / "whole")
    assert status == 0, err
    process = start(*base, "--out", tmp_path / "parts")
    log = tmp_path / "parts" / "metrics.jsonl"
    while process.poll() is None and not (log.exists() and log.read_text()):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "--resume goes on" in out, err
    stopped = json.loads(re.search(r"stopped at step (\d+)", out)[1])
    assert 2 <= stopped < 40
    status, out, err = run(
        "--data-root",
        root,
        "--out",
        tmp_path / "parts",
        "--resume",
        "--device",
        "cpu",
        "--horizon",
        3,
        "--num-samples",
        3,
        "--test-clips",
        4,
        "--pictures",
        0,
    )
    assert status == 0 and "preset of the resumed run" in out, err
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name, value in whole.items():
        assert torch.equal(parts[name], value), name


@pytest.mark.slow
def test_variants_run(tmp_path, root):
    for i, flags in enumerate(
        (
            ["--prior", "none"],
            ["--prior", "fixed", "--elbo", "mean-field", "--norm", "group"],
            [
                "--dynamics",
                "vector",
                "--backbone",
                "vgg",
                "--no-pixel-skip",
                "--decodes",
                "frame",
            ],
            ["--observation", "optimal-sigma", "--own-means", "0"],
        )
    ):
        status, _, err = run(
            *TINY, "--data-root", root, "--steps", 1, "--out", tmp_path / str(i), *flags
        )
        assert status == 0, err


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--data-root", "no/such/folder"], "no/such/folder"),
        (["--data-root", "."], "tfrecords"),
        (["--data-root", "ROOT", "--camera", "main"], "camera 'main'"),
        (["--data-root", "ROOT", "--n-frames", "30"], "8 frames, fewer than"),
        (["--data-root", "ROOT", "--beta", "-1"], "beta is -1.0"),
        (["--data-root", "ROOT", "--n-past", "4"], "need a frame after the context"),
        (["--data-root", "ROOT", "--out", "RUN", "--resume"], "no checkpoint at"),
        (["--data-root", "ROOT", "--device", "tpu9"], "tpu9"),
        (["--data-root", "ROOT", "--num-samples", "0"], "--num-samples is 0"),
        (["--data-root", "ROOT", "--steps", "0"], "steps is 0"),
        (["--data-root", "ROOT", "--image-size", "128"], "image_size is 64, the model"),
        (["--data-root", "ROOT", "--pictures", "-1"], "--pictures is -1"),
        (["--data-root", "ROOT", "--horizon", "7"], "8 frames, fewer than"),
        (["--zdim", "3"], "--zdim"),
        (["--steps", "many"], "--steps"),
    ],
    ids=lambda v: " ".join(v)[:40] if isinstance(v, list) else None,
)
def test_bad_input_ends_in_one_line_and_status_2(
    tmp_path, root, flags, words, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    places = {"ROOT": str(root), "RUN": str(tmp_path / "run")}
    flags = [places.get(flag, flag) for flag in flags]
    with pytest.raises(SystemExit) as stop:
        train_bair.main([*TINY, "--steps", "1", *flags])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line


@pytest.mark.slow
def test_a_run_is_not_overwritten_and_its_settings_not_changed(tmp_path, root):
    out = tmp_path / "run"
    base = ["--data-root", root, "--out", out]
    assert run(*TINY, *base, "--steps", 1)[0] == 0
    status, _, err = run(*TINY, *base, "--steps", 1)
    assert status == 2 and "--resume" in err
    status, _, err = run(*base, "--resume", "--z-dim", 7, "--device", "cpu")
    assert status == 2 and "--z-dim 7 differs" in err
    status, _, err = run(*base, "--resume", "--camera", "main", "--device", "cpu")
    assert status == 2 and "--camera is main, and aux1 in the run" in err
    (out / "checkpoint.pt").write_bytes(b"spoiled")
    status, _, err = run(*base, "--resume", "--device", "cpu")
    assert status == 2 and "not a readable checkpoint" in err


@pytest.mark.slow
def test_verify_and_elbos(tmp_path, root):
    flags = [*TINY, "--data-root", root, "--steps", 1, "--out", tmp_path]
    status, out, err = run(*flags, "--verify")
    assert status == 0 and "the CRCs of 12 records are right" in out, err
    command = [
        sys.executable,
        str(EXAMPLES / "compare_elbos.py"),
        tmp_path / "checkpoint.pt",
        "--data-root",
        root,
        "--clips",
        "2",
        "--repeats",
        "3",
        "--n-frames",
        "4",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    parts = [line.split(":")[0] for line in done.stdout.splitlines()]
    want = "trace mean-field encoder decoder frame_predictor prior posterior".split()
    assert parts == want


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path, root):
    out = tmp_path / "closed"
    out.mkdir(mode=0o500)
    status, _, err = run(*TINY, "--data-root", root, "--steps", 1, "--out", out / "run")
    assert status == 2 and "Permission denied" in err
