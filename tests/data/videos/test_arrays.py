"""Videos in .npy and .npz files, and arrays that are none."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.video_files import coded, numbers

from svg_pyro.data.videos.decode import Source, decode
from svg_pyro.data.videos.folder import VideoFolder
from svg_pyro.data.videos.search import find_sources
from svg_pyro.errors import DataError


@pytest.mark.parametrize("ending", [".npy", ".npz"])
@pytest.mark.parametrize(
    "channels, videos",
    [(None, None), (1, None), (3, None), (4, None), (None, 2), (3, 2), (3, 1)],
)
def test_shapes_of_arrays(tmp_path, ending, channels, videos):
    array = coded(12, 20, 24)[..., 0]
    if channels:
        array = np.stack([array] * channels, -1)
    if channels == 4:
        array[..., 3] = 255
    if videos:
        array = array.reshape(videos, 12 // videos, *array.shape[1:])
    path = tmp_path / f"a{ending}"
    np.save(path, array) if ending == ".npy" else np.savez_compressed(path, video=array)
    # Of two axes before the frames' the shape does not tell which counts videos.
    layout = "nthw" if videos and not channels else None
    sources = find_sources(path, layout=layout)
    assert len(sources) == (videos or 1)
    member = ":video" if ending == ".npz" else ""
    names = [
        f"{path}{member}" + (f"[{i}]" if videos else "") for i in range(len(sources))
    ]
    assert [s.name for s in sources] == names
    got = np.concatenate([np.stack(list(decode(s, 16, 1))) for s in sources])
    assert numbers(got).tolist() == list(range(12))


def test_the_arrays_of_an_npz_file(tmp_path):
    np.savez(tmp_path / "a.npz", b=coded(3), a=coded(2, first=5), bad=np.zeros(3))
    sources = find_sources(tmp_path)
    assert [s.member for s in sources] == ["a.npy", "b.npy", "bad.npy"]
    for source, first, count in ((sources[1], 0, 3), (sources[0], 5, 2)):
        want = list(range(first, first + count))
        assert numbers(list(decode(source, 16, 1))).tolist() == want
    with pytest.raises(DataError, match=r"a\.npz:bad: holds float64; save it as uint8"):
        next(decode(sources[2], 16, 1))


def test_a_compressed_array_is_read_through_once(tmp_path, monkeypatch):
    videos = np.random.default_rng(0).integers(0, 256, (30, 4, 16, 16, 1), np.uint8)
    np.savez_compressed(tmp_path / "a.npz", x=videos)
    read, plain = [], zipfile.ZipExtFile.read
    monkeypatch.setattr(
        zipfile.ZipExtFile,
        "read",
        lambda self, n=-1: read.append(data := plain(self, n)) or data,
    )
    for source, video in zip(find_sources(tmp_path), videos, strict=True):
        assert np.array_equal(np.stack(list(decode(source, 16, 1))), video)
    assert sum(map(len, read)) < 1.5 * videos.nbytes


class Spy:
    """Leaves a mark when it is unpickled."""

    mark = None

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def bad_arrays():
    yield "float64", np.zeros((3, 8, 8)), "holds float64; save it as uint8"
    yield "uint16", np.zeros((3, 8, 8), np.uint16), "holds uint16"
    yield "rank2", np.zeros((8, 8), np.uint8), r"has shape \(8, 8\); save it as \(T, H"
    yield "rank6", np.zeros((1,) * 6, np.uint8), "has shape"
    yield "channels", np.zeros((2, 2, 8, 8, 2), np.uint8), "has shape"
    yield "empty", np.zeros((0, 8, 8), np.uint8), "it is empty"
    yield "order", np.asfortranarray(np.zeros((3, 8, 8), np.uint8)), "Fortran order"


@pytest.mark.parametrize("ending", [".npy", ".npz"])
@pytest.mark.parametrize(
    "array, words", [pytest.param(*a[1:], id=a[0]) for a in bad_arrays()]
)
def test_arrays_that_are_no_videos(tmp_path, ending, array, words):
    path = tmp_path / f"a{ending}"
    np.save(path, array) if ending == ".npy" else np.savez(path, array)
    with pytest.raises(DataError, match=words) as caught:
        VideoFolder(
            path, "train", 2, image_size=16, channels=1, cache=tmp_path / "cache"
        )
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_objects_are_refused_and_never_unpickled(tmp_path, ending):
    path, spy = tmp_path / f"a{ending}", Spy()
    spy.mark = str(tmp_path / "mark")
    array = np.array([spy], object)
    np.save(path, array, allow_pickle=True) if ending == ".npy" else np.savez(
        path, array
    )
    with pytest.raises(DataError, match="holds Python objects, which are never loaded"):
        VideoFolder(
            path, "train", 2, image_size=16, channels=1, cache=tmp_path / "cache"
        )
    assert not Path(spy.mark).exists()
    pickle.loads(pickle.dumps(spy))  # the spy works
    assert Path(spy.mark).exists()


def test_an_array_that_is_cut_short(tmp_path):
    np.save(tmp_path / "a.npy", coded(10))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-5000])  # one frame has 4608 bytes
    frames = decode(Source(tmp_path / "a.npy", "array"), 16, 1)
    assert numbers([next(frames) for _ in range(8)]).tolist() == list(range(8))
    with pytest.raises(
        DataError, match=r"only 8 frames .*shorter than its header says"
    ):
        next(frames)


@pytest.mark.parametrize("content", [b"not a zip", b"PK\x03\x04" + bytes(40)])
def test_an_npz_that_is_no_archive(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz: .*not an array as numpy saves it"):
        VideoFolder(
            tmp_path, "train", 2, image_size=16, channels=1, cache=tmp_path / "cache"
        )
