"""Videos in .npy and .npz files, read frame by frame and never unpickled."""

import contextlib
import functools
import math
import shutil
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy

from svg_pyro.data.videos.layouts import Reading, check_layout, read_shape
from svg_pyro.errors import DataError
from svg_pyro.util.words import one_line

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
# A frame of more pixels is refused, whatever the form of the video.
MOST_PIXELS = 2**27
_MOST_BYTES = 2**36  # that an array in an .npz file may unpack to
_BROKEN = (DataError, OSError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class ArrayPlace:
    """Where a video lies in an array file.

    Attributes
    ----------
    member : str or None
        The array's file in an .npz archive.
    number : int or None
        The video in an array of several.
    layout : str or None
        How the array is read; None where that is not known, or it cannot be read.
    """

    member: str | None = None
    number: int | None = None
    layout: str | None = None


def videos_in(path: Path, layout: str | None = None) -> list[ArrayPlace]:
    """The videos of an array file.

    Of an .npz file that `svg-pyro generate` wrote they are its context and its futures;
    of a test set of SRVP (Franceschi et al. 2020) its sequences. Numbers and text
    beside arrays are passed over.

    Parameters
    ----------
    path : Path
        A .npy file, or an .npz file of any number of arrays.
    layout : str, optional
        One of `svg_pyro.data.videos.layouts.LAYOUTS`, of every array; without it the
        arrays' shapes decide.

    Returns
    -------
    list of ArrayPlace
        An array that cannot be read is listed as if it held one video; `array_frames`
        says what is wrong with it.

    Raises
    ------
    DataError
        There is no such layout.
    """
    check_layout(layout)
    members: dict[str | None, str | None] = {None: layout}
    if path.suffix.lower() == ".npz":
        try:
            names = _archive(path, path.stat().st_mtime_ns).namelist()
        except (OSError, zipfile.BadZipFile):
            return [ArrayPlace()]
        members = dict(_layouts_in(names, layout)) or members
    places: list[ArrayPlace] = []
    beside: list[ArrayPlace] = []
    for member, known in members.items():
        try:
            with _Array(path, member, known) as array:
                read = array.reading
        except _About:
            beside.append(ArrayPlace(member, None, known))
            continue
        except _BROKEN:
            places.append(ArrayPlace(member, None, known))
            continue
        several = "n" in read.layout
        numbers = range(read.length("n")) if several else [None]
        places += [ArrayPlace(member, number, read.layout) for number in numbers]
    return places or beside


def read_table(path: str | Path) -> np.ndarray:
    """A table of numbers from a .npy file, float32 ``(rows, columns)``.

    Parameters
    ----------
    path : str or Path
        Of real numbers of any type; never unpickled.

    Raises
    ------
    DataError
        It cannot be read, or is no such table.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: is no regular file; give an .npy file")
    try:
        with open(path, "rb") as file:
            shape, fortran, dtype = _header(file)
            if dtype.kind not in "fiu" or len(shape) != 2:
                raise DataError(f"holds {dtype} {shape}; give numbers (rows, columns)")
            size = math.prod(shape) * dtype.itemsize
            # Before memory is asked for.
            if size > path.stat().st_size - file.tell():
                raise DataError("the file is shorter than its header says")
            data = file.read(size)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    order: Literal["F", "C"] = "F" if fortran else "C"
    values = np.frombuffer(data, dtype).reshape(shape, order=order)
    return values.astype(np.float32)


def _layouts_in(
    names: list[str], layout: str | None
) -> Iterator[tuple[str, str | None]]:
    """The arrays of an .npz file that are videos, and their layouts where known."""
    if {"context.npy", "futures.npy", "checkpoint.npy"} <= set(names):
        yield "context.npy", layout or "tchw"
        yield "futures.npy", layout or "ntchw"
    elif "sequences.npy" in names:
        beside = {"latents.npy": "tnhw", "persons.npy": "nthw"}
        known = next((beside[name] for name in beside if name in names), None)
        yield "sequences.npy", layout or known
    else:
        yield from ((name, layout) for name in sorted(names))


def array_frames(path: Path, place: ArrayPlace) -> Iterator[np.ndarray]:
    """Frames of one video, one after the other.

    Parameters
    ----------
    path : Path
        The .npy or .npz file.
    place : ArrayPlace
        The video in it.

    Yields
    ------
    numpy.ndarray
        uint8, shape ``(H, W, C)``, C in 1, 3, 4; values 0 to 255.

    Raises
    ------
    DataError
        The array is not uint8, its shape is no video's or may be read in two ways, a
        frame has more than `MOST_PIXELS` pixels, or the file is shorter than it says.
    """
    array = _open(path, place.member, place.layout, path.stat().st_mtime_ns)
    for t in range(array.reading.length("t")):
        yield array.frame(place.number or 0, t)


class _About(DataError):
    """An array that is a number or a text: something about the others."""


class _Array:
    """A uint8 array of videos in an open file."""

    _opened = contextlib.ExitStack()
    _file: IO[bytes]

    def __init__(self, path: Path, member: str | None, layout: str | None) -> None:
        with contextlib.ExitStack() as opened:
            if member is None:
                self._file = opened.enter_context(open(path, "rb"))
                size = path.stat().st_size
            else:
                archive = _archive(path, path.stat().st_mtime_ns)
                self._file = opened.enter_context(_member(archive, member))
                size = archive.getinfo(member).file_size
            self.reading = _reading(*_header(self._file), layout)
            self._data = self._file.tell()
            _check_size(self.reading, size - self._data, packed=member is not None)
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
        videos, _, *shape = self.reading.shape
        packed = isinstance(self._file, zipfile.ZipExtFile)
        if packed and videos > 1 and self.reading.layout.startswith("tn"):
            self._unpack()
        size = math.prod(shape)
        self._file.seek(self._data + self.reading.place(number, t) * size)
        data = self._file.read(size)
        if len(data) < size:
            raise DataError("the file is shorter than its header says")
        return self.reading.picture(np.frombuffer(data, np.uint8))

    def _unpack(self) -> None:
        """Go on in an unpacked copy: each video lies all over such an array."""
        copy = self._opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self._file.seek(0)
        shutil.copyfileobj(self._file, copy, 2**20)
        self._file = copy


# Files are kept open for the next video: of an archive of many arrays the list would
# be read again for each, and a compressed array be unpacked again from its start.
@functools.lru_cache(maxsize=1)
def _open(path: Path, member: str | None, layout: str | None, mtime_ns: int) -> _Array:
    return _Array(path, member, layout)


@functools.lru_cache(maxsize=1)
def _archive(path: Path, mtime_ns: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    try:
        return archive.open(name)
    # Gone, encrypted, an unknown method, a name that is no text.
    except (KeyError, RuntimeError, ValueError) as error:
        raise DataError(f"cannot be unpacked: {one_line(error)}") from None


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of an array, by the first bytes of its file."""
    try:
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        return read[version](file)
    except (*_UNPARSABLE, KeyError, EOFError):
        raise DataError("is not an array as numpy saves it") from None


def _check_size(reading: Reading, room: int, *, packed: bool) -> None:
    """Refuse a claim of more than there is room for, before anything is made for it.

    One video that is cut short is read as far as it goes.
    """
    videos, frames, height, width, channels = reading.shape
    if height * width > MOST_PIXELS:
        raise DataError(
            f"has frames of {height}x{width} pixels; at most {MOST_PIXELS} are read"
        )
    if packed and room > _MOST_BYTES:
        raise DataError(f"unpacks to {room} bytes; at most {_MOST_BYTES} are unpacked")
    size = height * width * channels
    if size > room:
        raise DataError("the file is shorter than its header says")
    there = room // (size * frames)
    if videos > max(1, there + 1):
        raise DataError(
            f"says that it holds {videos} videos and has room for {there}; it is cut "
            "short or damaged"
        )


def _reading(
    shape: tuple[int, ...],
    fortran_order: bool,
    dtype: np.dtype[Any],
    layout: str | None,
) -> Reading:
    """How an array is read; `DataError` where it is no video."""
    if shape == () or dtype.kind in "SU":
        raise _About("holds a number or text, no video")
    if dtype.hasobject:
        raise DataError("holds Python objects, which are never loaded; save uint8")
    if dtype != np.uint8:
        raise DataError(f"holds {dtype}; save it as uint8, values 0 to 255")
    if fortran_order:
        raise DataError("is in Fortran order; save np.ascontiguousarray of it")
    return read_shape(shape, layout)
