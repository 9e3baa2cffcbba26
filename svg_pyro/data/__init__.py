"""Videos to learn from.

`ClipDataset` is the contract that every data set keeps: `MovingMNIST`, made on the
fly; `KTH` (`download_kth`) and `BairPush`, the BAIR robot pushing set
(`download_bair`, or a simulated stand-in of its layout by `make_simulated_push`),
as they are published; `VideoFolder`, anybody's videos. `first_frames` gives the
start of a video for a prediction.
"""

from svg_pyro.data.bair.dataset import BairPush
from svg_pyro.data.base import ClipDataset
from svg_pyro.data.digits import find_digits
from svg_pyro.data.download.published import download_bair, download_kth
from svg_pyro.data.moving_mnist import MovingMNIST
from svg_pyro.data.simulated_push.dataset import make_simulated_push
from svg_pyro.data.videos.first_frames import first_frames
from svg_pyro.data.videos.folder import VideoFolder, find_sources
from svg_pyro.data.videos.kth import KTH
from svg_pyro.util.tensors import to_float

__all__ = [
    "KTH",
    "BairPush",
    "ClipDataset",
    "MovingMNIST",
    "VideoFolder",
    "download_bair",
    "download_kth",
    "find_digits",
    "find_sources",
    "first_frames",
    "make_simulated_push",
    "to_float",
]
