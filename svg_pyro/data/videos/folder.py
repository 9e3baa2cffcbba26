"""A user's own videos: any folder of them, split by file."""

import functools
import hashlib
from pathlib import Path

from svg_pyro.data.robots.kinds import refuse_robot_data
from svg_pyro.data.videos.decode import Source
from svg_pyro.data.videos.frame_store import FrameStore, report_skipped
from svg_pyro.data.videos.published_split import published_split
from svg_pyro.data.videos.search import find_sources, identity_of
from svg_pyro.data.videos.segments import Segment, SegmentClips, check_lengths
from svg_pyro.errors import DataError
from svg_pyro.util.reports import report_once

SPLITS = ("train", "test")
# Of a single video's frames; the rest is the gap between them.
_TRAIN_SHARE, _TEST_SHARE = 0.75, 0.2


class VideoFolder(SegmentClips):
    """Clips of the videos in a folder, or in one file of several videos.

    A folder that comes with parts for training and for testing (see
    `svg_pyro.data.videos.published_split`) is divided by them, which is said once.
    Else the videos are split by file: those whose names' SHA-256 come first are the
    test split, so that train and test never share a video, and that a file that is
    added moves few others. A single video is split in time: of its frames the first
    75 % are trained on and the last 20 % tested on, which is said once. Each video is
    decoded once into `cache`. What is broken or too short is left out and listed once
    on standard error.

    Parameters
    ----------
    path : str or Path
        A folder, searched with those below it (see `find_sources`), or a file.
    split : str
        "train" (windows at random places) or "test" (windows one after another).
    n_frames : int
        Frames in a clip.
    image_size : int
        Height and width of a frame in pixels.
    channels : int
        1 (grey) or 3 (RGB).
    cache : str or Path
        Folder of a `FrameStore`.
    stride : int
        Frames of the video from one frame of a clip to the next.
    min_frames : int, optional
        Fewest frames of a clip: videos shorter than a clip of `n_frames`, but not than
        one of so many, give shorter ones. Without it they are left out.
    fit : str
        "crop", "letterbox" or "stretch", see `decode`.
    layout : str, optional
        Of arrays, see `find_sources`.
    seed : int
        Draws the windows of the train split, together with epoch and index.
    test_fraction : float
        Part of the videos that is the test split, above 0 and below 1; it has at
        least one. Not of a folder that comes divided.
    test_path : str or Path, optional
        Videos of the test split. Then those in `path` are not split; any that are
        in both are tested on only.

    Raises
    ------
    DataError
        There is no video, none can be read, none is long enough (of a single one, the
        part that is tested on), or an argument is out of its range; or the folder is a
        data set of robots, which has its own class.
    """

    def __init__(
        self,
        path: str | Path,
        split: str,
        n_frames: int,
        *,
        image_size: int,
        channels: int,
        cache: str | Path,
        stride: int = 1,
        min_frames: int | None = None,
        fit: str = "crop",
        layout: str | None = None,
        seed: int = 0,
        test_fraction: float = 0.1,
        test_path: str | Path | None = None,
    ) -> None:
        if split not in SPLITS:
            raise DataError(f"unknown split {split!r}; there are 'train' and 'test'")
        if not 0 < test_fraction < 1:
            raise DataError(f"test_fraction is {test_fraction}; give 0 < fraction < 1")
        check_lengths(n_frames, stride, min_frames)
        self.split = split
        for place in (path, test_path):
            if place is not None:
                refuse_robot_data(place)
        store = FrameStore(cache, image_size, channels, fit)
        sources, alone = _divided(
            store, (path, test_path), split, layout=layout, test_fraction=test_fraction
        )
        segments = [
            Segment(source, start, stop)
            for source in sources
            for start, stop in store.stretches(source)
        ]
        if alone:
            segments = _part_in_time(segments, split, (n_frames - 1) * stride + 1)
        random = split == "train"
        super().__init__(
            store,
            segments,
            n_frames,
            stride=stride,
            min_frames=min_frames,
            random=random,
            seed=seed,
        )
        self._report_too_short(len(segments))

    def _report_too_short(self, total: int) -> None:
        if self.too_short:
            head = (
                f"left out {len(self.too_short)} of {total} {self.split} videos, too "
                f"short for a clip of {self.min_frames or self.n_frames} frames at "
                f"stride {self.stride}:"
            )
            rows = [
                f"{s.source.name}: {len(s)} of {self.least_span}"
                for s in self.too_short
            ]
            report_once("\n  ".join([head, *rows]))


