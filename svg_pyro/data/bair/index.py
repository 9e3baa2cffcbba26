"""Where each frame, action and position of a BAIR file lies: its index."""

import hashlib
import os
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from svg_pyro.data.bair.example_proto import Span
from svg_pyro.data.bair.tfrecord import (
    RecordFile,
    check_record,
    read_features,
    scan_records,
)
from svg_pyro.errors import DataError
from svg_pyro.util.files import written_beside

_FRAME_BYTES = 64 * 64 * 3
# Floats of each frame, and how many.
FLOATS = {"action": 4, "endeffector_pos": 3}
_VERSION = 1  # of the cached form


@dataclass
class Index:
    """Offsets from the start of the file, in bytes; -1 where there is none.

    All have shape ``(records, frames)``, but `counts` has ``(records,)``.
    """

    counts: np.ndarray  # int64, frames of each record
    image: np.ndarray  # int64
    action: np.ndarray  # int64
    action_stride: np.ndarray  # int8, from one float of a frame to the next
    endeffector_pos: np.ndarray  # int64
    endeffector_pos_stride: np.ndarray  # int8


def load(path: Path, camera: str, cache: str | Path | None = None) -> Index:
    """The index of one file, from `cache` where it is there and up to date.

    Parameters
    ----------
    path : Path
        The TFRecord file.
    camera : str
        Whose images are looked for, "aux1" or "main".
    cache : str or Path, optional
        Folder of saved indexes, made where it does not exist.

    Returns
    -------
    Index
        A row for each record.

    Raises
    ------
    DataError
        The file is truncated, corrupt, of another kind, or lacks the camera.
    """
    if cache is None:
        return build(path, camera)
    saved = Path(cache) / _cache_name(path, camera)
    try:
        with open(saved, "rb") as file, np.load(file) as arrays:
            return Index(**arrays)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
        pass  # none yet, or a broken one: make it
    index = build(path, camera)
    _save(index, saved)
    return index


def build(path: Path, camera: str) -> Index:
    """Read one file from end to end and note where everything lies.

    Parameters
    ----------
    path : Path
        The TFRecord file.
    camera : str
        Whose images are looked for, "aux1" or "main".

    Returns
    -------
    Index
        A row for each record.

    Raises
    ------
    DataError
        The file is truncated, corrupt, of another kind, or lacks the camera.
    """
    buffer = RecordFile(path)
    rows = []
    for number, record in enumerate(scan_records(buffer, path)):
        features = read_features(buffer, record, number, path)
        try:
            rows.append(_index_record(features, camera, f"{path}, record {number}"))
        except DataError:
            # Corruption is the better reason.
            check_record(buffer, record, number, path)
            raise
    return join(rows)


def join(parts: Sequence[Index]) -> Index:
    """One index of several, one after the other.

    Parameters
    ----------
    parts : sequence of Index
        Of files of one camera, at least one.

    Returns
    -------
    Index
        The rows of all of them.
    """
    width = max(p.image.shape[1] for p in parts)
    columns = {"counts": np.concatenate([p.counts for p in parts])}
    for name in (f.name for f in fields(Index) if f.name != "counts"):
        arrays = [getattr(p, name) for p in parts]
        columns[name] = np.concatenate(
            [
                np.pad(a, ((0, 0), (0, width - a.shape[1])), constant_values=-1)
                for a in arrays
            ]
            if any(a.shape[1] != width for a in arrays)
            else arrays
        )
    return Index(**columns)


def _index_record(features: dict[str, Span], camera: str, where: str) -> Index:
    """The index of one record, one row."""
    image: list[int] = []
    while (span := features.get(f"{len(image)}/image_{camera}/encoded")) is not None:
        if span.kind != "bytes" or span.length != _FRAME_BYTES:
            raise DataError(
                f"{where}: image {len(image)} of camera {camera} has {span.length} "
                f"bytes, not {_FRAME_BYTES} (64 x 64 x 3); give the BAIR set of raw "
                "64x64 frames"
            )
        image.append(span.offset)
    if not image:
        raise DataError(_no_camera(features, camera, where))
    columns = {"counts": np.array([len(image)]), "image": np.array([image])}
    for key, size in FLOATS.items():
        offsets, strides = [], []
        for t in range(len(image)):
            span = features.get(f"{t}/{key}")
            if span is None or span.length != 4 * size or span.kind[:5] != "float":
                span = Span(-1, 0, "none", -1)
            offsets.append(span.offset)
            strides.append(span.stride)
        columns[key] = np.array([offsets])
        columns[key + "_stride"] = np.array([strides], np.int8)
    return Index(**columns)


def _no_camera(features: dict[str, Span], camera: str, where: str) -> str:
    names = [re.fullmatch(r"0/image_(.+)/encoded", key) for key in features]
    there = ", ".join(sorted(n[1] for n in names if n))
    if there:
        return f"{where}: holds no images of camera {camera!r}; there are: {there}"
    return (
        f"{where}: holds no images (looked for 0/image_{camera}/encoded); give a "
        "folder of the BAIR data set"
    )


def _cache_name(path: Path, camera: str) -> str:
    state = os.stat(path)
    name = f"{path.parent.name}/{path.name}"
    key = f"{_VERSION}/{name}/{state.st_size}/{state.st_mtime_ns}/{camera}"
    return f"{path.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"


def _save(index: Index, saved: Path) -> None:
    with written_beside(saved) as beside:
        np.savez(beside, **vars(index))
