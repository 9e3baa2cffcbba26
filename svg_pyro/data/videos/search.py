"""Which videos a folder holds: films, folders of images, arrays."""

import mimetypes
import os
from pathlib import Path

from svg_pyro.data.robots.kinds import ADVICE, hdf5_words
from svg_pyro.data.videos.arrays import videos_in
from svg_pyro.data.videos.decode import Source, natural
from svg_pyro.data.videos.layouts import check_layout
from svg_pyro.data.videos.stills import IMAGE_ENDINGS, is_stack
from svg_pyro.errors import DataError
from svg_pyro.util.reports import report_once

VIDEO_ENDINGS = [
    *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".m1v"),
    *(".m2ts", ".m2v", ".m4v", ".mk3d", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg"),
    *(".mpg", ".mts", ".nut", ".ogg", ".ogm", ".ogv", ".qt", ".ts", ".vob", ".webm"),
    ".wmv",
]
ARRAY_ENDINGS = (".npy", ".npz")
# Endings of films and pictures that `mimetypes` does not know, and no reader here.
_UNREAD = [
    *(".265", ".av1", ".avif", ".bik", ".exr", ".h264", ".h265", ".heic", ".heif"),
    *(".hevc", ".ivf", ".jp2", ".jxl", ".mj2", ".mjpeg", ".mxf", ".r3d", ".rm"),
    *(".rmvb", ".tga", ".wtv", ".y4m"),
]
_NO_FRAMES = ("image/svg+xml", "image/vnd.microsoft.icon", "image/x-icon")
_FORMS = (
    "mp4, avi, mov, webm, mkv or gif files, image sequences, or .npy or .npz arrays"
)

# Below them a link leads on through the whole disk, and to what nobody may read.
_OF_THE_SYSTEM = "/proc/", "/sys/"


def find_sources(path: str | Path, *, layout: str | None = None) -> list[Source]:
    """The videos in a folder and those below it, sorted by name.

    A folder that directly holds images and no films is one video; an image file of
    several pictures (TIFF pages, animated WebP or PNG) is a film. Hidden files and
    folders are passed over, and so are the folders of training runs, whose pictures are
    not data. A file or folder that is found under two names (links, loops of links)
    counts once.

    Parameters
    ----------
    path : str or Path
        A folder, or one file.
    layout : str, optional
        Of the arrays, one of `svg_pyro.data.videos.layouts.LAYOUTS`: n counts videos,
        t frames, c colour channels, h rows and w columns. Without it the shape of each
        decides, see `svg_pyro.data.videos.layouts.read_shape`.

    Returns
    -------
    list of Source
        At least one.

    Raises
    ------
    DataError
        There is no such path or layout, or it holds no video.
    """
    check_layout(layout)
    path = Path(path).absolute()
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; give a folder of {_FORMS}")
    if path.is_dir():
        sources = _search(path, layout)
    else:
        sources = _sources_of(path, layout) or [Source(path)]
    if not sources:
        robots = hdf5_words(path)
        what = robots or f"; give a folder of {_FORMS}"
        advice = ADVICE if robots else ()
        raise DataError(f"{path}: holds no video{what}", advice=advice)
    return sources


def _search(root: Path, layout: str | None) -> list[Source]:
    seen: set[tuple[int, int | str]] = set()
    sources: list[Source] = []
    unread: list[Path] = []
    for place, below, names in os.walk(root, followlinks=True):
        folder = Path(place)
        system = f"{os.path.realpath(folder)}/".startswith(_OF_THE_SYSTEM)
        if system or "checkpoint.pt" in names or not _first_time(folder, seen):
            below.clear()
            continue
        below[:] = sorted((n for n in below if not n.startswith(".")), key=natural)
        names = sorted((n for n in names if not n.startswith(".")), key=natural)
        films: list[Source] = []
        stills: list[Path] = []
        for file in (folder / name for name in names):
            in_file = _sources_of(file, layout)
            if in_file and _first_time(file, seen):
                films += in_file
            elif not in_file and file.suffix.lower() in IMAGE_ENDINGS:
                stills.append(file)
            elif not in_file and _is_unread(file):
                unread.append(file)
        sources += films
        if stills and not films:
            sources.append(Source(folder, "images"))
        elif stills:
            report_once(
                f"{folder}: {len(stills)} images beside films are passed over "
                f"({stills[0].name} ...); images are a video where nothing else is"
            )
    if unread:
        names = [str(file.relative_to(root)) for file in unread[:3]]
        report_once(
            f"{root}: {len(unread)} files of formats that are not read are passed over "
            f"({', '.join(names)}{' ...' if len(unread) > 3 else ''}); convert them to "
            "mp4 or png"
        )
    return sorted(sources, key=lambda source: natural(source.name))


def _is_unread(file: Path) -> bool:
    """Whether a file that is not read looks like a video or a picture of one."""
    kind = mimetypes.guess_type(file.name)[0] or ""
    known = kind.startswith(("video/", "image/")) and kind not in _NO_FRAMES
    return (known or file.suffix.lower() in _UNREAD) and file.is_file()


def _sources_of(file: Path, layout: str | None) -> list[Source]:
    """The videos in one file: none, one, or those of an array."""
    if file.exists() and not file.is_file():
        return []  # a pipe or a device would be waited for
    ending = file.suffix.lower()
    if ending in VIDEO_ENDINGS:
        return [Source(file)]
    if is_stack(file):
        return [Source(file, "stack")]
    if ending in ARRAY_ENDINGS:
        places = videos_in(file, layout)
        return [Source(file, "array", p.member, p.number, p.layout) for p in places]
    return []


def _first_time(path: Path, seen: set[tuple[int, int | str]]) -> bool:
    """Whether a file or folder is met for the first time, by whatever name."""
    try:
        identity = identity_of(path)
    except OSError:
        return True  # a dead link: it is reported when it is read
    new = identity not in seen
    seen.add(identity)
    return new


def identity_of(path: Path) -> tuple[int, int | str]:
    """The same for all names of a file; some drives number no files (inode 0)."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino or os.path.realpath(path)
