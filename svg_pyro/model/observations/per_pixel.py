"""A Gaussian and a Laplace observation model with a scale for each value of a frame."""

import math

import pyro.distributions as dist
import torch

from svg_pyro.config import SVGConfig
from svg_pyro.model.observations.base import Observation
from svg_pyro.model.observations.scales import first_log_scale, log_scale
from svg_pyro.model.registry import register
from svg_pyro.model.types import Distribution


@register("observation", "per-pixel")
class PerPixelGaussian(Observation):
    """Normal(x_t | mean, sigma) with a decoded sigma for each value of the frame.

    Parameters
    ----------
    config : SVGConfig
        Gives beta, from whose sigma (at most 0.1) the scales start.
    frame_shape : tuple of int
        ``(C, H, W)``.
    """

    def __init__(self, config: SVGConfig, frame_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.extra_channels = frame_shape[0]
        self.start = first_log_scale(config, frame_shape)

    def forward(
        self,
        mean: torch.Tensor,
        extra: torch.Tensor,
        target: torch.Tensor | None = None,
    ) -> Distribution:
        """See `Observation.forward`."""
        return dist.Normal(mean, log_scale(extra, self.start).exp()).to_event(3)


@register("observation", "laplace")
class PerPixelLaplace(PerPixelGaussian):
    """Laplace(x_t | mean, s) with a decoded scale s for each value of the frame.

    Its standard deviation, ``sqrt(2) s``, starts where the Gaussian's does.
    """

    def __init__(self, config: SVGConfig, frame_shape: tuple[int, int, int]) -> None:
        super().__init__(config, frame_shape)
        self.start -= math.log(2) / 2

    def forward(
        self,
        mean: torch.Tensor,
        extra: torch.Tensor,
        target: torch.Tensor | None = None,
    ) -> Distribution:
        """See `Observation.forward`."""
        return dist.Laplace(mean, log_scale(extra, self.start).exp()).to_event(3)
