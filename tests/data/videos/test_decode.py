"""Frames of videos and images: order, colour, shape, what is transparent or turned."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from support.video_files import coded, frames_of, numbers, turn_mp4, write_video

from svg_pyro.data.videos.decode import FITS, Source, decode, fitted
from svg_pyro.errors import DataError

RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 200, 30), (30, 30, 220), (230,) * 3


def quarters(n=3, height=64, width=64):
    """Red and green above blue and white."""
    frame = np.empty((height, width, 3), np.uint8)
    h, w = height // 2, width // 2
    frame[:h, :w], frame[:h, w:], frame[h:, :w], frame[h:, w:] = RED, GREEN, BLUE, WHITE
    return np.stack([frame] * n)


def corners(frame):
    """The colours at the middles of a square frame's quarters."""
    a, b = len(frame) // 4, 3 * len(frame) // 4
    return np.array([frame[a, a], frame[a, b], frame[b, a], frame[b, b]], int)


def assert_colours(found, *colours, within=10):
    assert np.abs(found - np.array(colours)).max() <= within, found


@pytest.mark.parametrize(
    "ending, codec",
    [
        (".mp4", "libx264"),
        (".avi", "mpeg4"),
        (".mov", "mpeg4"),
        (".webm", "libvpx-vp9"),
        (".mkv", "ffv1"),
    ],
)
def test_every_frame_in_its_order(tmp_path, ending, codec):
    path = write_video(tmp_path / f"a{ending}", coded(40), codec)
    frames = frames_of(path)
    assert frames.shape == (40, 16, 16, 1) and frames.dtype == np.uint8
    assert numbers(frames).tolist() == list(range(40))


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_variable_frame_rate(tmp_path, ending):
    times = [7 * t**2 + t for t in range(30)]
    path = write_video(tmp_path / f"a{ending}", coded(30), "libx264", times=times)
    assert numbers(frames_of(path)).tolist() == list(range(30))


@pytest.mark.parametrize("height, width", [(33, 47), (1, 1), (7, 250)])
@pytest.mark.parametrize("fit", FITS)
def test_odd_sizes(tmp_path, height, width, fit):
    path = write_video(tmp_path / "a.mkv", coded(4, height, width), "ffv1", "yuv444p")
    frames = frames_of(path, 16, 3, fit)
    assert frames.shape == (4, 16, 16, 3)
    assert numbers(frames[:, 7, 7]).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "codec, ending, pix_fmt",
    [("libx264", ".mp4", "yuv420p"), ("mjpeg", ".avi", "yuvj420p")],
)
def test_colour_and_grey(tmp_path, codec, ending, pix_fmt):
    path = write_video(tmp_path / f"a{ending}", quarters(), codec, pix_fmt)
    assert_colours(corners(frames_of(path, 32, 3)[1]), RED, GREEN, BLUE, WHITE)
    grey = corners(frames_of(path, 32, 1)[1])
    weights = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    assert_colours(
        grey[:, 0], *(np.array(c) @ weights for c in (RED, GREEN, BLUE, WHITE))
    )


