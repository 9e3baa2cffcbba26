"""What a LeRobot data set says of itself: its cameras, episodes and files."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from svg_pyro.data.robots.cameras import Size
from svg_pyro.data.robots.parquet import read_table
from svg_pyro.errors import DataError
from svg_pyro.util.files import read_regular
from svg_pyro.util.words import one_line, shown

INFO = "meta/info.json"
_EPISODES = "meta/episodes.jsonl"  # of versions 2; a folder of tables in version 3
_MOST = 10**12  # episodes, and frames of one
_BY_EPISODE = ("v2.0", "v2.1")
_BY_CHUNK = ("v3.0",)
_ACTIONS = ("action", "actions")
_STATES = ("observation.state", "state")


@dataclass(frozen=True)
class Info:
    """The file ``meta/info.json``.

    Attributes
    ----------
    root : Path
        Folder of the data set.
    version : str
        "v2.0", "v2.1" or "v3.0".
    fps : float
        Frames per second.
    cameras : dict of str to Size
        Height, width and channels of each camera's pictures.
    films : frozenset of str
        Cameras whose pictures are in videos; those of the others are in the tables.
    widths : dict of str to int
        Numbers in a row of each column of actions or states.
    content : dict of str to Any
        The file.
    """

    root: Path
    version: str
    fps: float
    cameras: dict[str, Size]
    films: frozenset[str]
    widths: dict[str, int]
    content: dict[str, Any] = field(repr=False)

    @property
    def action_key(self) -> str | None:
        """The column of actions."""
        return next((key for key in _ACTIONS if key in self.widths), None)

    @property
    def state_key(self) -> str | None:
        """The column of the robot's states."""
        return next((key for key in _STATES if key in self.widths), None)

    def file(self, template: str, **numbers: object) -> Path:
        """The file that a template of ``info.json`` names.

        Parameters
        ----------
        template : str
            "data_path" or "video_path".
        **numbers
            What is put into it.

        Raises
        ------
        DataError
            The template is missing or asks for something else.
        """
        try:
            return self.root / str(self.content[template]).format(**numbers)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise DataError(
                f"{self.root / INFO}: its {template} cannot be filled in "
                f"({one_line(repr(error))})"
            ) from None


@dataclass(frozen=True)
class Film:
    """Where an episode lies in a video file.

    Attributes
    ----------
    path : Path
        The file.
    start : float
        Seconds in the file at which the episode begins.
    stop : float or None
        Seconds at which it ends; None where the whole file is the episode.
    """

    path: Path
    start: float = 0.0
    stop: float | None = None


@dataclass(frozen=True)
class Entry:
    """One episode, as the data set lists it.

    Attributes
    ----------
    index : int
        Its number.
    length : int
        Its frames.
    table : Path
        The Parquet file of its rows.
    films : dict of str to Film
        Its videos, by camera.
    """

    index: int
    length: int
    table: Path
    films: dict[str, Film]


def is_lerobot(root: Path) -> bool:
    """Whether a folder looks like a LeRobot data set."""
    try:
        return "codebase_version" in json.loads(read_regular(root / INFO))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def read_info(root: Path) -> Info:
    """Read and check ``meta/info.json``.

    Parameters
    ----------
    root : Path
        Folder of the data set.

    Raises
    ------
    DataError
        The file is missing, is no JSON, of an unknown version, or lacks something.
    """
    path = root / INFO
    try:
        content = json.loads(read_regular(path))
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror}; give the folder of a LeRobot data set"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON ({one_line(error)})") from None
    version = content.get("codebase_version") if isinstance(content, dict) else None
    if version not in (*_BY_EPISODE, *_BY_CHUNK):
        raise DataError(
            f"{path}: codebase_version is {shown(version)}; "
            f"{', '.join((*_BY_EPISODE, *_BY_CHUNK))} are read; convert it with the "
            "lerobot package"
        )
    features, fps = content.get("features"), content.get("fps")
    if not isinstance(features, dict):
        raise DataError(f"{path}: has no features")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < 1e6:
        raise DataError(f"{path}: fps is {shown(fps)}; it should be a number above 0")
    shapes = {key: _shape(path, key, of) for key, of in features.items()}
    kinds = {key: of.get("dtype") for key, of in features.items()}
    return Info(
        root,
        version,
        float(fps),
        cameras={
            key: _size(path, key, shapes[key], features[key].get("names"))
            for key, kind in kinds.items()
            if kind in ("video", "image")
        },
        films=frozenset(key for key, kind in kinds.items() if kind == "video"),
        widths={
            key: math.prod(shapes[key])
            for key in (*_ACTIONS, *_STATES)
            if key in features
        },
        content=content,
    )


