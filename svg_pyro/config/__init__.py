"""What a model is made of and how it is trained: frozen, checked, stored."""

from svg_pyro.config.model import CHOICES, SVGConfig, noise_of_beta
from svg_pyro.config.precisions import PRECISIONS, check_precision
from svg_pyro.config.training import TrainingConfig

__all__ = [
    "CHOICES",
    "PRECISIONS",
    "SVGConfig",
    "TrainingConfig",
    "check_precision",
    "noise_of_beta",
]
