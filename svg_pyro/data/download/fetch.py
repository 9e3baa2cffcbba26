"""Fetch a file over HTTP; a call that broke off can be repeated."""

import contextlib
import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

from svg_pyro.data.download.disk import amount, check_space, words_of
from svg_pyro.errors import DataError
from svg_pyro.util.progress import progress
from svg_pyro.util.words import one_line

_CHUNK = 1 << 20
_NOT_THERE = (404, 410)
_TIMEOUT = 60  # seconds without a byte


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
    words = "of unknown size" if size is None else f"of {amount(size)}"
    print(f"{url}: {words}, {amount(have)} of it already here", flush=True)
    if size is not None:
        check_space(path.parent, 2 * size - have)
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
                f"{url}: download broken off ({words_of(error)}), "
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
        raise _no_such(url, refusal) from refusal


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
            f"{request.full_url}: cannot be reached ({words_of(error)}); check the "
            "network and the address"
        ) from error
