"""The folder that a command writes to, which it has to itself until it ends."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from svg_pyro.errors import ConfigError
from svg_pyro.util.files import free_folder
from svg_pyro.util.locks import FolderLock


@contextlib.contextmanager
def own_folder(given: str | None, usual: str | None = None) -> Iterator[Path]:
    """A folder for results: no other command that asks so writes to it meanwhile.

    Parameters
    ----------
    given : str or None
        The folder that was asked for.
    usual : str, optional
        Without it this one, or the first of NAME-2, NAME-3 ... that is empty and has
        no owner.

    Yields
    ------
    Path
        It is there; where nothing was written to it, it goes again.

    Raises
    ------
    ConfigError
        If the folder that was asked for is in use.
    OSError
        If it cannot be made, or not be written to.
    """
    lock = _free(usual) if given is None and usual is not None else _locked(given or "")
    try:
        yield lock.folder
    finally:
        lock.release()


def _locked(folder: str) -> FolderLock:
    lock = FolderLock(folder)
    if not lock.acquire():
        raise ConfigError(
            f"{folder} is in use: a command that still lives writes to it; give "
            "another --out, or wait for its end"
        )
    return lock


def _free(usual: str) -> FolderLock:
    """One that a command began a moment ago is passed by too."""
    taken: set[Path] = set()
    while True:
        lock = FolderLock(free_folder(usual, besides=taken))
        if lock.acquire():
            # Its owner may have ended, and left results, since it was looked at.
            if free_folder(usual, besides=taken) == lock.folder:
                return lock
            lock.release()
        taken.add(lock.folder)