def bands(height, width):
    """Five frames' worth of width: red, three times grey in thirds, blue."""
    frame = np.full((height, width, 3), 128, np.uint8)
    frame[:, : width // 8], frame[:, -width // 8 :] = RED, BLUE
    return frame[None]


def test_the_fits(tmp_path):
    np.save(tmp_path / "a.npy", bands(32, 64))
    path = tmp_path / "a.npy"
    (crop,) = frames_of(path, 16, 3, "crop", "array")
    assert_colours(crop, (128,) * 3, within=0)  # the outer quarters are cut off
    (stretch,) = frames_of(path, 16, 3, "stretch", "array")
    assert_colours(stretch[:, 0], RED, within=3)
    assert_colours(stretch[:, -1], BLUE, within=3)
    (letterbox,) = frames_of(path, 16, 3, "letterbox", "array")
    assert not letterbox[:4].any() and not letterbox[12:].any()
    assert_colours(letterbox[4:12, 0], RED, within=3)
    assert_colours(letterbox[4:12, 7], (128,) * 3, within=3)


def test_a_tall_letterbox(tmp_path):
    np.save(tmp_path / "a.npy", bands(32, 64).transpose(0, 2, 1, 3))
    (frame,) = frames_of(tmp_path / "a.npy", 16, 3, "letterbox", "array")
    assert not frame[:, :4].any() and not frame[:, 12:].any()
    assert_colours(frame[0, 4:12], RED, within=3)
    assert_colours(frame[-1, 4:12], BLUE, within=3)


def test_shrinking_averages(tmp_path):
    """A ramp keeps its slope, and fine stripes become their mean: no aliasing."""
    ramp = np.broadcast_to(np.arange(240, dtype=np.uint8), (1, 240, 240))
    np.save(tmp_path / "ramp.npy", ramp)
    (frame,) = frames_of(tmp_path / "ramp.npy", 60, 1, "stretch", "array")
    middle = np.abs(frame[:, 2:-2, 0] - (4 * np.arange(60) + 1.5)[2:-2])
    assert middle.max() <= 1
    stripes = np.zeros((1, 240, 240), np.uint8)
    stripes[:, :, ::2] = 200
    np.save(tmp_path / "stripes.npy", stripes)
    (frame,) = frames_of(tmp_path / "stripes.npy", 60, 1, "stretch", "array")
    assert np.abs(frame[:, 2:-2].astype(int) - 100).max() <= 2


def test_a_large_picture_is_shrunk_well():
    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    picture = Image.fromarray(noise).resize((1920, 1080), Image.Resampling.BICUBIC)
    exact = picture.resize((64, 64), Image.Resampling.BICUBIC, (420, 0, 1500, 1080))
    got = fitted(picture, 64, "crop")
    assert np.abs(np.asarray(got, int) - np.asarray(exact, int)).max() <= 3


def test_every_size_and_shape_of_pixels_can_be_cropped():
    """The crop's edge must not round to beyond the picture's."""
    for width in range(1, 60):
        picture = Image.new("L", (width, 59), 9)
        for aspect in (10 / 11, 64 / 45, 1 / 3):
            square = np.asarray(fitted(picture, 8, "crop", aspect))
            assert square.shape == (8, 8) and (square == 9).all()


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_phone(tmp_path, degrees):
    path = write_video(tmp_path / "a.mp4", quarters(), "libx264")
    turn_mp4(path, degrees)
    order = {
        90: (BLUE, RED, WHITE, GREEN),
        180: (WHITE, BLUE, GREEN, RED),
        270: (GREEN, WHITE, RED, BLUE),
    }[degrees]
    assert_colours(corners(frames_of(path, 32, 3)[0]), *order)


@pytest.mark.parametrize("turned", [False, True])
def test_pixels_that_are_not_square(tmp_path, turned):
    """32x32 pixels shown twice as wide as high: half of the letterbox is bars."""
    frames = np.full((3, 32, 32, 3), 200, np.uint8)
    path = write_video(tmp_path / "a.mp4", frames, "libx264", aspect=Fraction(2))
    if turned:
        turn_mp4(path, 90)
    frame = frames_of(path, 32, 1, "letterbox")[0, ..., 0]
    frame = frame.T if turned else frame
    assert frame[:8].max() == frame[24:].max() == 0 and frame[9:23].min() > 190


@pytest.mark.parametrize(
    "codec, ending, pix_fmt, tags",
    [
        ("libvpx-vp9", ".webm", "yuva420p", {"alpha_mode": "1"}),
        ("png", ".mov", "rgba", None),
        ("ffv1", ".mkv", "yuva444p", None),
    ],
)
def test_transparent_video_lies_over_black(tmp_path, codec, ending, pix_fmt, tags):
    frames = np.full((3, 32, 64, 4), 200, np.uint8)
    frames[:, :, :24, 3], frames[:, :, 24:40, 3], frames[:, :, 40:, 3] = 0, 128, 255
    path = write_video(tmp_path / f"a{ending}", frames, codec, pix_fmt, tags=tags)
    for frame in frames_of(path, 64, 3, "stretch"):
        assert_colours(frame[32, [4, 32, 60]].mean(1), 0, 100, 200, within=4)


def test_a_gif(tmp_path):
    frames = []
    for t in range(12):
        picture = Image.new("RGBA", (32, 32), (20 + 5 * t,) * 3 + (255,))
        picture.paste((255, 255, 255, 0), (0, 0, 32, 8))  # transparent: black
        frames.append(picture)
    frames[0].save(
        tmp_path / "a.gif",
        save_all=True,
        append_images=frames[1:],
        disposal=2,
        duration=[20, 500, 40] * 4,
    )
    got = frames_of(tmp_path / "a.gif", 32, 3)
    assert numbers(got[:, 12:]).tolist() == list(range(12))
    assert not got[:, :6].any()


def test_images_are_taken_in_the_order_of_their_numbers(tmp_path):
    for t in (1, 2, 10, 9, 100):
        pixels = coded(1, 20 + t, 30, first=t % 40)[0]  # of unequal sizes too
        Image.fromarray(pixels).save(tmp_path / f"img{t}.png")
    Image.fromarray(coded(1, first=40)[0]).save(tmp_path / ".hidden.png")
    (tmp_path / "notes.txt").write_text("not an image")
    assert numbers(frames_of(tmp_path, kind="images")).tolist() == [1, 2, 9, 10, 20]


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm"])
def test_kinds_of_images(tmp_path, ending):
    Image.fromarray(quarters()[0]).save(tmp_path / f"1{ending}")
    (frame,) = frames_of(tmp_path, 32, 3, kind="images")
    assert_colours(corners(frame), RED, GREEN, BLUE, WHITE)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "CMYK", "I;16"])
