"""Figures of an evaluation, drawn from its results: curves, calibration, latents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svg_pyro.plots.style import (
    colour_of,
    count_in_whole_numbers,
    legend_below,
    model_words,
    new_figure,
    styled,
    write_figure,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from svg_pyro.evaluation.results import (
        CalibrationResult,
        CandidateResult,
        EvaluationResults,
        Score,
    )

# In this order; and which way is better.
_TITLES = {
    "psnr": "PSNR [dB], higher is better",
    "ssim": "SSIM, higher is better",
    "mse": "MSE, lower is better",
    "lpips": "LPIPS, lower is better",
}
_LEAST = 1e-6  # nats; less is drawn as this on a logarithmic axis
_STYLES = {"best": "-", "mean": "--"}
_DIMENSION = "latent dimension, largest first"
_CALIBRATION = {
    "crps": "CRPS (lower is better)",
    "spread_skill": "spread / skill (1: calibrated)",
    "diversity": "distance of two samples",
}


@styled
def draw_scores(results: EvaluationResults, path: str | Path, protocol: str) -> None:
    """A protocol's metrics against time: best sample and mean sample, 95 % bands.

    Parameters
    ----------
    results : svg_pyro.evaluation.EvaluationResults
        What is drawn.
    path : str or Path
        SVG to write; a PNG and a PDF of the same name are written beside it.
    protocol : str
        One of the settings' protocols.
    """
    candidates = results.candidates
    scored = candidates[0].scores[protocol]
    metrics = sorted(scored, key=[*_TITLES, *scored].index)
    figure, (axes,) = new_figure(1, len(metrics))
    for axis, metric in zip(axes, metrics, strict=True):
        for place, candidate in enumerate(candidates):
            kinds = candidate.scores[protocol][metric]
            alone = candidate.num_samples == 1
            _draw_metric(axis, results, kinds, colour_of(place), alone=alone)
        axis.set_title(_TITLES.get(metric, metric))
    handles = [_line(colour_of(i), _words(c)) for i, c in enumerate(candidates)]
    if any(candidate.num_samples > 1 for candidate in candidates):
        handles += [
            _line("0.5", f"{kind} of the samples", linestyle=style)
            for kind, style in _STYLES.items()
        ]
    if results.clips > 1:
        handles.append(_band("95 % interval of the mean over clips"))
    _finish(figure, axes, path, handles)


@styled
def draw_calibration(results: EvaluationResults, path: str | Path) -> bool:
    """CRPS, spread-skill ratio and diversity against time, reliability, and ranks.

    The map is the CRPS of the first candidate that has one, by pixel.

    Parameters
    ----------
    results : svg_pyro.evaluation.EvaluationResults
        What is drawn.
    path : str or Path
        See `draw_scores`.

    Returns
    -------
    bool
        Whether there was anything to draw.
    """
    judged = [
        (colour_of(place), candidate, candidate.calibration)
        for place, candidate in enumerate(results.candidates)
        if candidate.calibration is not None
    ]
    if not judged:
        return False
    figure, axes = new_figure(2, 3, row_height=2.3)
    reliability, ranks, by_pixel = axes[1]
    for colour, _, calibration in judged:
        for axis, (key, title) in zip(axes[0], _CALIBRATION.items(), strict=True):
            _draw_line(axis, results, getattr(calibration, key), color=colour)
            axis.set_title(title)
        _draw_reliability(reliability, calibration, colour)
        _draw_ranks(ranks, calibration, colour)
    for axis in axes[0]:
        axis.set_ylim(bottom=0)
    reliability.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    reliability.set(
        title="reliability of pixel intervals",
        xlabel="nominal coverage",
        ylabel="observed coverage",
    )
    ranks.axhline(1, color="0.6", linewidth=1)
    ranks.set(
        title="rank of the truth (1: calibrated)",
        xlabel="rank / samples",
        ylabel="density",
    )
    _, first, calibration = judged[0]
    image = by_pixel.imshow(calibration.crps_pixels, cmap="inferno", vmin=0)
    by_pixel.grid(visible=False)
    by_pixel.set(title=f"CRPS by pixel, {first.name}", xticks=[], yticks=[])
    figure.colorbar(image, ax=by_pixel)
    handles = [_line(colour, _words(candidate)) for colour, candidate, _ in judged]
    handles.append(_line("0.6", "calibrated"))
    _finish(figure, [*axes[0], reliability, ranks], path, handles)
    return True


@styled
def draw_latents(results: EvaluationResults, path: str | Path) -> bool:
    """KL of each frame's latent against time, and of each latent dimension.

    Parameters and what it returns are those of `draw_calibration`.
    """
    bounded = [
        (colour_of(place), candidate, candidate.likelihood.kl)
        for place, candidate in enumerate(results.candidates)
        if candidate.likelihood is not None and candidate.likelihood.units is not None
    ]
    if not bounded:
        return False
    # A KL that is sampled has no value for each dimension.
    by_unit = any(kl.per_unit is not None for _, _, kl in bounded)
    figure, (axes,) = new_figure(1, 1 + by_unit, row_height=2.3)
    for colour, _, kl in bounded:
        frames = range(2, 2 + len(kl.per_step))
        axes[0].plot(frames, kl.per_step, color=colour)
        if kl.per_unit is not None:
            units = sorted((max(u, _LEAST) for u in kl.per_unit), reverse=True)
            axes[1].plot(range(1, 1 + len(units)), units, ".-", color=colour)
    axes[0].set(title="KL(q || p) [nats/frame]", xlabel="frame")
    axes[0].set_ylim(bottom=0)
    if by_unit:
        title = "the same by latent dimension"
        axes[1].set(title=title, xlabel=_DIMENSION, yscale="log")
    handles = [_line(colour, _words(candidate)) for colour, candidate, _ in bounded]
    _finish(figure, axes, path, handles)
    return True


def _words(candidate: CandidateResult) -> str:
    """A candidate's name, and where that says too little what it is."""
    if candidate.config is None:
        return candidate.name
    return f"{candidate.name}: {model_words(candidate.config)}"


