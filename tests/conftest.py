"""Every test starts with an empty parameter store, validation on and a fixed seed."""

import os

# Before PyTorch starts its threads, and for the examples' processes too. With two
# threads, beside another training, a comparison of two equal runs once failed.
os.environ["OMP_NUM_THREADS"] = "1"

import pyro
import pytest
import torch
from support.squares import Squares

from svg_pyro import SVGConfig

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


@pytest.fixture
def squares():
    return Squares()
