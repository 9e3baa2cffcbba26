"""Observation models p(x_t | mean), one contract; see `Observation`."""

from svg_pyro.model.observations.base import Observation
from svg_pyro.model.observations.gaussian import Gaussian, LearnedSigma, OptimalSigma

__all__ = ["Gaussian", "LearnedSigma", "Observation", "OptimalSigma"]
