"""Fetch and unpack the published data sets: BAIR and KTH."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from svg_pyro.data.bair import FOLDER
from svg_pyro.data.bair import dataset as bair
from svg_pyro.data.bair.tfrecord import RecordFile, read_features, scan_records
from svg_pyro.data.download.archives import extract_tar, extract_zip, unpack
from svg_pyro.data.download.disk import make_folder, sole_writer
from svg_pyro.data.download.fetch import fetch
from svg_pyro.data.videos import kth_files as kth
from svg_pyro.errors import DataError

BAIR_URL = "http://rail.eecs.berkeley.edu/datasets/bair_robot_pushing_dataset_v0.tar"
# As TensorFlow's catalogue of data sets has it (bair_robot_pushing_small).
_BAIR_SHA256 = "c6f8d164ab2be07174ef597e3e070d7466f3142caddc467b6af119b9458cd9cd"
KTH_URL = "https://www.csc.kth.se/cvap/actions/"


def download_bair(root: str | Path, url: str = BAIR_URL) -> Path:
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
    with sole_writer(make_folder(root)):
        if (root / FOLDER).is_dir():
            _check_bair(root)
            return root
        archive = root / (PurePosixPath(urlsplit(url).path).name or "bair.tar")
        fetch(url, archive, sha256=_BAIR_SHA256 if url == BAIR_URL else None)
        unpack(archive, FOLDER, extract_tar, _check_bair, what="the BAIR set")
    return root


def download_kth(
    root: str | Path, url: str = KTH_URL, actions: Iterable[str] = kth.ACTIONS
) -> Path:
    """Download the KTH actions (six archives, about 1.1 GB), unpack and check them.

    Goes on where an earlier call broke off; an action whose folder is there is not
    fetched again. Every archive is deleted when its contents have been checked.

    Parameters
    ----------
    root : str or Path
        Gets a folder for each action, and ``00sequences.txt``. Made where it does
        not exist.
    url : str
        The address below which ``00sequences.txt`` and the archives lie, such as
        ``walking.zip``.
    actions : iterable of str
        Which actions to fetch.

    Returns
    -------
    Path
        `root`, for `KTH`.

    Raises
    ------
    DataError
        An action is unknown; no network, an HTTP error, a full disk, or an archive
        that is truncated or holds something else.
    """
    actions = kth.check_actions(actions)
    root, url = make_folder(root), url.rstrip("/")
    with sole_writer(root):
        fetch(f"{url}/{kth.INTERVALS}", root / kth.INTERVALS)
        for action in actions:
            if (root / action).is_dir():
                _check_kth(root, action)
            else:
                _fetch_action(root, url, action)
    return root


def _check_bair(root: Path) -> None:
    """See that both splits hold files whose first record can be read."""
    for split in bair.SPLITS:
        for path in bair.find_files(root / FOLDER, split):
            buffer = RecordFile(path)
            read_features(buffer, scan_records(buffer, path)[0], 0, path)


def _fetch_action(root: Path, url: str, action: str) -> None:
    archive = root / f"{action}.zip"
    fetch(f"{url}/{archive.name}", archive)
    unpack(
        archive,
        action,
        lambda archive, folder: extract_zip(archive, folder / action),
        lambda folder: _check_kth(folder, action),
        what=f"KTH's {action} videos",
    )


def _check_kth(root: Path, action: str) -> None:
    """See that the folder of an action holds videos of it."""
    folder = root / action
    if not any(video.action == action for video in kth.find_videos(folder)):
        raise DataError(
            f"{folder}: holds no video such as person01_{action}_d1_uncomp.avi; delete "
            "it, or give another folder"
        )