def _divided(
    store: FrameStore,
    places: tuple[str | Path, str | Path | None],
    split: str,
    *,
    layout: str | None,
    test_fraction: float,
) -> tuple[list[Source], bool]:
    """The readable videos of a split, and whether a single one is to be cut in time."""
    path, test_path = places
    if test_path is not None:
        own = path if split == "train" else test_path
        sources = find_sources(own, layout=layout)
        if split == "train":
            sources = _without(sources, find_sources(test_path, layout=layout), path)
        return _readable(store, own, sources), False
    found = find_sources(path, layout=layout)
    published = published_split(Path(path).absolute(), found)
    if published is not None:
        report_once(published.words)
        found = published.train if split == "train" else published.test
        return _readable(store, path, found), False
    sources = _readable(store, path, found)
    if len(sources) == 1:
        return sources, True
    return _part(path, sources, split, test_fraction), False


def _readable(
    store: FrameStore, path: str | Path, sources: list[Source]
) -> list[Source]:
    """The sources that the store has taken; the others are reported."""
    skipped = store.add(sources)
    if len(skipped) == len(sources):
        first = next(iter(skipped.values()))
        if len(sources) == 1:
            raise DataError(first)
        raise DataError(
            f"{Path(path).absolute()}: none of its {len(sources)} videos can be read; "
            f"the first: {first}"
        )
    report_skipped(skipped, len(sources))
    return [source for source in sources if source not in skipped]


def _part(
    path: str | Path, sources: list[Source], split: str, fraction: float
) -> list[Source]:
    """The sources of a split, in the order of their digests."""
    drawn = sorted(sources, key=functools.partial(_digest, Path(path).absolute()))
    n_test = min(max(1, round(fraction * len(drawn))), len(drawn) - 1)
    return drawn[:n_test] if split == "test" else drawn[n_test:]


def _part_in_time(video: list[Segment], split: str, span: int) -> list[Segment]:
    """What of the stretches of a single video is a split's, whatever a clip's span.

    Between the two lies a gap, so that the last training frames are not the context of
    the first test clip.
    """
    name, count = video[-1].source.name, video[-1].stop
    kept = round(_TEST_SHARE * count)
    if kept < span:
        raise DataError(
            f"{name}: is the only video, and the {_TEST_SHARE:.0%} of its {count} "
            f"frames that are kept for testing are {kept}; a clip takes {span}: give a "
            "longer video, shorter clips, or others to test on (test_path)"
        )
    report_once(
        f"{name}: is the only video, so it is split in time: the first "
        f"{_TRAIN_SHARE:.0%} of its {count} frames are trained on, the last "
        f"{_TEST_SHARE:.0%} tested on; other videos may be harder than its own end"
    )
    first, last = 0, round(_TRAIN_SHARE * count)
    if split == "test":
        first, last = count - kept, count
    cut = [Segment(s.source, max(s.start, first), min(s.stop, last)) for s in video]
    return [segment for segment in cut if segment.start < segment.stop]


def _digest(root: Path, source: Source) -> bytes:
    """A number drawn by a video's name below the folder."""
    name = source.path.relative_to(root).as_posix(), source.member, source.number
    return hashlib.sha256(repr(name).encode()).digest()


def _without(
    sources: list[Source], others: list[Source], path: str | Path
) -> list[Source]:
    """The sources that are not among `others`, under whatever name."""
    taken = {identity_of(source.path) for source in others if source.path.exists()}
    rest = [
        s for s in sources if not s.path.exists() or identity_of(s.path) not in taken
    ]
    if not rest:
        raise DataError(f"{path}: every video in it is also in the test data")
    if len(rest) < len(sources):
        report_once(
            f"{path}: {len(sources) - len(rest)} of {len(sources)} videos are in the "
            "test data, and not trained on"
        )
    return rest
