"""Arrays of videos in every layout: the right frames, or both readings by name."""

import zipfile

import numpy as np
import pytest
from support.video_files import coded, numbers

import svg_pyro
from svg_pyro.commands.generate import generate
from svg_pyro.data import ArrayClips, VideoFolder, find_sources
from svg_pyro.data.videos.decode import decode
from svg_pyro.data.videos.layouts import LAYOUTS, read_shape
from svg_pyro.errors import DataError


def videos(n, t, c):
    """``(N, T, H, W, C)``; the brightness tells the place, the colour the channel."""
    frames = coded(n * t, 20, 24)[..., :1].reshape(n, t, 20, 24, 1)
    return np.concatenate([frames + np.uint8(k) for k in range(c)], -1)


def arranged(array, layout):
    """``(N, T, H, W, C)`` with the axes of a layout; axes it has not have length 1."""
    order = ["nthwc".index(axis) for axis in layout]
    left_out = [k for k in range(5) if k not in order]
    moved = array.transpose(left_out + order)
    return np.ascontiguousarray(moved.reshape(moved.shape[len(left_out) :]))


@pytest.mark.parametrize("ending", [".npy", ".npz"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_that_is_told_gives_the_right_frames(tmp_path, layout, ending):
    n, c = (3 if "n" in layout else 1), (3 if "c" in layout else 1)
    want = videos(n, 5, c)
    save = {".npy": np.save, ".npz": np.savez_compressed}[ending]
    save(tmp_path / f"a{ending}", arranged(want, layout))
    sources = find_sources(tmp_path / f"a{ending}", layout=layout)
    got = [np.stack(list(decode(s, 20, c, "stretch"))) for s in sources]
    assert len(got) == n and all(len(frames) == 5 for frames in got)
    assert numbers(np.concatenate(got)).tolist() == list(range(n * 5))
    if c == 3:
        assert np.all(got[0][..., 2] - got[0][..., 0] == 2)


@pytest.mark.parametrize(
    "shape, layout, sizes",
    [
        ((30, 64, 48), "thw", (1, 30, 64, 48, 1)),
        ((30, 64, 48, 3), "thwc", (1, 30, 64, 48, 3)),
        ((30, 64, 48, 4), "thwc", (1, 30, 64, 48, 4)),
        ((30, 3, 64, 48), "tchw", (1, 30, 64, 48, 3)),  # was 30 grey videos
        ((30, 1, 64, 48), "tchw", (1, 30, 64, 48, 1)),
        ((1, 30, 64, 48), "nthw", (1, 30, 64, 48, 1)),
        ((20, 10_000, 64, 64), "tnhw", (10_000, 20, 64, 64, 1)),
        ((7, 30, 64, 48, 3), "nthwc", (7, 30, 64, 48, 3)),
        ((7, 30, 3, 64, 48), "ntchw", (7, 30, 64, 48, 3)),
        ((7, 30, 1, 64, 48), "ntchw", (7, 30, 64, 48, 1)),
    ],
)
def test_a_shape_that_decides_is_read_without_being_told(shape, layout, sizes):
    reading = read_shape(shape)
    assert (reading.layout, reading.shape) == (layout, sizes)


@pytest.mark.parametrize(
    "shape, words",
    [
        (
            (20, 30, 64, 64),
            "20 videos of 30 grey frames (nthw) or 30 videos of 20 grey frames (tnhw)",
        ),
        ((10_000, 20, 64, 64), "(nthw) or 20 videos of 10000 grey frames (tnhw)"),
        ((30, 4, 64, 64), "30 colour with transparency frames (tchw) or 30 videos of"),
    ],
)
def test_a_shape_of_two_readings_is_refused_with_both_by_name(shape, words):
    with pytest.raises(DataError) as caught:
        read_shape(shape)
    assert words in str(caught.value) and caught.value.advice == ("layout",)


def test_a_layout_that_is_unknown_or_does_not_fit_is_named(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 20, 24), np.uint8))
    with pytest.raises(DataError, match="no layout 'wrong'; choose one of thw, thwc"):
        find_sources(tmp_path, layout="wrong")
    (source,) = find_sources(tmp_path, layout="tchw")
    with pytest.raises(DataError, match=r"\(5, 20, 24\), which is not of layout tchw"):
        next(decode(source, 16, 1))


