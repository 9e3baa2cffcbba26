"""The published files of the KTH actions, and the intervals with somebody in them."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from svg_pyro.data.videos.decode import Source
from svg_pyro.data.videos.frame_store import FrameStore
from svg_pyro.errors import DataError
from svg_pyro.util.reports import report_once

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
INTERVALS = "00sequences.txt"
_FILE = re.compile(rf"person(\d\d)_({'|'.join(ACTIONS)})_d(\d)_uncomp\.avi")
_LINE = re.compile(r"\s*(person\d+_[a-z]+_d\d+)(.*)")
_FRAMES = re.compile(r"\s+frames\s+(\d+\s*-\s*\d+\s*(,\s*\d+\s*-\s*\d+\s*)*),?\s*")
# What to do where there is none, in words and by the settings that mend it.
HELP = (
    "fetch them with svg_pyro.data.download_kth, give another folder, "
    "or read videos of your own, with svg_pyro.data.VideoFolder"
)
ADVICE = ("download", "root")


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


class Interval(NamedTuple):
    """A stretch of a video in which clips may lie.

    Attributes
    ----------
    video : Video
        Whose frames they are.
    number : int
        Of the video's intervals, counted from 0.
    start, stop : int
        Its frames are ``start <= t < stop``, counted from 0.
    """

    video: Video
    number: int
    start: int
    stop: int


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


def videos_of(
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
            f"the like, there and below); {HELP}",
            advice=ADVICE,
        )
    raise DataError(
        f"{root}: holds {len(published)} KTH videos, none of them of "
        f"{'/'.join(actions)} by persons {min(persons)} to {max(persons)} (looked for "
        f"person{min(persons):02d}_{actions[0]}_d1_uncomp.avi and the like); {HELP}",
        advice=ADVICE,
    )


def intervals_of(
    root: str | Path, videos: list[Video], store: FrameStore
) -> list[Interval]:
    """The intervals of some videos that a store has taken, in which clips may lie."""
    path = _intervals_file(root)
    intervals: list[Interval] = []
    cut: list[str] = []
    listed = {} if path is None else read_intervals(path)
    for video in videos:
        count = store.count(video.source)
        pairs = listed.get(video.name, [(0, count)])
        for number, (start, stop) in enumerate(pairs):
            if stop > count:
                cut.append(f"{video.name} {start + 1}-{stop} (has {count} frames)")
            if start < count:
                intervals.append(Interval(video, number, start, min(stop, count)))
    bare = [v.name for v in videos if v.name not in listed]
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
    return intervals


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
