"""Frames of a user's video, whatever its form, cut to the size of a model."""

import functools
import re
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from svg_pyro.data.videos.arrays import ArrayPlace, array_frames
from svg_pyro.data.videos.gaps import Gap
from svg_pyro.data.videos.stills import IMAGE_ENDINGS, image_pictures, stack_pictures
from svg_pyro.errors import DataError
from svg_pyro.util.optional import need

FITS = ("crop", "letterbox", "stretch")
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class Source:
    """One video of the user's.

    Attributes
    ----------
    path : Path
        A video file, a folder of images, or a file that holds arrays or images.
    kind : str
        "video", "images" (a folder), "stack" (an image file of several), "array",
        "parquet" (a column of images) or "hdf5".
    member : str, optional
        What in the file holds the video: the file in an .npz archive, the column of
        a Parquet file, the data set in an HDF5 file.
    number : int, optional
        The video in an array that holds several.
    layout : str, optional
        How the array is read, one of `svg_pyro.data.videos.layouts.LAYOUTS`; without
        it, its shape decides.
    """

    path: Path
    kind: str = "video"
    member: str | None = None
    number: int | None = None
    layout: str | None = None

    @property
    def name(self) -> str:
        """Words by which a person finds the video, on one line."""
        member = f":{self.member.removesuffix('.npy')}" if self.member else ""
        number = f"[{self.number}]" if self.number is not None else ""
        return _printable(f"{self.path}{member}{number}")

    @property
    def where(self) -> str:
        """The name without the folders above the file."""
        return self.name[len(str(_printable(str(self.path.parent)))) :]

    @property
    def size(self) -> int:
        """Bytes of the file; 0 of a folder, and of a file that is gone."""
        return self.path.stat().st_size if self.path.is_file() else 0


def decode(
    source: Source,
    image_size: int,
    channels: int,
    fit: str = "crop",
    *,
    gaps: list[Gap] | None = None,
) -> Generator[np.ndarray, None, None]:
    """Frames of a video in their order, each as it is stored, whatever its time.

    Parameters
    ----------
    source : Source
        The video.
    image_size : int
        Height and width of the frames that are given, in pixels.
    channels : int
        1 (grey: ITU-R 601 luma) or 3 (RGB).
    fit : str
        "crop" (scale the short side, cut out the centre), "letterbox" (scale the
        long side, black beside it) or "stretch". Pixels that are not square and
        turned pictures are set right first; transparent ones lie over black.
    gaps : list, optional
        Gets the places at which frames are missing because something could not be
        decoded; without it the video ends there, by an error.

    Yields
    ------
    numpy.ndarray
        uint8, shape ``(H, W, C)``, values 0 to 255.

    Raises
    ------
    DataError
        There is no such fit; or the video, or the rest of it, cannot be read; frames
        that were given until then are good.
    """
    if fit not in FITS:
        raise DataError(f"no fit {fit!r}; choose one of {', '.join(FITS)}")
    done = 0
    try:
        _check_kind(source.path)
        for picture, aspect in _READERS[source.kind](source, gaps):
            mode = "L" if channels == 1 else "RGB"
            picture = fitted(_opaque(picture).convert(mode), image_size, fit, aspect)
            yield np.asarray(picture).reshape(image_size, image_size, channels)
            done += 1
    except (DataError, *_UNREADABLE) as error:
        raise DataError(
            f"{source.name}: {_reason(error, done)}",
            advice=getattr(error, "advice", ()),
        ) from None
    if not done:
        raise DataError(f"{source.name}: holds no frame")


def _check_kind(path: Path) -> None:
    """Refuse what is no file with something in it: a pipe would be waited for."""
    if path.stat().st_size == 0 and path.is_file():
        raise DataError("the file is empty: zero bytes")
    if not (path.is_file() or path.is_dir()):
        raise DataError("is no regular file")


