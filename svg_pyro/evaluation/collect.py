"""The results of a finished evaluation, from what its scorers have summed up."""

import dataclasses
from typing import Any

import torch

import svg_pyro
from svg_pyro.evaluation.results import (
    CalibrationResult,
    CandidateResult,
    EvaluationResults,
    Score,
    SpreadResult,
)
from svg_pyro.evaluation.runner import Evaluation
from svg_pyro.evaluation.scorer import Scorer
from svg_pyro.metrics import Estimate


def results_of(evaluation: Evaluation) -> EvaluationResults:
    """All figures of an evaluation.

    Parameters
    ----------
    evaluation : Evaluation
        Finished.

    Returns
    -------
    EvaluationResults
        Its `asdict` gives plain containers.
    """
    return EvaluationResults(
        version=svg_pyro.__version__,
        data=evaluation.source,
        clips=evaluation.clips,
        settings=evaluation.settings,
        candidates=tuple(_candidate(s) for s in evaluation.scorers),
    )


def _candidate(scorer: Scorer) -> CandidateResult:
    candidate = scorer.candidate
    scores = {
        protocol: {
            metric: {kind: _score(e) for kind, e in kinds.items()}
            for metric, kinds in metrics.items()
        }
        for protocol, metrics in scorer.totals.summary().items()
    }
    config = candidate.config
    return CandidateResult(
        name=candidate.name,
        checkpoint=candidate.path,
        sha256=candidate.sha256,
        step=candidate.step,
        config=None if config is None else dataclasses.asdict(config),
        num_samples=candidate.count(scorer.settings.num_samples),
        scores=scores,
        fvd=None if scorer.fvd is None else scorer.fvd.value(),
        calibration=_calibration(scorer),
        likelihood=scorer.held_out.summary(),
        spread=_spread(scorer),
    )


def _score(estimate: Estimate) -> Score:
    return Score(
        mean=estimate.headline,
        half_width=estimate.headline_half,
        infinite_clips=estimate.infinite,
        per_step=_numbers(estimate.per_step),
        per_step_half_width=_numbers(estimate.per_step_half),
    )


def _calibration(scorer: Scorer) -> CalibrationResult | None:
    if scorer.calibration is None:
        return None
    summary = scorer.calibration.summary()
    return CalibrationResult(
        samples=scorer.calibration.num_samples,
        intervals=scorer.settings.intervals,
        crps_mean=summary.crps.mean().item(),
        crps=_numbers(summary.crps),
        crps_half_width=_numbers(summary.crps_half),
        crps_pixels=_numbers(summary.crps_pixels.mean(0)),
        spread_skill=_numbers(summary.spread_skill),
        diversity=_numbers(summary.diversity),
        rank_histogram=_numbers(summary.rank_histogram),
        nominal=_numbers(summary.nominal),
        observed=_numbers(summary.observed),
    )


def _spread(scorer: Scorer) -> SpreadResult | None:
    if scorer.spread is None:
        return None
    aleatoric, epistemic = scorer.spread.mean
    return SpreadResult(
        members=scorer.candidate.members,
        aleatoric=_numbers(aleatoric),
        epistemic=_numbers(epistemic),
        epistemic_share=(epistemic.mean() / (aleatoric + epistemic).mean()).item(),
    )


def _numbers(values: torch.Tensor) -> Any:  # nested as deep as the shape
    """A tensor as tuples of numbers."""
    if values.dim() > 1:
        return tuple(_numbers(row) for row in values)
    return tuple(values.tolist())
