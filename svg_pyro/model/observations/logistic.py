"""An observation model that gives probabilities of the 256 levels of 8-bit video."""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from pyro.distributions import TorchDistribution, constraints
from torch.nn import functional as F

from svg_pyro.config import SVGConfig
from svg_pyro.model.observations.base import Observation
from svg_pyro.model.observations.scales import first_log_scale, log_scale
from svg_pyro.model.registry import register
from svg_pyro.model.types import Distribution

_LEVELS = 256

Shape: TypeAlias = torch.Size | list[int] | tuple[int, ...]


class DiscretisedLogistic(TorchDistribution):
    r"""The probability of one of 256 grey levels under a rounded logistic variable.

    With the levels k / 255 and F the logistic cumulative distribution function
    (Salimans et al. 2017, PixelCNN++, arXiv 1701.05517)::

        p(x = k / 255) = F((k + 1/2) / 255) - F((k - 1/2) / 255)

    where the first level takes all that lies below, and the last all that lies above.

    Parameters
    ----------
    loc : torch.Tensor
        Location of the logistic, in the units of [0, 1].
    log_scale : torch.Tensor
        Logarithm of its scale; broadcasts with `loc`.
    """

    arg_constraints = {"loc": constraints.real, "log_scale": constraints.real}  # noqa: RUF012  # as in PyTorch
    support = constraints.unit_interval
    has_rsample = False

    def __init__(
        self,
        loc: torch.Tensor,
        log_scale: torch.Tensor,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.log_scale = torch.broadcast_tensors(loc, log_scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> torch.Tensor:
        """The logistic's location, which the decoder gives as the mean of a frame."""
        mean: torch.Tensor = self.loc
        return mean

    def expand(
        self, batch_shape: Shape, _instance: object = None
    ) -> DiscretisedLogistic:
        """The same, of a larger batch."""
        loc, scale = self.loc.expand(batch_shape), self.log_scale.expand(batch_shape)
        return DiscretisedLogistic(loc, scale, validate_args=False)

    def sample(self, sample_shape: Shape = torch.Size()) -> torch.Tensor:  # noqa: B008
        """Levels in [0, 1]: the rounded logistic variable, cut to the range."""
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            tiny = torch.finfo(self.loc.dtype).tiny
            u = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
            u = u.clamp(tiny, 1 - torch.finfo(self.loc.dtype).eps)
            x = self.loc + self.log_scale.exp() * (u.log() - (-u).log1p())
            levels = x.mul(_LEVELS - 1).round().clamp(0, _LEVELS - 1)
            sample: torch.Tensor = levels / (_LEVELS - 1)
            return sample

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Of the nearest level, in nats."""
        level = (value * (_LEVELS - 1)).round()
        centred = level / (_LEVELS - 1) - self.loc
        inverse = (-self.log_scale).exp()
        half = 0.5 / (_LEVELS - 1)
        upper, lower = (centred + half) * inverse, (centred - half) * inverse
        # log(F(u) - F(l)) = log F(u) + log F(-l) + log(1 - exp(l - u)), which stays
        # exact in the tails.
        inner = F.logsigmoid(upper) + F.logsigmoid(-lower)
        inner = inner + (-(-2 * half * inverse).expm1()).log()
        inner = torch.where(level == 0, F.logsigmoid(upper), inner)
        return torch.where(level == _LEVELS - 1, F.logsigmoid(-lower), inner)


@register("observation", "logistic")
class Logistic(Observation):
    """`DiscretisedLogistic` with a decoded scale for each value of the frame.

    Its log-probabilities are those of the 8-bit video itself: true bits a dimension.

    Parameters
    ----------
    config : SVGConfig
        Gives beta, from whose sigma (at most 0.1) the scales start.
    frame_shape : tuple of int
        ``(C, H, W)``.
    """

    is_density = False

    def __init__(self, config: SVGConfig, frame_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.extra_channels = frame_shape[0]
        # The standard deviation of a logistic is pi / sqrt(3) times its scale.
        start = first_log_scale(config, frame_shape)
        self.start = start - math.log(math.pi / math.sqrt(3))

    def forward(
        self,
        mean: torch.Tensor,
        extra: torch.Tensor,
        target: torch.Tensor | None = None,
    ) -> Distribution:
        """See `Observation.forward`."""
        scale = log_scale(extra, self.start)
        levels: Distribution = DiscretisedLogistic(mean, scale, validate_args=False)
        return levels.to_event(3)
