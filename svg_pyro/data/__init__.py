"""Videos to learn from.

`ClipDataset` is the contract that every data set keeps; `BairPush` reads the BAIR
robot pushing set, which `download_bair` fetches (30 GB), and for which
`make_simulated_push` makes a small stand-in of the same layout within a minute.
"""

from svg_pyro.data.bair import BairPush
from svg_pyro.data.base import ClipDataset
from svg_pyro.data.download import download_bair
from svg_pyro.data.simulated_push import make_simulated_push

__all__ = ["BairPush", "ClipDataset", "download_bair", "make_simulated_push"]
