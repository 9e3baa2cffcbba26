"""LeRobot data sets, versions 2 and 3, read where they lie.

The format (https://github.com/huggingface/lerobot): ``meta/info.json`` describes the
data set; in version 2 each episode has a Parquet file and a video for each camera, in
version 3 many episodes share a file of either kind, and a table tells where each lies.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from svg_pyro.data.robots.episodes import RobotClips
from svg_pyro.data.robots.lerobot_meta import Entry, Info, read_entries, read_info
from svg_pyro.data.robots.parquet import numbers, read_table
from svg_pyro.data.robots.recording import Place, Recording, Track, check_finite
from svg_pyro.data.videos.decode import Source
from svg_pyro.errors import DataError
from svg_pyro.util.optional import need
from svg_pyro.util.words import shown


class LeRobot(RobotClips):
    """Clips of a LeRobot data set, versions 2.0, 2.1 and 3.0.

    Videos (mp4 of any codec that PyAV decodes, AV1 too) and images inside the tables
    are both read. A frame belongs to the row whose time it is shown at, to within half
    a frame; where episodes share a video, each is cut out by these times. Actions are
    the column "action" (or "actions"), states "observation.state" (or "state").

    Parameters, attributes and errors are those of
    `svg_pyro.data.robots.episodes.RobotClips`; `root` is the folder that holds
    ``meta/info.json``.
    """

    @staticmethod
    def _open(root: Path) -> Recording:
        return _LeRobotRecording(root)


class _LeRobotRecording(Recording):
    def __init__(self, root: Path) -> None:
        info = read_info(root)
        self._info, self.root, self.cameras = info, root, info.cameras
        self.fps = info.fps
        self.action_dim = info.widths.get(info.action_key or "", 0)
        self.state_dim = info.widths.get(info.state_key or "", 0)
        self._entries = {f"episode {e.index}": e for e in read_entries(info)}
        self._times: dict[Path, np.ndarray] = {}

    def episodes(self) -> list[str]:
        return list(self._entries)

    def tracks(self, episodes: Sequence[str], *, actions: bool) -> dict[str, Track]:
        tracks: dict[str, Track] = {}
        by_table: dict[Path, list[str]] = {}
        for name in episodes:
            by_table.setdefault(self._entries[name].table, []).append(name)
        for path, names in by_table.items():
            if not os.path.isfile(path):  # also of a name that no system takes
                raise _missing(path, names)
            rows = _Rows(path, self._info, actions=actions)
            tracks |= {name: rows.track(self._entries[name]) for name in names}
        return {name: tracks[name] for name in episodes}

    def place(self, episode: str, camera: str, track: Track) -> Place:
        entry = self._entries[episode]
        if camera not in self._info.films:
            # A whole table is decoded, of which the episode is some rows.
            source = Source(entry.table, "parquet", camera)
            return Place(source, track.first_row, track.table_rows)
        film = entry.films.get(camera)
        if film is None:
            raise DataError(f"{self.root}: camera {camera} has not filmed {episode}")
        if not os.path.isfile(film.path):
            raise _missing(film.path, [episode])
        if film.path not in self._times:
            need("av", "av", "reading videos")
            from svg_pyro.data.videos.film import frame_times

            self._times[film.path] = frame_times(film.path)
        times, half = self._times[film.path], 0.5 / self._info.fps
        stop = np.inf if film.stop is None else film.stop
        inside = (times >= film.start - half) & (times < stop - half)
        where = f"{film.path}: {episode}"
        if inside.sum() != track.length:
            raise DataError(
                f"{where} has {inside.sum()} frames there and {track.length} rows in "
                f"{entry.table}"
            )
        assert track.times is not None
        off = np.abs(times[inside] - film.start - track.times)
        good = off < half  # not where the time is NaN
        if not good.all():
            t = int(np.argmin(good))
            raise DataError(
                f"{where}, frame {t}: is shown {off[t]:.3f} s off the time of its row "
                f"in {entry.table}, at {self._info.fps:g} frames/s"
            )
        return Place(Source(film.path), int(np.argmax(inside)), len(times))


class _Rows:
    """The rows of one Parquet file, of all its episodes."""

    def __init__(self, path: Path, info: Info, *, actions: bool) -> None:
        self._path, self._info = path, info
        keys = {"actions": info.action_key if actions else None}
        self._keys = {**keys, "states": info.state_key}
        columns = {"episode_index", "frame_index", "timestamp", *self._keys.values()}
        table = read_table(path, columns.__contains__)
        self._episode = numbers(table, "episode_index", path).reshape(-1)
        # Some writers leave these out (NVIDIA's GR00T sets have no frame_index).
        self._frame = self._maybe(table, "frame_index")
        self._time = self._maybe(table, "timestamp")
        self._values = {
            name: self._of(table, key) for name, key in self._keys.items() if key
        }

    def track(self, entry: Entry) -> Track:
        """The numbers of an episode."""
        where = f"{self._path}: episode {entry.index}"
        rows = np.flatnonzero(self._episode == entry.index)
        if len(rows) != entry.length:
            raise DataError(
                f"{where} has {len(rows)} rows, and {shown(entry.length)} frames in "
                "the list of episodes"
            )
        if entry.length == 0:
            raise DataError(f"{where} is empty")
        first = int(rows[0])
        window = slice(first, first + entry.length)
        count = np.arange(entry.length)
        frame = count if self._frame is None else self._frame[window]
        if rows[-1] >= window.stop or (frame != count).any():
            raise DataError(f"{where}: its rows are not in the order of frame_index")
        times = count / self._info.fps if self._time is None else self._time[window]
        values = {name: value[window] for name, value in self._values.items()}
        actions = values.get("actions")
        if actions is not None:
            check_finite(actions, where)
        return Track(
            entry.length,
            actions,
            values.get("states"),
            times=times,
            first_row=first,
            table_rows=len(self._episode),
        )

    def _maybe(self, table: Any, key: str) -> np.ndarray | None:
        if key not in table.column_names:
            return None
        return numbers(table, key, self._path).reshape(-1).astype(np.float64)

    def _of(self, table: Any, key: str) -> np.ndarray:
        values = numbers(table, key, self._path).astype(np.float32)
        values = values.reshape(len(values), -1)
        if values.shape[1] != self._info.widths[key]:
            raise DataError(
                f"{self._path}: a row of {key!r} holds {values.shape[1]} numbers, and "
                f"info.json says {self._info.widths[key]}"
            )
        return values


def _missing(path: Path, names: Sequence[str]) -> DataError:
    more = f" and {len(names) - 1} others" if len(names) > 1 else ""
    return DataError(
        f"{path}: no such file, and {names[0]}{more} should be in it; fetch the data "
        "set again"
    )
