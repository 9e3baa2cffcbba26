"""Observation models p(x_t | mean), one contract; see `Observation`."""

from svg_pyro.model.observations.base import Observation
from svg_pyro.model.observations.bernoulli import Bernoulli
from svg_pyro.model.observations.gaussian import Gaussian, LearnedSigma, OptimalSigma
from svg_pyro.model.observations.logistic import DiscretisedLogistic, Logistic
from svg_pyro.model.observations.per_pixel import PerPixelGaussian, PerPixelLaplace

__all__ = [
    "Bernoulli",
    "DiscretisedLogistic",
    "Gaussian",
    "LearnedSigma",
    "Logistic",
    "Observation",
    "OptimalSigma",
    "PerPixelGaussian",
    "PerPixelLaplace",
]
