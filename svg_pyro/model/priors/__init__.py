"""Priors p(z_t given x_{1:t-1}): one contract, `Prior`, and a file for each variant."""

from svg_pyro.model.priors.autoregressive import AutoregressivePrior
from svg_pyro.model.priors.base import Prior
from svg_pyro.model.priors.fixed import FixedPrior
from svg_pyro.model.priors.flow import FlowPrior
from svg_pyro.model.priors.learned import LearnedPrior
from svg_pyro.model.priors.mixture import MapMixturePrior, MixturePrior
from svg_pyro.model.priors.two_scale import TwoScalePrior

__all__ = [
    "AutoregressivePrior",
    "FixedPrior",
    "FlowPrior",
    "LearnedPrior",
    "MapMixturePrior",
    "MixturePrior",
    "Prior",
    "TwoScalePrior",
]
