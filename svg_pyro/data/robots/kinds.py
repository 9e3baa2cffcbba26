"""Which of the data sets of robots a folder holds."""

from pathlib import Path

from svg_pyro.data.robots.episodes import RobotClips
from svg_pyro.data.robots.hdf5_file import ENDINGS, LAYOUTS, hdf5_files
from svg_pyro.data.robots.lerobot_meta import INFO, is_lerobot
from svg_pyro.errors import DataError

# The data set whose command reads them.
ADVICE = ("lerobot",)
_DEPTH = 2  # folders below a given one that are looked into


def robot_clips_class(root: str | Path) -> type[RobotClips]:
    """The class that reads a data set of robots.

    Parameters
    ----------
    root : str or Path
        A LeRobot data set; or a folder with HDF5 files in it or below, or one file.

    Returns
    -------
    type
        `svg_pyro.data.LeRobot` or `svg_pyro.data.RobotHDF5`.

    Raises
    ------
    DataError
        It is neither.
    """
    root = Path(root).absolute()
    # A LeRobot data set whose description is broken is to be told so.
    if (root / INFO).is_file():
        from svg_pyro.data.robots.lerobot import LeRobot

        return LeRobot
    if hdf5_files(root):
        from svg_pyro.data.robots.hdf5 import RobotHDF5

        return RobotHDF5
    found = _lerobot_below(root)
    if found is not None:
        raise DataError(f"{root}: a LeRobot data set is below it; give {found}")
    raise DataError(
        f"{root}: holds no data set of robots: no {INFO} (LeRobot), no .hdf5 file with "
        f"{LAYOUTS}"
    )


def refuse_robot_data(path: str | Path) -> None:
    """Refuse to read a data set of robots as if it were loose videos.

    Parameters
    ----------
    path : str or Path
        A folder that is taken for one of videos.

    Raises
    ------
    DataError
        It is a LeRobot data set, its folder of videos, or has one below it; or it is
        an HDF5 file.
    """
    path = Path(path).absolute()
    if path.is_file() and path.suffix.lower() in ENDINGS:
        raise DataError(f"{path}: holds no video{hdf5_words(path)}", advice=ADVICE)
    if path.name in ("videos", "data") and is_lerobot(path.parent):
        path = path.parent
    found = path if is_lerobot(path) else _lerobot_below(path)
    if found is not None:
        raise DataError(
            f"{found}: is a LeRobot data set, whose episodes would be torn apart when "
            "read as loose videos; give it to svg_pyro.data.LeRobot",
            advice=ADVICE,
        )


def hdf5_words(path: Path) -> str:
    """What to do with a folder in which HDF5 files are the only data, else ""."""
    files = hdf5_files(path)
    if not files:
        return ""
    what = "it is an HDF5 file" if path.is_file() else f"it holds {len(files)} of HDF5"
    return f"; {what}: give that to svg_pyro.data.RobotHDF5"


def _lerobot_below(root: Path) -> Path | None:
    """The first LeRobot data set a few folders below, if there is one."""
    for depth in range(1, _DEPTH + 1):
        for info in sorted(root.glob("/".join(["*"] * depth + [INFO]))):
            if is_lerobot(info.parents[1]):
                return info.parents[1]
    return None
