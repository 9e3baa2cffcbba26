"""The KTH actions (Schuldt, Laptev & Caputo 2004), read as they were published."""

from collections.abc import Iterable
from pathlib import Path

from svg_pyro.data.base import clip_rng
from svg_pyro.data.videos.decode import Source
from svg_pyro.data.videos.frame_store import FrameStore, report_skipped
from svg_pyro.data.videos.kth_files import (
    ACTIONS,
    ADVICE,
    HELP,
    Interval,
    Video,
    check_actions,
    intervals_of,
    videos_of,
)
from svg_pyro.data.videos.segments import Segment, SegmentClips
from svg_pyro.errors import DataError
from svg_pyro.util.reports import report_once

SPLITS = {"train": range(1, 21), "test": range(21, 26)}
DRAWS = ("length", "class")
_PERSONS = range(1, 26)


class KTH(SegmentClips):
    """Clips of people who walk, jog, run, box, wave and clap; grey.

    Reads ``person01_boxing_d1_uncomp.avi`` and so on, 160x120 pixels, 25 frames a
    second. Persons 1 to 20 are for training, 21 to 25 for testing. A clip lies
    within one interval of ``00sequences.txt``, outside of which nobody may be in
    the picture. Every file is decoded once, and its frames are kept in `cache`:
    for the whole set about 1.2 GB at 64 pixels, 5 GB at 128.

    What is left out (files that cannot be read, intervals that are too short) is
    said in one line each on standard error.

    Parameters
    ----------
    root : str or Path
        The folder that holds the files, itself or in folders below;
        ``00sequences.txt`` may lie there too, or beside the folder. Without it,
        each whole video is one interval. A file that is there twice counts once.
    split : str
        "train" (windows at random places) or "test" (always the same windows, one
        after the other; the first few are of many persons and actions).
    n_frames : int
        Frames in a clip.
    image_size : int
        Height and width of a frame in pixels.
    cache : str or Path
        The folder in which decoded frames are kept between runs.
    seed : int
        Draws the windows of the train split, together with epoch and index.
    actions : iterable of str
        Which of `ACTIONS` to read.
    stride : int
        Take every stride-th frame.
    persons : iterable of int, optional
        Take these of the 25 persons in place of the split's, for another division.
    fit : str
        How 160x120 becomes a square: "stretch" (squeezed, as in the first code of
        the paper, which ran ``ffmpeg -s 64x64``), "crop" or "letterbox".
    draw : str
        How often an interval is seen in training: "length" (in an epoch each part of
        it about once), or "class" (the first code: action, video, interval and start
        are drawn uniformly one after the other, so that running, whose videos are
        short, is every sixth clip and not every thirteenth).

    Raises
    ------
    DataError
        There is no such file for the split, none can be read, no interval is long
        enough, or a line of ``00sequences.txt`` cannot be understood.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        n_frames: int = 20,
        *,
        image_size: int = 64,
        cache: str | Path,
        seed: int = 0,
        actions: Iterable[str] = ACTIONS,
        stride: int = 1,
        persons: Iterable[int] | None = None,
        fit: str = "stretch",
        draw: str = "length",
    ) -> None:
        if split not in SPLITS:
            raise DataError(
                f"KTH: unknown split {split!r}; there are 'train' and 'test'"
            )
        if draw not in DRAWS:
            raise DataError(f"KTH: draw is {draw!r}; give one of {list(DRAWS)}")
        actions = check_actions(actions)
        persons = _check_persons(SPLITS[split] if persons is None else persons)
        videos = videos_of(root, persons, actions)
        store = FrameStore(cache, image_size, 1, fit)
        broken = store.add([v.source for v in videos], desc=f"decoding KTH {split}")
        report_skipped(broken, len(videos))
        videos = [v for v in videos if v.source not in broken]
        if not videos:
            raise DataError(
                f"{root}: none of its KTH videos can be read; {HELP}",
                advice=ADVICE,
            )
        intervals = intervals_of(root, videos, store)
        if split == "test":
            intervals.sort(key=_by_number)
        segments = [Segment(v.source, start, stop) for v, _, start, stop in intervals]
        random = split == "train"
        super().__init__(
            store, segments, n_frames, stride=stride, random=random, seed=seed
        )
        self.split, self.draw = split, draw if random else "length"
        self._by_class = _by_class(videos, self.segments)
        if self.too_short:
            report_once(
                f"KTH {split}: {len(self.too_short)} of {len(segments)} intervals are "
                f"shorter than the {self.span} frames of a clip, and left out"
            )

    def name(self, index: int) -> str:
        """The video's file and frames; drawn by class, an item has none of its own."""
        if self.draw == "class":
            return f"clip {index}, drawn by class"
        return super().name(index)

    def window(self, index: int, epoch: int = 0) -> tuple[Segment, int]:
        """See `SegmentClips.window`."""
        if self.draw == "length":
            return super().window(index, epoch)
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        rng = clip_rng(self.seed, epoch, index)
        videos = self._by_class[rng.integers(len(self._by_class))]
        segments = videos[rng.integers(len(videos))]
        segment = segments[rng.integers(len(segments))]
        return segment, segment.start + int(rng.integers(len(segment) - self.span + 1))


def _by_class(
    videos: Iterable[Video], segments: Iterable[Segment]
) -> list[list[list[Segment]]]:
    """For each action its videos, for each of these its intervals; none is empty."""
    of_video: dict[Source, list[Segment]] = {}
    for segment in segments:
        of_video.setdefault(segment.source, []).append(segment)
    classes: dict[str, list[list[Segment]]] = {}
    for video in videos:
        if video.source in of_video:
            classes.setdefault(video.action, []).append(of_video[video.source])
    return [classes[action] for action in sorted(classes)]


def _check_persons(persons: Iterable[int]) -> set[int]:
    chosen = set(persons)
    if not chosen or not chosen <= set(_PERSONS):
        raise DataError(
            f"KTH: persons are {sorted(chosen)}; give some of the numbers 1 to 25"
        )
    return chosen


def _by_number(interval: Interval) -> tuple[int, int, int, str]:
    """Sorts intervals so that the first few are of many persons and actions."""
    video, number, _, _ = interval
    return number, video.scenario, video.person, video.action
