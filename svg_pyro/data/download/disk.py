"""Folders that downloads are written to: made, with room, one writer at a time."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from svg_pyro.errors import DataError
from svg_pyro.util.locks import FolderLock
from svg_pyro.util.words import one_line


def make_folder(path: str | Path) -> Path:
    """Make `path` and what is above it, where they do not exist.

    Parameters
    ----------
    path : str or Path
        The folder.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    DataError
        The folder cannot be made.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be made ({words_of(error)}); give another folder"
        ) from error
    return path


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Let one process at a time fetch and unpack into a folder; the others wait.

    Parameters
    ----------
    folder : Path
        That exists.
    """
    lock = FolderLock(folder)
    if not lock.acquire():
        print(f"{folder}: waiting for another process that downloads", flush=True)
        lock.acquire(wait=-1)
    try:
        yield
    finally:
        lock.release()


def check_space(folder: Path, needed: int) -> None:
    """Raise DataError if a folder's disk has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"{folder}: disk too small, {amount(needed)} are needed and "
            f"{amount(free)} are free; free some, or give another folder"
        )


def amount(size: int) -> str:
    """Bytes in words."""
    return str(tqdm.format_sizeof(size, "B"))


def words_of(error: Exception) -> str:
    """What an error of the network or the disk says, in one line."""
    reason = getattr(error, "reason", error)
    words = getattr(reason, "strerror", None) or reason
    return one_line(words) or type(reason).__name__
