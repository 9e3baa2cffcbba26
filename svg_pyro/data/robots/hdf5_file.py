"""Episodes inside HDF5 files: where pictures and numbers are, in two layouts."""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from svg_pyro.data.robots.cameras import Size
from svg_pyro.data.videos.arrays import MOST_PIXELS
from svg_pyro.data.videos.decode import natural
from svg_pyro.data.videos.stills import still
from svg_pyro.errors import DataError
from svg_pyro.util.optional import need
from svg_pyro.util.words import one_line

ENDINGS = (".hdf5", ".h5")
LAYOUTS = "data/demo_N/obs (robomimic) or observations/images (ALOHA)"
_BLOCK = 32  # frames read at once: a chunk of the file is unpacked for each reading
_BLOCK_BYTES = 2**28  # that they have at most, unless one alone has more
_MOST_BYTES = 2**32  # of an episode's actions, or of its states
# Where the robot is: robomimic's usual observations; ALOHA's joints.
_ROBOMIMIC_STATES = ("robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos")
_ALOHA_STATES = ("observations/qpos", "observations/state")
_ACTIONS = ("action", "actions")


@dataclass(frozen=True)
class Demo:
    """One episode in an HDF5 file.

    Attributes
    ----------
    path : Path
        The file.
    group : str
        Its group in the file; "" where the file is one episode.
    cameras : dict of str to str
        Data sets of pictures, by the cameras' names.
    sizes : dict of str to Size
        Height, width and channels of the cameras' pictures.
    length : int
        Rows of actions; without them, pictures of the first camera.
    action : str or None
        Data set of actions.
    states : tuple of str
        Data sets of numbers that make up the robot's state.
    widths : tuple of (int, int)
        Numbers in a row of actions and of states.
    """

    path: Path
    group: str
    cameras: dict[str, str]
    sizes: dict[str, Size]
    length: int
    action: str | None
    states: tuple[str, ...]
    widths: tuple[int, int]


def hdf5_files(root: Path) -> list[Path]:
    """The HDF5 files in a folder and below, 2 before 10; or the one file.

    Parameters
    ----------
    root : Path
        A folder, in which hidden files are passed over, or a file.
    """
    if root.is_file():
        return [root] if root.suffix.lower() in ENDINGS else []
    found: list[Path] = []
    for place, below, names in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        found += [
            Path(place, name)
            for name in names
            if Path(name).suffix.lower() in ENDINGS and not name.startswith(".")
            # A pipe would be waited for.
            if Path(place, name).is_file()
        ]
    return sorted(found, key=lambda path: natural(path.relative_to(root).as_posix()))


def open_hdf5(path: Path) -> Any:
    """An HDF5 file to read from.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    h5py.File
        A context manager.

    Raises
    ------
    DataError
        It cannot be read as such, or h5py is not installed.
    """
    h5py = need("h5py", "h5py", "reading HDF5 files")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: is no HDF5 file that can be read ({reason})"
        ) from None


def demos_in(path: Path) -> list[Demo]:
    """The episodes of an HDF5 file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    list of Demo
        At least one.

    Raises
    ------
    DataError
        The file cannot be read, or is of neither layout.
    """
    with open_hdf5(path) as file:
        try:
            groups = _groups(file)
            demos = [_demo(file, path, group) for group in groups]
        except (OSError, RuntimeError, KeyError, AttributeError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path}: is damaged ({reason})") from None
    if demos:
        return demos
    raise DataError(f"{path}: is of an unknown layout; there are {LAYOUTS}")


def _groups(file: Any) -> list[str]:
    """The groups that are episodes; "" stands for the whole file."""
    if "data" in file and hasattr(file["data"], "keys"):
        groups = [f"data/{name}" for name in sorted(file["data"], key=natural)]
        groups = [group for group in groups if f"{group}/obs" in file]
        if groups:
            return groups
    return [""] if "observations/images" in file else []


def _demo(file: Any, path: Path, group: str) -> Demo:
    inside = f"{group}/" if group else ""
    pictures = f"{group}/obs" if group else "observations/images"
    cameras, sizes = {}, {}
    for name, dataset in file[pictures].items():
        size = _size_of(dataset)
        if size is not None:
            cameras[name], sizes[name] = f"{pictures}/{name}", size
    action = next((inside + k for k in _ACTIONS if inside + k in file), None)
    if group:
        states = tuple(f"{pictures}/{k}" for k in _ROBOMIMIC_STATES)
        states = tuple(key for key in states if key in file)
    else:
        states = tuple(key for key in _ALOHA_STATES if key in file)[:1]
    counted = action or next(iter(cameras.values()), None)
    return Demo(
        path,
        group,
        cameras,
        sizes,
        length=len(file[counted]) if counted else 0,
        action=action,
        states=states,
        widths=(
            _width(file, [action] if action else []),
            _width(file, list(states)),
        ),
    )


