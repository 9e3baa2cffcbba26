"""Recordings of robots in plain HDF5 files."""

from collections.abc import Sequence
from pathlib import Path

from svg_pyro.data.robots.episodes import RobotClips
from svg_pyro.data.robots.hdf5_file import (
    LAYOUTS,
    Demo,
    demos_in,
    hdf5_files,
    rows_of,
)
from svg_pyro.data.robots.recording import Place, Recording, Track, check_finite
from svg_pyro.data.videos.decode import Source
from svg_pyro.errors import DataError


class RobotHDF5(RobotClips):
    """Clips of a robot's recordings in HDF5 files, of two layouts.

    - robomimic, and what builds on it: a file of many episodes, ``data/demo_N/obs/*``
      and ``data/demo_N/actions``. Cameras are the observations that are pictures; the
      state is the gripper's position, orientation and opening.
    - ALOHA: a file for each episode, ``observations/images/*`` and ``action``. The
      state is ``observations/qpos``.

    Pictures are uint8, ``(T, H, W, C)`` or ``(T, C, H, W)``, or encoded images, a row
    each; colours are taken as they are stored, RGB. Row t of the actions was sent at
    picture t.

    Parameters, attributes and errors are those of
    `svg_pyro.data.robots.episodes.RobotClips`; `root` is a folder that is searched
    for ``.hdf5`` and ``.h5`` files with those below it, or one file.
    """

    @staticmethod
    def _open(root: Path) -> Recording:
        return _HDF5Recording(root)


class _HDF5Recording(Recording):
    def __init__(self, root: Path) -> None:
        if not root.exists():
            raise DataError(f"{root}: no such file or folder")
        self.root = root
        self._demos: dict[str, Demo] = {}
        for path in hdf5_files(root):
            name = path.relative_to(root).as_posix() if path != root else path.name
            for demo in demos_in(path):
                self._demos[f"{name} {demo.group}".strip()] = demo
        if not self._demos:
            raise DataError(
                f"{root}: holds no HDF5 file with episodes; there are {LAYOUTS}"
            )
        first = next(iter(self._demos.values()))
        self.cameras = first.sizes
        self.action_dim, self.state_dim = first.widths
        for name, demo in self._demos.items():
            if demo.widths != first.widths:
                raise DataError(
                    f"{root}: {name} has {demo.widths[0]} numbers in an action and "
                    f"{demo.widths[1]} in a state, the first episode {first.widths[0]} "
                    f"and {first.widths[1]}; read those alike on their own"
                )

    def episodes(self) -> list[str]:
        return list(self._demos)

    def tracks(self, episodes: Sequence[str], *, actions: bool) -> dict[str, Track]:
        return {name: self._track(name, actions=actions) for name in episodes}

    def _track(self, name: str, *, actions: bool) -> Track:
        demo, action = self._demos[name], None
        if actions and demo.action is not None:
            action = rows_of(demo, (demo.action,))
            check_finite(action, f"{self.root}: {name}")
        states = rows_of(demo, demo.states) if demo.states else None
        return Track(demo.length, action, states)

    def place(self, episode: str, camera: str, track: Track) -> Place:
        demo = self._demos[episode]
        if camera not in demo.cameras:
            raise DataError(f"{self.root}: camera {camera} has not filmed {episode}")
        source = Source(demo.path, "hdf5", demo.cameras[camera])
        return Place(source, 0, track.length)
