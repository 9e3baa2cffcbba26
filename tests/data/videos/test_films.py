"""Films as they are meant: colours, orientation, and all frames that there are."""

import itertools
import os
import struct

import av
import numpy as np
import pytest
from support.places import SHARED
from support.video_files import (
    coded,
    folder_of,
    frames_of,
    numbers,
    rough,
    write_video,
)

from svg_pyro.data import VideoFolder, find_sources
from svg_pyro.data.videos import folder as video_folder
from svg_pyro.data.videos.decode import Source, decode
from svg_pyro.data.videos.gaps import Gap
from svg_pyro.errors import DataError

ODD = SHARED / "data" / "odd"
needs_odd = pytest.mark.skipif(not ODD.exists(), reason="needs ../shared/data/odd")
COLOUR = 200, 40, 60
# ISO 23091-2: red's and blue's share of luma.
MATRICES = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}


def film_of(path, matrix, *, full=False):
    """A film of one colour, coded by a matrix that its frames name."""
    red, blue = MATRICES[matrix]
    r, g, b = (x / 255 for x in COLOUR)
    luma = red * r + (1 - red - blue) * g + blue * b
    chroma = (b - luma) / 2 / (1 - blue), (r - luma) / 2 / (1 - red)
    planes = [255 * luma if full else 16 + 219 * luma]
    planes += [128 + (255 if full else 224) * c for c in chroma]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width = stream.height = 64
        context = stream.codec_context
        context.pix_fmt = "yuv444p"
        context.colorspace, context.color_range = matrix, 2 if full else 1
        for _ in range(3):
            frame = av.VideoFrame(64, 64, "yuv444p")
            for plane, value in zip(frame.planes, planes, strict=True):
                plane.update(bytes([round(value)]) * plane.buffer_size)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_colours_are_those_of_the_frames_own_matrix(tmp_path, matrix, full):
    frames = frames_of(film_of(tmp_path / "a.mp4", matrix, full=full), 16, 3)
    assert np.abs(frames.astype(int) - COLOUR).max() <= 2


@needs_odd
def test_a_film_of_bt709():
    frames = frames_of(ODD / "bt709_200_40_60.mp4", 64, 3)
    assert np.abs(frames.astype(int) - COLOUR).max() <= 2


def quarters():
    """Top left 40, top right 90, bottom left 140, bottom right 190."""
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:32, :32], frame[:32, 32:] = 40, 90
    frame[32:, :32], frame[32:, 32:] = 140, 190
    return frame[None].repeat(3, 0)


