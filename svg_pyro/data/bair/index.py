"""Where each frame, action and position of a BAIR file lies: its index."""

import hashlib
import os
import re
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from svg_pyro.data.bair.tfrecord import (
    check_record,
    open_buffer,
    read_features,
    scan_records,
)
from svg_pyro.errors import DataError
from svg_pyro.util.files import written_beside

_FRAME_BYTES = 64 * 64 * 3
_FLOATS = {"action": 4, "endeffector_pos": 3}
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


def load(path, camera, cache=None):
    """The index of one file, from `cache` where it is there and up to date.

    Parameters
    ----------
    path : Path
    camera : str
    cache : str or Path, optional
        Folder of saved indexes, made where it does not exist.

    Returns
    -------
    Index

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


def build(path, camera):
    """Read one file from end to end and note where everything lies.

    Returns
    -------
    Index

    Raises
    ------
    DataError
        As `load`.
    """
    buffer = open_buffer(path)
    rows = []
    for number, record in enumerate(scan_records(buffer, path)):
        features = read_features(buffer, record, number, path)
        try:
            rows.append(_index_record(features, camera, f"{path}, record {number}"))
        except DataError:
            check_record(
                buffer, record, number, path
            )  # corruption is the better reason
            raise
    return join(rows)


def join(parts):
    """One index of several, one after the other.

    Parameters
    ----------
    parts : sequence of Index

    Returns
    -------
    Index
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


def _index_record(features, camera, where):
    """The index of one record, one row."""
    image = []
    while (span := features.get(f"{len(image)}/image_{camera}/encoded")) is not None:
        if span.kind != "bytes" or span.length != _FRAME_BYTES:
            raise DataError(
                f"{where}: image {len(image)} of camera {camera} has {span.length} bytes, not "
                f"{_FRAME_BYTES} (64 x 64 x 3); give the BAIR set of raw 64x64 frames"
            )
        image.append(span.offset)
    if not image:
        raise DataError(_no_camera(features, camera, where))
    columns = {"counts": np.array([len(image)]), "image": np.array([image])}
    for key, size in _FLOATS.items():
        offsets, strides = [], []
        for t in range(len(image)):
            span = features.get(f"{t}/{key}")
            good = (
                span is not None
                and span.kind.startswith("float")
                and span.length == 4 * size
            )
            offsets.append(span.offset if good else -1)
            strides.append(span.stride if good else -1)
        columns[key] = np.array([offsets])
        columns[key + "_stride"] = np.array([strides], np.int8)
    return Index(**columns)


def _no_camera(features, camera, where):
    names = [re.fullmatch(r"0/image_(.+)/encoded", key) for key in features]
    there = ", ".join(sorted(n[1] for n in names if n))
    if there:
        return f"{where}: holds no images of camera {camera!r}; there are: {there}"
    return (
        f"{where}: holds no images (looked for 0/image_{camera}/encoded); give a folder of "
        "the BAIR data set"
    )


def _cache_name(path, camera):
    state = os.stat(path)
    key = f"{_VERSION}/{path.parent.name}/{path.name}/{state.st_size}/{state.st_mtime_ns}/{camera}"
    return f"{path.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"


def _save(index, saved):
    with written_beside(saved) as beside:
        np.savez(beside, **vars(index))
