"""Figures of an evaluation, drawn from its results: curves, calibration, latents."""

import math
from pathlib import Path

from matplotlib import colormaps, rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from svg_pyro.util.files import written_beside

_LABELS = {
    "mse": "MSE", "psnr": "PSNR [dB]", "ssim": "SSIM", "lpips": "LPIPS",
}  # fmt: skip
_COLOURS = colormaps["tab10"].colors
_LEAST = 1e-6  # nats; less is drawn as this on a logarithmic axis
_STYLES = {"best": "-", "mean": "--"}
_FONTS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "svg_pyro",
    "font.family": "sans-serif",
}


def draw_scores(results, path):
    """Each protocol's metrics against time: best sample and mean sample, 95 % bands.

    Returns True: there always are scores.

    Parameters
    ----------
    results : svg_pyro.evaluation.EvaluationResults
        What is drawn.
    path : str or Path
        SVG to write; a PNG of the same name is written beside it.
    """
    scores = results.candidates[0].scores
    metrics = list(next(iter(scores.values())))
    rows, columns = len(scores), len(metrics)
    figure = Figure(figsize=(3.6 * columns, 2.9 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, protocol in zip(axes, scores):
        for axis, metric in zip(row, metrics):
            for colour, candidate in zip(_cycle(), results.candidates):
                _draw_metric(axis, candidate, protocol, metric, colour, results)
            axis.set_title(f"{_LABELS.get(metric, metric)}, protocol {protocol}")
    _finish(figure, axes.flat, path)
    return True


def draw_calibration(results, path):
    """CRPS, spread-skill ratio and diversity against time, reliability, and ranks.

    The map is the CRPS of the first predictor that has one, by pixel.

    Returns whether there was anything to draw. Parameters as in `draw_scores`.
    """
    judged = [
        (colour, candidate)
        for colour, candidate in zip(_cycle(), results.candidates)
        if candidate.calibration is not None
    ]
    if not judged:
        return False
    figure = Figure(figsize=(11, 6.2), layout="constrained")
    axes = figure.subplots(2, 3)
    reliability, ranks = axes[1, 0], axes[1, 1]
    titles = {
        "crps": "CRPS", "spread_skill": "spread over skill (1: calibrated)",
        "diversity": "distance of two samples (RMS)",
    }  # fmt: skip
    for colour, candidate in judged:
        calibration, style = candidate.calibration, {"color": colour}
        for axis, (key, title) in zip(axes[0], titles.items()):
            values = getattr(calibration, key)
            _draw_line(axis, values, results, label=candidate.name, **style)
            axis.set_title(title)
        _draw_reliability(reliability, calibration, colour)
        _draw_ranks(ranks, calibration, colour)
    for axis in axes[0]:
        axis.set_ylim(bottom=0)
    reliability.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    reliability.set(
        title="reliability of pixel intervals",
        xlabel="nominal coverage", ylabel="observed coverage",
    )  # fmt: skip
    ranks.axhline(1, color="0.6", linewidth=1)
    ranks.set(
        title="rank of the truth (1: calibrated)",
        xlabel="rank / samples", ylabel="density",
    )  # fmt: skip
    first = judged[0][1]
    image = axes[1, 2].imshow(first.calibration.crps_pixels, cmap="inferno", vmin=0)
    axes[1, 2].set(title=f"CRPS by pixel, {first.name}", xticks=[], yticks=[])
    figure.colorbar(image, ax=axes[1, 2])
    _finish(figure, axes.flat[:5], path)
    return True


def draw_latents(results, path):
    """KL of each frame's latent against time, and of each latent dimension.

    Returns whether there was anything to draw. Parameters as in `draw_scores`.
    """
    bounded = [
        (colour, candidate)
        for colour, candidate in zip(_cycle(), results.candidates)
        if candidate.likelihood is not None and candidate.likelihood.units is not None
    ]
    if not bounded:
        return False
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots(1, 2, squeeze=False)
    for colour, candidate in bounded:
        kl, style = candidate.likelihood.kl, {"color": colour}
        frames = range(2, 2 + len(kl.per_step))
        axes[0, 0].plot(frames, kl.per_step, label=candidate.name, **style)
        if kl.per_unit is not None:
            units = sorted((max(u, _LEAST) for u in kl.per_unit), reverse=True)
            axes[0, 1].plot(range(1, 1 + len(units)), units, ".-", **style)
    axes[0, 0].set(title="KL(q || p) [nats/frame]", xlabel="frame")
    axes[0, 0].set_ylim(bottom=0)
    axes[0, 1].set(
        title="the same by latent dimension", xlabel="dimension, sorted", yscale="log"
    )
    _finish(figure, axes.flat, path)
    return True


def _cycle():
    while True:
        yield from _COLOURS


def _draw_metric(axis, candidate, protocol, metric, colour, results):
    kinds = candidate.scores[protocol][metric]
    alone = candidate.num_samples == 1
    for kind, style in _STYLES.items():
        if alone and kind == "mean":
            continue
        label = candidate.name if alone else f"{candidate.name}, {kind}"
        curve = kinds[kind]
        halves = curve.per_step_half_width
        line = {"color": colour, "linestyle": style, "label": label}
        _draw_line(axis, curve.per_step, results, halves, **line)
    axis.set_xlabel("frame")


def _draw_line(axis, values, results, halves=None, **style):
    start = results.settings.n_past + 1
    frames, values = range(start, start + len(values)), _finite(values)
    axis.plot(frames, values, **style)
    axis.set_xlabel("frame")
    if halves is not None:
        halves = _finite(halves)
        low = [v - h for v, h in zip(values, halves)]
        high = [v + h for v, h in zip(values, halves)]
        axis.fill_between(frames, low, high, color=style["color"], alpha=0.15, lw=0)


def _draw_reliability(axis, calibration, colour):
    steps = len(calibration.observed)
    mean = [sum(column) / steps for column in zip(*calibration.observed)]
    axis.plot(calibration.nominal, mean, color=colour)


def _draw_ranks(axis, calibration, colour):
    totals = [sum(column) for column in zip(*calibration.rank_histogram)]
    count, places = sum(totals), len(totals)
    density = [t * places / count for t in totals]
    ranks = [i / (places - 1) for i in range(places)]
    axis.step(ranks, density, where="mid", color=colour)


def _finite(values):
    """NaN, which is not drawn, for numbers that are not finite."""
    return [v if math.isfinite(v) else math.nan for v in values]


def _finish(figure, axes, path):
    path = Path(path)
    for axis in axes:
        axis.grid(alpha=0.3)
        if axis.get_xlabel() == "frame":
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    # Once for both files: the layout is most of the work.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    # Without a date, equal results give equal files.
    for ending, options in ((".svg", {"metadata": {"Date": None}}), (".png", {})):
        with rc_context(_FONTS), written_beside(path.with_suffix(ending)) as beside:
            figure.savefig(beside, dpi=100, **options)
