"""Files that are whole or not there: written beside, then renamed."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def written_beside(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; it takes the name `path` on success.

    A crash, a kill or a full disk leaves an earlier file as it was.

    Parameters
    ----------
    path : str or Path
        The file to write; its folder is made if need be.

    Yields
    ------
    Path
        With the ending of `path`, by which writers choose a format.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name for all processes: what a killed one left is overwritten, not piled up.
    beside = path.with_name(f".part.{path.name}")
    try:
        yield beside
        with open(beside, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: str | Path, values: Any, **options: Any) -> None:
    """Write values as JSON that people can read.

    Parameters
    ----------
    path : str or Path
        The file; it is whole or not there, see `written_beside`.
    values : dict or list
        Of what JSON holds.
    **options
        Those of ``json.dumps``.
    """
    with written_beside(path) as beside:
        beside.write_text(json.dumps(values, indent=1, **options) + "\n")


def free_folder(path: str | Path) -> Path:
    """`path`, or the first of path-2, path-3 ... that is not there or is empty."""
    number, path = 1, Path(path)
    folder = path
    while folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        number += 1
        folder = path.with_name(f"{path.name}-{number}")
    return folder
