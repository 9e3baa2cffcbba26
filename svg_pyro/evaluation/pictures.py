"""Sampled futures of test clips as rows of frames: best, worst, spread and error."""

from dataclasses import dataclass, replace

import torch
from matplotlib import colormaps

from svg_pyro.evaluation.candidates import sampled_futures
from svg_pyro.metrics.moments import Running
from svg_pyro.plots.strips import Rows, rows_of

SHOWN = 3  # samples that are drawn besides the best and the worst
_HEAT = torch.tensor(colormaps["inferno"].colors, dtype=torch.float32)


@dataclass(frozen=True)
class Picture:
    """What is drawn of one clip and one predictor.

    Attributes
    ----------
    clip : int
    name : str
        Of the predictor.
    rows : Rows
        What is drawn, the context's frames first.
    scale : float or None
        The spread or error from which on pixels are brightest; None without them.
    """

    clip: int
    name: str
    rows: Rows
    scale: float | None


def pictures(evaluation):
    """The pictures of a finished evaluation, sampled anew from the same numbers.

    Memory holds a chunk of samples, and what is drawn of one batch.

    Parameters
    ----------
    evaluation : Evaluation

    Yields
    ------
    Picture
    """
    settings = evaluation.settings
    wanted = min(settings.pictures, evaluation.clips)
    for first in range(0, wanted, settings.batch_size):
        frames = evaluation.batch(first)
        count = min(settings.batch_size, wanted - first)
        for scorer in evaluation.scorers:
            if scorer.candidate.svg is not None:
                yield from _of_batch(scorer, frames, first, count)


def _of_batch(scorer, frames, first, count):
    candidate, settings = scorer.candidate, scorer.settings
    context = frames[:, : settings.n_past]
    asked = min(SHOWN, candidate.count(settings))
    wanted = {
        (b, sample)
        for b in range(count)
        for sample in (*range(asked), *scorer.chosen[first + b])
    }
    moments = Running(dtype=frames.dtype, device=frames.device)
    kept, done = {}, 0
    for chunk in sampled_futures(candidate, context, settings, first):
        moments.update(chunk[:, :count])
        for b, sample in wanted:
            if done <= sample < done + len(chunk):
                kept[b, sample] = chunk[sample - done, b].cpu()
        done += len(chunk)
    for b in range(count):
        truth = frames[b].cpu()
        best, worst = scorer.chosen[first + b]
        futures = {"prediction": kept[b, 0]}
        if candidate.stochastic:
            futures = {"best": kept[b, best], "worst": kept[b, worst]}
            futures |= {f"sample {i + 1}": kept[b, i] for i in range(asked)}
        scale, own = None, {}
        if candidate.stochastic and done > 1:
            maps, scale = _maps(moments, b, truth, settings)
            futures["mean"] = maps.pop("mean")
            own = maps
        future = truth[settings.n_past :]
        rows = rows_of(truth[: settings.n_past], futures, truth=future)
        rows = replace(rows, frames={**rows.frames, **own})
        yield Picture(first + b, candidate.name, rows, scale)


def _maps(moments, b, truth, settings):
    """The mean sample, the spread about it, and its distance from the truth."""
    mean = moments.mean[b].cpu()
    # Over samples; root mean square over channels.
    spread = moments.variance()[b].mean(-3, keepdim=True).sqrt().cpu()
    future = truth[settings.n_past :]
    error = (mean - future).square().mean(1, keepdim=True).sqrt()
    # A few pixels that are far off would leave all others dark.
    scale = max(v.flatten().quantile(0.995).item() for v in (spread, error))
    scale = max(scale, 1e-6)
    nothing = torch.zeros_like(truth[: settings.n_past, :1])
    spread, error = (
        heat(torch.cat([nothing, v])[:, 0] / scale) for v in (spread, error)
    )
    return {"mean": mean, "spread": spread, "error": error}, scale


def heat(values):
    """Values in [0, 1], ``(T, H, W)``, as colours ``(T, 3, H, W)``: dark to bright."""
    places = values.clamp(0, 1).mul(len(_HEAT) - 1).round().long()
    return _HEAT[places].movedim(-1, 1)
