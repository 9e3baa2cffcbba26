"""examples/generate.py: futures of any video, from a checkpoint alone."""

import dataclasses
import os
from pathlib import Path

import av
import generate
import numpy as np
import pytest
import torch
from PIL import Image

import svg_pyro
from svg_pyro import SVG
from svg_pyro.commands.generate import read_actions
from svg_pyro.data import find_sources, first_frames
from svg_pyro.errors import DataError


@pytest.fixture
def checkpoint(tiny, tmp_path):
    path = tmp_path / "run" / "checkpoint.pt"
    svg_pyro.save(SVG(tiny), path)
    return path


@pytest.fixture
def video():
    """A grey video of which every frame is another."""
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (9, 64, 64), np.uint8)


def run(*arguments):
    generate.main([*map(str, arguments), "--device", "cpu"])


def test_an_array_becomes_films_and_numbers(checkpoint, video, tmp_path, capsys):
    np.save(tmp_path / "my video ä.npy", video)
    out = tmp_path / "out"
    run(
        checkpoint,
        tmp_path / "my video ä.npy",
        "--out",
        out,
        "--horizon",
        5,
        "--num-samples",
        3,
        "--shown",
        2,
        "--start",
        1,
    )
    base = out / "my video ä"
    with np.load(base.with_suffix(".npz"), allow_pickle=False) as stored:
        context, futures = stored["context"], stored["futures"]
        assert stored["seed"] == 0 and stored["checkpoint"] == str(checkpoint)
    assert np.array_equal(context[:, 0], video[1:3])
    assert futures.shape == (3, 5, 1, 64, 64) and futures.dtype == np.uint8
    # The futures are those of SVG.predict from the same seed.
    svg = svg_pyro.load(checkpoint)
    given = torch.from_numpy(video[1:3])[None, :, None].float() / 255
    torch.manual_seed(0)
    want = svg.predict(given, 5, 3)[:, 0]
    assert np.array_equal(futures, (want * 255).round().byte().numpy())
    # The rows are truth (the video goes on long enough), and two samples.
    with Image.open(base.with_suffix(".png")) as strip:
        assert strip.width > 7 * 128 and 3 * 128 < strip.height < 4 * 128
    with Image.open(base.with_suffix(".gif")) as gif:
        assert gif.n_frames == 7
    with av.open(str(base.with_suffix(".mp4"))) as film:
        frames = [f.to_ndarray(format="rgb24") for f in film.decode(video=0)]
    assert len(frames) == 7 and frames[0].shape[1] >= 3 * 128
    told, judged, last = capsys.readouterr().out.splitlines()
    assert told.endswith("3 futures in " + f"{base}.npz, 2 of them in the pictures")
    # Noise cannot be foretold; repeating its last frame is even worse.
    assert judged.startswith("PSNR over 5 frames: ") and "train videos" not in judged
    assert last == f"open {base}.gif"


def test_futures_worse_than_repetition_are_told_with_what_to_do(tmp_path, capsys):
    still = np.full((9, 64, 64), 100, np.uint8)
    still[2:, 30:33, 30:33] = 101  # hardly anything moves
    still[6:, 40:43, 30:33] = 101
    np.save(tmp_path / "still.npy", still)
    few = ["--horizon", 2, "--num-samples", 2, "--shown", 0]
    run("smmnist-1", tmp_path / "still.npy", *few, "--out", tmp_path / "out")
    told = capsys.readouterr().out
    assert "smmnist-1 learned from moving digits. Learn from videos of this" in told
    assert "futures in" in told and "in the pictures" not in told


