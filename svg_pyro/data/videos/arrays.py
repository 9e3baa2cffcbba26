"""Videos in .npy and .npz files, read frame by frame and never unpickled."""

import contextlib
import functools
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from svg_pyro.errors import DataError

# What numpy's reading of a header raises, which evaluates it as Python.
_UNPARSABLE = (
    ValueError,
    SyntaxError,
    RecursionError,
    MemoryError,
    OverflowError,
    TypeError,
    NotImplementedError,
    tokenize.TokenError,
)
_SHAPES = "(T, H, W), (T, H, W, C), (N, T, H, W) or (N, T, H, W, C) with C = 1, 3 or 4"


def videos_in(path: Path) -> list[tuple[str | None, int | None]]:
    """The videos of an array file.

    Parameters
    ----------
    path : Path
        A .npy file, or an .npz file of any number of arrays.

    Returns
    -------
    list of (str or None, int or None)
        The array's file in an .npz archive, and the video's number in an array of
        several. An array that cannot be read is listed as if it held one video;
        `array_frames` says what is wrong with it.
    """
    members: list[str | None] = [None]
    if path.suffix.lower() == ".npz":
        try:
            with zipfile.ZipFile(path) as archive:
                members = [*sorted(archive.namelist())] or members
        except (OSError, zipfile.BadZipFile):
            return [(None, None)]
    places: list[tuple[str | None, int | None]] = []
    numbers: Iterable[int | None]
    for member in members:
        try:
            with _Array(path, member) as array:
                numbers = range(array.shape[0]) if array.several else [None]
        except (DataError, OSError, EOFError, zipfile.BadZipFile, zlib.error):
            numbers = [None]
        places += [(member, number) for number in numbers]
    return places


def array_frames(
    path: Path, member: str | None, number: int | None
) -> Iterator[np.ndarray]:
    """Frames of one video, one after the other.

    Parameters
    ----------
    path : Path
        The .npy or .npz file.
    member : str or None
        The array's file in an .npz archive.
    number : int or None
        The video in an array of several.

    Yields
    ------
    numpy.ndarray
        uint8, shape ``(H, W, C)``, C in 1, 3, 4; values 0 to 255.

    Raises
    ------
    DataError
        The array is not uint8, has another rank, or is shorter than it says.
    """
    array = _open(path, member, path.stat().st_mtime_ns)
    for t in range(array.shape[1]):
        yield array.frame(number or 0, t)


class _Array:
    """A uint8 array of shape ``(N, T, H, W, C)`` in an open file."""

    _opened = contextlib.ExitStack()
    _file: IO[bytes]

    def __init__(self, path: Path, member: str | None) -> None:
        with contextlib.ExitStack() as opened:
            if member is None:
                self._file = opened.enter_context(open(path, "rb"))
            else:
                archive = opened.enter_context(zipfile.ZipFile(path))
                self._file = opened.enter_context(_member(archive, member))
            shape, fortran_order, dtype = _header(self._file)
            self.shape = _video_shape(shape, fortran_order, dtype)
            self.several = self.shape[0] > 1 or len(shape) == 5
            self._data = self._file.tell()
            _check_size(self.shape, self._data, path, member, self._file)
            self._opened = opened.pop_all()

    def __enter__(self) -> "_Array":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        self._opened.close()

    def frame(self, number: int, t: int) -> np.ndarray:
        size = math.prod(self.shape[2:])
        self._file.seek(self._data + (number * self.shape[1] + t) * size)
        data = self._file.read(size)
        if len(data) < size:
            raise DataError("the file is shorter than its header says")
        return np.frombuffer(data, np.uint8).reshape(self.shape[2:])


# The next video of a compressed array is where the last one ended: a file opened
# again would be decompressed from its start for each of them.
@functools.lru_cache(maxsize=1)
def _open(path: Path, member: str | None, mtime_ns: int) -> _Array:
    return _Array(path, member)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    try:
        return archive.open(name)
    except (KeyError, RuntimeError) as error:  # gone, encrypted, an unknown method
        raise DataError(f"cannot be unpacked: {error}") from None


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of an array, by the first bytes of its file."""
    try:
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        return read[version](file)
    except (*_UNPARSABLE, KeyError, EOFError):
        raise DataError("is not an array as numpy saves it") from None


def _check_size(
    shape: tuple[int, ...],
    start: int,
    path: Path,
    member: str | None,
    file: IO[bytes],
) -> None:
    """Refuse a claim of videos that the file has no room for, before listing them.

    One video that is cut short is read as far as it goes.
    """
    size = path.stat().st_size
    if isinstance(file, zipfile.ZipExtFile) and member is not None:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(member).file_size
    if math.prod(shape[2:]) > size - start:
        raise DataError("the file is shorter than its header says")
    there = (size - start) // math.prod(shape[1:])
    if shape[0] > max(1, there + 1):
        raise DataError(
            f"says that it holds {shape[0]} videos and has room for {there}; it is cut "
            "short or damaged"
        )


def _video_shape(
    shape: tuple[int, ...], fortran_order: bool, dtype: np.dtype[Any]
) -> tuple[int, int, int, int, int]:
    """The shape of an array as ``(N, T, H, W, C)``."""
    if dtype.hasobject:
        raise DataError("holds Python objects, which are never loaded; save uint8")
    if dtype != np.uint8:
        raise DataError(f"holds {dtype}; save it as uint8, values 0 to 255")
    if fortran_order:
        raise DataError("is in Fortran order; save np.ascontiguousarray of it")
    full = {3: (1, *shape, 1), 4: (*shape, 1), 5: shape}.get(len(shape), shape)
    if len(shape) == 4 and shape[-1] in (1, 3, 4):
        full = (1, *shape)
    if len(full) != 5 or full[-1] not in (1, 3, 4):
        raise DataError(f"has shape {shape}; save it as {_SHAPES}")
    if 0 in full:
        raise DataError(f"has shape {shape}: it is empty")
    videos, frames, height, width, channels = full
    return videos, frames, height, width, channels
