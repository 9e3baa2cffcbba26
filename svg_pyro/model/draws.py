"""Some of the futures at a time: a chunk, its size, its seed, and all in one."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch

from svg_pyro.util.modes import seeded
from svg_pyro.util.seeds import seed_of

_FRAMES_A_STEP = 256  # of all samples and clips together, where no chunk size is given


def usual_chunk(clips: int) -> int:
    """Samples held at a time where no number is given, of as many clips or plans."""
    return max(1, _FRAMES_A_STEP // max(1, clips))


class Draw(NamedTuple):
    """Some futures of each clip of a batch, ``(chunk_size, B, horizon, C, H, W)``.

    Attributes
    ----------
    means : torch.Tensor
        The means of their frames.
    frames : torch.Tensor
        Frames drawn around them; the means where no noise was asked for.
    """

    means: torch.Tensor
    frames: torch.Tensor


def drawn_from(
    seed: int | None, number: int, device: torch.device
) -> AbstractContextManager[None]:
    """Where a chunk of samples is drawn: from a seed of its own, if there is any."""
    if seed is None:
        return contextlib.nullcontext()
    return seeded(seed_of(seed, number), device)


def gathered(
    chunks: Iterator[torch.Tensor],
    context: torch.Tensor,
    horizon: int,
    count: tuple[int, int],
) -> torch.Tensor:
    """All chunks of samples in one tensor, ``(*count, horizon, C, H, W)``.

    `count`: samples, and clips or plans.
    """
    shape = *count, horizon, *context.shape[2:]
    means, start = context.new_empty(shape), 0
    for chunk in chunks:
        means[start : start + len(chunk)] = chunk
        start += len(chunk)
    return means


def each_within(
    draws: Iterator[Draw], within: Callable[[], AbstractContextManager[None]]
) -> Iterator[Draw]:
    """The draws, each made within a context of ours, and given up in the caller's.

    Parameters
    ----------
    draws : iterator of Draw
        Drawn when they are asked for.
    within : callable
        Makes the context, for instance of a precision.
    """
    while True:
        with within():
            draw = next(draws, None)
        if draw is None:
            return
        yield draw
