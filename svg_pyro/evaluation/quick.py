"""How good sampled futures are, beside repeating the last frame that was seen."""

import math
from dataclasses import dataclass, replace

import torch

from svg_pyro.data.batches import in_parts
from svg_pyro.errors import DataError
from svg_pyro.metrics import clip_mse, psnr
from svg_pyro.metrics.ensembles import spread_skill_of
from svg_pyro.model.svg import SVG
from svg_pyro.plots.strips import Rows, rows_of
from svg_pyro.util.modes import seeded
from svg_pyro.util.progress import progress
from svg_pyro.util.tensors import to_float


@dataclass(frozen=True)
class FutureScores:
    """PSNR in dB of each clip's mean squared error over its predicted frames.

    Attributes
    ----------
    best, mean : torch.Tensor
        Of the best of a clip's samples, and the mean over its samples; ``(B,)``.
    copy : torch.Tensor
        Of the last context frame repeated; ``(B,)``. Infinite for a clip in which
        nothing moves.
    variance : torch.Tensor
        Among a clip's samples, mean over its values; ``(B,)``. NaN for one sample.
    error : torch.Tensor
        Mean squared error of the mean over samples; ``(B,)``.
    num_samples : int
        Futures of each clip.
    """

    best: torch.Tensor
    mean: torch.Tensor
    copy: torch.Tensor
    variance: torch.Tensor
    error: torch.Tensor
    num_samples: int

    @property
    def moving(self) -> torch.Tensor:
        """Which clips are compared: those in which something moves; bool, ``(B,)``."""
        return self.copy.isfinite()

    def averages(self) -> tuple[float, float, float]:
        """Means of `best`, `mean` and `copy` over the moving clips; NaN without any."""
        best, mean, copy = (
            scores[self.moving].mean().item()
            for scores in (self.best, self.mean, self.copy)
        )
        return best, mean, copy

    @property
    def gain(self) -> float:
        """Mean over moving clips of the best sample's PSNR, less copying's; dB."""
        best, _, copy = self.averages()
        return best - copy

    @property
    def spread_skill(self) -> float:
        """How far samples lie apart over how far their mean is from the truth.

        1 where calibrated, 0 where all samples are the same; see
        `svg_pyro.metrics.spread_skill`.
        """
        ratio = spread_skill_of(
            self.variance.mean(), self.error.mean(), self.num_samples
        )
        return float(ratio)


def score_futures(
    svg: SVG,
    clips: torch.Tensor,
    n_past: int,
    *,
    num_samples: int = 20,
    batch_size: int = 16,
    seed: int = 0,
    actions: torch.Tensor | None = None,
) -> FutureScores:
    """Score sampled futures of held-out clips.

    Parameters
    ----------
    svg : SVG
        The model that predicts.
    clips : torch.Tensor
        Held out: uint8, shape ``(B, T, C, H, W)``.
    n_past : int
        Context frames; the T - `n_past` others are predicted.
    num_samples : int
        Futures of each clip.
    batch_size : int
        Clips at a time.
    seed : int
        Of the samples; the global random state is left alone.
    actions : torch.Tensor, optional
        Of a model with actions, ``(B, T - 1, A)``.

    Returns
    -------
    FutureScores
        Of the clips, in their order, on the CPU.

    Raises
    ------
    DataError
        If the clips hold no frame after the context.
    """
    horizon = clips.shape[1] - n_past
    if horizon < 1:
        raise DataError(
            f"clips of {clips.shape[1]} frames leave none to predict after {n_past} "
            "of context; give longer clips"
        )
    device = next(svg.parameters()).device
    columns: list[tuple[torch.Tensor, ...]] = []
    with seeded(seed, device):
        parts = in_parts(clips, actions, batch_size, device)
        count = math.ceil(len(clips) / batch_size)
        for batch, given in progress(parts, total=count, desc="scoring", unit="batch"):
            context, truth = batch[:, :n_past], batch[:, n_past:]
            futures = svg.predict(context, horizon, num_samples, **given)
            columns.append(_columns(futures, context[:, -1:], truth))
    best, mean, copy, variance, error = (
        torch.cat(each).cpu() for each in zip(*columns, strict=True)
    )
    return FutureScores(best, mean, copy, variance, error, num_samples)


def scores_of(futures: torch.Tensor, clips: torch.Tensor, n_past: int) -> FutureScores:
    """Score futures that were sampled already.

    Parameters
    ----------
    futures : torch.Tensor
        Shape ``(S, B, T - n_past, C, H, W)``, values in [0, 1].
    clips : torch.Tensor
        uint8, ``(B, T, C, H, W)``, on the same device.
    n_past : int
        Frames of context.

    Returns
    -------
    FutureScores
        Of the clips, in their order.
    """
    frames = to_float(clips)
    last, truth = frames[:, n_past - 1 : n_past], frames[:, n_past:]
    best, mean, copy, variance, error = _columns(futures, last, truth)
    return FutureScores(best, mean, copy, variance, error, len(futures))


def _columns(
    futures: torch.Tensor, last: torch.Tensor, truth: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """The first five attributes of `FutureScores`."""
    scores = psnr(clip_mse(futures, truth))
    copy = psnr(clip_mse(last, truth))
    variance = torch.full_like(copy, torch.nan)
    if len(futures) > 1:
        variance = futures.var(0).flatten(1).mean(1)
    error = clip_mse(futures.mean(0), truth)
    return scores.amax(0), scores.mean(0), copy, variance, error


def picture_rows(
    svg: SVG,
    clip: torch.Tensor,
    n_past: int,
    *,
    num_samples: int = 20,
    num_shown: int = 3,
    seed: int = 0,
    actions: torch.Tensor | None = None,
) -> Rows:
    """The rows of a picture of one clip's futures.

    Parameters
    ----------
    svg : SVG
        The model that predicts.
    clip : torch.Tensor
        uint8, shape ``(T, C, H, W)``.
    n_past : int
        Context frames.
    num_samples, num_shown : int
        Futures among which the best is chosen, and those of them shown besides.
    seed : int
        Of the samples; the global random state is left alone.
    actions : torch.Tensor, optional
        Of a model with actions, ``(T - 1, A)``.

    Returns
    -------
    Rows
        In sampled rows the context is the truth; in the posterior's row the first
        frame is.
    """
    device = next(svg.parameters()).device
    with seeded(seed, device):
        truth = to_float(clip, device)
        context, future = truth[None, :n_past], truth[n_past:]
        given = None if actions is None else actions[None].to(device)
        posterior = svg.reconstruct(truth[None], actions=given)[0]
        samples = svg.predict(context, len(future), num_samples, actions=given)[:, 0]
    best = clip_mse(samples, future).argmin()
    futures = {
        "posterior": posterior[n_past - 1 :],
        f"best of {num_samples}": samples[best],
    }
    shown = enumerate(samples[:num_shown], 1)
    futures |= {f"sample {i}": sample for i, sample in shown}
    rows = rows_of(context[0], futures, truth=future)
    # The approximate posterior decodes every frame but the first.
    own = {"posterior": torch.cat([truth[:1], posterior]).cpu()}
    return replace(rows, frames={**rows.frames, **own}, given={"posterior": 1})
