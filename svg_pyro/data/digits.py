"""Handwritten digits for Moving MNIST: MNIST itself, or scikit-learn's in its place."""

import contextlib
import gzip
import hashlib
import socket
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from svg_pyro.errors import DataError
from svg_pyro.util.optional import need
from svg_pyro.util.words import one_line

SPLITS = ("train", "test")
# Name and md5 of the uncompressed IDX files of LeCun, Cortes and Burges.
_FILES = {
    "train": ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb"),
    "test": ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea"),
}
_LABEL_FILES = {
    "train": ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624"),
    "test": ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637"),
}
_MOST_BYTES = 60_000 * 28 * 28 + 17  # one more than the largest file has
_HEADER = 16  # bytes before the pixels
_LABEL_HEADER = 8
_SIDE = 28
_SIDE_OF_SMALL = 22  # a digit's size in MNIST's 28 pixels, with a little margin
_TEST_SHARE = 6  # every sixth of scikit-learn's digits is for testing, as in MNIST
_TIMEOUT = 10  # seconds without an answer of a download server


def load_mnist(root: str | Path, split: str) -> torch.Tensor:
    """MNIST's images, from the IDX files as they are published.

    Parameters
    ----------
    root : str or Path
        Holds ``train-images-idx3-ubyte`` and ``t10k-images-idx3-ubyte``, plain or
        with ``.gz``, in itself, in ``raw`` or in ``MNIST/raw``; also by the names
        that 7-zip gives them (``train-images.idx3-ubyte``), and each in a folder of
        its own name.
    split : str
        "train" (60,000 images) or "test" (10,000).

    Returns
    -------
    torch.Tensor
        uint8, shape ``(N, 28, 28)``, values 0 to 255.

    Raises
    ------
    DataError
        The split is unknown; there is no such file, it cannot be read, or its md5 is
        not that of MNIST.
    """
    name, md5 = _FILES[_check_split(split)]
    data = _read(_find(Path(root), name), md5)
    pixels = np.frombuffer(data, np.uint8, offset=_HEADER)
    return torch.from_numpy(pixels.reshape(-1, _SIDE, _SIDE).copy())


def load_mnist_labels(root: str | Path, split: str) -> torch.Tensor:
    """Which digits the images of `load_mnist` are.

    Parameters
    ----------
    root : str or Path
        Holds ``train-labels-idx1-ubyte`` and ``t10k-labels-idx1-ubyte`` where
        `load_mnist` finds the images.
    split : str
        "train" or "test".

    Returns
    -------
    torch.Tensor
        int64, shape ``(N,)``, 0 to 9.

    Raises
    ------
    DataError
        As `load_mnist`.
    """
    name, md5 = _LABEL_FILES[_check_split(split)]
    data = _read(_find(Path(root), name), md5)
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=_LABEL_HEADER)).long()


def _read(path: Path, md5: str) -> bytes:
    """A file's content, unpacked, if it is what was published."""
    try:
        # No more than MNIST's, whatever a file would unpack to.
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            data = file.read(_MOST_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: cannot be read ({one_line(error)}); fetch it again"
        ) from error
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if digest != md5:
        raise DataError(
            f"{path}: md5 is {digest}, MNIST's is {md5}; the file is damaged or "
            "another one: fetch it again"
        )
    return data


