"""The fixed prior of SVG-FP."""

from typing import Any

import pyro.distributions as dist
import torch

from svg_pyro.config import SVGConfig
from svg_pyro.model.priors.base import Prior
from svg_pyro.model.registry import register


@register("prior", "fixed")
class FixedPrior(Prior):
    """SVG-FP: p(z_t) = Normal(0, 1), the same at every time.

    Parameters
    ----------
    config : SVGConfig
    """

    def __init__(self, config: SVGConfig) -> None:
        super().__init__()
        self.z_dim = config.z_dim

    def forward(self, h: torch.Tensor, state: Any = None) -> tuple[Any, Any]:
        """See `Prior.forward`; there is no state."""
        zeros = h.new_zeros(*h.shape[:-1], self.z_dim)
        # Not the number 1: PyTorch would wait until it is copied to the device.
        return dist.Normal(zeros, torch.ones_like(zeros)).to_event(1), None