def _draw_metric(
    axis: Axes,
    results: EvaluationResults,
    kinds: dict[str, Score],
    colour: str,
    *,
    alone: bool,
) -> None:
    """The best and the mean sample's curve; only one where there is one sample."""
    for kind, style in _STYLES.items():
        if alone and kind == "mean":
            continue
        curve = kinds[kind]
        values = _draw_line(
            axis, results, curve.per_step, color=colour, linestyle=style
        )
        halves = _finite(curve.per_step_half_width)
        pairs = list(zip(values, halves, strict=True))
        low, high = [v - h for v, h in pairs], [v + h for v, h in pairs]
        frames = _frames(results, values)
        axis.fill_between(frames, low, high, color=colour, alpha=0.15, lw=0)


def _draw_line(
    axis: Axes,
    results: EvaluationResults,
    values: Sequence[float],
    **style: Any,
) -> list[float]:
    """Draw values against predicted frames; gives them with NaN for infinity."""
    finite = _finite(values)
    # A line of one point would not be seen.
    marker = "." if len(finite) == 1 else None
    axis.plot(_frames(results, finite), finite, marker=marker, **style)
    axis.set_xlabel("frame")
    return finite


def _frames(results: EvaluationResults, values: Sequence[float]) -> range:
    """The numbers of predicted frames, counted from 1 at the clip's first."""
    start = results.settings.n_past + 1
    return range(start, start + len(values))


def _draw_reliability(axis: Axes, calibration: CalibrationResult, colour: str) -> None:
    observed = calibration.observed
    mean = [sum(column) / len(observed) for column in zip(*observed, strict=True)]
    axis.plot(calibration.nominal, mean, color=colour)


def _draw_ranks(axis: Axes, calibration: CalibrationResult, colour: str) -> None:
    histograms = calibration.rank_histogram
    totals = [sum(column) for column in zip(*histograms, strict=True)]
    count, places = sum(totals), len(totals)
    density = [t * places / count for t in totals]
    ranks = [i / (places - 1) for i in range(places)]
    axis.step(ranks, density, where="mid", color=colour)


def _finite(values: Sequence[float]) -> list[float]:
    """NaN, which is not drawn, for numbers that are not finite."""
    return [v if math.isfinite(v) else math.nan for v in values]


def _line(colour: str, label: str, **style: Any) -> Artist:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, label=label, **style)


def _band(label: str) -> Artist:
    from matplotlib.patches import Patch

    return Patch(color="0.5", alpha=0.3, linewidth=0, label=label)


def _finish(
    figure: Figure,
    axes: Sequence[Axes],
    path: str | Path,
    handles: Sequence[Artist],
) -> None:
    """A legend below all panels, and the files: SVG for the page, PNG and PDF."""
    for axis in axes:
        if axis.get_xlabel() in ("frame", _DIMENSION):
            count_in_whole_numbers(axis)
    legend_below(figure, handles=handles)
    write_figure(figure, path, endings=(".svg", ".png", ".pdf"))
