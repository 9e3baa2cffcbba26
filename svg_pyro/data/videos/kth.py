"""The KTH actions (Schuldt, Laptev & Caputo 2004), read as they were published."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from svg_pyro.data.base import clip_rng
from svg_pyro.data.videos.decode import Source
from svg_pyro.data.videos.frame_store import FrameStore, report_skipped
from svg_pyro.data.videos.segments import Segment, SegmentClips
from svg_pyro.errors import DataError
from svg_pyro.util.reports import report_once

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
SPLITS = {"train": range(1, 21), "test": range(21, 26)}
DRAWS = ("length", "class")
INTERVALS = "00sequences.txt"
_PERSONS = range(1, 26)
_FILE = re.compile(rf"person(\d\d)_({'|'.join(ACTIONS)})_d(\d)_uncomp\.avi")
_LINE = re.compile(r"\s*(person\d+_[a-z]+_d\d+)(.*)")
_FRAMES = re.compile(r"\s+frames\s+(\d+\s*-\s*\d+\s*(,\s*\d+\s*-\s*\d+\s*)*),?\s*")
_HELP = (
    "fetch them with svg_pyro.data.download_kth, give another folder, "
    "or read videos of your own with examples/train_videos.py"
)
_ADVICE = ("download", "root")


@dataclass(frozen=True, order=True)
class Video:
    """One published file: who does what, in which of the four scenarios.

    Attributes
    ----------
    person : int
        1 to 25.
    action : str
        One of `ACTIONS`.
    scenario : int
        1 to 4: outdoors, with scale changes, in other clothes, indoors.
    path : Path
        The .avi file.
    """

    person: int
    action: str
    scenario: int
    path: Path

    @property
    def name(self) -> str:
        """As ``00sequences.txt`` calls it."""
        return f"person{self.person:02d}_{self.action}_d{self.scenario}"

    @property
    def source(self) -> Source:
        """For a `FrameStore`."""
        return Source(self.path)


class Place(NamedTuple):
    """An interval of a video: ``start <= t < stop``, counted from 0."""

    video: Video
    number: int
    start: int
    stop: int


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
        videos = _videos_of(root, persons, actions)
        store = FrameStore(cache, image_size, 1, fit)
        broken = store.add([v.source for v in videos], desc=f"decoding KTH {split}")
        report_skipped(broken, len(videos))
        videos = [v for v in videos if v.source not in broken]
        if not videos:
            raise DataError(
                f"{root}: none of its KTH videos can be read; {_HELP}",
                advice=_ADVICE,
            )
        places = _places(root, videos, store)
        if split == "test":
            places.sort(key=_by_interval_number)
        segments = [Segment(v.source, start, stop) for v, _, start, stop in places]
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


def check_actions(actions: Iterable[str]) -> tuple[str, ...]:
    """The actions as a tuple, each once.

    Parameters
    ----------
    actions : iterable of str
        Some of `ACTIONS`.

    Raises
    ------
    DataError
        One is unknown, or none is given.
    """
    actions = tuple(dict.fromkeys(actions))
    for action in actions:
        if action not in ACTIONS:
            raise DataError(
                f"KTH: unknown action {action!r}; there are {', '.join(ACTIONS)}"
            )
    if not actions:
        raise DataError(f"KTH: no action; choose of {', '.join(ACTIONS)}")
    return actions


def find_videos(root: str | Path) -> list[Video]:
    """The published files in `root` and below, hidden folders left out.

    Parameters
    ----------
    root : str or Path
        The folder that is searched.

    Returns
    -------
    list of Video
        Each video once, sorted.
    """
    videos: dict[str, Video] = {}
    for path in _files(root):
        if match := _FILE.fullmatch(path.name):
            person, action, scenario = match.groups()
            video = Video(int(person), action, int(scenario), path)
            videos.setdefault(video.name, video)
    return sorted(videos.values())


def read_intervals(path: str | Path) -> dict[str, list[tuple[int, int]]]:
    """The intervals of ``00sequences.txt``, in which somebody is in the picture.

    Parameters
    ----------
    path : str or Path
        Lines such as ``person01_boxing_d1 frames 1-95, 96-185``, frames counted
        from 1, both ends included; other lines are a preface. A video that is
        ``*missing*`` has none.

    Returns
    -------
    dict of str to list of (int, int)
        For each video its first frame, counted from 0, and the frame after its
        last, in the order of the file; intervals may overlap.

    Raises
    ------
    DataError
        A line names a video and cannot be understood.
    """
    path = Path(path)
    intervals: dict[str, list[tuple[int, int]]] = {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        if not (match := _LINE.match(line)):
            continue
        name, rest = match.groups()
        if rest.strip() == "*missing*":
            continue
        pairs = _pairs(rest)
        if not pairs or name in intervals:
            what = "names a video for the second time" if pairs else "is damaged"
            raise DataError(
                f"{path}, line {number}: {what} ({line.strip()!r}); it should read "
                "like 'person01_boxing_d1 frames 1-95, 96-185', one line a video"
            )
        intervals[name] = pairs
    return intervals


def _pairs(words: str) -> list[tuple[int, int]] | None:
    """The intervals in the words after a video's name, or None where one is wrong."""
    if not (match := _FRAMES.fullmatch(words)):
        return None
    pairs = [[int(n) for n in pair.split("-")] for pair in match[1].split(",")]
    if any(not 1 <= first <= last for first, last in pairs):
        return None
    return [(first - 1, last) for first, last in pairs]


