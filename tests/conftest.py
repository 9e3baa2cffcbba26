"""Every test starts with an empty parameter store, validation on and a fixed seed."""

import os

# Before PyTorch starts its threads, and for the examples' processes too. With two
# threads, beside another training, a comparison of two equal runs once failed.
os.environ["OMP_NUM_THREADS"] = "1"

import pyro
import pytest
import torch

from svg_pyro import SVGConfig
from svg_pyro.data.base import ClipDataset, clip_rng

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(
            not torch.cuda.is_available(), reason="needs a CUDA device"
        ),
    ),
]


@pytest.fixture(autouse=True)
def clean_pyro():
    pyro.clear_param_store()
    pyro.enable_validation(True)
    pyro.set_rng_seed(0)


@pytest.fixture(params=DEVICES)
def device(request):
    return torch.device(request.param)


@pytest.fixture
def tiny():
    """A grey DCGAN of a few thousand weights."""
    return SVGConfig(
        channels=1, width=4, g_dim=8, z_dim=3, rnn_size=12, n_past=2, beta=1e-3
    )


class Squares(ClipDataset):
    """Bright squares that move steadily: a data set for the training loop's tests."""

    channels, image_size = 1, 64

    def __init__(self, count=12, n_frames=5, seed=0):
        self.count, self.n_frames, self.seed = count, n_frames, seed

    def __len__(self):
        return self.count

    def clip(self, index, epoch=0):
        rng = clip_rng(self.seed, epoch, index)
        clip = torch.zeros(self.n_frames, 1, 64, 64, dtype=torch.uint8)
        (x, y), (dx, dy) = rng.integers(16, 32, 2), rng.integers(-2, 3, 2)
        for t in range(self.n_frames):
            clip[t, :, y + t * dy : y + t * dy + 12, x + t * dx : x + t * dx + 12] = 255
        return clip


@pytest.fixture
def squares():
    return Squares()
