"""Models and contexts for the tests of futures."""

import dataclasses

import torch

from svg_pyro import SVG


def awake(config, **changes):
    """A float64 model whose weights are large enough for every part to matter."""
    svg = SVG(dataclasses.replace(config, **changes)).double()
    with torch.no_grad():
        for p in svg.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return svg


def with_backbone(config, name, **changes):
    """A configuration with a backbone by its name, and the dynamics that it is of."""
    dynamics = "maps" if name == "maps" else "vector"
    changes |= {"backbone": name, "dynamics": dynamics}
    return dataclasses.replace(config, **changes)


def contexts(batch=2, steps=3):
    return torch.rand(batch, steps, 1, 64, 64).double()