def download_mnist(root: str | Path) -> Path:
    """Fetch MNIST (11 MB) by torchvision, unless it is there.

    Parameters
    ----------
    root : str or Path
        Gets ``MNIST/raw``.

    Returns
    -------
    Path
        `root`, for `load_mnist`.

    Raises
    ------
    DataError
        No network, or the folder cannot be written.
    """
    root = Path(root)
    if _is_there(root):  # torchvision would read all of it to say so
        return root
    from torchvision.datasets import MNIST  # an import of a second, rarely needed

    try:
        with _socket_timeout():
            for split in SPLITS:
                MNIST(str(root), train=split == "train", download=True)
    except (RuntimeError, OSError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise DataError(
            f"{root}: MNIST cannot be downloaded there ({lines[-1].strip('<>')}); give "
            "the folder of its IDX files"
        ) from error
    return root


def load_scikit_digits(split: str) -> torch.Tensor:
    """scikit-learn's 1,797 bundled 8x8 digits in the form of MNIST's.

    Enlarged (bicubic) to 22 pixels, stretched to the full range and centred.

    Parameters
    ----------
    split : str
        "train" (1,497 images) or "test" (every sixth, 300).

    Returns
    -------
    torch.Tensor
        uint8, shape ``(N, 28, 28)``, values 0 to 255.

    Raises
    ------
    DataError
        The split is unknown, or scikit-learn is not installed.
    """
    datasets = need("sklearn.datasets", "scikit-learn", "its handwritten digits")
    small = (datasets.load_digits().images * (255 / 16)).astype(np.uint8)
    of_test = np.arange(len(small)) % _TEST_SHARE == 0
    small = small[of_test == (_check_split(split) == "test")]
    digits = np.zeros((len(small), _SIDE, _SIDE), np.uint8)
    edge = (_SIDE - _SIDE_OF_SMALL) // 2
    inside = slice(edge, edge + _SIDE_OF_SMALL)
    size = (_SIDE_OF_SMALL, _SIDE_OF_SMALL)
    for digit, image in zip(digits, small, strict=True):
        picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
        large = np.asarray(picture, np.float64)
        low, high = large.min(), large.max()
        digit[inside, inside] = ((large - low) * 255 / (high - low)).round()
    return torch.from_numpy(digits)


def load_scikit_labels(split: str) -> torch.Tensor:
    """Which digits the images of `load_scikit_digits` are: int64, ``(N,)``."""
    datasets = need("sklearn.datasets", "scikit-learn", "its handwritten digits")
    labels = torch.from_numpy(datasets.load_digits().target).long()
    of_test = torch.arange(len(labels)) % _TEST_SHARE == 0
    return labels[of_test == (_check_split(split) == "test")]


def find_labels(
    root: str | Path | None = None,
    *,
    download_to: str | Path = "data/mnist",
    bundled: bool = False,
) -> Callable[[str], torch.Tensor]:
    """``load(split)`` of the labels of the images that `find_digits` finds.

    Parameters
    ----------
    root, download_to, bundled
        As given to `find_digits`, which is called first.

    Raises
    ------
    DataError
        There are images, but no labels beside them.
    """
    place = Path(download_to) if root is None else Path(root)
    if bundled or (root is None and not _is_there(place)):
        return load_scikit_labels
    for name, _ in _LABEL_FILES.values():
        _find(place, name)
    return lambda split: load_mnist_labels(place, split)


def find_digits(
    root: str | Path | None = None,
    *,
    download_to: str | Path = "data/mnist",
    bundled: bool = False,
) -> tuple[Callable[[str], torch.Tensor], str]:
    """MNIST where it can be had, else scikit-learn's digits, and a line that says so.

    Parameters
    ----------
    root : str or Path, optional
        The folder of the IDX files. Without it, `download_to` is looked at, and
        the files are fetched there where the network allows.
    download_to : str or Path
        The folder that gets ``MNIST/raw`` where `root` is not given.
    bundled : bool
        Take scikit-learn's digits at once.

    Returns
    -------
    load : callable
        ``load(split)`` gives uint8 images ``(N, 28, 28)``.
    words : str
        What the digits are, for the user.

    Raises
    ------
    DataError
        `root` is given and holds no MNIST.
    """
    if bundled:
        return load_scikit_digits, "the digits are scikit-learn's 1,797"
    if root is not None:
        for split in SPLITS:
            _find(Path(root), _FILES[split][0])
        return lambda split: load_mnist(root, split), f"the digits are MNIST in {root}"
    try:
        download_mnist(download_to)
    except DataError as error:
        words = (
            f"no MNIST ({error}): scikit-learn's 1,797 handwritten digits stand in "
            "for its 70,000"
        )
        return load_scikit_digits, words
    return (
        lambda split: load_mnist(download_to, split),
        f"the digits are MNIST in {download_to}",
    )


def _check_split(split: str) -> str:
    if split not in SPLITS:
        raise DataError(f"unknown split {split!r} of digits; there are {SPLITS}")
    return split


def _is_there(root: Path) -> bool:
    try:
        return all(_find(root, name) for name, _ in _FILES.values())
    except DataError:
        return False


def _find(root: Path, name: str) -> Path:
    dotted = name.replace("-idx", ".idx")  # as the archive itself calls its content
    for folder in (root, root / "raw", root / "MNIST" / "raw"):
        for plain in (name, dotted, f"{name}/{name}", f"{dotted}/{dotted}"):
            for path in (folder / plain, folder / f"{plain}.gz"):
                if path.is_file():
                    return path
    raise DataError(
        f"{root}: holds no {name} (looked there, in raw and in MNIST/raw, also for "
        ".gz); give the folder of MNIST's IDX files"
    )


@contextlib.contextmanager
def _socket_timeout() -> Iterator[None]:
    """Let a server that does not answer not hang the program."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
