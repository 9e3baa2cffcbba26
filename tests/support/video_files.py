"""Small videos for tests: the brightness of a frame tells its number."""

import struct
from fractions import Fraction

import av
import numpy as np

from svg_pyro.data.videos.decode import Source, decode

_DARKEST, _STEP = 20, 5  # a lossy codec's error is below half a step
_QUALITY = {
    "libx264": {"crf": "5"},
    "libvpx-vp9": {"crf": "5", "b": "0"},
    "libsvtav1": {"crf": "5", "g": "2", "preset": "10"},
}


def coded(n, height=32, width=48, first=0):
    """Grey RGB frames ``(n, H, W, 3)`` that tell their numbers, at most 46."""
    levels = _DARKEST + _STEP * np.arange(first, first + n)
    assert levels.max() < 256
    return (
        np.ones((1, height, width, 3), np.uint8)
        * levels.astype(np.uint8)[:, None, None, None]
    )


def numbers(frames, axis=0):
    """The numbers that frames tell; `axis` counts them."""
    frames = np.moveaxis(np.asarray(frames, np.float64), axis, 0)
    return np.rint((frames.reshape(len(frames), -1).mean(1) - _DARKEST) / _STEP)


def write_video(
    path, frames, codec="mpeg4", pix_fmt="yuv420p", times=None, tags=None, aspect=None
):
    """Encode uint8 frames ``(T, H, W, 3 or 4)``.

    Parameters
    ----------
    times : list of int, optional
        When each frame is shown, in milliseconds; default 25 frames/s.
    tags : dict, optional
        Of the stream.
    aspect : Fraction, optional
        Width over height of a pixel.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=_QUALITY.get(codec, {}))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        if codec != "libsvtav1":  # which refuses one for pictures this small
            stream.bit_rate = 4_000_000
        stream.metadata.update(tags or {})
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for t, pixels in enumerate(frames):
            kind = "rgba" if pixels.shape[-1] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), kind)
            if times:
                frame.pts, frame.time_base = times[t], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path):
    """A file with a second of silence and no video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        silence = np.zeros((1, 8000), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def set_avi_length(path, frames):
    """Make an AVI file's headers tell another number of frames."""
    data = bytearray(path.read_bytes())
    for chunk, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):
        struct.pack_into("<I", data, data.index(chunk) + offset, frames)
    path.write_bytes(data)


def turn_mp4(path, degrees):
    """Have an MP4 file shown turned clockwise, as phones do."""
    a, b = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    # ISO 14496-12, 8.3.2: rows (a, b, u), (c, d, v), (x, y, w); p' = p * matrix.
    matrix = [a << 16, b << 16, 0, -b << 16, a << 16, 0, 0, 0, 1 << 30]
    data = bytearray(path.read_bytes())
    struct.pack_into(">9i", data, data.index(b"tkhd") + 4 + 4 + 20 + 16, *matrix)
    path.write_bytes(data)


def frames_of(path, size=16, channels=1, fit="crop", kind="video", **place):
    """All frames of a video, ``(T, size, size, channels)``."""
    return np.stack(list(decode(Source(path, kind, **place), size, channels, fit)))


def rough(n):
    """Frames that tell their numbers, of about as many bytes each when encoded."""
    noise = np.random.default_rng(0).integers(-8, 9, (n, 64, 64, 1))
    return (coded(n, 64, 64) + noise).astype(np.uint8)


def cut(path, part):
    """Keep the first part of a file."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])


def folder_of(root, names="abcdefghij", frames=12):
    """Arrays whose videos tell who they are: video k's frames have the number k."""
    root.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        np.save(
            root / f"{name}.npy", coded(frames)[:1].repeat(frames, 0) + np.uint8(5 * k)
        )
    return root