def test_frames_of_another_layout_are_not_taken_from_the_cache(tmp_path):
    array = arranged(videos(4, 4, 1), "nthw")
    np.save(tmp_path / "a.npy", array)
    options = {"image_size": 20, "channels": 1, "cache": tmp_path / "cache"}
    for layout in ("nthw", "tnhw", "nthw"):
        data = VideoFolder(tmp_path / "a.npy", "test", 4, layout=layout, **options)
        (row,) = {int(n) for n in numbers(data.clip(0))[:1]}
        step = numbers(data.clip(0))[1] - row
        assert step == {"nthw": 1, "tnhw": 4}[layout]


def tiny():
    return svg_pyro.SVG(
        svg_pyro.SVGConfig(channels=3, width=2, g_dim=4, z_dim=2, rnn_size=4, n_past=2)
    )


def test_what_generate_wrote_is_read_as_videos_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    svg_pyro.save(tiny(), "svg.pt")
    film = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)
    np.save("film.npy", film)
    flags = ["--horizon", "3", "--num-samples", "2", "--shown", "0", "--device", "cpu"]
    generate(["svg.pt", "film.npy", "--out", "made", *flags])
    sources = find_sources("made/film.npz")
    assert [s.name.rsplit(".npz:")[1] for s in sources] == [
        "context",
        "futures[0]",
        "futures[1]",
    ]
    content = np.load("made/film.npz")
    wanted = [content["context"], *content["futures"]]
    for source, frames in zip(sources, wanted, strict=True):
        got = np.stack(list(decode(source, 64, 3))).transpose(0, 3, 1, 2)
        assert np.array_equal(got, frames)
    generate(["svg.pt", "made/film.npz", "--out", "again", *flags])


def srvp_files(tmp_path):
    """The test sets that SRVP's code makes, of fewer clips."""
    want = videos(4, 6, 1)
    np.savez_compressed(
        tmp_path / "smmnist_test_2digits_64.npz",
        sequences=arranged(want, "tnhw"),
        latents=np.zeros((6, 4, 2, 4)),
        labels=np.zeros((4, 2), np.uint8),
        digits=np.zeros((4, 2, 28, 28), np.uint8),
    )
    np.savez_compressed(
        tmp_path / "svg_test_set_40.npz",
        sequences=arranged(want, "nthw"),
        persons=np.arange(4),
        actions=np.array(["boxing"] * 4),
    )


@pytest.mark.parametrize("name", ["smmnist_test_2digits_64", "svg_test_set_40"])
def test_srvps_test_sets_are_read_as_they_are(tmp_path, name):
    srvp_files(tmp_path)
    data = ArrayClips(tmp_path / f"{name}.npz", 5, image_size=20)
    assert len(data) == 4
    for i in range(4):
        clip = data.clip(i)
        assert clip.shape == (5, 1, 20, 20)
        assert numbers(clip).tolist() == list(range(6 * i, 6 * i + 5))
    with pytest.raises(DataError, match="holds 6 frames"):
        ArrayClips(tmp_path / f"{name}.npz", 7, image_size=20).clip(0)


def test_an_archive_of_many_arrays_is_opened_once(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", **{f"x{i}": coded(2, 8, 8) for i in range(50)})
    opened, plain = [], zipfile.ZipFile._RealGetContents
    monkeypatch.setattr(
        zipfile.ZipFile,
        "_RealGetContents",
        lambda self: opened.append(self) or plain(self),
    )
    for source in find_sources(tmp_path / "a.npz"):
        assert len(list(decode(source, 8, 1))) == 2
    assert len(opened) == 1
