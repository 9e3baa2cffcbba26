"""Videos in .npy and .npz files, read frame by frame and never unpickled."""

import contextlib
import functools
import math
import zipfile
import zlib

import numpy as np
from numpy.lib import format as npy

from svg_pyro.errors import DataError

_SHAPES = "(T, H, W), (T, H, W, C), (N, T, H, W) or (N, T, H, W, C) with C = 1, 3 or 4"


def videos_in(path):
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
    members = [None]
    if path.suffix.lower() == ".npz":
        try:
            with zipfile.ZipFile(path) as archive:
                members = sorted(archive.namelist()) or members
        except (OSError, zipfile.BadZipFile):
            return [(None, None)]
    found = []
    for member in members:
        try:
            with _Array(path, member) as array:
                numbers = range(array.shape[0]) if array.several else [None]
        except (DataError, OSError, EOFError, zipfile.BadZipFile, zlib.error):
            numbers = [None]
        found += [(member, number) for number in numbers]
    return found


def array_frames(path, member, number):
    """Frames of one video, one after the other.

    Parameters
    ----------
    path : Path
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

    def __init__(self, path, member):
        with contextlib.ExitStack() as opened:
            if member is None:
                self._file = opened.enter_context(open(path, "rb"))
            else:
                archive = opened.enter_context(zipfile.ZipFile(path))
                self._file = opened.enter_context(_member(archive, member))
            shape, *order_and_type = _header(self._file)
            self.shape = _video_shape(shape, *order_and_type)
            self.several = self.shape[0] > 1 or len(shape) == 5
            self._data = self._file.tell()
            self._opened = opened.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()

    def close(self):
        self._opened.close()

    def frame(self, number, t):
        size = math.prod(self.shape[2:])
        self._file.seek(self._data + (number * self.shape[1] + t) * size)
        data = self._file.read(size)
        if len(data) < size:
            raise DataError("the file is shorter than its header says")
        return np.frombuffer(data, np.uint8).reshape(self.shape[2:])


# The next video of a compressed array is where the last one ended: a file opened
# anew would be decompressed from its start for each of them.
@functools.lru_cache(maxsize=1)
def _open(path, member, mtime_ns):
    return _Array(path, member)


def _member(archive, name):
    try:
        return archive.open(name)
    except (KeyError, RuntimeError) as error:  # gone, encrypted, an unknown method
        raise DataError(f"cannot be unpacked: {error}") from None


def _header(file):
    """Shape, order and type of an array, by the first bytes of its file."""
    try:
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        return read[version](file)
    except (ValueError, KeyError, EOFError):
        raise DataError("is not an array as numpy saves it") from None


def _video_shape(shape, fortran_order, dtype):
    """The shape of an array as ``(N, T, H, W, C)``."""
    if dtype.hasobject:
        raise DataError("holds Python objects, which are never loaded; save uint8")
    if dtype != np.uint8:
        raise DataError(f"holds {dtype}; save it as uint8, values 0 to 255")
    if fortran_order:
        raise DataError("is in Fortran order; save np.ascontiguousarray of it")
    full = {3: (1, *shape, 1), 4: (*shape, 1), 5: shape}.get(len(shape))
    if len(shape) == 4 and shape[-1] in (1, 3, 4):
        full = (1, *shape)
    if full is None or full[-1] not in (1, 3, 4):
        raise DataError(f"has shape {shape}; save it as {_SHAPES}")
    if 0 in full:
        raise DataError(f"has shape {shape}: it is empty")
    return full
