"""Videos to learn from.

`ClipDataset` is the contract that every data set keeps: `MovingMNIST`, made on the
fly; `KTH` (`download_kth`) and `BairPush`, the BAIR robot pushing set
(`download_bair`, or a simulated stand-in of its layout by `make_simulated_push`),
as they are published; `LeRobot` and `RobotHDF5`, the recordings of robots;
`VideoFolder`, anybody's videos; `ArrayClips`, a test set in one array file.
`Augmented` changes the clips of another set a little in every epoch.
`first_frames` gives the start of a video for a prediction.

Each name is loaded when it is first asked for: what reads videos or simulates pushes
costs nothing where it is not used.
"""

from typing import TYPE_CHECKING

from svg_pyro.util.lazy import lazily

if TYPE_CHECKING:
    from svg_pyro.data.augmented import Augmented
    from svg_pyro.data.bair.dataset import BairPush
    from svg_pyro.data.base import ClipDataset
    from svg_pyro.data.digits import find_digits
    from svg_pyro.data.download.published import download_bair, download_kth
    from svg_pyro.data.moving_mnist import MovingMNIST
    from svg_pyro.data.robots.hdf5 import RobotHDF5
    from svg_pyro.data.robots.lerobot import LeRobot
    from svg_pyro.data.simulated_push.dataset import make_simulated_push
    from svg_pyro.data.videos.array_clips import ArrayClips
    from svg_pyro.data.videos.first_frames import first_frames
    from svg_pyro.data.videos.folder import VideoFolder
    from svg_pyro.data.videos.kth import KTH
    from svg_pyro.data.videos.search import find_sources
    from svg_pyro.util.tensors import to_float

__all__ = [
    "KTH",
    "ArrayClips",
    "Augmented",
    "BairPush",
    "ClipDataset",
    "LeRobot",
    "MovingMNIST",
    "RobotHDF5",
    "VideoFolder",
    "download_bair",
    "download_kth",
    "find_digits",
    "find_sources",
    "first_frames",
    "make_simulated_push",
    "to_float",
]

_MODULES = {
    "KTH": "svg_pyro.data.videos.kth",
    "ArrayClips": "svg_pyro.data.videos.array_clips",
    "Augmented": "svg_pyro.data.augmented",
    "BairPush": "svg_pyro.data.bair.dataset",
    "ClipDataset": "svg_pyro.data.base",
    "LeRobot": "svg_pyro.data.robots.lerobot",
    "MovingMNIST": "svg_pyro.data.moving_mnist",
    "RobotHDF5": "svg_pyro.data.robots.hdf5",
    "VideoFolder": "svg_pyro.data.videos.folder",
    "download_bair": "svg_pyro.data.download.published",
    "download_kth": "svg_pyro.data.download.published",
    "find_digits": "svg_pyro.data.digits",
    "find_sources": "svg_pyro.data.videos.search",
    "first_frames": "svg_pyro.data.videos.first_frames",
    "make_simulated_push": "svg_pyro.data.simulated_push.dataset",
    "to_float": "svg_pyro.util.tensors",
}

# Hidden from type checkers, to which a name that is not above is a mistake.
if not TYPE_CHECKING:
    __getattr__ = lazily(globals(), _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
