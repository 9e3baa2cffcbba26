"""The first frames of any video, as the context of a prediction."""

import itertools

import numpy as np
import torch

from svg_pyro.data.videos.decode import Source, decode
from svg_pyro.errors import DataError
from svg_pyro.util.checks import check_whole

_MOST = 10**9  # frames, by which no video is longer


def first_frames(
    source: Source,
    count: int,
    *,
    image_size: int,
    channels: int,
    start: int = 0,
    stride: int = 1,
    fit: str = "crop",
    more: int = 0,
) -> torch.Tensor:
    """The first frames of a video at a model's size and channels.

    Only as much of the video is decoded as is needed.

    Parameters
    ----------
    source : Source
        The video, one of `svg_pyro.data.find_sources`.
    count : int
        Frames that must be there.
    image_size : int
        Height and width of a frame in pixels.
    channels : int
        1 (grey) or 3 (RGB).
    start : int
        The first of them in the video, counted from 0.
    stride : int
        Frames of the video from one to the next.
    fit : str
        "crop", "letterbox" or "stretch", see `svg_pyro.data.videos.decode.decode`.
    more : int
        Frames after them that are taken where they are there.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(T, C, H, W)``, T from `count` to ``count + more``.

    Raises
    ------
    DataError
        `start` is negative, `stride` below 1, or one of both beyond 10^9; the video
        cannot be read or is too short.
    """
    for name, value, least in (("start", start, 0), ("stride", stride, 1)):
        check_whole(name, value, least=least, most=_MOST, error=DataError)
    stop = start + (count + more - 1) * stride + 1
    video = decode(source, image_size, channels, fit)
    frames: list[np.ndarray] = []
    broken: DataError | None = None
    try:
        frames.extend(itertools.islice(video, start, stop, stride))
    except DataError as error:
        broken = error
    finally:
        video.close()
    if len(frames) >= count:
        return torch.from_numpy(np.stack(frames).transpose(0, 3, 1, 2).copy())
    if broken is not None:
        raise broken
    raise DataError(
        f"{source.name}: holds {len(frames)} frames from frame {start} on at stride "
        f"{stride}; the context takes {count}: ask for fewer or give another video"
    )