@pytest.mark.parametrize(
    "matrix, shown",
    [
        ((1, 0, 0, 1), (40, 90, 140, 190)),
        ((-1, 0, 0, 1), (90, 40, 190, 140)),  # mirrored: came turned by 180 degrees
        ((1, 0, 0, -1), (140, 190, 40, 90)),
        ((-1, 0, 0, -1), (190, 140, 90, 40)),
        ((0, 1, -1, 0), (140, 40, 190, 90)),
        ((0, -1, 1, 0), (90, 190, 40, 140)),
        ((0, 1, 1, 0), (40, 140, 90, 190)),
        ((0, -1, -1, 0), (190, 90, 140, 40)),
    ],
)
def test_all_eight_ways_to_show_a_film(tmp_path, matrix, shown):
    path = write_video(tmp_path / "a.mp4", quarters(), "libx264")
    a, b, c, d = (value << 16 for value in matrix)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 20 + 16
    struct.pack_into(">9i", data, place, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    frame = frames_of(path, 64, 1)[0, ..., 0]
    got = [int(frame[y, x]) for y in (16, 48) for x in (16, 48)]
    assert np.abs(np.array(got) - shown).max() <= 6


@needs_odd
def test_a_film_mirrored_by_its_phone():
    frame = frames_of(ODD / "mirrored.mp4", 64, 1)[0, ..., 0]
    assert frame[32, 48] > frame[32, 16] + 100


@needs_odd
def test_a_film_of_which_half_is_shown():
    assert len(frames_of(ODD / "edit_list.mp4")) == 50


def test_what_an_edit_list_hides_is_not_missing(tmp_path):
    path = write_video(tmp_path / "a.mp4", coded(40), "libx264")
    data = bytearray(path.read_bytes())
    place = data.index(b"elst") + 12  # behind the name, the version and the count
    length, start = struct.unpack_from(">Ii", data, place)
    # The second half: 20 of 40 frames, of 1/25 s in ticks of 1/12800 s.
    struct.pack_into(">Ii", data, place, length // 2, start + 20 * 512)
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 40
    assert numbers(frames_of(path)).tolist() == list(range(20, 40))


def test_a_film_that_is_cut_short_still_breaks_its_promise(tmp_path):
    path = write_video(tmp_path / "a.mkv", rough(40), "mpeg4")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"only \d+ frames can be read"):
        frames_of(path)


def test_dropped_frames_are_not_missing(tmp_path):
    """An AVI file has an empty packet, which is counted, for each dropped frame."""
    times = [40 * t for t in (*range(10), *range(30, 40))]
    path = write_video(tmp_path / "a.avi", coded(20), times=times)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.frames > 20
    assert numbers(frames_of(path)).tolist() == list(range(20))


def spoiled(path, frame, n_frames):
    """Noise over the middle of one frame of a film of frames of one size."""
    data = bytearray(path.read_bytes())
    middle = int(len(data) * (frame + 0.5) / n_frames)
    data[middle : middle + 300] = np.random.default_rng(0).bytes(300)
    path.write_bytes(data)


def test_a_film_goes_on_after_a_damaged_packet_and_says_so(tmp_path, capsys):
    root = tmp_path / "videos"
    root.mkdir()
    path = write_video(root / "a.mov", rough(40), "png", "rgb24")
    spoiled(path, 20, 40)
    gaps: list[Gap] = []
    frames = list(decode(Source(path), 16, 1, gaps=gaps))
    assert numbers(frames).tolist() == [*range(20), *range(21, 40)]
    assert [gap.start for gap in gaps] == [20]
    data = VideoFolder(
        root,
        "train",
        8,
        image_size=16,
        channels=1,
        cache=tmp_path / "cache",
        test_path=folder_of(tmp_path / "test", "a"),
    )
    for index in range(len(data)):
        for epoch in range(20):
            first, *_ = clip = numbers(data.clip(index, epoch)).tolist()
            assert clip == list(range(int(first), int(first) + 8))
            assert first + 7 < 20 or first > 20
    assert {numbers(data.clip(i))[0] > 20 for i in range(len(data))} == {True, False}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: frames are missing after 20, where it cannot be")


@pytest.mark.parametrize("damaged", [20, 21, 22, 38])
@pytest.mark.parametrize("codec, ending", [("libx264", "mp4"), ("mpeg4", "avi")])
def test_the_gap_lies_where_the_frame_is_missing(tmp_path, codec, ending, damaged):
    """H.264 shows frames in another order than it stores them."""
    path = write_video(tmp_path / f"a.{ending}", rough(40), codec)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    place, size = packets[damaged].pos, packets[damaged].size
    data = bytearray(path.read_bytes())
    data[place + 8 : place + size] = b"\xff" * (size - 8)
    path.write_bytes(data)
    gaps: list[Gap] = []
    shown = numbers(list(decode(Source(path), 16, 1, gaps=gaps))).astype(int).tolist()
    edges = [0, *(gap.start for gap in gaps), len(shown)]
    assert len(shown) >= 38 and gaps
    for start, stop in itertools.pairwise(edges):
        first = shown[start] if start < stop else 0
        assert shown[start:stop] == list(range(first, first + stop - start))


@pytest.mark.parametrize("damage", ["ones", "noise", "zeros"])
@pytest.mark.parametrize("damaged", [20, 33])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_what_a_decoder_passes_over_without_a_word_is_a_gap(
    tmp_path, ending, damaged, damage
):
    """Of 40 frames 20 were missing, and clips reached across, unsaid."""
    path = write_video(tmp_path / f"a.{ending}", rough(40), "libx265")
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    place, size = packets[damaged].pos, packets[damaged].size - 8
    place += 8 if ending == "mp4" else 24
    size -= 0 if ending == "mp4" else 24
    noise = np.random.default_rng(1).bytes(size)
    data = bytearray(path.read_bytes())
    data[place : place + size] = {"ones": b"\xff" * size, "zeros": bytes(size)}.get(
        damage, noise
    )
    path.write_bytes(data)
    gaps: list[Gap] = []
    shown = numbers(list(decode(Source(path), 16, 1, gaps=gaps))).astype(int).tolist()
    if len(shown) < 40:  # else what is missing was concealed, which nothing says
        assert gaps, shown
        with pytest.raises(DataError, match="frames can be read"):
            list(decode(Source(path), 16, 1))
    edges = [0, *(gap.start for gap in gaps), len(shown)]
    for start, stop in itertools.pairwise(edges):
        # A frame that is concealed looks like the one before it.
        steps = np.diff(shown[start:stop])
        assert (steps <= 2).all(), shown


@pytest.mark.parametrize("codec", ["libx265", "libx264", "mpeg4", "libvpx-vp9"])
def test_long_pauses_of_a_sound_film_are_no_gaps(tmp_path, codec):
    times = [40 * t for t in (*range(10), *range(30, 40), *range(90, 100))]
    # Of 64x64 pixels: x265 itself corrupts memory on frames of 48x32.
    path = write_video(tmp_path / "a.mkv", rough(30), codec, times=times)
    gaps: list[Gap] = []
    assert len(list(decode(Source(path), 16, 1, gaps=gaps))) == 30 and not gaps


def test_frames_beyond_the_limit_are_refused(tmp_path, monkeypatch):
    from svg_pyro.data.videos import film

    monkeypatch.setattr(film, "MOST_PIXELS", 1000)
    path = write_video(tmp_path / "a.mp4", coded(3), "libx264")
    with pytest.raises(DataError, match=r"frames of 48x32 pixels; at most 1000"):
        frames_of(path)


def test_files_without_numbers_are_not_one(tmp_path, monkeypatch):
    """Some network drives and exFAT give every file the inode 0."""
    root = folder_of(tmp_path / "videos", "abc")
    (root / "link.npy").symlink_to(root / "a.npy")
    plain = video_folder.Path.stat

    def numberless(self, **options):
        stat = plain(self, **options)
        return os.stat_result((stat.st_mode, 0, *tuple(stat)[2:]))

    monkeypatch.setattr(video_folder.Path, "stat", numberless)
    assert [s.path.name for s in find_sources(root)] == ["a.npy", "b.npy", "c.npy"]


def test_files_that_are_not_read_are_said(tmp_path, capsys):
    folder_of(tmp_path, "a")
    for name in ("film.mxf", "photo.heic", "disc.rmvb", "notes.txt", "plan.svg"):
        (tmp_path / name).write_bytes(b"x")
    assert [s.path.name for s in find_sources(tmp_path)] == ["a.npy"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "3 files of formats that are not read are passed over (" in line
    assert "film.mxf" in line and "convert them to mp4 or png" in line


@pytest.mark.parametrize("ending", [".wmv", ".ts", ".3gp", ".vob", ".f4v", ".asf"])
def test_films_of_every_common_ending_are_found(tmp_path, ending):
    codec = {
        ".wmv": "wmv2",
        ".asf": "wmv2",
        ".vob": "mpeg2video",
        ".f4v": "libx264",
    }.get(ending, "mpeg4")
    write_video(tmp_path / f"a{ending}", coded(12), codec)
    (source,) = find_sources(tmp_path)
    assert numbers(list(decode(source, 16, 1))).tolist() == list(range(12))
