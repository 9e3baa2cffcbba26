"""Devices that are not there, hold no values, or were never tried: one line."""

import pytest
import torch

import svg_pyro
from svg_pyro import CheckpointError, ConfigError
from svg_pyro.commands.devices import choose_device


@pytest.mark.parametrize("name", ["mps", "xpu", "meta", "gpu", "cpu:1", "cuda:99", ""])
def test_a_device_that_cannot_be_used_is_refused(name):
    with pytest.raises(ConfigError) as caught:
        choose_device(name)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 200, text


@pytest.mark.parametrize("where", ["meta", "nowhere", torch.device("meta")])
def test_a_checkpoint_is_loaded_to_no_such_device(tiny, tmp_path, where):
    svg_pyro.save(svg_pyro.SVG(tiny), tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="which is no device here"):
        svg_pyro.load(tmp_path / "a.pt", map_location=where)
