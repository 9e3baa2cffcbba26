"""Pictures of a video file, by PyAV. Only loaded where one is read."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from svg_pyro.errors import DataError

# Not among them are play lists, which open other files and addresses: one under a
# video's name would put a video of the test split into the train split.
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "asf,avi,dv,flv,gif,matroska,mov,mpeg,mpegts,mpegvideo,nut,ogg",
}
_SHORTER = 0.95  # a video this much shorter than its header says is reported


def film_pictures(path: Path) -> Iterator[tuple[Image.Image, float]]:
    """Pictures of a video file, and the width over the height of their pixels.

    Parameters
    ----------
    path : Path
        The video file.

    Yields
    ------
    picture : PIL.Image.Image
        A frame the right way up, RGB or RGBA.
    aspect : float
        Width over height of its pixels.

    Raises
    ------
    DataError
        The file, or the rest of it, cannot be decoded, or holds no video.
    """
    count = 0
    try:
        for picture, aspect in _pictures(path):
            yield picture, aspect
            count += 1
    except av.FFmpegError as error:
        reason = error.strerror or str(error) or repr(error)
        if not count and isinstance(error, ValueError):
            reason = f"not a video that can be decoded ({reason})"
        raise DataError(reason) from error


def frame_times(path: Path) -> np.ndarray:
    """When each frame of a video file is shown; nothing is decoded.

    Parameters
    ----------
    path : Path
        The video file.

    Returns
    -------
    numpy.ndarray
        float64, shape ``(T,)``: seconds, ascending; entry t is of the t-th picture
        that `film_pictures` gives.

    Raises
    ------
    DataError
        The file cannot be read, holds no video, or does not say when a frame is shown.
    """
    try:
        with av.open(
            str(path.absolute()), options=_OPTIONS, metadata_errors="ignore"
        ) as container:
            stream = container.streams.best("video")
            if stream is None:
                raise DataError(f"{path}: the file holds no video, only sound or text")
            packets = (p for p in container.demux(stream) if p.size)
            ticks = [p.pts for p in packets if not p.is_discard]
            base = float(stream.time_base or 0)
    except av.FFmpegError as error:
        reason = error.strerror or str(error) or repr(error)
        raise DataError(f"{path}: {reason}") from error
    if None in ticks or not base:
        raise DataError(f"{path}: does not say when its frames are shown")
    return np.sort(np.array(ticks, np.float64)) * base


def _pictures(path: Path) -> Iterator[tuple[Image.Image, float]]:
    with av.open(
        str(path.absolute()), options=_OPTIONS, metadata_errors="ignore"
    ) as container:
        stream = container.streams.best("video")
        if stream is None:
            raise DataError("the file holds no video, only sound or text")
        if stream.codec_context is None:
            raise DataError("nothing here decodes its codec")
        stream.thread_type = "AUTO"
        aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        # One of each frame's own would be slow to make.
        reformatter = VideoReformatter()
        count, last = 0, 0
        for frame in _frames(container, stream):
            picture = _picture(frame, reformatter)
            yield picture, 1 / aspect if frame.rotation % 180 else aspect
            count, last = count + 1, frame.pts or 0
        _check_promise(container, stream, count, last)


def _check_promise(
    container: InputContainer, stream: VideoStream, count: int, last: int
) -> None:
    """Compare the number of frames, and the last one's time, with the header."""
    if count < _SHORTER * stream.frames:
        raise DataError(f"its header promises {stream.frames}")
    # Matroska counts no frames; and beside sound its length may be the sound's.
    if count > 1 and not stream.frames and len(container.streams) == 1:
        length = (container.duration or 0) / av.time_base
        end = float(last * (stream.time_base or 0)) * count / (count - 1)
        if end < _SHORTER * length:
            raise DataError(f"its header promises {length:.2f} s, it ends at {end:.2f}")


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Decoded frames; packets that do not decode are passed over before the first."""
    decoder, begun, fault = _decoder(stream), False, None
    # An empty packet stands for a dropped frame, but would end the decoding.
    packets = (packet for packet in container.demux(stream) if packet.size)
    for packet in itertools.chain(packets, [None]):
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError as error:
            if begun:
                raise
            fault = fault or error
            continue
        begun = begun or bool(frames)
        yield from frames
    if fault and not begun:
        raise fault


def _decoder(stream: VideoStream) -> VideoCodecContext:
    """The stream's decoder; for VP8 and VP9 with transparency one that sees it."""
    names = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
    name = names.get(stream.codec_context.name)
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if tags.get("alpha_mode") != "1" or name not in av.codecs_available:
        return stream.codec_context
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, VideoCodecContext)
    return decoder


def _picture(frame: VideoFrame, reformatter: VideoReformatter) -> Image.Image:
    """A decoded frame as a picture the right way up."""
    pixels = frame.format
    alpha = pixels.has_palette or any(c.is_alpha for c in pixels.components)
    frame_rgb = reformatter.reformat(frame, format="rgba" if alpha else "rgb24")
    picture = Image.fromarray(frame_rgb.to_ndarray())
    turns = {
        90: Image.Transpose.ROTATE_90,
        180: Image.Transpose.ROTATE_180,
        270: Image.Transpose.ROTATE_270,
    }
    turn = turns.get(frame.rotation % 360)
    return picture if turn is None else picture.transpose(turn)
