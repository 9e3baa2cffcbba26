"""One HTML page that shows an evaluation and needs no other file and no script."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from svg_pyro.plots.style import model_words
from svg_pyro.util.files import written_beside

if TYPE_CHECKING:
    from svg_pyro.evaluation.results import (
        CalibrationResult,
        CandidateResult,
        EvaluationResults,
        LikelihoodResult,
        Score,
    )

_FIGURES = ("scores", "calibration", "latents")
_METRICS = {
    "psnr": ("PSNR [dB]", 2),
    "ssim": ("SSIM", 4),
    "mse": ("MSE", 5),
    "lpips": ("LPIPS", 4),
}
_HIGHER = ("psnr", "ssim")  # of which more is better
_PROTOCOLS = {
    "svg": "The first code of SVG (Denton and Fergus 2018): SSIM by a 7x7 uniform "
    "window; best and worst sample by the mean SSIM over time, for all metrics.",
    "srvp": "SRVP (Franceschi et al. 2020): SSIM by an 11x11 Gaussian window; each "
    "metric chooses its own best and worst sample by its mean over time.",
    "finn": "Finn et al. (2016), as in the first code of SVG: SSIM by an 11x11 "
    "Gaussian window. That each metric chooses its own sample is an addition.",
}


@dataclass(frozen=True)
class ReportPicture:
    """Futures of a clip, as the page shows them.

    Attributes
    ----------
    title, caption : str
        Heading, and what the rows and colours mean.
    gif, png : Path
        The moving picture and the strip; they become part of the page.
    """

    title: str
    caption: str
    gif: Path
    png: Path


def write_report(
    results: EvaluationResults,
    path: str | Path,
    *,
    figures: Mapping[str, Path],
    pictures: Sequence[ReportPicture],
) -> None:
    """Write the page, ``report.html.j2`` filled in; all text is escaped.

    Parameters
    ----------
    results : svg_pyro.evaluation.EvaluationResults
        What is shown.
    path : str or Path
        HTML to write.
    figures : dict of str to Path
        SVG files by "scores", "calibration" and "latents", of what there is.
    pictures : sequence of ReportPicture
        Shown last, in this order.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("svg_pyro", "plots"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    bounded = (c.likelihood for c in results.candidates)
    page = environment.get_template("report.html.j2").render(
        results=results,
        settings=results.settings,
        summary=summary_of(results),
        candidates=[_candidate_row(c) for c in results.candidates],
        protocols=[_protocol(results, name) for name in results.settings.protocols],
        calibration=_calibration_rows(results),
        likelihood=_likelihood_rows(results),
        held_out=next((held_out for held_out in bounded if held_out), None),
        # Of matplotlib, which escapes names itself: markup as it is.
        figures={k: Markup(_svg(figures[k])) if k in figures else "" for k in _FIGURES},
        pictures=[_picture(p) for p in pictures],
    )
    with written_beside(path) as beside:
        beside.write_text(page, encoding="utf-8", errors="backslashreplace")


def summary_of(results: EvaluationResults) -> str:
    """Who predicts best by the first protocol's PSNR, and by how much; a sentence.

    Parameters
    ----------
    results : svg_pyro.evaluation.EvaluationResults
        What is summed up.
    """
    protocol = results.settings.protocols[0]
    scored = {
        c.name: score.mean
        for c in results.candidates
        if math.isfinite((score := c.scores[protocol]["psnr"]["best"]).mean)
    }
    ranked = sorted(scored, key=lambda name: scored[name], reverse=True)
    if not ranked:
        return f"No predictor has a finite PSNR by protocol {protocol}."
    first, *others = ranked
    count = next(c.num_samples for c in results.candidates if c.name == first)
    words = (
        f"By protocol {protocol}, {first} is nearest to the truth, with a PSNR of "
        f"{scored[first]:.2f} dB for the best of {count}"
    )
    if others:
        rest = ", ".join(f"{scored[name]:.2f} dB ({name})" for name in others)
        words += f", before {rest}"
    return words + "."


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


def _candidate_row(candidate: CandidateResult) -> list[str]:
    return [
        candidate.name,
        model_words(candidate.config),
        "" if candidate.step is None else str(candidate.step),
        candidate.checkpoint or "",
        (candidate.sha256 or "")[:16],
    ]


def _protocol(results: EvaluationResults, name: str) -> dict[str, object]:
    head, rows = score_rows(results, name)
    best = best_cells(results, name, head)
    words = _PROTOCOLS[name]
    return {"name": name, "words": words, "head": head, "rows": rows, "best": best}


def _calibration_rows(results: EvaluationResults) -> list[list[str]]:
    return [
        [
            candidate.name,
            str(judged.samples),
            number(judged.crps_mean, 5),
            number(_mean(judged.spread_skill), 3),
            number(_mean(judged.diversity), 4),
            *_coverage(judged, 0.9),
        ]
        for candidate in results.candidates
        if (judged := candidate.calibration) is not None
    ]


def _coverage(calibration: CalibrationResult, wanted: float) -> list[str]:
    """Nominal and observed coverage of the interval nearest to the wanted one."""
    nominal = calibration.nominal
    near = min(range(len(nominal)), key=lambda i: abs(nominal[i] - wanted))
    observed = _mean([step[near] for step in calibration.observed])
    return [number(nominal[near], 3), number(observed, 3)]


def _mean(values: Sequence[float]) -> float | None:
    """Mean over the steps that have a value."""
    numbers = [v for v in values if math.isfinite(v)]
    return sum(numbers) / len(numbers) if numbers else None


def _likelihood_rows(results: EvaluationResults) -> list[list[str]]:
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


def _svg(path: Path) -> str:
    text = Path(path).read_text(encoding="utf-8", errors="backslashreplace")
    # What comes before is for files of their own.
    return text[text.index("<svg") :]


def _picture(picture: ReportPicture) -> dict[str, object]:
    images = [("gif", _encoded(picture.gif)), ("png", _encoded(picture.png))]
    return {"title": picture.title, "caption": picture.caption, "images": images}


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
