"""Files that are odd, damaged or hostile: one line each, or the right frames."""

import os
import tracemalloc

import av
import numpy as np
import pytest
from support.places import SHARED
from support.video_files import write_video

from svg_pyro.data import VideoFolder, find_sources
from svg_pyro.data.videos.decode import Source, decode
from svg_pyro.errors import DataError

ODD = SHARED / "data" / "odd"
needs_odd = pytest.mark.skipif(not ODD.exists(), reason="needs ../shared/data/odd")


@needs_odd
@pytest.mark.parametrize(
    "name", ["header_cut", "huge_frame", "many_videos", "recursion"]
)
def test_a_hostile_array_is_refused_in_one_line_and_little_memory(name):
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"{name}.npy: ") as caught:
            for source in find_sources(ODD / f"{name}.npy"):
                list(decode(source, 16, 1))
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_claim_of_more_videos_than_the_file_holds_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    with open(path, "wb") as file:
        shape = {"descr": "|u1", "fortran_order": False, "shape": (2**40, 5, 4, 4, 1)}
        np.lib.format.write_array_header_1_0(file, shape)
        file.write(bytes(30_000))
    (source,) = find_sources(path)
    with pytest.raises(DataError, match=r"1099511627776 videos and has room for 375"):
        next(decode(source, 4, 1))


@needs_odd
def test_a_title_that_is_not_utf8_does_not_matter():
    assert len(list(decode(Source(ODD / "title_latin1.avi"), 16, 1))) > 0


def test_a_codec_that_nothing_decodes_is_one_line(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, np.zeros((5, 32, 32, 3), np.uint8), "libx264")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(DataError, match=r"a\.mp4: .*codec"):
        next(decode(Source(path), 16, 1))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_in_a_folder_are_not_waited_for(tmp_path):
    video = np.zeros((5, 4, 4), np.uint8)
    np.save(tmp_path / "a.npy", video)
    np.save(tmp_path / "b.npy", video)
    for ending in ("mp4", "npy", "npz"):
        os.mkfifo(tmp_path / f"pipe.{ending}")
    data = VideoFolder(
        tmp_path, "train", 2, image_size=16, channels=1, cache=tmp_path / "cache"
    )
    assert [s.path.name for s in find_sources(tmp_path)] == ["a.npy", "b.npy"]
    assert len(data) == 2


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "avi"])
def test_text_of_any_container_and_stream_that_is_not_utf8_does_not_matter(
    tmp_path, ending
):
    path = tmp_path / f"a.{ending}"
    with av.open(str(path), "w") as film:
        film.metadata.update({"title": "Mark of the film", "artist": "Mark of it"})
        stream = film.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.metadata.update(
            {"title": "Mark of stream", "handler_name": "Mark too", "language": "Mar"}
        )
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    data = path.read_bytes()
    assert data.count(b"Mark") > 0
    path.write_bytes(data.replace(b"Mark", b"M\xe9r\xff"))
    (source,) = find_sources(path)
    assert len(list(decode(source, 16, 1))) == 5


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_link_to_what_the_system_shows_as_a_folder_is_not_followed(tmp_path):
    """It led through the whole disk, and ended where nobody may read."""
    for name in ("/proc", "/proc/self", "/sys"):
        (tmp_path / name.replace("/", "_")).symlink_to(name)
    np.save(tmp_path / "a.npy", np.zeros((5, 16, 16), np.uint8))
    assert [source.path for source in find_sources(tmp_path)] == [tmp_path / "a.npy"]
