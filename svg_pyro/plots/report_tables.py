"""The tables of an evaluation's page, and of the command line: cells of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svg_pyro.evaluation.results import (
        CalibrationResult,
        EvaluationResults,
        LikelihoodResult,
        Score,
    )

_METRICS = {
    "psnr": ("PSNR [dB]", 2),
    "ssim": ("SSIM", 4),
    "mse": ("MSE", 5),
    "lpips": ("LPIPS", 4),
}
_HIGHER = ("psnr", "ssim")  # of which more is better


def number(value: float | None, digits: int) -> str:
    """A number of the results as text: infinity and what is undefined have signs.

    Parameters
    ----------
    value : float or None
        A number, infinity, or what is not defined: NaN or None.
    digits : int
        After the decimal point.

    Returns
    -------
    str
        "∞" and "-∞" for infinity, "-" for what is not defined.
    """
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.{digits}f}"


def score_rows(
    results: EvaluationResults,
    protocol: str,
) -> tuple[list[str], list[list[str]]]:
    """A protocol's table: headline figures of every candidate.

    Parameters
    ----------
    results : svg_pyro.evaluation.EvaluationResults
        What is shown.
    protocol : str
        One of the settings' protocols.

    Returns
    -------
    head : list of str
        Titles of the columns.
    rows : list of list of str
        A row of cells for each candidate.
    """
    candidates = results.candidates
    metrics = [m for m in _METRICS if m in candidates[0].scores[protocol]]
    head = ["", "samples"]
    for metric in metrics:
        name = _METRICS[metric][0]
        head += [f"{name}, best", "mean", "worst"]
    with_fvd = any(c.fvd is not None for c in candidates)
    if with_fvd:
        head.append("FVD")
    rows = []
    for candidate in candidates:
        row = [candidate.name, str(candidate.num_samples)]
        for metric in metrics:
            kinds, digits = candidate.scores[protocol][metric], _METRICS[metric][1]
            row.append(_interval(kinds["best"], digits))
            row += [number(kinds[k].mean, digits) for k in ("mean", "worst")]
        if with_fvd:
            row.append(number(candidate.fvd, 1))
        rows.append(row)
    return head, rows


def best_cells(
    results: EvaluationResults, protocol: str, columns: Sequence[str]
) -> set[tuple[int, int]]:
    """Row and column of the best figure of each column of a protocol's table.

    None is marked where all candidates, or all but one, have no finite figure.

    Parameters
    ----------
    results : svg_pyro.evaluation.EvaluationResults
        What is shown.
    protocol : str
        One of the settings' protocols.
    columns : sequence of str
        The head of `score_rows`.
    """
    candidates = results.candidates
    metrics = [m for m in _METRICS if m in candidates[0].scores[protocol]]
    # In the order of the columns, after name and number of samples.
    values = [
        ([c.scores[protocol][m][kind].mean for c in candidates], m in _HIGHER)
        for m in metrics
        for kind in ("best", "mean", "worst")
    ]
    if columns[-1] == "FVD":
        values.append(
            ([math.nan if c.fvd is None else c.fvd for c in candidates], False)
        )
    found = set()
    for column, (figures, higher) in enumerate(values, 2):
        finite = [x for x in figures if math.isfinite(x)]
        if len(finite) > 1:
            best = max(finite) if higher else min(finite)
            found |= {(row, column) for row, x in enumerate(figures) if x == best}
    return found


def _interval(score: Score, digits: int) -> str:
    text = number(score.mean, digits)
    if not math.isnan(score.half_width):
        text += f" ± {number(score.half_width, digits)}"
    if score.infinite_clips:
        text += f" ({score.infinite_clips} clips ∞)"
    return text


def calibration_rows(results: EvaluationResults) -> list[list[str]]:
    """A row of cells for each candidate whose samples were judged."""
    return [
        [
            candidate.name,
            str(judged.samples),
            number(judged.crps_mean, 5),
            number(_mean(judged.spread_skill), 3),
            number(_mean(judged.diversity), 4),
            *(number(share, 3) for share in coverage(judged, 0.9)),
        ]
        for candidate in results.candidates
        if (judged := candidate.calibration) is not None
    ]


def coverage(calibration: CalibrationResult, wanted: float) -> tuple[float, float]:
    """Nominal and observed coverage of the interval nearest to the wanted one."""
    nominal = calibration.nominal
    near = min(range(len(nominal)), key=lambda i: abs(nominal[i] - wanted))
    observed = [step[near] for step in calibration.observed]
    return nominal[near], sum(observed) / len(observed)


def _mean(values: Sequence[float]) -> float | None:
    """Mean over the steps that have a value."""
    numbers = [v for v in values if math.isfinite(v)]
    return sum(numbers) / len(numbers) if numbers else None


def likelihood_rows(results: EvaluationResults) -> list[list[str]]:
    """A row of cells for each bound of each candidate that has any."""
    rows = []
    for candidate in results.candidates:
        likelihood = candidate.likelihood
        if likelihood is None:
            continue
        for b in likelihood.bounds:
            nats = number(b.nats_per_frame, 2), number(b.nats_per_frame_se, 2)
            bits = number(b.bits_per_dimension, 5), number(b.bits_per_dimension_se, 5)
            row = [candidate.name, str(b.particles), " ± ".join(nats), " ± ".join(bits)]
            last = b is likelihood.bounds[-1]
            rows.append(row + (_once(likelihood) if last else [""] * 4))
    return rows


def _once(likelihood: LikelihoodResult) -> list[str]:
    """What is said once for all K: effective sample size, KL and units."""
    ess, kl = likelihood.effective_sample_size, likelihood.kl
    units, informed = likelihood.units, likelihood.informed_units
    size = "exact" if ess is None else number(ess.mean, 1)
    if units is None:
        return [size, "-", "-", "-"]
    return [
        size,
        f"{number(kl.mean, 3)} ± {number(kl.se, 3)}",
        f"{likelihood.active_units} of {units}",
        "-" if informed is None else f"{informed} of {units}",
    ]