def test_modes_of_images(tmp_path, mode):
    """A light picture; where it can be, its upper half is transparent."""
    ending = ".tif" if mode == "CMYK" else ".png"
    if mode == "I;16":
        picture = Image.fromarray(np.full((32, 32), 200 * 257, np.uint16))
    elif mode == "P":
        picture = Image.new("P", (32, 32), 1)
        picture.putpalette([9, 9, 9, 200, 200, 200])
        picture.paste(0, (0, 0, 32, 16))
        picture.info["transparency"] = 0
    else:
        picture = Image.new("RGBA", (32, 32), (200, 200, 200, 255))
        picture.paste((200, 200, 200, 0), (0, 0, 32, 16))
        picture = picture.convert(mode, dither=Image.Dither.NONE)
    picture.save(tmp_path / f"1{ending}")
    (frame,) = frames_of(tmp_path, 32, 3, kind="images")
    light = 255 if mode == "1" else 200
    upper = 0 if mode in ("RGBA", "LA", "P") else light
    assert_colours(corners(frame), *[(upper,) * 3] * 2, *[(light,) * 3] * 2, within=3)


def test_a_photograph_that_says_how_it_was_held(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to show
    Image.fromarray(quarters()[0]).save(tmp_path / "1.jpg", exif=exif, quality=95)
    (frame,) = frames_of(tmp_path, 32, 3, kind="images")
    assert_colours(corners(frame), BLUE, RED, WHITE, GREEN)


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "not a readable image"),
        (b"words", "not a readable image"),
        ("floats", "holds floats"),
        ("cut", "truncated|not a readable image"),
    ],
)
def test_a_broken_image_ends_the_sequence(tmp_path, content, reason):
    for t in range(3):
        Image.fromarray(coded(1, first=t)[0]).save(tmp_path / f"{t}.png")
    if content == "floats":
        Image.fromarray(np.full((8, 8), 2, np.float32)).save(tmp_path / "2.tif")
        (tmp_path / "2.png").unlink()
    else:
        if content == "cut":
            noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
            Image.fromarray(noise).save(tmp_path / "2.png")
            content = (tmp_path / "2.png").read_bytes()[:2000]
        (tmp_path / "2.png").write_bytes(content)
    frames = decode(Source(tmp_path, "images"), 16, 1)
    assert numbers([next(frames), next(frames)]).tolist() == [0, 1]
    words = rf"only 2 frames can be read \(2\.(png|tif): .*({reason})"
    with pytest.raises(DataError, match=words):
        next(frames)
