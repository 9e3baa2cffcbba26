"""Images: single ones, sequences of files, and stacks of several in one file."""

import contextlib
import functools
import math
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from svg_pyro.data.videos.arrays import MOST_PIXELS
from svg_pyro.data.videos.gaps import Gap
from svg_pyro.errors import DataError
from svg_pyro.util.reports import report_once

IMAGE_ENDINGS = [
    ".apng",
    ".bmp",
    ".jpeg",
    ".jpg",
    ".pbm",
    ".pgm",
    ".png",
    ".pnm",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
]
_STACK_ENDINGS = (".apng", ".png", ".tif", ".tiff", ".webp")
_FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_UNREADABLE = (OSError, EOFError, ValueError, SyntaxError, struct.error)
_NEW_SUBFILE_TYPE = 254  # of TIFF; its lowest bit marks a smaller copy of a page
# A picture as Pillow gives it, its values where they have more than 8 bits, its name.
_Loaded = tuple[Image.Image, np.ndarray | None, str]
_Loader = Callable[[], _Loaded]
_BITS = (8, 12, 16, 32)  # that whole numbers are taken to have
_TOO_LARGE = f"has more than {MOST_PIXELS} pixels, which are not unpacked"


def still(file: Path | IO[bytes], name: str) -> Image.Image:
    """One image, the right way up, with 8 bits a channel.

    Parameters
    ----------
    file : Path or file
        The encoded image.
    name : str
        How an error calls it.

    Raises
    ------
    DataError
        It is no image of a common format, has more than `MOST_PIXELS` pixels, or holds
        floats beyond 0 to 1. Of whole numbers of 16 bits the upper 8 are taken.
    """
    with _opened(file, name) as image:
        picture = ImageOps.exif_transpose(image)
    values = _deep(picture, file)
    return picture if values is None else _shallow(values, 16, name)


def image_pictures(
    paths: Iterable[Path], name: str, gaps: list[Gap] | None = None
) -> Iterator[Image.Image]:
    """The pictures of a sequence of image files, with 8 bits a channel.

    Whole numbers of more bits are taken to have 8, 12, 16 or 32: the fewest that hold
    the greatest one of all the files. Floats are of 0 to 1.

    Parameters
    ----------
    paths : iterable of Path
        The files.
    name : str
        How words for the user call the sequence.
    gaps : list, optional
        Gets the places at which a file could not be read; without it such a file ends
        the sequence by an error.

    Raises
    ------
    DataError
        As `still`, without `gaps` or where no file can be read.
    """
    yield from _pictures([functools.partial(_load, path) for path in paths], name, gaps)


def stack_pictures(
    path: Path, name: str, gaps: list[Gap] | None = None
) -> Iterator[Image.Image]:
    """The pictures of a file of several: TIFF pages, animated WebP or PNG.

    Parameters and errors are those of `image_pictures`.
    """
    with _opened(path, path.name) as image:
        pages = [functools.partial(_load_page, image, page) for page in _pages(image)]
        yield from _pictures(pages, name, gaps)


def is_stack(path: Path) -> bool:
    """Whether an image file holds several pictures, of which a film can be made."""
    if path.suffix.lower() not in _STACK_ENDINGS or not path.is_file():
        return False
    try:
        with _opened(path, path.name) as image:
            return len(_pages(image)) > 1
    except DataError:
        return False


def _pictures(
    loaders: Sequence[_Loader], name: str, gaps: list[Gap] | None
) -> Iterator[Image.Image]:
    count, bits, fault = 0, 0, None
    for load in loaders:
        try:
            picture, values, place = load()
            if values is not None:
                bits = bits or _bits_of(loaders, name)
                picture = _shallow(values, bits, place)
        except DataError as error:
            if gaps is None:
                raise
            fault = fault or error
            if not (gaps and gaps[-1].start == count):
                gaps.append(Gap(count, str(error)))
            continue
        yield picture
        count += 1
    if fault and not count:
        raise fault


def _load(path: Path) -> _Loaded:
    with _opened(path, path.name) as image:
        picture = ImageOps.exif_transpose(image)
    return picture, _deep(picture, path), path.name