def _shape(path: Path, key: str, feature: object) -> tuple[int, ...]:
    shape = feature.get("shape") if isinstance(feature, dict) else None
    if not isinstance(shape, list) or not all(isinstance(n, int) for n in shape):
        raise DataError(f"{path}: feature {shown(key)} has the shape {one_line(shape)}")
    return tuple(shape)


def _size(path: Path, key: str, shape: tuple[int, ...], names: object) -> Size:
    """Height, width and channels: by the axes' names, else by the number of them."""
    if len(shape) != 3:
        raise DataError(
            f"{path}: camera {shown(key)} has the shape {one_line(list(shape))}"
        )
    first = [str(name)[:1].lower() for name in names] if isinstance(names, list) else []
    if sorted(first) in (["c", "h", "w"], ["h", "r", "w"]):  # "rgb" is a name too
        of = dict(zip(first, shape, strict=True))
        return of["h"], of["w"], of.get("c", of.get("r", 0))
    if shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4):
        return shape[1], shape[2], shape[0]
    return shape[0], shape[1], shape[2]


def read_entries(info: Info) -> list[Entry]:
    """The episodes of a data set, by their numbers.

    Parameters
    ----------
    info : Info
        Of `read_info`.

    Raises
    ------
    DataError
        The list is missing, cannot be read, or is not as long as ``info.json`` says.
    """
    by_episode = info.version in _BY_EPISODE
    entries = _listed_in_lines(info) if by_episode else _listed_in_tables(info)
    promised = info.content.get("total_episodes", len(entries))
    if promised != len(entries):
        place = info.root / (_EPISODES if by_episode else "meta/episodes")
        raise DataError(
            f"{place}: lists {len(entries)} episodes, and info.json promises "
            f"{shown(promised)}; a part of the data set is missing"
        )
    if not entries:
        raise DataError(f"{info.root}: holds no episode")
    return sorted(entries, key=lambda entry: entry.index)


def _listed_in_lines(info: Info) -> list[Entry]:
    path = info.root / _EPISODES
    try:
        lines = read_regular(path).decode("utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
        return [
            _entry_of_a_line(info, int(r["episode_index"]), int(r["length"]))
            for r in rows
        ]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path}: cannot be understood ({one_line(repr(error))})"
        ) from None


def _entry_of_a_line(info: Info, index: int, length: int) -> Entry:
    if not (0 <= index < _MOST and 0 <= length < _MOST):
        raise DataError(
            f"{info.root / _EPISODES}: an episode of the index {shown(index)} and the "
            f"length {shown(length)} cannot be right"
        )
    per_chunk = info.content.get("chunks_size", 1000)
    if not isinstance(per_chunk, int) or per_chunk < 1:
        raise DataError(f"{info.root / INFO}: chunks_size is {shown(per_chunk)}")
    numbers = {"episode_chunk": index // per_chunk, "episode_index": index}
    films = {
        key: Film(info.file("video_path", video_key=key, **numbers))
        for key in info.films
    }
    return Entry(index, length, info.file("data_path", **numbers), films)


def _listed_in_tables(info: Info) -> list[Entry]:
    folder = info.root / "meta" / "episodes"
    paths = sorted(folder.glob("*/*.parquet"))
    if not paths:
        raise DataError(f"{folder}: holds no table of episodes (chunk-*/file-*)")
    entries = []
    for path in paths:
        # Statistics are most of the table.
        table = read_table(path, lambda name: not name.startswith("stats/"))
        for row in table.to_pylist():
            try:
                entries.append(_entry_of_a_row(info, row))
            except DataError:
                raise
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"{path}: episode {row.get('episode_index')} cannot be understood "
                    f"({one_line(repr(error))})"
                ) from None
    return entries


def _entry_of_a_row(info: Info, row: Mapping[str, Any]) -> Entry:
    table = info.file(
        "data_path",
        chunk_index=row["data/chunk_index"],
        file_index=row["data/file_index"],
    )
    films = {}
    for key in info.films:
        at = f"videos/{key}"
        if row[f"{at}/chunk_index"] is None:
            continue  # this camera did not film this episode
        path = info.file(
            "video_path",
            video_key=key,
            chunk_index=int(row[f"{at}/chunk_index"]),
            file_index=int(row[f"{at}/file_index"]),
        )
        start, stop = (float(row[f"{at}/{k}_timestamp"]) for k in ("from", "to"))
        films[key] = Film(path, start, stop)
    return Entry(int(row["episode_index"]), int(row["length"]), table, films)
