"""Fetch a file over HTTP and unpack archives; a broken call can be repeated."""

import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tqdm import tqdm

from svg_pyro.errors import DataError
from svg_pyro.util.progress import progress

_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds without a byte


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
            f"{path}: cannot be made ({_words(error)}); give another folder"
        ) from error
    return path


def fetch(url: str, path: Path) -> None:
    """Fetch `url` to the file `path`, going on where an earlier call broke off.

    A partial file stays beside it, ``.part`` added to its name, until the fetch is
    complete. Nothing is asked for where `path` exists.

    Parameters
    ----------
    url : str
        The address, of http or https.
    path : Path
        The file that results, in a folder that exists, on a disk with room for the
        file and, where it is an archive, as much again for what is in it.

    Raises
    ------
    DataError
        No network, an HTTP error, a full disk, or a download that broke off.
    """
    if path.exists():
        return
    part = path.with_name(path.name + ".part")
    size = _size_of(url)
    have = part.stat().st_size if part.exists() else 0
    words = "of unknown size" if size is None else f"of {_amount(size)}"
    print(f"{url}: {words}, {_amount(have)} of it already here", flush=True)
    if size is not None:
        _check_space(path.parent, 2 * size - have)
    _append(url, part, have, size)
    have = part.stat().st_size
    if size is not None and have != size:
        if have > size:
            part.unlink()  # left from another file: it can never be completed
        raise DataError(
            f"{url}: truncated download, {have} of {size} bytes in {part}; run it "
            "again to go on"
        )
    os.replace(part, path)


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
    deleted when they have their name.

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
    _check_space(root, archive.stat().st_size)
    fresh = root / f".{name}.{os.getpid()}.part"
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
            f"{archive}: cannot be unpacked ({error}); delete it and download again"
        ) from error
    except OSError as error:
        raise DataError(
            f"{archive}: cannot be unpacked ({_words(error)}); see that the disk has "
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
        _check_space(archive.parent, sum(m.file_size for m in members))
        for member in progress(members, desc=f"unpacking {archive.name}", unit="file"):
            # zipfile would put it elsewhere in the folder and say nothing.
            if not _lies_in(folder, member.filename):
                raise zipfile.BadZipFile(
                    f"{member.filename!r} would lie outside the folder"
                )
            file.extract(member, folder)


def _lies_in(folder: Path, name: str) -> bool:
    return (folder / name).resolve().is_relative_to(folder.resolve())


def _size_of(url: str) -> int | None:
    """Content-Length in bytes, or None where the server does not say."""
    with _open(urllib.request.Request(url, method="HEAD")) as answer:
        length = answer.headers.get("Content-Length")
    return None if length is None else int(length)


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"{folder}: disk too small, {_amount(needed)} are needed and "
            f"{_amount(free)} are free; free some, or give another folder"
        )


def _amount(size: int) -> str:
    return str(tqdm.format_sizeof(size, "B"))


def _append(url: str, part: Path, have: int, size: int | None) -> None:
    """Append what is missing to `part`."""
    if have and have == size:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        answer = _open(urllib.request.Request(url, headers=headers))
    except _RangeRefused:
        return  # nothing is left to send; the size tells whether that is right
    with answer:
        if answer.status != 206:
            have = 0  # the server ignores Range and sends the whole file
        mode = "ab" if have else "wb"
        bar = progress(
            total=size, initial=have, unit="B", unit_scale=True, desc="downloading"
        )
        try:
            with bar, open(part, mode) as file:
                while data := answer.read(_CHUNK):
                    file.write(data)
                    bar.update(len(data))
        except (HTTPException, OSError) as error:
            raise DataError(
                f"{url}: download broken off ({_words(error)}), "
                f"{part.stat().st_size} bytes are kept in {part}; run it again to go on"
            ) from error


class _RangeRefused(Exception):
    """HTTP 416: the range asked for begins at or after the end."""


def _open(request: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            raise _RangeRefused from error
        raise DataError(
            f"{request.full_url}: HTTP error {error.code} ({error.reason}); check "
            "the address"
        ) from error
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        raise DataError(
            f"{request.full_url}: cannot be reached ({_words(error)}); check the "
            "network and the address"
        ) from error


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    words = getattr(reason, "strerror", None) or reason
    return str(words) or type(reason).__name__
