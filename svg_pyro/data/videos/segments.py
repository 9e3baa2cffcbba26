"""Clips cut from stretches of stored videos."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from svg_pyro.data.base import ClipDataset, clip_rng
from svg_pyro.data.videos.decode import Source
from svg_pyro.data.videos.frame_store import FrameStore
from svg_pyro.errors import DataError
from svg_pyro.util.checks import check_whole


@dataclass(frozen=True)
class Segment:
    """A stretch of a video that clips do not leave.

    Attributes
    ----------
    source : Source
        The video.
    start, stop : int
        Its frames are ``start <= t < stop``, counted from 0.
    """

    source: Source
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def check_lengths(n_frames: int, stride: int, min_frames: int | None) -> None:
    """Refuse lengths of clips that there are not, before any video is decoded.

    Parameters
    ----------
    n_frames, stride, min_frames : int
        As `SegmentClips` takes them.

    Raises
    ------
    DataError
        When `n_frames` or `stride` is below 1, or `min_frames` not from 2 to
        `n_frames`.
    """
    for name, value in (("n_frames", n_frames), ("stride", stride)):
        check_whole(name, value, least=1, error=DataError)
    if min_frames is not None:
        check_whole("min_frames", min_frames, least=2, error=DataError)
        if min_frames > n_frames:
            raise DataError(
                f"min_frames is {min_frames}, of clips of {n_frames} frames; give 2 "
                f"to {n_frames}"
            )


class SegmentClips(ClipDataset):
    """Clips from segments of videos in a `FrameStore`.

    A clip spans ``span = (n_frames - 1) * stride + 1`` frames. A segment of L
    frames gives ``L // span`` items, so that an epoch sees each part of a long
    video about once.

    Parameters
    ----------
    store : FrameStore
        It has taken the segments' sources.
    segments : list of Segment
        Those too short for a clip are left out, see `too_short`.
    n_frames : int
        Frames in a clip.
    stride : int
        Frames of the video from one frame of a clip to the next.
    min_frames : int, optional
        Fewest frames of a clip, 2 to `n_frames`: a segment that is shorter than the
        span, but long enough for so many, gives one item of as many as it can. Without
        it all clips have `n_frames`.
    random : bool
        Whether a clip starts anywhere in its segment, drawn by
        ``(seed, epoch, index)`` (training), or item k of a segment at ``k * span``
        (testing).
    seed : int
        Draws the windows, together with epoch and index.

    Attributes
    ----------
    segments : list of Segment
        What clips are cut from.
    too_short : list of Segment
        What was left out.
    span : int
        Frames of the video from the first of a clip of `n_frames` to its last.
    least_span : int
        The same of the shortest clips.

    Raises
    ------
    DataError
        No segment is long enough, `n_frames` or `stride` is below 1, or `min_frames`
        is out of its range.
    """

    def __init__(
        self,
        store: FrameStore,
        segments: list[Segment],
        n_frames: int,
        *,
        stride: int = 1,
        min_frames: int | None = None,
        random: bool = True,
        seed: int = 0,
    ) -> None:
        check_lengths(n_frames, stride, min_frames)
        self._store, self._random, self.seed = store, random, seed
        self.n_frames, self.stride = n_frames, stride
        self.channels, self.image_size = store.channels, store.image_size
        self.min_frames = min_frames
        self.span = (n_frames - 1) * stride + 1
        self.least_span = ((min_frames or n_frames) - 1) * stride + 1
        self.too_short = [s for s in segments if len(s) < self.least_span]
        self.segments = [s for s in segments if len(s) >= self.least_span]
        if not self.segments:
            raise DataError(self._why_none())
        counts = np.array([max(1, len(s) // self.span) for s in self.segments])
        owners = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(owners)) - np.repeat(counts.cumsum() - counts, counts)
        order = np.argsort(within, kind="stable")
        self._items = np.stack([owners, within])[:, order].astype(np.int32)

    def __len__(self) -> int:
        return int(self._items.shape[1])

    def name(self, index: int) -> str:
        """The video's file, and the frames of the item's window or segment."""
        segment, k = self._place(index)
        first, last = segment.start, segment.stop - 1
        if not self._random:
            first += k * self.span
            last = min(last, first + self.span - 1)
        return f"{segment.source.name}, frames {first} to {last}"

    def fingerprint(self) -> str:
        """A digest of the videos' names, sizes and stretches, wherever they lie."""
        places = [
            (s.source.where, s.source.size, s.start, s.stop) for s in self.segments
        ]
        digest = hashlib.sha256(repr((self.span, self.stride, places)).encode())
        return digest.hexdigest()[:16]

    def clip(self, index: int, epoch: int = 0) -> torch.Tensor:
        """One clip.

        Parameters
        ----------
        index : int
            The item, ``0 <= index < len(self)``.
        epoch : int
            If random, the window is drawn by ``(seed, epoch, index)``.

        Returns
        -------
        torch.Tensor
            uint8, shape ``(T, C, H, W)``, values 0 to 255.

        Raises
        ------
        DataError
            The stored frames are gone.
        """
        segment, start = self.window(index, epoch)
        count = self._frames_in(segment)
        frames = self._store.read(segment.source, start, count, self.stride)
        return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))

    def window(self, index: int, epoch: int = 0) -> tuple[Segment, int]:
        """Where a clip is cut.

        Parameters
        ----------
        index, epoch : int
            As in `clip`.

        Returns
        -------
        segment : Segment
            The stretch of video that the clip lies in.
        start : int
            The clip's first frame in the segment's video, counted from 0.
        """
        segment, k = self._place(index)
        if not self._random:
            return segment, segment.start + k * self.span
        rng = clip_rng(self.seed, epoch, index)
        span = (self._frames_in(segment) - 1) * self.stride + 1
        return segment, segment.start + int(rng.integers(len(segment) - span + 1))

    def _frames_in(self, segment: Segment) -> int:
        """Frames of a clip of a segment."""
        return min(self.n_frames, (len(segment) - 1) // self.stride + 1)

    def _place(self, index: int) -> tuple[Segment, int]:
        """The segment of an item, and which of its items it is."""
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        segment, k = self._items[:, index].tolist()
        return self.segments[segment], k

    def _why_none(self) -> str:
        if not self.too_short:
            return "there is no video to cut clips from"
        longest = max(self.too_short, key=len)
        return (
            f"{longest.source.name}: the longest of {len(self.too_short)} stretches of "
            f"video has {len(longest)} frames; a clip of "
            f"{self.min_frames or self.n_frames} at stride {self.stride} takes "
            f"{self.least_span}: ask for shorter clips or a smaller stride"
        )
