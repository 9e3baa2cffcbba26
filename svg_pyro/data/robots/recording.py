"""What a robot's recording consists of, whatever files it is in."""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svg_pyro.data.robots.cameras import Size
from svg_pyro.data.videos.decode import Source
from svg_pyro.errors import DataError


@dataclass(frozen=True)
class Track:
    """The numbers of one episode, a row for each frame.

    Attributes
    ----------
    length : int
        Frames of the episode.
    actions : numpy.ndarray or None
        float32, shape ``(L, A)``: row t is what the robot was told at frame t, it
        leads to frame t + 1. None where there are none, or none are asked for.
    states : numpy.ndarray or None
        float32, shape ``(L, S)``: where the robot was at frame t.
    times : numpy.ndarray or None
        Seconds from the episode's begin, shape ``(L,)``, where the recording has them.
    first_row, table_rows : int
        Row of frame 0 in the table of the numbers, and rows of that table.
    """

    length: int
    actions: np.ndarray | None = None
    states: np.ndarray | None = None
    times: np.ndarray | None = None
    first_row: int = 0
    table_rows: int = 0


@dataclass(frozen=True)
class Place:
    """Where one camera's video of an episode is.

    Attributes
    ----------
    source : Source
        Holds it, perhaps beside other episodes.
    start : int
        Its first frame there.
    total : int
        Frames that the source must have, this episode's and others'. Were one of them
        lost, the numbers of all after it would be another frame's.
    """

    source: Source
    start: int
    total: int


class Recording(abc.ABC):
    """The episodes of a data set of robots, in whatever files.

    Attributes
    ----------
    root : Path
        Where the data set is.
    cameras : mapping of str to Size
        Height, width and channels of each camera's pictures, by its name.
    action_dim, state_dim : int
        Numbers in a row of actions and of states; 0 where there are none.
    fps : float or None
        Frames per second, where the data set says so.
    """

    root: Path
    cameras: Mapping[str, Size]
    action_dim: int = 0
    state_dim: int = 0
    fps: float | None = None

    @abc.abstractmethod
    def episodes(self) -> list[str]:
        """The episodes by name, such as "episode 3"."""

    @abc.abstractmethod
    def tracks(self, episodes: Sequence[str], *, actions: bool) -> dict[str, Track]:
        """The numbers of some episodes.

        Parameters
        ----------
        episodes : sequence of str
            Some of `episodes`.
        actions : bool
            Whether actions are read, and refused where one is not finite.

        Raises
        ------
        DataError
            A file is missing or broken, or an action is not finite.
        """

    @abc.abstractmethod
    def place(self, episode: str, camera: str, track: Track) -> Place:
        """Where the video of an episode is.

        Raises
        ------
        DataError
            It is missing, or its frames are not those of the track.
        """


def check_finite(actions: np.ndarray, where: str) -> None:
    """Refuse actions that are no numbers.

    Parameters
    ----------
    actions : numpy.ndarray
        Shape ``(L, A)``.
    where : str
        The episode, for the message.

    Raises
    ------
    DataError
        One is infinite or NaN.
    """
    good = np.isfinite(actions).all(1)
    if not good.all():
        raise DataError(
            f"{where}, frame {int(np.argmin(good))}: its action is not finite "
            f"({actions[np.argmin(good)].tolist()})",
            advice=("actions",),
        )
