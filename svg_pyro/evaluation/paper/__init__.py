"""What the paper's figures show, as numbers: blur, motion, and the prior's uncertainty.

`svg_pyro.plots.paper` draws them, examples/figures.py does both.
"""

from svg_pyro.evaluation.paper.bounces import (
    Bounces,
    displacements,
    find_bounces,
    histogram,
    locate,
    total_variation,
    wasserstein,
)
from svg_pyro.evaluation.paper.futures import (
    futures_of_clips,
    process_curves,
    score_curves,
)
from svg_pyro.evaluation.paper.prior import (
    PriorStatistics,
    auc,
    bounce_auc,
    prior_statistics,
)
from svg_pyro.evaluation.paper.recognition import (
    Recogniser,
    Recognition,
    recognition,
)
from svg_pyro.evaluation.paper.sharpness import sharpness, sharpness_curves

__all__ = [
    "Bounces",
    "PriorStatistics",
    "Recogniser",
    "Recognition",
    "auc",
    "bounce_auc",
    "displacements",
    "find_bounces",
    "futures_of_clips",
    "histogram",
    "locate",
    "prior_statistics",
    "process_curves",
    "recognition",
    "score_curves",
    "sharpness",
    "sharpness_curves",
    "total_variation",
    "wasserstein",
]
