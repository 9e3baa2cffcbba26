"""Damaged and hostile files: a typed error of one line, or a right result.

Of each kind, files are made and then changed: bits flipped, parts cut out, moved,
repeated, or overwritten with random and with extreme numbers. Each is read under limits
on time and memory.
"""

import contextlib
import io
import json
import resource
import signal
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.video_files import rough, write_video

import svg_pyro
from svg_pyro import SVG, SVGConfig, SVGError, TrainingConfig
from svg_pyro.commands.train import training_parser
from svg_pyro.data import BairPush, find_sources, first_frames
from svg_pyro.data.bair.dataset import verify
from svg_pyro.data.bair.tfrecord import encode_example, write_records
from svg_pyro.plots.training import parse_line
from svg_pyro.training.log import TrainingLog

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="limits the memory of this process"
)

SECONDS = 60  # of this machine's busiest hour; an input takes a few hundredths
MEMORY = 2 * 2**30  # bytes more than the process has
CONFIG = SVGConfig(channels=1, width=2, g_dim=4, z_dim=2, rnn_size=4, n_past=2)
FIRST_CODE = SVGConfig(
    channels=1,
    width=2,
    g_dim=4,
    z_dim=2,
    rnn_size=4,
    skip_from="before_context",
    posterior_start=2,
    batch_norm="time",
    generation_norm="batch",
)


class TookTooLong(BaseException):
    """No error that a reader may turn into one of its own."""


@contextlib.contextmanager
def limits():
    def alarm(*_):
        raise TookTooLong

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, alarm)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGALRM, handler)


# Numbers that readers take for sizes.
EXTREME = [
    b"\x00" * 8,
    b"\xff" * 8,
    struct.pack("<q", 2**40),
    struct.pack(">q", 2**40),
    struct.pack("<i", 2**31 - 1),
    struct.pack(">i", 2**31 - 1),
    b"99999999999",
    b"-1",
    b"1e999",
    b"NaN",
    b"\n",
    b"[" * 5000,
    b"\xe9",
    b"\x1b[2J",
]
place = st.integers(0, 2**20)
change = st.one_of(
    st.tuples(st.just("flip"), place, st.integers(0, 7)),
    st.tuples(st.just("cut"), place, place),
    st.tuples(st.just("drop"), place, st.integers(1, 64)),
    st.tuples(st.just("put"), place, st.sampled_from(EXTREME)),
    st.tuples(st.just("over"), place, st.sampled_from(EXTREME)),
    st.tuples(st.just("noise"), place, st.binary(min_size=1, max_size=16)),
    st.tuples(st.just("move"), place, place),
    st.tuples(st.just("double"), place, place),
)
changes = st.lists(change, min_size=1, max_size=4)


def changed(data, steps):
    data = bytearray(data)
    for kind, where, how in steps:
        at = where % max(1, len(data))
        if kind == "flip" and data:
            data[at] ^= 1 << how
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + how]
        elif kind == "put":
            data[at:at] = how
        elif kind in ("over", "noise"):
            data[at : at + len(how)] = how
        elif kind == "move":
            other = how % max(1, len(data))
            part = bytes(data[other : other + 32])
            data[at : at + len(part)] = part
        elif kind == "double":
            part = bytes(data[at : at + how % 512])
            data[at:at] = part
    return bytes(data)


def same_weights(loaded, wanted):
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, wanted[name]), name


def read_frames(path, channels=1):
    sources = find_sources(path)
    frames = first_frames(sources[0], 2, image_size=16, channels=channels, more=3)
    assert frames.dtype == torch.uint8 and frames.shape[1:] == (channels, 16, 16)


class Kind:
    """Files of a kind, and how one is read; `file` is the one that is changed."""

    file: str

    def __init__(self, root):
        self.root = root
        self.make()
        self.good = (root / self.file).read_bytes()
        self.read()

    def write(self, data):
        (self.root / self.file).write_bytes(data)


class Checkpoint(Kind):
    file = "model.pt"

    def make(self):
        self.svg = SVG(CONFIG)
        svg_pyro.save(self.svg, self.root / self.file, training={"step": 3})

    def read(self):
        loaded = svg_pyro.load(self.root / self.file)
        assert loaded.config == CONFIG
        same_weights(loaded, self.svg.state_dict())


class Official(Kind):
    """Options and names may be others that are right too."""

    file = "model.pth"

    def make(self):
        svg_pyro.export_official(SVG(FIRST_CODE), self.root / self.file)

    def read(self):
        loaded = svg_pyro.load(self.root / self.file)
        assert all(v.isfinite().all() for v in loaded.state_dict().values())


class Safetensors(Kind):
    file = "model.safetensors"

    def make(self):
        self.svg = SVG(CONFIG)
        svg_pyro.save_pretrained(self.svg, self.root)

    def read(self):
        same_weights(svg_pyro.load(self.root), self.svg.state_dict())


class ForeignSafetensors(Kind):
    """Without the checksums that this package writes beside them."""

    file = "model.safetensors"

    def make(self):
        svg_pyro.save_pretrained(SVG(CONFIG), self.root)
        path = self.root / "config.json"
        content = json.loads(path.read_text())
        del content["sha256"]
        path.write_text(json.dumps(content))

    def read(self):
        svg = svg_pyro.load(self.root)
        assert all(v.isfinite().all() for v in svg.state_dict().values())


class ConfigJson(Kind):
    file = "config.json"

    def make(self):
        self.svg = SVG(CONFIG)
        svg_pyro.save_pretrained(self.svg, self.root)

    def read(self):
        loaded = svg_pyro.load(self.root)
        same_weights(loaded, self.svg.state_dict())


