"""Columns of Parquet files: rows of numbers, and images."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from svg_pyro.data.videos.stills import still
from svg_pyro.errors import DataError
from svg_pyro.util.optional import need
from svg_pyro.util.words import one_line

_PURPOSE = "reading LeRobot data sets"
_BATCH = 64  # rows of images in memory at a time


def read_table(path: Path, wanted: Callable[[str], bool]) -> Any:
    """Columns of a Parquet file.

    Parameters
    ----------
    path : Path
        The file.
    wanted : callable
        ``wanted(name)`` tells whether a column is read.

    Returns
    -------
    pyarrow.Table
        Those of the wanted columns that are there.

    Raises
    ------
    DataError
        There is no such file, it cannot be read, or pyarrow is not installed.
    """
    with _opened(path) as file:
        names = [name for name in file.schema_arrow.names if wanted(name)]
        try:
            return file.read(columns=names)
        except (OSError, ValueError, NotImplementedError) as error:
            raise _broken(path, error) from None


def numbers(table: Any, name: str, path: Path) -> np.ndarray:
    """A column of numbers, or of lists of numbers that are all as long.

    Parameters
    ----------
    table : pyarrow.Table
        Of `read_table`.
    name : str
        The column.
    path : Path
        The file, for messages.

    Returns
    -------
    numpy.ndarray
        Shape ``(rows,)`` for numbers, ``(rows, A)`` for lists of A of them.

    Raises
    ------
    DataError
        The column is not there, an entry is empty or no number, or the lists are not
        equally long.
    """
    types = need("pyarrow.types", "pyarrow", _PURPOSE)
    if name not in table.column_names:
        raise DataError(f"{path}: has no column {name!r}")
    array, flat = table[name].combine_chunks(), True
    array = getattr(array, "storage", array)  # of an extension type
    while not array.null_count and any(
        is_list(array.type)
        for is_list in (types.is_list, types.is_large_list, types.is_fixed_size_list)
    ):
        array, flat = array.flatten(), False
    if array.null_count:
        raise DataError(f"{path}: column {name!r} has rows without a value")
    if not (types.is_floating(array.type) or types.is_integer(array.type)):
        raise DataError(f"{path}: column {name!r} holds {array.type}, no numbers")
    values: np.ndarray = array.to_numpy(zero_copy_only=False)
    if flat:
        return values
    if table.num_rows == 0 or len(values) % table.num_rows:
        raise DataError(f"{path}: the rows of column {name!r} are not equally long")
    return values.reshape(table.num_rows, -1)


def column_pictures(path: Path, column: str) -> Iterator[Image.Image]:
    """The images of a column, row by row.

    Parameters
    ----------
    path : Path
        The Parquet file.
    column : str
        Holds encoded images: their bytes, or structures with a field ``bytes``.

    Yields
    ------
    PIL.Image.Image
        The image of a row.

    Raises
    ------
    DataError
        The column is not there, or a row holds no image.
    """
    with _opened(path) as file:
        if column not in file.schema_arrow.names:
            raise DataError(f"has no column {column!r}")
        row = 0
        try:
            for batch in file.iter_batches(batch_size=_BATCH, columns=[column]):
                for value in batch.column(column):
                    yield _picture(value.as_py(), row)
                    row += 1
        except (OSError, ValueError, NotImplementedError) as error:
            if isinstance(error, DataError):
                raise
            raise _broken(path, error) from None


def _picture(value: object, row: int) -> Image.Image:
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        raise DataError(f"row {row}: holds no image, or only the name of its file")
    return still(io.BytesIO(data), f"row {row}")


def _opened(path: Path) -> Any:
    parquet = need("pyarrow.parquet", "pyarrow", _PURPOSE)
    try:
        return parquet.ParquetFile(path)
    except (OSError, ValueError, NotImplementedError) as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: no such file")
    return DataError(f"{path}: is no Parquet file that can be read ({one_line(error)})")
