"""Clips of a robot's episodes: the split, the videos, and the numbers that go along."""

import abc
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from svg_pyro.data.robots.cameras import choose_cameras
from svg_pyro.data.robots.recording import Place, Recording, Track
from svg_pyro.data.videos.frame_store import FrameStore
from svg_pyro.data.videos.segments import Segment, SegmentClips, check_lengths
from svg_pyro.errors import DataError
from svg_pyro.util.reports import report_once

SPLITS = ("train", "test")
FRAMES = "runs/frames"  # where decoded frames are kept, as the commands have it


class RobotClips(SegmentClips):
    """Clips of what a robot's camera has seen, with the robot's actions and states.

    Episodes are split, not files: those whose names' SHA-256 come first are the test
    split, and all cameras of an episode are on its side. A clip lies within an episode.
    Each video is decoded once into `cache`.

    Parameters
    ----------
    root : str or Path
        The data set.
    split : str
        "train" (windows at random places) or "test" (windows one after another).
    n_frames : int
        Frames in a clip.
    camera : str or sequence of str, optional
        The camera, by its name or the last part of it; of several cameras each is a
        video of its own. Without it the first one.
    image_size : int
        Height and width of a frame in pixels.
    channels : int
        1 (grey) or 3 (RGB).
    cache : str or Path
        Folder of a `FrameStore`.
    stride : int
        Frames of the video from one frame of a clip to the next.
    fit : str
        "crop", "letterbox" or "stretch", see `svg_pyro.data.videos.decode.decode`.
    seed : int
        Draws the windows of the train split, together with epoch and index.
    test_fraction : float
        Part of the episodes that is the test split, above 0 and below 1; it has at
        least one.
    actions : bool, optional
        True refuses data without actions, False does not read them. Without it those
        are read that are there.

    Attributes
    ----------
    action_dim, state_dim : int
        Numbers in a row of `actions` and of `states`; 0 where there are none.
    fps : float or None
        Frames per second of the recording, where it says so.
    cameras : tuple of str
        Full names of the cameras that are read.
    camera_sizes : dict of str to tuple
        Height, width and channels of every camera of the recording.

    Raises
    ------
    DataError
        There is no such data set, its version is unknown, a file is missing or broken;
        the frames of a video are not as many as the rows beside it, or not shown at
        their times; an action is not finite; there is no such camera, or there are no
        actions and `actions` is True; no episode is long enough, there is one
        only, or an argument is out of its range.
    """

    action_dim: int = 0

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        n_frames: int = 12,
        *,
        camera: str | Sequence[str] | None = None,
        image_size: int = 64,
        channels: int = 3,
        cache: str | Path = FRAMES,
        stride: int = 1,
        fit: str = "crop",
        seed: int = 0,
        test_fraction: float = 0.1,
        actions: bool | None = None,
    ) -> None:
        check_lengths(n_frames, stride, None)
        recording = self._open(Path(root).absolute())
        if actions and not recording.action_dim:
            raise DataError(
                f"{recording.root}: holds no actions; read its videos without them",
                advice=("actions",),
            )
        episodes = _part(recording, split, test_fraction)
        self.split, self._root = split, recording.root
        self.cameras = choose_cameras(camera, recording.cameras, recording.root)
        self.camera_sizes = dict(recording.cameras)
        self.fps, self.state_dim = recording.fps, recording.state_dim
        self.action_dim = 0 if actions is False else recording.action_dim
        tracks = recording.tracks(episodes, actions=self.action_dim > 0)
        places = {
            (episode, camera): recording.place(episode, camera, track)
            for episode, track in tracks.items()
            for camera in self.cameras
        }
        store = FrameStore(cache, image_size, channels, fit)
        _decode(store, places)
        self._owners: dict[Segment, tuple[str, str, Track]] = {}
        for (episode, name), place in places.items():
            segment = _segment(store, place, tracks[episode].length, f"{episode}")
            self._owners[segment] = episode, name, tracks[episode]
        super().__init__(
            store,
            list(self._owners),
            n_frames,
            stride=stride,
            random=split == "train",
            seed=seed,
        )
        self._report_too_short(len(self._owners))

    @staticmethod
    @abc.abstractmethod
    def _open(root: Path) -> Recording:
        """The recording in a folder or file."""

    def name(self, index: int) -> str:
        """The episode, the camera and the frames of the item's window or episode."""
        segment, _ = self.window(index)
        episode, camera, _ = self._owners[segment]
        frames = super().name(index).rpartition(", ")[2]
        return f"{self._root}, {episode}, {camera}, {frames} of its video"

    def actions(self, index: int, epoch: int = 0) -> torch.Tensor:
        """What the robot was told in a clip.

        Parameters
        ----------
        index, epoch : int
            As in `clip`, whose window this is.

        Returns
        -------
        torch.Tensor
            float32, shape ``(T - 1, A)``, in the data set's own units: row i is the
            action that was sent at frame i, it leads to frame i + 1. At a stride of s
            it is the first of the s actions on the way.

        Raises
        ------
        DataError
            There are no actions, or none were asked for.
        """
        values, rows = self._rows(index, epoch)
        if values.actions is None:
            raise DataError(
                f"{self._root}: holds no actions, or they were not asked for; ask for "
                "them where it is opened (actions)",
                advice=("actions",),
            )
        return torch.from_numpy(values.actions[rows[:-1]])

    def states(self, index: int, epoch: int = 0) -> torch.Tensor:
        """Where the robot was in a clip.

        Parameters
        ----------
        index, epoch : int
            As in `clip`, whose window this is.

        Returns
        -------
        torch.Tensor
            float32, shape ``(T, S)``, in the data set's own units.

        Raises
        ------
        DataError
            The data set holds no states.
        """
        values, rows = self._rows(index, epoch)
        if values.states is None:
            raise DataError(f"{self._root}: holds no states of the robot")
        return torch.from_numpy(values.states[rows])

    def _rows(self, index: int, epoch: int) -> tuple[Track, np.ndarray]:
        """The numbers of an item's episode, and the rows of its window."""
        segment, start = self.window(index, epoch)
        steps = np.arange(self.n_frames) * self.stride
        return self._owners[segment][2], start - segment.start + steps

    def _report_too_short(self, total: int) -> None:
        if self.too_short:
            shortest = min(self.too_short, key=len)
            report_once(
                f"{self._root}: left out {len(self.too_short)} of {total} {self.split} "
                f"videos, too short for a clip of {self.n_frames} frames at stride "
                f"{self.stride} ({self.span}): the shortest, "
                f"{self._owners[shortest][0]}, has {len(shortest)}"
            )


