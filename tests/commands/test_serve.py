"""svg-pyro serve: what it shows, and the page in a real browser."""

import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image
from support.evaluations import awake
from support.places import ROOT

import svg_pyro
from svg_pyro.commands.demo import CLIPS, held_out_clips
from svg_pyro.commands.viewer import Viewer
from svg_pyro.errors import ConfigError, DataError

CPU = torch.device("cpu")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def viewer(tmp_path):
    return Viewer(["smmnist-1"], CPU, tmp_path)


@pytest.fixture
def video(tmp_path):
    rng = np.random.default_rng(1)
    np.save(tmp_path / "mine.npy", rng.integers(0, 256, (7, 64, 64), np.uint8))
    return str(tmp_path / "mine.npy")


def test_a_clip_has_futures_their_spread_and_surprises(viewer):
    clip = viewer.clip("smmnist-1", "held-out clip 2", None, 6)
    assert clip.shape == (11, 1, 64, 64)
    seen = viewer.look("smmnist-1", clip, 6, 3)
    with Image.open(seen.futures) as gif:
        assert gif.n_frames == 11 and gif.width == 5 * 134  # truth, 3 futures, spread
        gif.seek(3)
        context = np.asarray(gif.convert("L"))[20:148, 4 * 134 + 2 : 5 * 134 - 4]
        gif.seek(10)
        spread = np.asarray(gif.convert("L"))[20:148, 4 * 134 + 2 : 5 * 134 - 4]
    assert spread.max() > 30 and not np.array_equal(context, spread)
    with Image.open(seen.surprise) as png:
        assert min(png.size) > 100


def test_a_video_that_ends_before_the_horizon_has_no_truth(viewer, video):
    clip = viewer.clip("smmnist-1", "held-out clip 1", video, 6)
    assert len(clip) == 7  # the dropped video goes before the clip that is picked
    seen = viewer.look("smmnist-1", clip, 6, 2)
    with Image.open(seen.futures) as gif:
        assert gif.width == 3 * 134
    assert seen.surprise is not None
    with pytest.raises(DataError, match="no such file"):
        viewer.clip("smmnist-1", None, video + "x", 6)


def test_only_clips_of_models_that_ship_can_be_picked(tiny, tmp_path):
    svg_pyro.save(awake(tiny), tmp_path / "mine.pt")
    path = str(tmp_path / "mine.pt")
    viewer = Viewer([path, "push"], CPU, tmp_path)
    assert viewer.clip_names(path) == []
    assert viewer.clip_names("push")[0] == "held-out clip 1"
    with pytest.raises(DataError, match="has no clips to pick; drop a video"):
        viewer.clip(path, None, None, 6)


def test_each_model_that_ships_and_takes_no_actions_has_clips():
    for model in svg_pyro.shipped():
        config = svg_pyro.load(model).config
        assert (model in CLIPS) == (config.action_dim == 0)
        if model in CLIPS:
            clips, _ = held_out_clips(model, 1, 6)
            assert clips.shape == (1, 6, config.channels, 64, 64)


def test_a_model_with_actions_is_refused(tiny, tmp_path, monkeypatch):
    svg = awake(tiny)
    object.__setattr__(svg.config, "action_dim", 2)
    monkeypatch.setattr(svg_pyro, "load", lambda *_, **__: svg)
    with pytest.raises(ConfigError, match="does not tell them"):
        Viewer(["acting"], CPU, tmp_path)


def _waits(port):
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gradio") is None, reason="the page needs gradio")
@pytest.mark.skipif(find_spec("playwright") is None, reason="playwright drives it")
@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
def test_a_person_picks_a_clip_and_drops_a_video(video):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "svg_pyro", "serve", "smmnist-1"]
    with subprocess.Popen([*command, "--port", str(port)], cwd=ROOT) as server:
        try:
            patience = time.monotonic() + 240
            while not _waits(port) and time.monotonic() < patience:
                assert server.poll() is None
                time.sleep(0.5)
            person = ROOT / "tests" / "support" / "page_in_browser.py"
            address = f"http://127.0.0.1:{port}"
            seen = subprocess.run(
                [sys.executable, str(person), address, video, BROWSER],
                capture_output=True,
                text=True,
            )
        finally:
            server.terminate()
    assert seen.returncode == 0, seen.stderr
    # Truth, 4 futures and their spread; the video ends before the horizon: no truth.
    assert seen.stdout.split() == [str(6 * 134), "1", str(5 * 134), "400", "True"]
