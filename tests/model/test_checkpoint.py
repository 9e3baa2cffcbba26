"""Checkpoints: what is saved is what is loaded, and nothing is lost."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from torch import nn

import svg_pyro
from svg_pyro import SVG, CheckpointError, Prior


def test_round_trip(tiny, tmp_path):
    svg = SVG(tiny).eval()
    svg_pyro.save(svg, tmp_path / "new" / "model.pt")
    loaded = svg_pyro.load(tmp_path / "new" / "model.pt", map_location="cpu")
    assert loaded.config == svg.config and not loaded.training
    for name, value in svg.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    x = torch.rand(1, 2, 1, 64, 64)
    torch.manual_seed(0)
    want = svg.predict(x, 2, 3)
    torch.manual_seed(0)
    assert torch.equal(loaded.predict(x, 2, 3), want)


def test_file_is_plain(tiny, tmp_path):
    svg_pyro.save(SVG(tiny), tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    assert content["config"] == dataclasses.asdict(tiny)
    assert os.listdir(tmp_path) == ["model.pt"]


class Shifted(Prior):
    def __init__(self, config):
        super().__init__()
        self.shift = nn.Parameter(torch.randn(config.z_dim))

    def forward(self, h, state=None):
        loc = self.shift.expand(*h.shape[:-1], -1)
        return dist.Normal(loc, 1.0).to_event(1), None


def test_a_users_own_prior_is_asked_for(tiny, tmp_path):
    path = tmp_path / "model.pt"
    svg = SVG(tiny, prior=Shifted(tiny))
    svg_pyro.save(svg, path)
    with pytest.raises(CheckpointError, match=r"give prior=Shifted\(config\)"):
        svg_pyro.load(path)
    loaded = svg_pyro.load(path, prior=Shifted(tiny))
    assert torch.equal(loaded.prior.shift, svg.prior.shift)


def write(path, kind, tiny):
    good = path.with_name("good.pt")
    svg_pyro.save(SVG(tiny), good)
    content = torch.load(good, weights_only=True)
    if kind == "text":
        path.write_text("not a checkpoint")
    elif kind == "word":
        path.write_bytes(b"spoiled")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(good.read_bytes()[:-2000])
    elif kind == "foreign":
        torch.save({"state_dict": {}}, path)
    elif kind == "pickle":
        torch.save(SVG(tiny), path)
    elif kind == "newer":
        torch.save({**content, "version": 99}, path)
    elif kind == "architecture":
        content["config"]["width"] = 8
        torch.save(content, path)
    elif kind == "key":
        content["config"]["widht"] = 8
        torch.save(content, path)


@pytest.mark.parametrize(
    "kind, words",
    [
        ("missing", "no checkpoint at"),
        ("text", "is not a readable checkpoint"),
        ("word", "is not a readable checkpoint"),
        ("empty", "is not a readable checkpoint"),
        ("truncated", "is not a readable checkpoint"),
        ("foreign", "is not a checkpoint of svg_pyro"),
        ("pickle", "is not a readable checkpoint"),
        ("newer", "install a newer svg_pyro"),
        ("architecture", "is of another architecture: size mismatch"),
        ("key", "unknown configuration key 'widht'; did you mean 'width'?"),
    ],
)
def test_bad_checkpoints(tiny, tmp_path, kind, words):
    path = tmp_path / "bad.pt"
    write(path, kind, tiny)
    with pytest.raises(CheckpointError) as error:
        svg_pyro.load(path)
    message = str(error.value)
    assert words in message and str(path) in message and "\n" not in message


@pytest.mark.parametrize("where", ["meta", "mps", "xpu", "tpu", 99, None])
@pytest.mark.parametrize("load", ["load", "from_pretrained", "load_official"])
def test_places_that_hold_no_values_are_refused(load, where):
    if where is not None and where != "meta":
        try:
            torch.empty(0, device=where)
            pytest.skip("is there")
        except (RuntimeError, AssertionError):
            pass
    with pytest.raises(CheckpointError, match="which is no device here") as caught:
        getattr(svg_pyro, load)("push", where)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("load", ["load", "from_pretrained", "load_official"])
def test_what_is_no_path_is_one_line(load):
    for path in (None, 3, b"push", ""):
        with pytest.raises(CheckpointError, match="is no path; give that of a check"):
            getattr(svg_pyro, load)(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no FIFO")
@pytest.mark.parametrize("load", ["load", "load_official"])
def test_a_pipe_is_not_waited_for(tmp_path, load):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match=r"no (file|checkpoint)"):
        getattr(svg_pyro, load)(tmp_path / "pipe")


def test_a_full_disk_leaves_the_earlier_checkpoint(tiny, tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    svg = SVG(tiny)
    svg_pyro.save(svg, path)
    before = path.read_bytes()

    def full(content, file):
        file.write_bytes(b"half of")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match=r"No space.*earlier one is unharmed"):
        svg_pyro.save(svg, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.pt"]


FULL = """
import resource, sys, svg_pyro
svg = svg_pyro.load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    svg_pyro.save(svg, sys.argv[1])
except svg_pyro.CheckpointError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_write_that_the_system_cuts_short(tiny, tmp_path):
    path = tmp_path / "model.pt"
    svg_pyro.save(SVG(tiny), path)
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"cannot write checkpoint {path}: ") and "unharmed" in line
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["model.pt"]


SAVER = """
import sys, torch, svg_pyro
config = svg_pyro.SVGConfig(channels=1, width=32, g_dim=8, z_dim=3, rnn_size=12)
svg = svg_pyro.SVG(config)
svg_pyro.save(svg, sys.argv[1])
print("ready", flush=True)
while True:
    svg_pyro.save(svg, sys.argv[1])
"""


@pytest.mark.slow
def test_kill_during_a_save_leaves_a_whole_checkpoint(tmp_path):
    path = tmp_path / "model.pt"
    for delay in (0.0, 0.013, 0.037):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(path)], stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        svg_pyro.load(path)


@pytest.mark.parametrize(
    "given, words",
    [
        ({"x": object()}, "training\\['x'\\] is object, which a checkpoint"),
        ({"x": [1, np.float64(2.0)]}, "training\\['x'\\]\\[1\\] is float64"),
        ({(1, object()): 2}, "a key of training\\[1\\] is object"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(tiny, tmp_path, given, words):
    path = tmp_path / "svg.pt"
    with pytest.raises(CheckpointError, match=words):
        svg_pyro.save(SVG(tiny), path, training=given)
    assert not path.exists()


def test_only_a_model_is_saved(tmp_path):
    with pytest.raises(CheckpointError, match="save was given NoneType; give an SVG"):
        svg_pyro.save(None, tmp_path / "svg.pt")
