"""Draws that are functions of a seed and of which clips they are for.

Any of them can be had again; the global random state is left alone.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

from svg_pyro.errors import EvaluationError, SVGError
from svg_pyro.evaluation.candidates import Candidate
from svg_pyro.model.draws import Draw
from svg_pyro.util.modes import seeded
from svg_pyro.util.seeds import seed_of

_FUTURES, _LATENTS = 0, 2  # streams of random numbers

_Chunk = TypeVar("_Chunk")


@dataclass(frozen=True)
class Sampling:
    """How futures are drawn.

    Attributes
    ----------
    horizon : int
        Frames to predict.
    num_samples : int
        Futures of each clip, if a candidate's differ.
    chunk_size : int
        Samples of a batch at a time.
    seed : int
        The samples are a function of it, of the chunk and of the batch.
    """

    horizon: int
    num_samples: int
    chunk_size: int
    seed: int


def sampled_futures(
    candidate: Candidate,
    context: torch.Tensor,
    sampling: Sampling,
    first: int,
    actions: torch.Tensor | None = None,
) -> Iterator[torch.Tensor]:
    """The futures of a batch of clips, a chunk of samples at a time: their means.

    Parameters
    ----------
    candidate : Candidate
        What predicts.
    context : torch.Tensor
        Shape ``(B, n, C, H, W)``, floats in [0, 1].
    sampling : Sampling
        How many, and the seed.
    first : int
        Index of the batch's first clip in the test set.
    actions : torch.Tensor, optional
        ``(B, n - 1 + horizon, A)``, where the data have them.

    Yields
    ------
    torch.Tensor
        Shape ``(chunk, B, horizon, C, H, W)``.

    Raises
    ------
    EvaluationError
        The model breaks down (NaN).
    """
    count = candidate.count(sampling.num_samples)
    chunks = candidate.futures(
        context, sampling.horizon, count, sampling.chunk_size, **_given(actions)
    )
    yield from _each_seeded(chunks, sampling.seed, first, context.device)


def noisy_futures(
    candidate: Candidate,
    context: torch.Tensor,
    sampling: Sampling,
    first: int,
    actions: torch.Tensor | None = None,
) -> Iterator[Draw]:
    """What `sampled_futures` gives, each with frames drawn around the means.

    Parameters are those of `sampled_futures`, and the means are its.

    Yields
    ------
    Draw
        Of tensors ``(chunk, B, horizon, C, H, W)``.

    Raises
    ------
    EvaluationError
        The model breaks down (NaN), or has no noise.
    """
    count = candidate.count(sampling.num_samples)
    draws = candidate.noisy_futures(
        context, sampling.horizon, count, sampling.chunk_size, **_given(actions)
    )
    yield from _each_seeded(draws, sampling.seed, first, context.device)


def _given(actions: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """What is passed on: predictors of frames alone need not know of actions."""
    return {} if actions is None else {"actions": actions}


def _each_seeded(
    chunks: Iterator[_Chunk], seed: int, first: int, device: torch.device
) -> Iterator[_Chunk]:
    """The chunks, each drawn from a seed of its own."""
    number = 0
    while True:
        with (
            seeded(seed_of(seed, _FUTURES, first, number), device),
            _one_line_breakdown(),
        ):
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk
        number += 1


def latents_of(
    seed: int, first: int, device: torch.device
) -> contextlib.AbstractContextManager[None]:
    """A context in which the latents of a batch's likelihood are drawn."""
    return seeded(seed_of(seed, _LATENTS, first), device)


@contextlib.contextmanager
def _one_line_breakdown() -> Iterator[None]:
    """Turn PyTorch's report of a distribution that is not finite into one line."""
    try:
        yield
    except SVGError:
        raise
    except ValueError as error:
        raise EvaluationError(
            f"the model breaks down ({str(error).splitlines()[0]})"
        ) from error
