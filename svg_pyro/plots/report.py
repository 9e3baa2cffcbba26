"""One HTML page that shows an evaluation and needs no other file and no script."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from svg_pyro.plots.pages import encoded, write_page
from svg_pyro.plots.report_tables import (
    best_cells,
    calibration_rows,
    coverage,
    likelihood_rows,
    score_rows,
)
from svg_pyro.plots.strips import CONTEXT, PREDICTED, TRUTH
from svg_pyro.plots.style import model_words

if TYPE_CHECKING:
    from svg_pyro.evaluation.results import (
        CandidateResult,
        EvaluationResults,
    )

_FIGURES = ("calibration", "latents")
_COVERAGE = 0.9  # of the interval that the summary speaks of, or what is nearest


@dataclass(frozen=True)
class ReportPicture:
    """Futures of a clip, as the page shows them.

    Attributes
    ----------
    clip : int
        Its number in the test set.
    clip_name, predictor : str
        Words that name the clip, and who predicts.
    caption : str
        What holds of this picture only; may be empty.
    gif, png : Path
        The moving picture and the strip; they become part of the page.
    """

    clip: int
    clip_name: str
    predictor: str
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
        SVG files by "calibration", "latents" and the names of protocols, whose scores
        they show; of what there is.
    pictures : sequence of ReportPicture
        Shown in the order of their clips.
    """
    from markupsafe import Markup

    bounded = (c.likelihood for c in results.candidates)
    # Of matplotlib, which escapes names itself: markup as it is.
    drawn = {name: Markup(_svg(path, name)) for name, path in figures.items()}
    protocols = [
        {**_protocol(results, name), "figure": drawn.get(name, "")}
        for name in results.settings.protocols
    ]
    write_page(
        path,
        "report.html.j2",
        results=results,
        settings=results.settings,
        summary=summary_of(results),
        candidates=[_candidate_row(c) for c in results.candidates],
        protocols=protocols,
        calibration=calibration_rows(results),
        likelihood=likelihood_rows(results),
        held_out=next((held_out for held_out in bounded if held_out), None),
        figures={name: drawn.get(name, "") for name in _FIGURES},
        pictures=_by_clip(pictures),
        frames=[
            ("context", _hexadecimal(CONTEXT)),
            ("true future", _hexadecimal(TRUTH)),
            ("predicted", _hexadecimal(PREDICTED)),
        ],
    )


def summary_of(results: EvaluationResults) -> str:
    """Who predicts best by the first protocol's PSNR, how surely, and how calibrated.

    Parameters
    ----------
    results : svg_pyro.evaluation.EvaluationResults
        What is summed up.

    Returns
    -------
    str
        One to three sentences.
    """
    protocol = results.settings.protocols[0]
    scored = [
        (score.mean, score.half_width, c)
        for c in results.candidates
        if math.isfinite((score := c.scores[protocol]["psnr"]["best"]).mean)
    ]
    ranked = sorted(scored, key=lambda one: one[0], reverse=True)
    if not ranked:
        return f"No predictor has a finite PSNR by protocol {protocol}."
    best, *others = (_scored(mean, c) for mean, _, c in ranked)
    words = f"Nearest to the truth by protocol {protocol}: {best}"
    if others:
        words += f"; then {', '.join(others)}"
    sentences = [words, _surely(ranked), _calibrated(results)]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def _scored(mean: float, candidate: CandidateResult) -> str:
    count = candidate.num_samples
    chosen = "one prediction" if count == 1 else f"best of {count} samples"
    return f"{candidate.name}, PSNR {mean:.2f} dB ({chosen})"


def _surely(ranked: Sequence[tuple[float, float, CandidateResult]]) -> str:
    """Whether the intervals of the first two overlap; empty if that is not known."""
    if len(ranked) < 2:
        return ""
    (mean, half, first), (other, other_half, second), *_ = ranked
    names = f"{first.name} and {second.name}"
    if math.isnan(half) or math.isnan(other_half):
        return ""
    if mean - half > other + other_half:
        return f"The 95 % intervals of {names} lie apart"
    return (
        f"The 95 % intervals of {names} overlap: more clips would tell them apart more "
        "surely"
    )


def _calibrated(results: EvaluationResults) -> str:
    """How often intervals of the first predictor that has any cover the truth."""
    for candidate in results.candidates:
        if candidate.calibration is not None:
            nominal, observed = coverage(candidate.calibration, _COVERAGE)
            return (
                f"The intervals of {candidate.name}'s samples that should hold "
                f"{100 * nominal:.0f} % of the true pixels hold {100 * observed:.0f} %"
            )
    return ""


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
    words = results.settings.protocol_words[name]
    return {"name": name, "words": words, "head": head, "rows": rows, "best": best}


def _svg(path: Path, name: str) -> str:
    """A figure's markup, whose names of parts are no other figure's on the page."""
    text = Path(path).read_text(encoding="utf-8", errors="backslashreplace")
    # What comes before is for files of their own.
    text = text[text.index("<svg") :]
    return re.sub(r'(\sid="|href="#|url\(#)', rf"\1{name}-", text)


def _by_clip(pictures: Sequence[ReportPicture]) -> list[dict[str, object]]:
    """The clips' names, and the pictures of each."""
    numbers = sorted({picture.clip for picture in pictures})
    clips: list[dict[str, object]] = []
    for number in numbers:
        own = [picture for picture in pictures if picture.clip == number]
        name = own[0].clip_name
        clips.append({"name": name, "pictures": [_picture(picture) for picture in own]})
    return clips


def _picture(picture: ReportPicture) -> dict[str, object]:
    images = [("gif", encoded(picture.gif)), ("png", encoded(picture.png))]
    return {
        "predictor": picture.predictor,
        "caption": picture.caption,
        "images": images,
    }


def _hexadecimal(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
