"""Unpack archives that may be damaged or foreign; a broken call can be repeated."""

import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from svg_pyro.data.download.disk import check_space, words_of
from svg_pyro.errors import DataError
from svg_pyro.util.progress import progress
from svg_pyro.util.words import one_line


def unpack(
    archive: Path,
    name: str,
    extract: Callable[[Path, Path], None],
    check: Callable[[Path], object],
    *,
    what: str,
) -> None:
    """Give an archive's contents a name beside the archive, if they are right.

    They are unpacked into a hidden folder and checked there; the archive is
    deleted when they have their name. What a killed call has left is removed: call it
    under `sole_writer`.

    Parameters
    ----------
    archive : Path
        The file, in a folder that gets `name`.
    name : str
        The folder that results.
    extract : callable
        ``extract(archive, folder)`` writes ``folder / name``; see `extract_tar`
        and `extract_zip`.
    check : callable
        ``check(folder)`` raises `DataError` where ``folder / name`` is not `what`.
    what : str
        What the archive should be, for messages.

    Raises
    ------
    DataError
        The archive is truncated, corrupt or something else, or the disk is full.
    """
    root = archive.parent
    for left in root.glob(f".{name}.*part"):
        shutil.rmtree(left, ignore_errors=True)
    check_space(root, archive.stat().st_size)
    fresh = root / f".{name}.part"
    fresh.mkdir()
    try:
        _extract(archive, fresh, extract)
        try:
            check(fresh)
        except DataError as error:
            raise DataError(
                f"{archive}: is damaged or not {what} ({error}); delete it and "
                "download again"
            ) from error
        os.replace(fresh / name, root / name)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    archive.unlink()


def _extract(
    archive: Path, folder: Path, extract: Callable[[Path, Path], None]
) -> None:
    # RuntimeError is zipfile's, for a password or another compression.
    faults = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
    try:
        extract(archive, folder)
    except faults as error:
        raise DataError(
            f"{archive}: cannot be unpacked ({one_line(error)}); delete it and "
            "download again"
        ) from error
    except OSError as error:
        raise DataError(
            f"{archive}: cannot be unpacked ({words_of(error)}); see that the disk has "
            "room"
        ) from error


def extract_tar(archive: Path, folder: Path) -> None:
    """Unpack a tar file; members that would lie outside `folder` are refused.

    Parameters
    ----------
    archive : Path
        The tar file.
    folder : Path
        Gets what is in it.

    Raises
    ------
    tarfile.TarError
        It is no tar file, or a member would lie outside the folder.
    EOFError
        It is cut short.
    OSError
        It cannot be read, or the folder not written.
    """
    # Not in the first releases of 3.10 and 3.11.
    filtered = hasattr(tarfile, "data_filter")
    with tarfile.open(archive) as tar:
        for member in progress(tar, desc="unpacking", unit="file"):
            if filtered:
                tar.extract(member, folder, filter="data")
            else:
                _check_member(member, folder)
                tar.extract(member, folder)


def _check_member(member: tarfile.TarInfo, folder: Path) -> None:
    """Refuse what would not be a plain file or folder inside `folder`."""
    if not _lies_in(folder, member.name):
        raise tarfile.TarError(f"{member.name!r} would lie outside the folder")
    if not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"{member.name!r} is neither a file nor a folder")


def extract_zip(archive: Path, folder: Path) -> None:
    """Unpack a zip file, testing the CRC of every member, as `extract_tar` does.

    Parameters
    ----------
    archive : Path
        The zip file.
    folder : Path
        Gets what is in it.

    Raises
    ------
    DataError
        The disk has no room for what is in it.
    zipfile.BadZipFile, zlib.error, EOFError
        It is no zip file or damaged, or a member would lie outside the folder.
    RuntimeError
        A member has a password or an unknown compression.
    OSError
        It cannot be read, or the folder not written.
    """
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        check_space(archive.parent, sum(m.file_size for m in members))
        for member in progress(members, desc=f"unpacking {archive.name}", unit="file"):
            # zipfile would put it elsewhere in the folder and say nothing.
            if not _lies_in(folder, member.filename):
                raise zipfile.BadZipFile(
                    f"{member.filename!r} would lie outside the folder"
                )
            file.extract(member, folder)


def _lies_in(folder: Path, name: str) -> bool:
    return (folder / name).resolve().is_relative_to(folder.resolve())
