"""Files that are whole or not there: written beside, then renamed."""

import contextlib
import itertools
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from svg_pyro.errors import ConfigError

_numbers = itertools.count()
_ABANDONED = 86_400  # seconds without a byte


@contextlib.contextmanager
def written_beside(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; it takes the name `path` on success.

    A crash, a kill or a full disk leaves an earlier file as it was.

    Parameters
    ----------
    path : str or Path
        The file to write; its folder is made if need be, and goes again on failure.

    Yields
    ------
    Path
        With the ending of `path`, by which writers choose a format.
    """
    path = Path(path)
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: two writers must not publish one file that both have begun.
    number = next(_numbers)
    beside = path.with_name(f".part.{_host()}.{os.getpid()}.{number}.{path.name}")
    _remove_orphans(path)
    try:
        yield beside
        with open(beside, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
        made = []
    finally:
        beside.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # where something else lies there by now
            for folder in made:
                folder.rmdir()


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", platform.node())[:24] or "host"


def _remove_orphans(path: Path) -> None:
    """Remove what killed processes left of a file: it would pile up."""
    pattern = re.compile(rf"\.part\.([^.]*)\.(\d+)\.\d+\.{re.escape(path.name)}")
    for other in path.parent.iterdir():
        named = pattern.fullmatch(other.name)
        if named is None:
            continue
        with contextlib.suppress(OSError):
            silent = time.time() - other.stat().st_mtime
            here = named[1] == _host() and os.name == "posix"
            if silent > _ABANDONED or (here and not _lives(int(named[2]))):
                other.unlink()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def copy_of(source: str | Path, path: str | Path) -> None:
    """Give a file a second name, without its bytes again where the disk can do it.

    Parameters
    ----------
    source : str or Path
        A file that is replaced, and never written to in place.
    path : str or Path
        The second name; see `written_beside`.
    """
    with written_beside(path) as beside:
        try:
            os.link(source, beside)
        except OSError:
            shutil.copyfile(source, beside)


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
        beside.write_text(json.dumps(values, indent=1, **options) + "\n", "utf-8")


def check_is_no_folder(path: str | Path) -> None:
    """Refuse the name of a folder for a file that is written when work is done.

    Parameters
    ----------
    path : str or Path
        The file's name.

    Raises
    ------
    ConfigError
        When there is a folder of that name.
    """
    if Path(path).is_dir():
        raise ConfigError(f"{path} is a folder; give the name of a file")


def free_folder(path: str | Path) -> Path:
    """`path`, or the first of path-2, path-3 ... that is not there or is empty.

    Parameters
    ----------
    path : str or Path
        The folder that is wanted; nothing is made.
    """
    number, path = 1, Path(path)
    folder = path
    while folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        number += 1
        folder = path.with_name(f"{path.name}-{number}")
    return folder
