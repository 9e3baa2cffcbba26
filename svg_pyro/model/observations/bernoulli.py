"""An observation model of black and white frames."""

import pyro.distributions as dist
import torch
from pyro.infer.util import is_validation_enabled

from svg_pyro.config import SVGConfig
from svg_pyro.errors import FramesError
from svg_pyro.model.observations.base import Observation
from svg_pyro.model.registry import register
from svg_pyro.model.types import Distribution


@register("observation", "bernoulli")
class Bernoulli(Observation):
    """Bernoulli(x_t | mean): of frames whose values are 0 or 1, and of no others.

    Parameters
    ----------
    config : SVGConfig
        Not used.
    frame_shape : tuple of int
        Not used.
    """

    is_density = False

    def __init__(self, config: SVGConfig, frame_shape: tuple[int, int, int]) -> None:
        super().__init__()

    def forward(
        self,
        mean: torch.Tensor,
        extra: torch.Tensor,
        target: torch.Tensor | None = None,
    ) -> Distribution:
        """See `Observation.forward`.

        Raises
        ------
        FramesError
            When Pyro's validation is on, and a value of `target` is neither 0 nor 1.
        """
        if target is not None and is_validation_enabled():
            grey = (target > 0) & (target < 1)
            if grey.any():
                raise FramesError(
                    f"frames hold values between 0 and 1 (the first is "
                    f"{target[grey][0].item():.3g}), which the observation model "
                    "'bernoulli' cannot score; give frames of 0 and 1, or choose "
                    "another observation model"
                )
        # A sigmoid in float32 reaches 0 and 1, whose logarithm is not finite.
        eps = torch.finfo(mean.dtype).eps
        mean = mean.clamp(eps, 1 - eps)
        return dist.Bernoulli(mean, validate_args=False).to_event(3)
