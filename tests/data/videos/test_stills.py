"""Images of many bits, stacks of several in one file, and what lies beside films."""

import os
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from support.video_files import coded, frames_of, numbers, write_video

from svg_pyro.data import find_sources
from svg_pyro.data.videos import stills
from svg_pyro.data.videos.decode import Source, decode
from svg_pyro.data.videos.gaps import Gap
from svg_pyro.errors import DataError


def pages(n):
    return [Image.fromarray(frame) for frame in coded(n, 24, 32)]


def write_stack(path, n):
    """TIFF pages, an animated WebP or PNG of n frames that tell their numbers."""
    how = {".webp": {"lossless": True, "duration": 40}}.get(path.suffix, {})
    first, *rest = pages(n)
    first.save(path, save_all=True, append_images=rest, **how)
    return path


@pytest.mark.parametrize("ending", [".tif", ".tiff", ".webp", ".png", ".apng"])
def test_every_picture_of_a_stack_is_a_frame(tmp_path, ending):
    write_stack(tmp_path / f"a{ending}", 7)
    write_stack(tmp_path / f"b{ending}", 5)
    sources = find_sources(tmp_path)
    assert [(s.kind, s.path.stem) for s in sources] == [("stack", "a"), ("stack", "b")]
    for source, n in zip(sources, (7, 5), strict=True):
        frames = list(decode(source, 16, 1))
        assert numbers(frames).tolist() == list(range(n))
    assert [s.kind for s in find_sources(tmp_path / f"a{ending}")] == ["stack"]


def test_stills_beside_films_are_no_film_and_said(tmp_path, capsys):
    write_video(tmp_path / "film.mp4", coded(5), "libx264")
    for name in ("poster", "thumbnail"):
        pages(1)[0].save(tmp_path / f"{name}.png")
    (tmp_path / "sequence").mkdir()
    for t, page in enumerate(pages(4)):
        page.save(tmp_path / "sequence" / f"{t}.png")
    sources = find_sources(tmp_path)
    assert [s.name.rsplit("/")[-1] for s in sources] == ["film.mp4", "sequence"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "2 images beside films are passed over (poster.png ...)" in line


def deep_images(folder, dtype, scale, ending):
    """Grey images of which the brightest value is ``255 * scale``."""
    for t in range(4):
        values = coded(1, 16, 16, first=12 * t)[0, ..., 0].astype(np.float64)
        values[0, 0] = 255 if t == 3 else 0
        Image.fromarray((values * scale).astype(dtype)).save(folder / f"{t}{ending}")


@pytest.mark.parametrize(
    "dtype, scale, ending",
    [
        (np.uint16, 256, ".png"),  # 16 bits
        (np.uint16, 16, ".png"),  # 12 bits in 16: came nearly black
        (np.uint16, 16, ".tif"),
        (np.uint16, 1, ".png"),
        (np.int32, 2**23, ".tif"),  # 32 bits, of which one is the sign
        (np.int32, 16, ".tif"),
        (np.int32, 1, ".tif"),
        (np.float32, 1 / 255, ".tif"),
    ],
)
def test_images_of_many_bits_keep_their_brightness(tmp_path, dtype, scale, ending):
    deep_images(tmp_path, dtype, scale, ending)
    frames = frames_of(tmp_path, 16, 1, kind="images")
    want = np.array([20 + 60 * t for t in range(4)])
    got = np.median(frames.reshape(4, -1), axis=1)
    # Of 31 bits the scale is that of 32.
    want = want / 2 if scale == 2**23 else want
    assert np.abs(got - want).max() <= 1


@pytest.mark.parametrize("scale", [1, 16, 256])
def test_colours_of_16_bits(tmp_path, scale):
    pytest.importorskip("av")
    import av

    colour = np.zeros((8, 8, 3), np.uint16)
    colour[:] = np.array([200, 40, 60]) * scale
    colour[0, 0] = 255 * scale
    encoder = av.CodecContext.create("png", "w")
    encoder.width = encoder.height = 8
    encoder.pix_fmt, encoder.time_base = "rgb48be", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(colour.astype("<u2"), format="rgb48le")
    packets = encoder.encode(frame.reformat(format="rgb48be")) + encoder.encode(None)
    (tmp_path / "1.png").write_bytes(b"".join(bytes(p) for p in packets))
    (got,) = frames_of(tmp_path, 8, 3, kind="images")
    assert got[4, 4].tolist() == [200, 40, 60]


def test_floats_beyond_0_to_1_are_refused_with_their_range(tmp_path):
    Image.fromarray(np.linspace(-3, 300, 64, dtype=np.float32).reshape(8, 8)).save(
        tmp_path / "1.tif"
    )
    with pytest.raises(DataError, match="holds floats from -3 to 300; save it with 8"):
        frames_of(tmp_path, 8, 1, kind="images")


def test_a_sequence_goes_on_after_a_broken_image(tmp_path):
    for t, page in enumerate(pages(6)):
        page.save(tmp_path / f"{t}.png")
    (tmp_path / "2.png").write_bytes(b"words")
    gaps: list[Gap] = []
    frames = list(decode(Source(tmp_path, "images"), 16, 1, gaps=gaps))
    assert numbers(frames).tolist() == [0, 1, 3, 4, 5]
    assert [(gap.start, gap.reason) for gap in gaps] == [
        (2, "2.png: not a readable image")
    ]


def test_an_image_that_would_fill_the_memory_is_refused_unopened(tmp_path, monkeypatch):
    monkeypatch.setattr(stills, "MOST_PIXELS", 24 * 32 - 1)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("unpacked"))
    # 40,000 x 40,000 pixels in a header: Pillow's own limit.
    large = Image.new("1", (1, 1))
    path = tmp_path / "large.pgm"
    path.write_bytes(b"P5 40000 40000 255\n")
    assert large.size == (1, 1)
    with pytest.raises(DataError, match=r"large.pgm: has more than .* pixels"):
        stills.still(path, path.name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_among_images_and_by_name_are_not_waited_for(tmp_path):
    for t, page in enumerate(pages(3)):
        page.save(tmp_path / f"{t}.png")
    os.mkfifo(tmp_path / "1b.png")
    os.mkfifo(tmp_path / "film.mp4")
    assert [s.kind for s in find_sources(tmp_path)] == ["images"]
    assert len(frames_of(tmp_path, 16, 1, kind="images")) == 3
    (source,) = find_sources(tmp_path / "film.mp4")
    with pytest.raises(DataError, match=r"film\.mp4: is no regular file"):
        next(decode(source, 16, 1))