def _load_page(image: Image.Image, page: int) -> _Loaded:
    try:
        image.seek(page)
        picture = ImageOps.exif_transpose(image)
    except (*_UNREADABLE, Image.DecompressionBombError):
        raise DataError(f"page {page + 1}: not a readable image") from None
    return picture, _deep(picture, None), f"page {page + 1}"


def _pages(image: Image.Image) -> list[int]:
    """The pages of a file that are frames."""
    count = getattr(image, "n_frames", 1)
    # An animated PNG may show another picture where nothing moves.
    first = 1 if getattr(image, "default_image", False) and count > 1 else 0
    pages = list(range(first, count))
    if image.format != "TIFF" or count == 1:
        return pages
    frames = []
    for page in pages:
        try:
            image.seek(page)
        except (*_UNREADABLE, Image.DecompressionBombError):
            break  # the pages form a chain
        if not image.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & 1:  # type: ignore[attr-defined]
            frames.append(page)
    return frames


@contextlib.contextmanager
def _opened(file: Path | IO[bytes], name: str) -> Iterator[Image.Image]:
    """An image whose size is checked before its pixels are asked for."""
    try:
        with warnings.catch_warnings():
            # Pillow warns at two thirds of the limit here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=_FORMATS)
    except Image.DecompressionBombError:
        raise DataError(f"{name}: {_TOO_LARGE}") from None
    except _UNREADABLE as error:
        raise DataError(f"{name}: {_reason(error)}") from None
    with image:
        if math.prod(image.size) > MOST_PIXELS:
            raise DataError(f"{name}: {_TOO_LARGE}")
        try:
            image.load()
        except _UNREADABLE as error:
            raise DataError(f"{name}: {_reason(error)}") from None
        yield image


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or "not a readable image"


def _deep(picture: Image.Image, file: Path | IO[bytes] | None) -> np.ndarray | None:
    """The values of an image of more than 8 bits a channel, else None."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        return np.asarray(picture)
    if picture.mode in ("RGB", "RGBA") and file is not None:
        return _deep_colour(file)  # Pillow has kept the upper 8 bits of 16 alone
    return None


def _deep_colour(file: Path | IO[bytes]) -> np.ndarray | None:
    """A PNG of 16 bits a channel in colour: uint16 ``(H, W, 3 or 4)``, else None."""
    if isinstance(file, Path):
        if file.suffix.lower() != ".png":
            return None
        with open(file, "rb") as opened:
            return _deep_colour(opened)
    file.seek(0)
    head = file.read(26)
    if head[:8] != b"\x89PNG\r\n\x1a\n" or len(head) < 26 or head[24] != 16:
        return None
    try:
        import av
    except ImportError:
        return None
    file.seek(0)
    decoder = av.CodecContext.create("png", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    try:
        packet = av.Packet(file.read())
        frames = [*decoder.decode(packet), *decoder.decode(None)]
    except av.FFmpegError:
        return None
    alpha = any(component.is_alpha for component in frames[0].format.components)
    return frames[0].to_ndarray(format="rgba64le" if alpha else "rgb48le")


def _bits_of(loaders: Sequence[_Loader], name: str) -> int:
    """The bits that a sequence's whole numbers have, by the greatest of them."""
    highest = 0
    for load in loaders:
        with contextlib.suppress(DataError):
            _, values, _ = load()
            if values is not None and values.dtype.kind != "f":
                highest = max(highest, int(values.max()))
    bits = next((bits for bits in _BITS if highest < 2**bits), _BITS[-1])
    if highest > 0 and bits != 16:
        report_once(f"{name}: values up to {highest} are read as {bits} bits")
    return bits


def _shallow(values: np.ndarray, bits: int, name: str) -> Image.Image:
    """Values as a picture of 8 bits a channel."""
    if values.dtype.kind == "f":
        low, high = float(values.min()), float(values.max())
        if not 0 <= low <= high <= 1:
            raise DataError(
                f"{name}: holds floats from {low:.6g} to {high:.6g}; save it with 8 "
                "bits, or with floats of 0 to 1"
            )
        return Image.fromarray((values * 255).round().astype(np.uint8))
    whole = values.astype(np.int64) >> (bits - 8)
    return Image.fromarray(whole.clip(0, 255).astype(np.uint8))
