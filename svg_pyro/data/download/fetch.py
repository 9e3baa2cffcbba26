"""Fetch a file over HTTP and unpack archives; a broken call can be repeated."""

import contextlib
import hashlib
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tqdm import tqdm

from svg_pyro.errors import DataError
from svg_pyro.util.locks import FolderLock
from svg_pyro.util.progress import progress
from svg_pyro.util.words import one_line

_CHUNK = 1 << 20
_NOT_THERE = (404, 410)
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


def fetch(url: str, path: Path, *, sha256: str | None = None) -> None:
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
    sha256 : str, optional
        Its checksum, where it is known.

    Raises
    ------
    DataError
        No network, an HTTP error, a full disk, a download that broke off, or bytes
        that are not those of the checksum.
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
    size = _append(url, part, have, size)
    have = part.stat().st_size
    if size is not None and have != size:
        if have > size:
            part.unlink()  # left from another file: it can never be completed
        raise DataError(
            f"{url}: truncated download, {have} of {size} bytes in {part}; run it "
            "again to go on"
        )
    if sha256 is not None:
        _check_sum(url, part, sha256)
    os.replace(part, path)


def _check_sum(url: str, part: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with open(part, "rb") as file:
        while data := file.read(_CHUNK):
            digest.update(data)
    if digest.hexdigest() != sha256:
        part.unlink()
        raise DataError(
            f"{url}: what came is not what was published (its SHA-256 is another); it "
            "was deleted: run it again, or give another address"
        )


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
    _check_space(root, archive.stat().st_size)
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
    try:
        with _open(urllib.request.Request(url, method="HEAD")) as answer:
            return _number(answer.headers.get("Content-Length"))
    except _Refused as refusal:
        if refusal.code in _NOT_THERE:
            raise _no_such(url, refusal) from refusal
        return None  # it may still send the file


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdecimal() else None


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"{folder}: disk too small, {_amount(needed)} are needed and "
            f"{_amount(free)} are free; free some, or give another folder"
        )


def _amount(size: int) -> str:
    return str(tqdm.format_sizeof(size, "B"))


def _append(url: str, part: Path, have: int, size: int | None) -> int | None:
    """Append what is missing to `part`; gives the size of the whole, where known."""
    if have and have == size:
        return size
    with _ask(url, have) as answer:
        if answer is None:
            return have  # the server says that nothing is left to send
        if answer.status != 206:
            have = 0  # the server ignores Range and sends the whole file
        rest = _number(answer.headers.get("Content-Length"))
        if size is None and rest is not None:
            size = have + rest
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
    return size


@contextlib.contextmanager
def _ask(url: str, have: int) -> Iterator[Any]:
    """The answer that sends the file from byte `have` on, or all of it.

    None where the file ends at `have`.
    """
    if have:
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"})
        try:
            with _open(request) as answer:
                yield answer
                return
        except _Refused as refusal:
            if refusal.whole == have:
                yield None
                return
    # From the beginning: the part is of another file, or the server takes no Range.
    try:
        with _open(urllib.request.Request(url)) as answer:
            yield answer
    except _Refused as refusal:
        raise DataError(f"{url}: HTTP error {refusal}; check the address") from refusal


class _Refused(Exception):
    """An HTTP error; `whole` is the file's size where a 416 says it."""

    def __init__(self, error: urllib.error.HTTPError) -> None:
        super().__init__(f"{error.code} ({one_line(error.reason, 60)})")
        self.code = error.code
        _, _, whole = (error.headers.get("Content-Range") or "").rpartition("/")
        self.whole = _number(whole) if error.code == 416 else None


def _no_such(url: str, refusal: _Refused) -> DataError:
    return DataError(f"{url}: HTTP error {refusal}; check the address")


def _open(request: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise _Refused(error) from error
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        raise DataError(
            f"{request.full_url}: cannot be reached ({_words(error)}); check the "
            "network and the address"
        ) from error


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    words = getattr(reason, "strerror", None) or reason
    return one_line(words) or type(reason).__name__
