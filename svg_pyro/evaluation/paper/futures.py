"""Sampled futures of held-out clips, batch by batch, and their scores."""

from collections.abc import Iterable, Iterator

import torch

from svg_pyro.data.moving_mnist import MovingMNIST
from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation.candidates import Candidate
from svg_pyro.evaluation.sampling import Sampling, sampled_futures
from svg_pyro.metrics import Curves, Estimate
from svg_pyro.util.progress import progress
from svg_pyro.util.tensors import to_float


def futures_of_clips(
    candidate: Candidate,
    clips: torch.Tensor,
    n_past: int,
    num_samples: int,
    *,
    seed: int = 0,
    batch_size: int = 16,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Each batch's true future and all samples of it together.

    Parameters
    ----------
    candidate : Candidate
        What predicts.
    clips : torch.Tensor
        uint8, shape ``(B, T, C, H, W)``.
    n_past : int
        Frames of context; the T - `n_past` others are predicted.
    num_samples : int
        Futures of each clip; one where all would be the same.
    seed : int
        The samples are a function of it and of `batch_size`; the global random
        state is left alone.
    batch_size : int
        Clips at a time.

    Yields
    ------
    truth : torch.Tensor
        Shape ``(b, T - n_past, C, H, W)``, values in [0, 1].
    samples : torch.Tensor
        Shape ``(S, b, T - n_past, C, H, W)``, values in [0, 1].

    Raises
    ------
    EvaluationError
        If the clips hold no frame after the context.
    """
    horizon = clips.shape[1] - n_past
    if n_past < 1 or horizon < 1:
        raise EvaluationError(
            f"{n_past} frames of context in clips of {clips.shape[1]}; give at least "
            "one, and clips that go on after it"
        )
    sampling = Sampling(horizon, num_samples, chunk_size=num_samples, seed=seed)
    first = 0
    for part in progress(torch.split(clips, batch_size), desc="sampling", unit="batch"):
        frames = to_float(part, candidate.device)
        chunks = sampled_futures(candidate, frames[:, :n_past], sampling, first)
        yield frames[:, n_past:], torch.cat(list(chunks))
        first += len(part)


def score_curves(
    candidate: Candidate,
    clips: torch.Tensor,
    n_past: int,
    num_samples: int,
    *,
    protocol: str = "svg",
    seed: int = 0,
) -> dict[str, dict[str, Estimate]]:
    """PSNR and SSIM against time, by a published protocol.

    Parameters
    ----------
    candidate, clips, n_past, num_samples, seed
        As in `futures_of_clips`.
    protocol : str
        One of `svg_pyro.metrics.PROTOCOLS`.

    Returns
    -------
    dict
        "psnr" (dB) and "ssim", each a dict of "best", "mean" and "worst" to an
        `svg_pyro.metrics.Estimate`: of N samples, over clips.

    Raises
    ------
    EvaluationError
        If the clips hold no frame after the context, or there is no such protocol.
    """
    drawn = futures_of_clips(candidate, clips, n_past, num_samples, seed=seed)
    return _scored(drawn, protocol)


def process_curves(
    data: MovingMNIST,
    n_past: int,
    clips: int,
    num_samples: int,
    *,
    protocol: str = "svg",
    seed: int = 0,
) -> dict[str, dict[str, Estimate]]:
    """As `score_curves`, of futures that the process itself draws: a bound for all.

    Parameters
    ----------
    data : MovingMNIST
        Its first `clips` clips are foretold; see `MovingMNIST.other_futures`.
    n_past, clips, num_samples : int
        Frames of context, clips, and futures of each.
    protocol : str
        One of `svg_pyro.metrics.PROTOCOLS`.
    seed : int
        Of the futures.

    Returns
    -------
    dict
        As of `score_curves`.

    Raises
    ------
    DataError
        The clips hold no frame after the context.
    """
    indices = progress(range(min(clips, len(data))), desc="process", unit="clip")
    drawn = (
        (
            to_float(data.clip(index)[None, n_past:]),
            to_float(data.other_futures(index, n_past, num_samples, seed=seed))[
                :, None
            ],
        )
        for index in indices
    )
    return _scored(drawn, protocol)


def _scored(
    futures: Iterable[tuple[torch.Tensor, torch.Tensor]], protocol: str
) -> dict[str, dict[str, Estimate]]:
    """PSNR and SSIM of true futures and samples, as `futures_of_clips` gives them."""
    curves = Curves([protocol])
    for truth, samples in futures:
        curves.update(truth, samples)
    summary = curves.summary()[protocol]
    return {metric: summary[metric] for metric in ("psnr", "ssim")}