def test_the_context_alone_is_enough(checkpoint, video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("two.npy", video[:2])
    for folder in ("futures", "futures-2"):
        run(checkpoint, "two.npy", "--horizon", 40, "--num-samples", 2)
        assert {p.suffix for p in (tmp_path / "runs" / folder).iterdir()} == {
            ".gif",
            ".mp4",
            ".npz",
            ".png",
        }
    # A long strip shows the last context frames and evenly spaced later ones.
    with Image.open("runs/futures/two.png") as strip:
        assert strip.width < 25 * 140


def test_a_folder_of_videos(checkpoint, video, tmp_path, capsys):
    folder = tmp_path / "videos"
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    np.save(folder / "a" / "x.npy", video)
    np.save(folder / "b" / "x.npy", video[:, ::-1])
    np.save(folder / "short.npy", video[:1])
    (folder / "text.mp4").write_text("not a video")
    run(checkpoint, folder, "--out", tmp_path / "out", "--horizon", 2, "--shown", 0)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["x-2.npz", "x.npz"]
    out = capsys.readouterr().out
    assert (
        out.count("skipped: ") == 2
        and "text.mp4" in out
        and "the context takes 2" in out
    )


def test_first_frames_take_a_stride_and_stop_early(tiny, video, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, video)
    (source,) = find_sources(path)
    clip = first_frames(
        source, 3, image_size=tiny.image_size, channels=1, start=1, stride=3
    )
    assert np.array_equal(clip[:, 0].numpy(), video[1::3])
    assert (
        len(first_frames(source, 3, image_size=tiny.image_size, channels=1, more=30))
        == 9
    )
    # Frames behind a broken place do not matter to those before it.
    data = path.read_bytes()
    path.write_bytes(data[:-2000])
    assert np.array_equal(
        first_frames(source, 8, image_size=tiny.image_size, channels=1)[:, 0].numpy(),
        video[:8],
    )
    with pytest.raises(DataError, match=r"x\.npy"):
        first_frames(source, 9, image_size=tiny.image_size, channels=1)
    for options, words in (
        ({"start": -1}, "start is -1"),
        ({"stride": 0}, "stride is 0"),
    ):
        with pytest.raises(DataError, match=words):
            first_frames(source, 2, image_size=tiny.image_size, channels=1, **options)


@pytest.mark.parametrize(
    "flags, words",
    [
        (["CHECKPOINT", "nowhere.mp4"], "nowhere.mp4: no such file or folder"),
        (["CHECKPOINT", "empty"], "holds no video"),
        (["CHECKPOINT", "x.npy", "--n-past", "30"], "the context takes 30"),
        (["CHECKPOINT", "x.npy", "--n-past", "0"], "--n-past is 0"),
        (["CHECKPOINT", "x.npy", "--horizon", "0"], "--horizon is 0"),
        (["CHECKPOINT", "x.npy", "--num-samples", "0"], "--num-samples is 0"),
        (["CHECKPOINT", "x.npy", "--stride", "0"], "--stride is 0"),
        (["CHECKPOINT", "x.npy", "--fps", "0"], "--fps is 0"),
        (["CHECKPOINT", "bad.npy"], "holds float64; save it as uint8"),
        (["x.npy", "x.npy"], "x.npy is not a readable checkpoint"),
        (["nothing.pt", "x.npy"], "no checkpoint at nothing.pt"),
    ],
    ids=lambda v: " ".join(v)[:40] if isinstance(v, list) else None,
)
def test_bad_input_ends_in_one_line(
    checkpoint, video, tmp_path, monkeypatch, capsys, flags, words
):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", video)
    np.save("bad.npy", video / 255)
    Path("empty").mkdir()
    flags = [str(checkpoint) if flag == "CHECKPOINT" else flag for flag in flags]
    with pytest.raises(SystemExit) as stop:
        run(*flags)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line


def test_actions_come_from_a_file(tiny, video, tmp_path):
    svg = SVG(dataclasses.replace(tiny, action_dim=3))
    path = tmp_path / "acting.pt"
    svg_pyro.save(svg, path)
    np.save(tmp_path / "video.npy", video)
    actions = np.random.default_rng(0).normal(size=(6, 3))
    np.save(tmp_path / "actions.npy", actions)
    given = [path, tmp_path / "video.npy", "--horizon", 5, "--num-samples", 2]
    given += ["--shown", 0, "--out", tmp_path / "out"]
    run(*given, "--actions", tmp_path / "actions.npy")
    with np.load(tmp_path / "out" / "video.npz") as stored:
        futures = stored["futures"]
    context = torch.from_numpy(video[:2])[None, :, None].float() / 255
    torch.manual_seed(0)
    plan = torch.from_numpy(actions).float()[None]
    want = svg_pyro.load(path).predict(context, 5, 2, actions=plan)[:, 0]
    assert np.array_equal(futures, (want * 255).round().byte().numpy())


@pytest.mark.parametrize(
    "actions, words",
    [
        (None, "cannot be read"),
        (np.zeros(3), r"holds float64 \(3,\); give numbers"),
        (np.array([["a"]]), "give numbers"),
        (np.ones((2, 2), complex), "give numbers"),
        (np.array([[{}]]), "give numbers"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'shape': (2, 2)", "not an array"),
        (b"\x93NUMPY\x01\x00\x06\x00{'de'(\n", "not an array as numpy saves it"),
    ],
)
def test_files_that_hold_no_actions(actions, words, tmp_path):
    path = tmp_path / "actions.npy"
    if isinstance(actions, bytes):
        path.write_bytes(actions)
    elif actions is not None:
        np.save(path, actions, allow_pickle=True)
    with pytest.raises(DataError, match=words) as caught:
        read_actions(str(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [">f8", "<i2", "u1"])
def test_actions_are_read_as_numpy_reads_them(order, kind, tmp_path):
    actions = np.arange(6).reshape(2, 3).astype(kind, order=order)
    np.save(tmp_path / "actions.npy", actions)
    read = read_actions(str(tmp_path / "actions.npy"))
    assert read.dtype == torch.float32 and read.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_actions_that_claim_terabytes_or_are_a_pipe_are_one_line(tmp_path):
    claim = {"descr": "<f4", "fortran_order": False, "shape": (2**40, 4)}
    with open(tmp_path / "large.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, claim)
    os.mkfifo(tmp_path / "pipe.npy")
    for name, words in {"large": "shorter than its header", "pipe": "regular"}.items():
        with pytest.raises(DataError, match=words):
            read_actions(str(tmp_path / f"{name}.npy"))


def test_frames_with_noise_are_those_of_predict(checkpoint, video, tmp_path):
    np.save(tmp_path / "two.npy", video[:2])
    few = ["--horizon", 2, "--num-samples", 3, "--shown", 0]
    for name, flags in {"means": [], "noisy": ["--noise"]}.items():
        run(checkpoint, tmp_path / "two.npy", *few, "--out", tmp_path / name, *flags)
    stored = {n: np.load(tmp_path / n / "two.npz") for n in ("means", "noisy")}
    assert stored["noisy"]["noise"] and not stored["means"]["noise"]
    svg = svg_pyro.load(checkpoint)
    given = torch.from_numpy(video[:2])[None, :, None].float() / 255
    torch.manual_seed(0)
    want = svg.predict(given, 2, 3, noise=True)[:, 0]
    found = stored["noisy"]["futures"]
    assert np.array_equal(found, (want * 255).round().byte().numpy())
    assert not np.array_equal(found, stored["means"]["futures"])
