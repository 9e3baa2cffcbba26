"""A run that is stopped and resumed, beside the run that was not."""

import dataclasses

import pyro
import torch
from support.squares import Squares

from svg_pyro import SVG
from svg_pyro.training.trainer import Trainer


def check_resume_is_exact(config, training, folder, stop):
    """All weights are the same bit for bit, whether or not it stops on the way."""
    whole = _begun(config, training, folder / "whole")
    assert whole.run()
    first = _begun(config, training, folder / "parts")
    first.config = dataclasses.replace(training, steps=stop)
    assert first.run()
    pyro.clear_param_store()
    torch.manual_seed(99)
    second = _begun(config, training, folder / "parts")
    second.resume()
    assert second.step == stop and second.run()
    for name, value in whole.svg.state_dict().items():
        assert torch.equal(second.svg.state_dict()[name], value), name


def _begun(config, training, out):
    torch.manual_seed(0)
    return Trainer(SVG(config), Squares(), training, out)