def _width(file: Any, keys: list[str]) -> int:
    return sum(int(np.prod(file[key].shape[1:])) for key in keys)


def _check_numbers(dataset: Any) -> None:
    """Refuse what holds no real numbers, or claims more than memory is asked for."""
    if not hasattr(dataset, "dtype") or dataset.dtype.kind not in "fiub":
        raise TypeError("it holds no real numbers")
    if dataset.nbytes > _MOST_BYTES:
        raise ValueError(f"it claims {dataset.nbytes} bytes, more than {_MOST_BYTES}")
    if dataset.external:
        raise ValueError("its values are in another file")


def _size_of(dataset: Any) -> Size | None:
    """The size of a data set's pictures; None where it holds none."""
    shape = getattr(dataset, "shape", None)
    if not shape or 0 in shape or dataset.external:
        return None
    if len(shape) == 4 and shape[1] * shape[2] * shape[3] > 4 * MOST_PIXELS:
        return None
    if len(shape) == 4 and dataset.dtype == np.uint8:
        if shape[3] in (1, 3, 4):
            return int(shape[1]), int(shape[2]), int(shape[3])
        if shape[1] in (1, 3, 4):
            return int(shape[2]), int(shape[3]), int(shape[1])
    if _is_encoded(dataset):
        try:
            picture = still(io.BytesIO(_bytes(dataset[0])), "frame 0")
        except DataError:
            return None
        return picture.height, picture.width, len(picture.getbands())
    return None


def _is_encoded(dataset: Any) -> bool:
    """Whether each row may be the bytes of an image: JPEG, as ALOHA compresses them."""
    if len(dataset.shape) == 2:  # padded with zeros to one length
        return bool(dataset.dtype == np.uint8)
    return len(dataset.shape) == 1 and dataset.dtype.kind in "OSV"


def _bytes(row: Any) -> bytes:
    return row if isinstance(row, bytes) else np.asarray(row).tobytes()


def dataset_pictures(path: Path, name: str) -> Iterator[Image.Image]:
    """The pictures of a data set in an HDF5 file.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        The data set: uint8, shape ``(T, H, W, C)`` or ``(T, C, H, W)`` with C = 1, 3
        or 4; or the bytes of an encoded image in each row.

    Yields
    ------
    PIL.Image.Image
        A frame.

    Raises
    ------
    DataError
        There is no such data set, or it holds no pictures.
    """
    with open_hdf5(path) as file:
        if name not in file or _size_of(file[name]) is None:
            raise DataError("holds no pictures (uint8, T x H x W x C)")
        dataset = file[name]
        row_bytes = max(1, dataset.nbytes // len(dataset))
        block = max(1, min(_BLOCK, _BLOCK_BYTES // row_bytes))
        for start in range(0, len(dataset), block):
            for t, row in enumerate(dataset[start : start + block], start):
                if len(dataset.shape) == 4:
                    yield _picture(row)
                else:
                    yield still(io.BytesIO(_bytes(row)), f"frame {t}")


def _picture(pixels: np.ndarray) -> Image.Image:
    if pixels.shape[-1] not in (1, 3, 4):
        pixels = pixels.transpose(1, 2, 0)
    pixels = np.ascontiguousarray(pixels)
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def rows_of(demo: Demo, keys: tuple[str, ...]) -> np.ndarray:
    """Numbers of an episode, side by side.

    Parameters
    ----------
    demo : Demo
        The episode.
    keys : tuple of str
        Data sets in its file, at least one.

    Returns
    -------
    numpy.ndarray
        float32, shape ``(L, A)``.

    Raises
    ------
    DataError
        They cannot be read, or are not as long as the episode.
    """
    parts = []
    with open_hdf5(demo.path) as file:
        for key in keys:
            try:
                _check_numbers(file[key])
                values = np.asarray(file[key][()], np.float32)
            except (OSError, KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"{demo.path}: {key} cannot be read as numbers ({one_line(error)})"
                ) from None
            if not len(values):
                raise DataError(f"{demo.path}: {key} holds no row")
            if len(values) != demo.length:
                raise DataError(
                    f"{demo.path}: {key} has {len(values)} rows, and {demo.action} "
                    f"{demo.length}"
                )
            parts.append(values.reshape(demo.length, -1))
    return np.concatenate(parts, 1)