def _check_persons(persons: Iterable[int]) -> set[int]:
    chosen = set(persons)
    if not chosen or not chosen <= set(_PERSONS):
        raise DataError(
            f"KTH: persons are {sorted(chosen)}; give some of the numbers 1 to 25"
        )
    return chosen


def _videos_of(
    root: str | Path, persons: set[int], actions: tuple[str, ...]
) -> list[Video]:
    """The videos of some persons and actions; `DataError` where there is none."""
    published = find_videos(root)
    videos = [v for v in published if v.person in persons and v.action in actions]
    if videos:
        return videos
    if not published:
        raise DataError(
            f"{root}: holds no KTH video (looked for person01_boxing_d1_uncomp.avi and "
            f"the like, there and below); {_HELP}",
            advice=_ADVICE,
        )
    raise DataError(
        f"{root}: holds {len(published)} KTH videos, none of them of "
        f"{'/'.join(actions)} by persons {min(persons)} to {max(persons)} (looked for "
        f"person{min(persons):02d}_{actions[0]}_d1_uncomp.avi and the like); {_HELP}",
        advice=_ADVICE,
    )


def _places(root: str | Path, videos: list[Video], store: FrameStore) -> list[Place]:
    """Where clips may lie."""
    path = _intervals_file(root)
    places: list[Place] = []
    cut: list[str] = []
    intervals = {} if path is None else read_intervals(path)
    for video in videos:
        count = store.count(video.source)
        pairs = intervals.get(video.name, [(0, count)])
        for number, (start, stop) in enumerate(pairs):
            if stop > count:
                cut.append(f"{video.name} {start + 1}-{stop} (has {count} frames)")
            if start < count:
                places.append(Place(video, number, start, min(stop, count)))
    bare = [v.name for v in videos if v.name not in intervals]
    if path is None:
        report_once(f"{root}: no {INTERVALS} there; each whole video is one interval")
    elif bare:
        report_once(
            f"{path}: no line for {len(bare)} of {len(videos)} videos ({bare[0]} ...); "
            "each of them is one interval"
        )
    if cut:
        report_once(
            f"{path}: {len(cut)} intervals reach beyond their video's end and are cut "
            f"to it: {', '.join(cut[:3])}{' ...' if len(cut) > 3 else ''}"
        )
    return places


def _by_interval_number(place: Place) -> tuple[int, int, int, str]:
    """Sorts intervals so that the first few are of many persons and actions."""
    video, number, _, _ = place
    return number, video.scenario, video.person, video.action


def _intervals_file(root: str | Path) -> Path | None:
    """``00sequences.txt`` in `root` or below, else beside it, else None."""
    beside = Path(root).absolute().parent / INTERVALS
    below = (path for path in _files(root) if path.name == INTERVALS)
    return next(below, beside if beside.is_file() else None)


def _files(root: str | Path) -> Iterator[Path]:
    """The files in `root` and below, sorted; hidden folders are left out."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:  # a link to a folder above would lead round and round
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        yield from (Path(folder, name) for name in sorted(names))
