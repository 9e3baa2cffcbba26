"""Cameras of a recording, found by what a person calls them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from svg_pyro.errors import DataError
from svg_pyro.util.reports import report_once

# Height, width and channels of a camera's pictures.
Size = tuple[int, int, int]
_ENDINGS = ("_image", "_rgb")


def choose_cameras(
    asked: str | Sequence[str] | None, there: Mapping[str, Size], root: Path
) -> tuple[str, ...]:
    """The cameras that are read, by their full names.

    Parameters
    ----------
    asked : str or sequence of str or None
        Full names, or last parts of them ("top" for "observation.images.top",
        "agentview" for "agentview_image"). None takes the first camera, and says on
        standard error which that is, where there are several.
    there : mapping of str to Size
        Those of the recording, by their full names.
    root : Path
        The recording, for messages.

    Returns
    -------
    tuple of str
        Full names, each once.

    Raises
    ------
    DataError
        The recording has no camera, or none of that name, or several.
    """
    if not there:
        raise DataError(f"{root}: no camera has filmed its episodes")
    if asked is None or not asked:
        first, *others = there
        if others:
            report_once(
                f"{root}: camera {first} is read; there are also {_listed(there, 1)}"
            )
        return (first,)
    names = [asked] if isinstance(asked, str) else asked
    return tuple(dict.fromkeys(_find(name, there, root) for name in names))


def _find(name: str, there: Mapping[str, Size], root: Path) -> str:
    if name in there:
        return name
    found = [full for full in there if name in _short_names(full)]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"{root}: camera {name!r} may be {' or '.join(found)}; give the full name",
            advice=("camera",),
        )
    raise DataError(
        f"{root}: has no camera {name!r}; there are {_listed(there)}",
        advice=("camera",),
    )


def _short_names(full: str) -> Iterable[str]:
    last = full.rsplit(".", 1)[-1].rsplit("/", 1)[-1]
    yield last
    for ending in _ENDINGS:
        yield last.removesuffix(ending)


def _listed(there: Mapping[str, Size], start: int = 0) -> str:
    sizes = list(there.items())[start:]
    return ", ".join(f"{name} ({size[0]}x{size[1]})" for name, size in sizes)