class Npy(Kind):
    file = "videos.npy"

    def make(self):
        rng = np.random.default_rng(0)
        np.save(self.root / self.file, rng.integers(0, 256, (3, 6, 8, 9, 3), np.uint8))

    def read(self):
        read_frames(self.root)


class Npz(Kind):
    file = "videos.npz"

    def make(self):
        rng = np.random.default_rng(0)
        arrays = {k: rng.integers(0, 256, (6, 8, 8, 3), np.uint8) for k in "ab"}
        np.savez_compressed(self.root / self.file, **arrays)

    def read(self):
        read_frames(self.root)


class TFRecords(Kind):
    file = "test/traj_0_to_1.tfrecords"

    def make(self):
        image = bytes(range(256)) * 48
        features = {f"{t}/image_aux1/encoded": image for t in range(3)}
        features |= {f"{t}/action": np.arange(4.0) for t in range(3)}
        features |= {f"{t}/endeffector_pos": np.arange(3.0) for t in range(3)}
        for split in ("train", "test"):
            path = self.root / split / "traj_0_to_1.tfrecords"
            write_records(path, [encode_example(features)] * 2)

    def read(self):
        data = BairPush(self.root, "test", n_frames=2)
        for index in range(len(data)):
            assert data.clip(index).shape == (2, 3, 64, 64)
        data.clip_with_actions(0)
        verify(self.root)


class Film(Kind):
    file = "film.avi"

    def make(self):
        write_video(self.root / self.file, rough(12))

    def read(self):
        read_frames(self.root)


class Mp4(Film):
    file = "film.mp4"


class Stills(Kind):
    file = "frames/2.png"

    def make(self):
        (self.root / "frames").mkdir()
        for i, frame in enumerate(rough(6)):
            Image.fromarray(np.asarray(frame)).save(self.root / f"frames/{i}.png")

    def read(self):
        read_frames(self.root)


class Gif(Kind):
    file = "film.gif"

    def make(self):
        first, *others = [Image.fromarray(np.asarray(f)) for f in rough(6)]
        first.save(self.root / self.file, save_all=True, append_images=others)

    def read(self):
        read_frames(self.root)


class Flags(Kind):
    file = "flags.yaml"

    def make(self):
        (self.root / self.file).write_text(
            "steps: 500\nz-dim: 12\nbeta: 1.0e-4\nprior: fixed\nwarp: true\n"
            "out: runs/mine\npixel-skip: false\nworkers: 2\n"
        )
        self.parser = training_parser("smmnist")

    def read(self):
        flags = self.parser.parse(["--config", str(self.root / self.file)])
        SVGConfig.from_dict(flags.given(SVGConfig))
        TrainingConfig(**flags.given(TrainingConfig))


class Log(Kind):
    file = "metrics.jsonl"

    def make(self):
        lines = [{"step": i, "nll": i * 1.5, "kl": 3.0, "lr": 1e-3} for i in range(9)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.root / self.file).write_text(text)

    def read(self):
        path = self.root / self.file
        for line in path.read_bytes().splitlines():
            values = parse_line(line)
            assert values is None or values["step"] * 1.0 == values["step"]
        TrainingLog(path).forget_after(5)
        kept = [parse_line(line) for line in path.read_bytes().splitlines()]
        assert all(v is None or v["step"] <= 5 for v in kept)


# Inputs of the ordinary suite: fewer where one takes long.
KINDS = {
    Checkpoint: 60,
    Official: 40,
    Safetensors: 60,
    ForeignSafetensors: 40,
    ConfigJson: 100,
    Npy: 200,
    Npz: 200,
    TFRecords: 100,
    Film: 100,
    Mp4: 100,
    Stills: 100,
    Gif: 100,
    Flags: 100,
    Log: 200,
}


def attack(kind, root, count):
    subject = kind(root)
    outcomes = {"error": 0, "result": 0}

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(changes)
    def run(steps):
        subject.write(changed(subject.good, steps))
        err = io.StringIO()
        try:
            with limits(), contextlib.redirect_stderr(err):
                subject.read()
        except SVGError as error:
            text = str(error)
            assert text and "\n" not in text and len(text) < 300, text
            assert text.isprintable() and "weights_only" not in text, text
            outcomes["error"] += 1
        except SystemExit:  # a parser's, which has said why
            assert len(err.getvalue().strip().splitlines()) == 1
            outcomes["error"] += 1
        else:
            outcomes["result"] += 1

    try:
        run()
    finally:
        subject.write(subject.good)
    assert sum(outcomes.values()) >= min(count, 20)
    subject.read()


@pytest.mark.filterwarnings("ignore")  # of Pillow and NumPy, on what they read
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_changed_file_is_an_error_of_one_line_or_read_right(kind, tmp_path):
    attack(kind, tmp_path, KINDS[kind])


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_two_thousand_changed_files(kind, tmp_path):
    attack(kind, tmp_path, 2000)


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path):
    """A part of zeros, a thousandth of its size when compressed."""
    svg_pyro.save(SVG(CONFIG), tmp_path / "good.pt")
    with zipfile.ZipFile(tmp_path / "good.pt") as good:
        parts = {i.filename: good.read(i) for i in good.infolist()}
    key = next(k for k in parts if k.endswith("data/0"))
    with zipfile.ZipFile(tmp_path / "bad.pt", "w", zipfile.ZIP_DEFLATED) as bad:
        for name, data in parts.items():
            bad.writestr(name, bytes(50_000_000) if name == key else data)
    with limits(), pytest.raises(svg_pyro.CheckpointError, match="compressed"):
        svg_pyro.load(tmp_path / "bad.pt")
