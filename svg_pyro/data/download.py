"""Fetch and unpack the BAIR robot pushing set."""

import os
import shutil
import tarfile
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from svg_pyro.data.bair import SPLITS, find_files
from svg_pyro.data.tfrecord import open_buffer, read_features, scan_records
from svg_pyro.errors import DataError
from svg_pyro.progress import progress

BAIR_URL = "http://rail.eecs.berkeley.edu/datasets/bair_robot_pushing_dataset_v0.tar"
_FOLDER = "softmotion30_44k"
_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds without a byte


def download_bair(root, url=BAIR_URL):
    """Download the BAIR pushing set (about 30 GB), unpack and check it.

    Goes on where an earlier call broke off. Needs about twice the size of the
    archive on disk, for the archive and what is in it; the archive is deleted
    when its contents have been checked.

    Parameters
    ----------
    root : str or Path
        Gets the folder ``softmotion30_44k``. Made where it does not exist.
    url : str
        The archive, a tar file.

    Returns
    -------
    Path
        `root`, for `BairPush`. At once where the folder is already there.

    Raises
    ------
    DataError
        No network, an HTTP error, a full disk, or an archive that is truncated or
        holds something else.
    """
    root = Path(root)
    if (root / _FOLDER).is_dir():
        _check(root)
        return root
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{root}: cannot be made ({_words(error)}); give another folder"
        ) from error
    archive = root / Path(url).name
    if not archive.exists():
        _download(url, archive)
    _unpack(archive, root)
    archive.unlink()
    return root


def _download(url, archive):
    """Fetch `url`; a partial file stays beside it until the fetch is complete."""
    part = archive.with_name(archive.name + ".part")
    size = _size_of(url)
    have = part.stat().st_size if part.exists() else 0
    words = "of unknown size" if size is None else f"of {size / 1e9:.1f} GB"
    print(f"{url}: {words}, {have / 1e9:.1f} GB of it already here", flush=True)
    if size is not None:
        _check_space(archive.parent, 2 * size - have)
    _fetch(url, part, have, size)
    have = part.stat().st_size
    if size is not None and have != size:
        if have > size:
            part.unlink()  # left from another archive: it can never be completed
        raise DataError(
            f"{url}: truncated download, {have} of {size} bytes in {part}; run it again to go on"
        )
    os.replace(part, archive)


def _size_of(url):
    """Content-Length in bytes, or None where the server does not say."""
    with _open(urllib.request.Request(url, method="HEAD")) as answer:
        length = answer.headers.get("Content-Length")
    return None if length is None else int(length)


def _check_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"{folder}: disk too small, {needed / 1e9:.1f} GB are needed and "
            f"{free / 1e9:.1f} GB are free; free some, or give another folder"
        )


def _fetch(url, part, have, size):
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
            have = 0  # the server ignores Range and sends the whole archive
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
                f"{url}: download broken off ({_words(error)}), {part.stat().st_size} bytes are "
                f"kept in {part}; run it again to go on"
            ) from error


class _RangeRefused(Exception):
    """HTTP 416: the range asked for begins at or after the end."""


def _open(request):
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            raise _RangeRefused from error
        raise DataError(
            f"{request.full_url}: HTTP error {error.code} ({error.reason}); check the address"
        ) from error
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        raise DataError(
            f"{request.full_url}: cannot be reached ({_words(error)}); check the network and "
            "the address"
        ) from error


def _words(error):
    reason = getattr(error, "reason", error)
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _unpack(archive, root):
    """Unpack into a hidden folder, check it there, and only then rename it."""
    _check_space(root, archive.stat().st_size)
    fresh = root / f".{_FOLDER}.{os.getpid()}.part"
    fresh.mkdir()
    try:
        try:
            with tarfile.open(archive) as tar:
                _extract(tar, fresh)
        except (tarfile.TarError, EOFError) as error:
            raise DataError(
                f"{archive}: cannot be unpacked ({error}); delete it and download again"
            ) from error
        except OSError as error:
            raise DataError(
                f"{archive}: cannot be unpacked ({_words(error)}); see that the disk has room"
            ) from error
        try:
            _check(fresh)
        except DataError as error:
            raise DataError(
                f"{archive}: is damaged or not the BAIR set ({error}); delete it and download again"
            ) from error
        os.replace(fresh / _FOLDER, root / _FOLDER)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _extract(tar, folder):
    filtered = hasattr(
        tarfile, "data_filter"
    )  # not in the first releases of 3.10, 3.11
    for member in progress(tar, desc="unpacking", unit="file"):
        if filtered:
            tar.extract(member, folder, filter="data")
        else:
            _check_member(member, folder)
            tar.extract(member, folder)


def _check_member(member, folder):
    """Refuse what would not be a plain file or folder inside `folder`."""
    target = (folder / member.name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise tarfile.TarError(f"{member.name!r} would lie outside the folder")
    if not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"{member.name!r} is neither a file nor a folder")


def _check(root):
    """See that both splits hold files whose first record can be read."""
    for split in SPLITS:
        for path in find_files(root / _FOLDER, split):
            buffer = open_buffer(path)
            read_features(buffer, scan_records(buffer, path)[0], 0, path)
