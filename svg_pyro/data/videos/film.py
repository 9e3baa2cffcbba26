"""Pictures of a video file, by PyAV. Only loaded where one is read."""

import itertools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from svg_pyro.data.videos.arrays import MOST_PIXELS
from svg_pyro.data.videos.gaps import Gap, GapFinder
from svg_pyro.errors import DataError

# Not among them are play lists, which open other files and addresses: one under a
# video's name would put a video of the test split into the train split.
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "asf,avi,dv,flv,gif,matroska,mov,mpeg,mpegts,mpegvideo,nut,ogg",
}
# The display matrix (ISO 14496-12, 8.3.2): signs of a, b, c, d in x' = a x + c y and
# y' = b x + d y, where y goes down.
_TURNS = {
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
_SIDEWAYS = (
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
)
# From PyAV 19 on a title that is no UTF-8 is read without being told.
_TITLES: dict[str, Any] = (
    {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
)
_BT601, _LIMITED, _FULL = 5, 1, 2  # numbers of ISO 23091-2, and of FFmpeg's ranges
_MATRICES = (1, 4, 5, 6, 7, 9)  # of which swscale knows the coefficients
_HIDING = "vp8", "vp9", "libvpx"
_SHORTER = 0.95  # a video this much shorter than its header says is reported


def film_pictures(
    path: Path, gaps: list[Gap] | None = None
) -> Iterator[tuple[Image.Image, float]]:
    """Pictures of a video file, and the width over the height of their pixels.

    Colours are those of the frame's own matrix (BT.709, BT.601, ...) and range, BT.601
    where it names none.

    Parameters
    ----------
    path : Path
        The video file.
    gaps : list, optional
        Gets the places at which packets could not be decoded; without it such a place
        ends the film by an error.

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
        for picture, aspect in _pictures(path, gaps):
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
        with _opened(path) as container:
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


def _opened(path: Path) -> InputContainer:
    container: InputContainer = av.open(
        str(path.absolute()), options=_OPTIONS, **_TITLES
    )
    return container


def _pictures(
    path: Path, gaps: list[Gap] | None
) -> Iterator[tuple[Image.Image, float]]:
    with _opened(path) as container:
        stream = container.streams.best("video")
        if stream is None:
            raise DataError("the file holds no video, only sound or text")
        if stream.codec_context is None:
            raise DataError("nothing here decodes its codec")
        if stream.width * stream.height > MOST_PIXELS:
            raise DataError(
                f"has frames of {stream.width}x{stream.height} pixels; at most "
                f"{MOST_PIXELS} are read"
            )
        # By frame, threads would say of a damaged packet later or not at all, so that
        # what is read of a broken film would depend on the number of processors.
        stream.thread_type = "SLICE"
        aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        # One of each frame's own would be slow to make.
        reformatter = VideoReformatter()
        packets = _Packets(container, stream)
        count, last = 0, 0
        for frame in _frames(packets, _decoder(stream), gaps):
            turn = _turn(frame)
            picture = _picture(frame, reformatter)
            picture = picture if turn is None else picture.transpose(turn)
            yield picture, 1 / aspect if turn in _SIDEWAYS else aspect
            count, last = count + 1, frame.pts or 0
        _check_promise(packets, count, last)


class _Packets:
    """The packets of a stream, and how far they reach."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.container, self.stream = container, stream
        self._end: int | None = None

    def __iter__(self) -> Iterator[Any]:
        for packet in self.container.demux(self.stream):
            if packet.pts is not None:
                end = packet.pts + (packet.duration or 0)
                self._end = end if self._end is None else max(self._end, end)
            # An empty packet stands for a dropped frame, but would end the decoding.
            if packet.size:
                yield packet

    @property
    def complete(self) -> bool:
        """Whether they reach the end that the header gives: then no frame is missing.

        An edit list shows a part of a file's frames, and a dropped frame is an empty
        packet: of both the header counts more frames than there are. An AVI's times
        count frames, and its length is none of a header's: of a file that breaks off
        FFmpeg finds it by the size.
        """
        if not self.stream.duration or self._end is None:
            return False
        length = self._end - (self.stream.start_time or 0)
        avi = self.container.format.name == "avi"
        whole = self.stream.frames if avi else self.stream.duration
        return length >= _SHORTER * whole


def _check_promise(packets: _Packets, count: int, last: int) -> None:
    """Compare the number of frames, and the last one's time, with the header."""
    container, stream = packets.container, packets.stream
    if count < _SHORTER * stream.frames and not packets.complete:
        raise DataError(f"its header promises {stream.frames}")
    # Matroska counts no frames; and beside sound its length may be the sound's.
    if count > 1 and not stream.frames and len(container.streams) == 1:
        length = (container.duration or 0) / av.time_base
        end = float(last * (stream.time_base or 0)) * count / (count - 1)
        if end < _SHORTER * length:
            raise DataError(f"its header promises {length:.2f} s, it ends at {end:.2f}")


def _frames(
    packets: _Packets, decoder: VideoCodecContext, gaps: list[Gap] | None
) -> Iterator[VideoFrame]:
    """Decoded frames; packets that do not decode are passed over before the first.

    After that they are too if `gaps` is given, which then gets their places.
    """
    found = [] if gaps is None else gaps
    finder = GapFinder(found)
    # Of VP8 and VP9 some packets are meant to be shown by no frame.
    timed = not decoder.name.startswith(_HIDING)
    given, count, lost, fault = 0, 0, 0, None
    for packet in itertools.chain(packets, [None]):
        given += packet is not None
        if timed and packet is not None and not packet.is_discard and packet.pts:
            finder.packet(packet.pts)
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError as error:
            if count and gaps is None:
                raise
            fault, lost = fault or error, lost + 1
            if gaps is not None:
                reason = error.strerror or str(error)
                finder.fault(count, given - count - lost, reason)
            continue
        for frame in frames:
            # What the decoder itself knows to be made of missing parts.
            if frame.is_corrupt and lost:
                continue
            finder.frame(count, frame.pts)
            if gaps is None and found:
                raise DataError(found[0].reason)
            yield frame
            count += 1
    if fault and not count:
        raise fault
    finder.close(count)


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


def _turn(frame: VideoFrame) -> Image.Transpose | None:
    """How a frame is turned or mirrored to be shown."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        b = c = 0
    else:
        a = d = 0
    signs = tuple((value > 0) - (value < 0) for value in (a, b, c, d))
    return _TURNS.get(signs)


def _picture(frame: VideoFrame, reformatter: VideoReformatter) -> Image.Image:
    """A decoded frame as a picture, as it is stored."""
    pixels = frame.format
    alpha = pixels.has_palette or any(c.is_alpha for c in pixels.components)
    mode = "rgba" if alpha else "rgb24"
    if pixels.is_rgb or pixels.has_palette or len(pixels.components) < 3:
        frame_rgb = reformatter.reformat(frame, format=mode)
    else:
        # All said: before version 17 PyAV took the matrix of BT.601 for every frame.
        matrix, full = int(frame.colorspace), pixels.name.startswith("yuvj")
        frame_rgb = reformatter.reformat(
            frame,
            format=mode,
            src_colorspace=matrix if matrix in _MATRICES else _BT601,
            dst_colorspace=_BT601,
            src_color_range=int(frame.color_range) or (_FULL if full else _LIMITED),
            dst_color_range=_FULL,
        )
    return Image.fromarray(frame_rgb.to_ndarray())
