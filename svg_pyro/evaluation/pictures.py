"""Sampled futures of test clips as rows of frames: best, worst, spread and error."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from svg_pyro.evaluation.runner import Evaluation
from svg_pyro.evaluation.sampling import sampled_futures
from svg_pyro.evaluation.scorer import Scorer
from svg_pyro.metrics.moments import Running
from svg_pyro.plots.strips import Rows, rows_of

SHOWN = 3  # samples that are drawn besides the best and the worst


@dataclass(frozen=True)
class Picture:
    """What is drawn of one clip and one candidate.

    Attributes
    ----------
    clip : int
        Its number in the test set.
    name : str
        Of the candidate.
    rows : Rows
        What is drawn, the context's frames first.
    scale : float or None
        The spread or error from which on pixels are brightest; None without them.
    """

    clip: int
    name: str
    rows: Rows
    scale: float | None


def pictures(evaluation: Evaluation) -> Iterator[Picture]:
    """The pictures of a finished evaluation, sampled again from the same numbers.

    Memory holds a chunk of samples, and what is drawn of one batch.

    Parameters
    ----------
    evaluation : Evaluation
        Finished.

    Yields
    ------
    Picture
        Of each of the first clips and each candidate that is no baseline.
    """
    settings = evaluation.settings
    wanted = min(settings.pictures, evaluation.clips)
    for first in range(0, wanted, settings.batch_size):
        batch = evaluation.batch(first)
        count = min(settings.batch_size, wanted - first)
        for scorer in evaluation.scorers:
            if not scorer.candidate.is_baseline:
                yield from _of_batch(scorer, batch, first, count)


def _of_batch(
    scorer: Scorer,
    batch: tuple[torch.Tensor, torch.Tensor | None],
    first: int,
    count: int,
) -> Iterator[Picture]:
    frames = batch[0]
    candidate, n_past = scorer.candidate, scorer.settings.n_past
    shown = min(SHOWN, candidate.count(scorer.settings.num_samples))
    chosen = [scorer.chosen[first + b] for b in range(count)]
    wanted = {
        (b, sample)
        for b, ends in enumerate(chosen)
        for sample in (*range(shown), *ends)
    }
    samples, moments = _drawn_again(scorer, batch, first, wanted)
    for b, (best, worst) in enumerate(chosen):
        truth = frames[b].cpu()
        futures = {"prediction": samples[b, 0]}
        if candidate.stochastic:
            futures = {"best": samples[b, best], "worst": samples[b, worst]}
            futures |= {f"sample {i + 1}": samples[b, i] for i in range(shown)}
        scale: float | None = None
        maps: dict[str, torch.Tensor] = {}
        if candidate.stochastic and moments.count > 1:
            futures["mean"] = moments.mean[b].cpu()
            variance = moments.variance()[b].cpu()
            maps, scale = _maps(futures["mean"], variance, truth, n_past)
        rows = rows_of(truth[:n_past], futures, truth=truth[n_past:])
        rows = replace(rows, frames={**rows.frames, **maps})
        yield Picture(first + b, candidate.name, rows, scale)


def _drawn_again(
    scorer: Scorer,
    batch: tuple[torch.Tensor, torch.Tensor | None],
    first: int,
    wanted: set[tuple[int, int]],
) -> tuple[dict[tuple[int, int], torch.Tensor], Running]:
    """The wanted ones of clip and sample; moments over all samples of the clips."""
    frames, actions = batch
    context = frames[:, : scorer.settings.n_past]
    sampling, clips = scorer.settings.sampling, 1 + max(b for b, _ in wanted)
    moments = Running(dtype=frames.dtype, device=frames.device)
    samples, done = {}, 0
    for chunk in sampled_futures(scorer.candidate, context, sampling, first, actions):
        moments.update(chunk[:, :clips])
        for b, sample in wanted:
            if done <= sample < done + len(chunk):
                samples[b, sample] = chunk[sample - done, b].cpu()
        done += len(chunk)
    return samples, moments


def _maps(
    mean: torch.Tensor, variance: torch.Tensor, truth: torch.Tensor, n_past: int
) -> tuple[dict[str, torch.Tensor], float]:
    """The spread about the mean sample, and its distance from the truth; their scale.

    Of the variance and of squared errors the root of the mean over channels is shown.
    """
    spread = variance.mean(1, keepdim=True).sqrt()
    error = (mean - truth[n_past:]).square().mean(1, keepdim=True).sqrt()
    # A few pixels that are far off would leave all others dark.
    scale = max(v.flatten().quantile(0.995).item() for v in (spread, error))
    scale = max(scale, 1e-6)
    dark = torch.zeros_like(truth[:n_past, :1])
    rows = {
        name: heat(torch.cat([dark, values])[:, 0] / scale)
        for name, values in (("spread", spread), ("error", error))
    }
    return rows, scale


def heat(values: torch.Tensor) -> torch.Tensor:
    """Values in [0, 1], ``(T, H, W)``, as colours ``(T, 3, H, W)``: dark to bright."""
    colours = _colours()
    places = values.clamp(0, 1).mul(len(colours) - 1).round().long()
    return colours[places].movedim(-1, 1)


@functools.cache
def _colours() -> torch.Tensor:
    from matplotlib import colormaps

    levels = colormaps["inferno"](range(256))[:, :3]  # without opacity
    return torch.tensor(levels, dtype=torch.float32)
