"""Stochastic video generation with a learned prior, as a Pyro program.

Each name, and each of the package's rooms, is loaded when it is first asked for: to
import the package costs nothing, and brings no PyTorch.
"""

from typing import TYPE_CHECKING

from svg_pyro.util.lazy import lazily

if TYPE_CHECKING:
    from svg_pyro import config as config
    from svg_pyro import data as data
    from svg_pyro import errors as errors
    from svg_pyro import evaluation as evaluation
    from svg_pyro import metrics as metrics
    from svg_pyro import model as model
    from svg_pyro import planning as planning
    from svg_pyro import plots as plots
    from svg_pyro import training as training
    from svg_pyro import util as util
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

_MODULES = {
    "SVG": "svg_pyro.model.svg",
    "CheckpointError": "svg_pyro.errors",
    "ConfigError": "svg_pyro.errors",
    "DataError": "svg_pyro.errors",
    "Ensemble": "svg_pyro.model.ensemble",
    "EvaluationError": "svg_pyro.errors",
    "FilteringGuide": "svg_pyro.model.guides",
    "FixedPrior": "svg_pyro.model.priors",
    "FramesError": "svg_pyro.errors",
    "Guide": "svg_pyro.model.guides",
    "GuidedFutures": "svg_pyro.model.smc",
    "LearnedPrior": "svg_pyro.model.priors",
    "Observation": "svg_pyro.model.observations",
    "Prior": "svg_pyro.model.priors",
    "ProcessError": "svg_pyro.errors",
    "SVGConfig": "svg_pyro.config",
    "SVGError": "svg_pyro.errors",
    "Sampler": "svg_pyro.model.sampler",
    "Spread": "svg_pyro.model.ensemble",
    "State": "svg_pyro.model.streaming",
    "TrainingConfig": "svg_pyro.config",
    "TrainingError": "svg_pyro.errors",
    "export_official": "svg_pyro.model.official",
    "from_pretrained": "svg_pyro.model.checkpoint",
    "futures_to": "svg_pyro.model.smc",
    "keep_freed_memory": "svg_pyro.util.allocator",
    "load": "svg_pyro.model.checkpoint",
    "load_official": "svg_pyro.model.checkpoint",
    "log_evidence": "svg_pyro.model.smc",
    "register": "svg_pyro.model.registry",
    "save": "svg_pyro.model.checkpoint",
    "save_pretrained": "svg_pyro.model.pretrained",
    "shipped": "svg_pyro.model.pretrained",
}
_ROOMS = (
    *("config", "data", "errors", "evaluation", "metrics", "model", "planning"),
    *("plots", "training", "util"),
)

# Hidden from type checkers, to which a name that is not above is a mistake.
if not TYPE_CHECKING:
    __getattr__ = lazily(globals(), _MODULES, _ROOMS)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
