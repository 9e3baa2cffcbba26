"""Files that are whole or not there: written beside, then renamed."""

import contextlib
import json
import os
from pathlib import Path


@contextlib.contextmanager
def written_beside(path):
    """Give a temporary path in the same folder; it takes the name `path` on success.

    A crash, a kill or a full disk leaves an earlier file as it was.

    Parameters
    ----------
    path : str or Path
        Its folder is made if need be.

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


def write_json(path, values, **options):
    """Write values as JSON that people can read; `options` are those of ``json.dumps``."""
    with written_beside(path) as beside:
        beside.write_text(json.dumps(values, indent=1, **options) + "\n")


def free_folder(path):
    """`path`, or the first of path-2, path-3 ... that is not there or is empty."""
    number, path = 1, Path(path)
    found = path
    while found.exists() and not (found.is_dir() and not any(found.iterdir())):
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found