def _part(recording: Recording, split: str, fraction: float) -> list[str]:
    """The episodes of a split, in the recording's order."""
    if split not in SPLITS:
        raise DataError(f"unknown split {split!r}; there are 'train' and 'test'")
    if not 0 < fraction < 1:
        raise DataError(f"test_fraction is {fraction}; give 0 < fraction < 1")
    names = recording.episodes()
    if len(names) == 1:
        raise DataError(
            f"{recording.root}: holds one episode, and train and test must not share "
            "one"
        )
    drawn = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    test = set(drawn[: min(max(1, round(fraction * len(drawn))), len(drawn) - 1)])
    return [name for name in names if (name in test) == (split == "test")]


def _decode(store: FrameStore, places: Mapping[tuple[str, str], Place]) -> None:
    sources = list(dict.fromkeys(place.source for place in places.values()))
    broken = store.add(sources)
    if broken:
        raise DataError(next(iter(broken.values())))


def _segment(store: FrameStore, place: Place, length: int, episode: str) -> Segment:
    """The frames of an episode, if the decoded video has them."""
    count = store.count(place.source)
    if count != place.total:
        raise DataError(
            f"{place.source.name}: {count} frames can be read, and {place.total} "
            f"should be there, {episode} among them; one of the two is cut short"
        )
    return Segment(place.source, place.start, place.start + length)
