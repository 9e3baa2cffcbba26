"""What an evaluation found, as frozen dataclasses.

`svg_pyro.evaluation.result_files` writes and reads them. A number that is not defined
(the standard error of one clip) is NaN.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from svg_pyro.evaluation.settings import EvaluationSettings

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Score:
    """A metric's mean over clips, and half the width of its 95 % interval.

    Attributes
    ----------
    mean, half_width : float
        Of the clips' means over time.
    infinite_clips : int
        Clips whose mean over time is infinite; they are left out of all means.
    per_step, per_step_half_width : tuple of float
        The same at each predicted frame.
    """

    mean: float
    half_width: float
    infinite_clips: int
    per_step: Numbers
    per_step_half_width: Numbers


@dataclass(frozen=True)
class CalibrationResult:
    """Are samples distributed as the truth is? See `svg_pyro.metrics.Calibration`.

    Attributes
    ----------
    samples : int
        How many of each clip were judged.
    intervals : str
        See `EvaluationSettings`.
    crps_mean : float
        Mean over pixels, predicted frames and clips.
    crps, crps_half_width : tuple of float
        Of each predicted frame.
    crps_pixels : tuple of tuple of float
        Of each pixel, mean over channels; ``(H, W)``.
    spread_skill, diversity : tuple of float
        Of each predicted frame.
    rank_histogram : tuple of tuple of int
        Counts of the truth's ranks by predicted frame.
    nominal : tuple of float
        Coverages that intervals should have.
    observed : tuple of tuple of float
        Those that they have, by predicted frame.
    """

    samples: int
    intervals: str
    crps_mean: float
    crps: Numbers
    crps_half_width: Numbers
    crps_pixels: tuple[Numbers, ...]
    spread_skill: Numbers
    diversity: Numbers
    rank_histogram: tuple[tuple[int, ...], ...]
    nominal: Numbers
    observed: tuple[Numbers, ...]


@dataclass(frozen=True)
class SpreadResult:
    """Where the variance of an ensemble's samples is from; see `svg_pyro.Ensemble`.

    Attributes
    ----------
    members : int
        Models of the ensemble.
    aleatoric : tuple of float
        Mean over pixels and clips of the members' own variance, by predicted frame.
    epistemic : tuple of float
        The same of the variance of their means; unbiased, so it may fall below 0.
    epistemic_share : float
        Of all frames' variance, the part that is epistemic; NaN where there is none.
    """

    members: int
    aleatoric: Numbers
    epistemic: Numbers
    epistemic_share: float


@dataclass(frozen=True)
class MeanAndError:
    """A mean over clips, and its standard error."""

    mean: float
    se: float


@dataclass(frozen=True)
class BoundResult:
    """An importance-weighted bound on the log-likelihood, with standard errors.

    Attributes
    ----------
    particles : int
        K.
    nats_per_frame, nats_per_frame_se : float
        The bound over the scored frames, divided by their number.
    bits_per_dimension, bits_per_dimension_se : float
        The same as bits of 256 levels a value; lower is better.
    """

    particles: int
    nats_per_frame: float
    nats_per_frame_se: float
    bits_per_dimension: float
    bits_per_dimension_se: float


@dataclass(frozen=True)
class KLResult:
    """KL(q || p) of the latents, in nats.

    Attributes
    ----------
    mean, se : float
        A frame, and the standard error over clips.
    per_step, per_step_half_width : tuple of float
        By scored frame, and half the width of its 95 % interval.
    per_unit : tuple of float or None
        By latent dimension, mean over frames; None where they are not independent.
    """

    mean: float
    se: float
    per_step: Numbers
    per_step_half_width: Numbers
    per_unit: Numbers | None


@dataclass(frozen=True)
class LikelihoodResult:
    """Held-out likelihood, all frames observed.

    Attributes
    ----------
    clips, scored_frames : int
        Clips, and frames of each whose probability is bounded: all but the first.
    bounds : tuple of BoundResult
        One for each K, ascending.
    effective_sample_size : MeanAndError or None
        Of the most draws; None where the likelihood is exact.
    kl : KLResult
        Of the latents.
    units : int or None
        Latent dimensions; None without latents.
    active_units : int or None
        Those whose posterior mean varies by more than 0.01 over clips and frames (Burda
        et al. 2016).
    informed_units : int or None
        Those of more than 0.01 nats a frame.
    """

    clips: int
    scored_frames: int
    bounds: tuple[BoundResult, ...]
    effective_sample_size: MeanAndError | None
    kl: KLResult
    units: int | None
    active_units: int | None
    informed_units: int | None


@dataclass(frozen=True)
class CandidateResult:
    """All that was found of one candidate.

    Attributes
    ----------
    name : str
        Of the candidate.
    checkpoint, sha256 : str or None
        Its file, and the hash of the file's content.
    step : int or None
        Training steps behind it.
    config : dict or None
        The model's configuration.
    num_samples : int
        Futures of each clip: 1 where all would be the same.
    scores : dict
        Of `Score`, by protocol, metric and "best", "mean" or "worst".
    fvd : float or None
        Fréchet video distance; None if it was not asked for.
    calibration : CalibrationResult or None
        None if there are fewer than two samples, or none were to be judged.
    likelihood : LikelihoodResult or None
        None if there is no density, or no clip's was to be bounded.
    spread : SpreadResult or None
        None but for an ensemble of which 2 samples or more of each member are judged.
    """

    name: str
    checkpoint: str | None
    sha256: str | None
    step: int | None
    config: dict[str, Any] | None
    num_samples: int
    scores: dict[str, dict[str, dict[str, Score]]]
    fvd: float | None
    calibration: CalibrationResult | None
    likelihood: LikelihoodResult | None
    spread: SpreadResult | None = None


@dataclass(frozen=True)
class EvaluationResults:
    """All figures of a finished evaluation.

    Attributes
    ----------
    version : str
        Of svg_pyro.
    data : str
        Words that name the test set.
    clips : int
        Test clips that were scored.
    settings : EvaluationSettings
        What was done.
    candidates : tuple of CandidateResult
        In the order in which they were given.
    """

    version: str
    data: str
    clips: int
    settings: EvaluationSettings
    candidates: tuple[CandidateResult, ...]

    def asdict(self) -> dict[str, Any]:
        """Plain containers, as in ``results.json`` but for NaN and infinity."""
        return {
            "svg_pyro": self.version,
            "data": self.data,
            "clips": self.clips,
            "settings": dataclasses.asdict(self.settings),
            "predictors": [dataclasses.asdict(c) for c in self.candidates],
        }
