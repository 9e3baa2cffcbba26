"""Stochastic video generation with a learned prior, as a Pyro program."""

from svg_pyro.config import SVGConfig, TrainingConfig
from svg_pyro.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    EvaluationError,
    FramesError,
    ProcessError,
    SVGError,
    TrainingError,
)
from svg_pyro.model.checkpoint import from_pretrained, load, load_official, save
from svg_pyro.model.ensemble import Ensemble, Spread
from svg_pyro.model.guides import FilteringGuide, Guide
from svg_pyro.model.observations import Observation
from svg_pyro.model.official import export_official
from svg_pyro.model.pretrained import save_pretrained, shipped
from svg_pyro.model.priors import FixedPrior, LearnedPrior, Prior
from svg_pyro.model.registry import register
from svg_pyro.model.sampler import Sampler
from svg_pyro.model.smc import GuidedFutures, futures_to, log_evidence
from svg_pyro.model.streaming import State
from svg_pyro.model.svg import SVG
from svg_pyro.util.allocator import keep_freed_memory

__version__ = "0.1.0"

__all__ = [
    "SVG",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "Ensemble",
    "EvaluationError",
    "FilteringGuide",
    "FixedPrior",
    "FramesError",
    "Guide",
    "GuidedFutures",
    "LearnedPrior",
    "Observation",
    "Prior",
    "ProcessError",
    "SVGConfig",
    "SVGError",
    "Sampler",
    "Spread",
    "State",
    "TrainingConfig",
    "TrainingError",
    "export_official",
    "from_pretrained",
    "futures_to",
    "keep_freed_memory",
    "load",
    "load_official",
    "log_evidence",
    "register",
    "save",
    "save_pretrained",
    "shipped",
]
