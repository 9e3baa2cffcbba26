"""How far off a robot's hand is in a model's futures, in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from svg_pyro.data import ClipDataset
from svg_pyro.data.batches import clips_of
from svg_pyro.data.simulated_push.finders import find_hand, track_hand
from svg_pyro.errors import EvaluationError
from svg_pyro.metrics.moments import Running
from svg_pyro.util.progress import progress
from svg_pyro.util.seeds import seed_of
from svg_pyro.util.tensors import to_float

OWN, OTHER, NONE = "with the actions", "another clip's actions", "without actions"
REPEATED = "last frame repeated"


@dataclass(frozen=True)
class HandError:
    """Distance of the hand from where it is in the true future.

    Attributes
    ----------
    name : str
        What predicts.
    mean : float
        Pixels, over all predicted frames, samples and clips.
    half_width : float
        Of the mean's 95 % interval over clips.
    per_step : list of float
        Pixels, for each predicted frame.
    clips : int
        Clips.
    """

    name: str
    mean: float
    half_width: float
    per_step: list[float]
    clips: int


@dataclass(frozen=True)
class HandTest:
    """On what the hand's error is measured.

    Attributes
    ----------
    clips : int
        Clips of the data set, from its first on, or as many as there are.
    horizon : int
        Predicted frames.
    num_samples : int
        Futures of each clip, over whose errors is averaged.
    batch_size : int
        Clips at a time.
    seed : int
        Of the futures, 0 or more.
    """

    clips: int = 64
    horizon: int = 10
    num_samples: int = 4
    batch_size: int = 16
    seed: int = 0


def hand_errors(
    sampler: Any, dataset: ClipDataset, test: HandTest | None = None
) -> list[HandError]:
    """Find the hand in predicted frames and in the true ones, and compare.

    Both places are those of `track_hand`, good to 0.3 pixel in true frames.

    Parameters
    ----------
    sampler : Sampler
        Of a model of simulated pushing.
    dataset : ClipDataset
        Clips of the context and the horizon, or more frames.
    test : HandTest, optional
        How many clips and frames.

    Returns
    -------
    list of HandError
        Of the model with the clip's actions and with those of another clip (the last
        one's for the first), or without actions, if it takes none; and of the last
        context frame repeated.

    Raises
    ------
    EvaluationError
        When there are fewer than two clips, or they are too short, or come without
        the actions that the model takes.
    """
    test = test or HandTest()
    svg = sampler.svg
    n_past, takes = svg.config.n_past, bool(svg.config.action_dim)
    steps, count = n_past + test.horizon, min(test.clips, len(dataset))
    if count < 2 or dataset.n_frames < steps:
        raise EvaluationError(
            f"there are {count} clips of {dataset.n_frames} frames; give at least two, "
            f"of {steps} frames: {n_past} of context and {test.horizon} to predict"
        )
    if takes and dataset.action_dim != svg.config.action_dim:
        raise EvaluationError(
            f"the model takes actions of {svg.config.action_dim} numbers and the clips "
            f"have {dataset.action_dim}; give clips with their actions"
        )
    names = [*((OWN, OTHER) if takes else (NONE,)), REPEATED]
    sums = {name: Running() for name in names}
    device = next(svg.parameters()).device
    for first in progress(range(0, count, test.batch_size), desc="hand", unit="batch"):
        numbers = range(first, min(first + test.batch_size, count))
        batch = clips_of(dataset, numbers)
        frames = to_float(batch.frames[:, :steps], device)
        last = find_hand(frames[:, n_past - 1])
        truth = track_hand(frames[:, n_past:], last)
        given: dict[str, torch.Tensor | None] = {NONE: None}
        if takes:
            others = clips_of(dataset, [(i - 1) % count for i in numbers])
            assert batch.actions is not None and others.actions is not None
            given = {OWN: batch.actions, OTHER: others.actions}
        for name, actions in given.items():
            chosen = {} if actions is None else {"actions": actions[:, : steps - 1]}
            futures = sampler.predict(
                frames[:, :n_past],
                test.horizon,
                test.num_samples,
                seed=seed_of(test.seed, first),
                **{key: value.to(device) for key, value in chosen.items()},
            )
            off = (track_hand(futures, last) - truth).norm(dim=-1).mean(0)
            sums[name].update(_with_mean(off))
        sums[REPEATED].update(_with_mean((last[:, None] - truth).norm(dim=-1)))
    return [_error(name, sums[name], count) for name in names]


def _error(name: str, sums: Running, count: int) -> HandError:
    """From sums over clips of each frame's error, and of their mean last."""
    means, half = sums.mean.tolist(), sums.half().tolist()
    return HandError(name, means[-1], half[-1], means[:-1], count)


def _with_mean(errors: torch.Tensor) -> torch.Tensor:
    """``(B, horizon)`` and its mean over time, ``(B, horizon + 1)``."""
    return torch.cat([errors, errors.mean(1, keepdim=True)], 1)