def fitted(
    picture: Image.Image, size: int, fit: str, aspect: float = 1.0
) -> Image.Image:
    """A picture as a square.

    Parameters
    ----------
    picture : PIL.Image.Image
        Of any size.
    size : int
        Height and width of the square in pixels.
    fit : str
        "crop", "letterbox" or "stretch", see `decode`.
    aspect : float
        Width over height of a pixel.

    Returns
    -------
    PIL.Image.Image
        Scaled by an antialiased cubic, as ffmpeg and the first code do it.
    """
    # A large picture is shrunk by whole numbers first: five times faster for 1080
    # lines, within about two grey levels of the exact result.
    resize = functools.partial(
        picture.resize, resample=Image.Resampling.BICUBIC, reducing_gap=3.0
    )
    width, height = picture.width * aspect, picture.height
    if fit == "stretch":
        return resize((size, size))
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left / aspect, top, (left + side) / aspect, top + side)
        return resize((size, size), box=box)
    scale = size / max(width, height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    square = Image.new(picture.mode, (size, size))
    place = (size - inner[0]) // 2, (size - inner[1]) // 2
    square.paste(resize(inner), place)
    return square


def image_files(folder: str | Path) -> list[Path]:
    """The images directly in a folder, 2 before 10, hidden ones left out."""
    files = [
        path
        for path in Path(folder).iterdir()
        if path.suffix.lower() in IMAGE_ENDINGS
        and not path.name.startswith(".")
        and (path.is_file() or not path.exists())  # a dead link is reported later
    ]
    return sorted(files, key=lambda path: natural(path.name))


def natural(name: str) -> tuple[list[str | int], str]:
    """A key that sorts names by the numbers in them."""
    parts: list[str | int] = [*re.split(r"([0-9]+)", name)]
    parts[1::2] = [int(number) for number in parts[1::2]]
    return parts, name


def _reason(error: Exception, done: int) -> str:
    """What went wrong after `done` frames, on one line."""
    reason = getattr(error, "strerror", None) or str(error) or repr(error)
    # A reader may pass on a header of thousands of bytes.
    reason = reason if len(reason) < 160 else f"{reason[:160]}..."
    if done:
        reason = f"only {done} frames can be read ({reason})"
    return _printable(" ".join(reason.split()))


def _printable(text: str) -> str:
    """A text, perhaps of a file's name, such as every terminal and file takes."""
    text = text.encode("utf-8", "backslashreplace").decode()
    # A control character may clear the screen, or forge a line.
    shown = (
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )
    return "".join(shown)


def _opaque(picture: Image.Image) -> Image.Image:
    """A picture over black where it is transparent."""
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, picture)


def _video_pictures(
    source: Source, gaps: list[Gap] | None
) -> Iterator[tuple[Image.Image, float]]:
    """Pictures of a video file."""
    need("av", "av", "reading videos")
    from svg_pyro.data.videos.film import film_pictures

    return film_pictures(source.path, gaps)


def _image_pictures(
    source: Source, gaps: list[Gap] | None
) -> Iterator[tuple[Image.Image, float]]:
    """Pictures of a folder of images."""
    pictures = image_pictures(image_files(source.path), source.name, gaps)
    return ((picture, 1.0) for picture in pictures)


def _stack_pictures(
    source: Source, gaps: list[Gap] | None
) -> Iterator[tuple[Image.Image, float]]:
    """Pictures of an image file that holds several."""
    pictures = stack_pictures(source.path, source.name, gaps)
    return ((picture, 1.0) for picture in pictures)


def _array_pictures(
    source: Source, _: list[Gap] | None
) -> Iterator[tuple[Image.Image, float]]:
    """Pictures of one video of an array file."""
    place = ArrayPlace(source.member, source.number, source.layout)
    for frame in array_frames(source.path, place):
        yield Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame), 1.0


def _parquet_pictures(
    source: Source, _: list[Gap] | None
) -> Iterator[tuple[Image.Image, float]]:
    """Pictures of a column of a Parquet file."""
    from svg_pyro.data.robots.parquet import column_pictures

    return ((p, 1.0) for p in column_pictures(source.path, source.member or ""))


def _hdf5_pictures(
    source: Source, _: list[Gap] | None
) -> Iterator[tuple[Image.Image, float]]:
    """Pictures of a data set in an HDF5 file."""
    from svg_pyro.data.robots.hdf5_file import dataset_pictures

    return ((p, 1.0) for p in dataset_pictures(source.path, source.member or ""))


_Reader = Callable[[Source, list[Gap] | None], Iterator[tuple[Image.Image, float]]]
_READERS: dict[str, _Reader] = {
    "video": _video_pictures,
    "images": _image_pictures,
    "stack": _stack_pictures,
    "array": _array_pictures,
    "parquet": _parquet_pictures,
    "hdf5": _hdf5_pictures,
}
