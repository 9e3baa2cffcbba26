"""What futures cost: any callable from ``(S, K, horizon, C, H, W)`` to ``(S, K)``."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch

from svg_pyro.errors import FramesError

# Futures of K plans in S samples, (S, K, horizon, C, H, W) in [0, 1] of a Sampler, to
# their costs (S, K). NaN, where it cannot be told, counts as the worst.
Cost: TypeAlias = Callable[[torch.Tensor], torch.Tensor]

# Frames (..., C, H, W) to column and row in pixels (..., 2); NaN where not seen.
Finder: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class GoalImage:
    """Mean squared difference of the last frames from a goal's picture.

    Attributes
    ----------
    goal : torch.Tensor
        Shape ``(C, H, W)``, floats in [0, 1].
    last : int
        Frames at the end of the horizon that are compared.

    Raises
    ------
    FramesError
        When called with frames of another shape.
    """

    goal: torch.Tensor
    last: int = 1

    def __call__(self, futures: torch.Tensor) -> torch.Tensor:
        """Costs, shape ``(S, K)``."""
        if futures.shape[-3:] != self.goal.shape:
            raise FramesError(
                f"the goal's picture is {tuple(self.goal.shape)}, the futures' frames "
                f"{tuple(futures.shape[-3:])}; give a goal of the frames' shape"
            )
        off = futures[:, :, -self.last :] - self.goal.to(futures)
        return off.square().mean((-4, -3, -2, -1))


@dataclass(frozen=True)
class PixelGoal:
    r"""How far a thing is from a place in the picture, and the hand from behind it.

    ::

        mean_t |thing_t - goal|  +  reach * mean_t |hand_t - (thing_t + behind * u_t)|

    in pixels; t runs over the horizon, u_t is the unit vector from the goal to the
    thing. The second part leads a hand that is too far away to push within
    the horizon to where a push can start; it is left out without `hand`. Where the
    thing is not seen it is where it was seen last.

    Attributes
    ----------
    goal : tuple of float
        Column and row in pixels.
    find : callable
        Finds the thing, for instance a
        `svg_pyro.data.simulated_push.finders.ColourFinder`.
    hand : callable or None
        Finds the hand.
    reach : float
        Weight of the second part.
    behind : float
        Pixels behind the thing.
    start : tuple of float or None
        Where the thing is before the futures: a thing that is never seen in one counts
        as resting there.
    """

    goal: tuple[float, float]
    find: Finder
    hand: Finder | None = None
    reach: float = 0.15
    behind: float = 5.0
    start: tuple[float, float] | None = None

    def __call__(self, futures: torch.Tensor) -> torch.Tensor:
        """Costs, shape ``(S, K)``; NaN where the thing is never seen, nor at first."""
        thing = self.find(futures)
        if self.start is not None:
            first = thing.new_tensor(self.start).expand_as(thing[..., :1, :])
            thing = _filled(torch.cat([first, thing], -2))[..., 1:, :]
        else:
            thing = _filled(thing)
        off = thing - thing.new_tensor(self.goal)
        cost: torch.Tensor = off.norm(dim=-1).mean(-1)
        if self.hand is None:
            return cost
        way = off / off.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        there = thing + self.behind * way
        cost += self.reach * (self.hand(futures) - there).norm(dim=-1).mean(-1)
        return cost


def _filled(places: torch.Tensor) -> torch.Tensor:
    """Places ``(..., T, 2)``; where they are NaN, those before, else those after."""
    places = places.clone()
    times = list(range(places.shape[-2]))
    for order in (times, times[::-1]):
        for before, t in itertools.pairwise(order):
            now = places[..., t, :]
            places[..., t, :] = torch.where(now.isnan(), places[..., before, :], now)
    return places


@dataclass(frozen=True)
class OfMeanFuture:
    """The cost of the average of all samples' frames, instead of each sample's.

    What a model without latents plans with: it is blind to what is uncertain.

    Attributes
    ----------
    cost : callable
        Of futures.
    """

    cost: Cost

    def __call__(self, futures: torch.Tensor) -> torch.Tensor:
        """Costs, shape ``(1, K)``."""
        return self.cost(futures.mean(0, keepdim=True))
