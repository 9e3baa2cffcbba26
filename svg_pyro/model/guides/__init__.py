"""Inference networks q(z_t given x_{1:T}): one contract, `Guide`, a file for each."""

from svg_pyro.model.guides.base import Guide
from svg_pyro.model.guides.filtering import FilteringGuide
from svg_pyro.model.guides.flow import FlowGuide
from svg_pyro.model.guides.prior import PriorGuide
from svg_pyro.model.guides.smoothing import SmoothingGuide

__all__ = [
    "FilteringGuide",
    "FlowGuide",
    "Guide",
    "PriorGuide",
    "SmoothingGuide",
]
