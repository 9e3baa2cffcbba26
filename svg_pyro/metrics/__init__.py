"""How good predicted videos are: by protocols, as distributions, perceptually.

`PROTOCOLS` holds what published numbers mean, `Curves` scores many clips by them,
`Calibration` asks whether samples are distributed as the truth is, `Lpips` and `Fvd`
compare by networks whose weights are given by path.
"""

from svg_pyro.metrics.calibration import Calibration, CalibrationSummary
from svg_pyro.metrics.curves import Curves
from svg_pyro.metrics.ensembles import (
    crps,
    diversity,
    rank_histogram,
    reliability,
    spread_skill,
)
from svg_pyro.metrics.estimates import Estimate
from svg_pyro.metrics.fvd import Fvd, frechet_distance
from svg_pyro.metrics.images import FrameScores, clip_mse, psnr, ssim
from svg_pyro.metrics.lpips import Lpips
from svg_pyro.metrics.protocols import (
    PROTOCOLS,
    Protocol,
    PublishedTest,
    published_test,
)

__all__ = [
    "PROTOCOLS",
    "Calibration",
    "CalibrationSummary",
    "Curves",
    "Estimate",
    "FrameScores",
    "Fvd",
    "Lpips",
    "Protocol",
    "PublishedTest",
    "clip_mse",
    "crps",
    "diversity",
    "frechet_distance",
    "psnr",
    "published_test",
    "rank_histogram",
    "reliability",
    "spread_skill",
    "ssim",
]
