"""Files that are whole or not there: written beside, then renamed."""

import contextlib
import errno
import hashlib
import itertools
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from svg_pyro.errors import ConfigError

LOCK = ".lock"  # of a folder that has an owner
_numbers = itertools.count()
_ABANDONED = 86_400  # seconds without a byte
# A disk, a quota or a file that is full, or broken, or not to be written.
_DISK = {errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS} | (
    {errno.EDQUOT} if hasattr(errno, "EDQUOT") else set()
)
_LONG = 180  # bytes of a name, of 255 that file systems take
_CAUSES = 20  # of an error that are looked through
# Of torch.save, where what it writes to is full.
_TORCH_WROTE = "inline_container.cc", "PytorchStreamWriter", "iostream error"


@contextlib.contextmanager
def written_beside(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; it takes the name `path` on success.

    A crash, a kill or a full disk leaves an earlier file as it was. Whatever a writer
    makes of a disk that is full, it comes as an OSError that names `path`.

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
    ending = _ending(path)
    beside = path.with_name(f".part.{_host()}.{os.getpid()}.{number}.{ending}")
    _remove_orphans(path)
    try:
        with _naming(path, beside):
            yield beside
            with open(beside, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(beside, path)
        made = []
    finally:
        with contextlib.suppress(OSError):  # where something else lies there by now
            beside.unlink(missing_ok=True)
            for folder in made:
                folder.rmdir()


@contextlib.contextmanager
def _naming(path: Path, beside: Path) -> Iterator[None]:
    """Name the file of an error of the disk, also where a writer says it otherwise."""
    try:
        yield
    except Exception as error:
        said = _of_the_disk(error, beside)
        if said is None:
            raise
        raise OSError(said.errno, said.strerror, str(path)) from error


def _of_the_disk(error: Exception, beside: Path) -> OSError | None:
    """What of an error, or of one it came from, the system has said of a file."""
    if isinstance(error, RuntimeError) and any(w in str(error) for w in _TORCH_WROTE):
        return OSError(
            errno.EIO, "cannot be written whole"
        )  # the system's words are lost
    at: BaseException | None = error
    for _ in range(_CAUSES):
        if isinstance(at, OSError) and at.errno is not None:
            unnamed = at.filename is None and at.errno in _DISK
            if unnamed or at.filename == str(beside):
                return at
        at = None if at is None else at.__cause__ or at.__context__
    return None


def _ending(path: Path) -> str:
    """The end of a temporary name: the file's, or where that is long a digest of it."""
    name = os.fsencode(path.name)
    if len(name) <= _LONG:
        return path.name
    return hashlib.sha256(name).hexdigest()[:16] + path.suffix[-16:]


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", platform.node())[:24] or "host"


def _remove_orphans(path: Path) -> None:
    """Remove what killed processes left of a file: it would pile up."""
    pattern = re.compile(rf"\.part\.([^.]*)\.(\d+)\.\d+\.{re.escape(_ending(path))}")
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


def read_regular(path: str | Path) -> bytes:
    """The bytes of a regular file: a pipe would be waited for, a device has no end.

    Raises
    ------
    OSError
        If there is none, it cannot be read, or it is something else.
    """
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return Path(path).read_bytes()


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


def check_writable(path: str | Path) -> None:
    """Refuse the name of a file that could not be written when work is done.

    Parameters
    ----------
    path : str or Path
        The file's name; nothing is left there.

    Raises
    ------
    ConfigError
        When there is a folder of that name.
    OSError
        When its folder cannot be made, or takes no file of that name.
    """
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; give the name of a file")
    with contextlib.suppress(_NotNow), written_beside(path) as beside:
        beside.touch()
        raise _NotNow


class _NotNow(Exception):
    """Leaves a file that is written beside another without a change of it."""


def free_folder(path: str | Path, besides: Container[Path] = ()) -> Path:
    """`path`, or the first of path-2, path-3 ... that is not there or is empty.

    Parameters
    ----------
    path : str or Path
        The folder that is wanted; nothing is made.
    besides : container of Path
        Folders that are passed by.
    """
    number, path = 1, Path(path)
    folder = path
    while folder in besides or (folder.exists() and not _is_empty(folder)):
        number += 1
        folder = path.with_name(f"{path.name}-{number}")
    return folder


def _is_empty(folder: Path) -> bool:
    """Whether nothing lies in a folder but the lock of a process, dead or alive."""
    return folder.is_dir() and all(f.name == LOCK for f in folder.iterdir())
