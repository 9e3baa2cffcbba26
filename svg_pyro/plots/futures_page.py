"""One HTML page of moving pictures that needs no other file and no script."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from svg_pyro.plots.pages import encoded, write_page

_ENLARGED = 2  # pixels of a screen for one of the picture, where there is room


@dataclass(frozen=True)
class MovingPicture:
    """A GIF as the page shows it.

    Attributes
    ----------
    gif : Path
        The picture; it becomes part of the page.
    title : str
        What it shows.
    caption : str
        What its rows and colours mean.
    """

    gif: Path
    title: str
    caption: str


@dataclass(frozen=True)
class FuturesPage:
    """What the page says.

    Attributes
    ----------
    title : str
        Its heading.
    pictures : sequence of MovingPicture
        In their order.
    notes : sequence of str
        Paragraphs at its end.
    """

    title: str
    pictures: Sequence[MovingPicture]
    notes: Sequence[str] = ()


def write_futures_page(page: FuturesPage, path: str | Path) -> None:
    """Write the page, ``futures.html.j2`` filled in; all text is escaped.

    Parameters
    ----------
    page : FuturesPage
        What it says and shows.
    path : str or Path
        HTML to write.
    """
    from PIL import Image

    pictures = []
    for picture in page.pictures:
        with Image.open(picture.gif) as gif:
            width = _ENLARGED * gif.width
        entry = {
            "gif": encoded(picture.gif),
            "width": width,
            "title": picture.title,
            "caption": picture.caption,
        }
        pictures.append(entry)
    write_page(path, "futures.html.j2", page=page, pictures=pictures)
