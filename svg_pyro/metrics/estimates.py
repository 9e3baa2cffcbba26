"""Means over clips of a metric's curves, and their intervals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from svg_pyro.metrics.moments import Running


@dataclass(frozen=True)
class Estimate:
    """A mean over clips and its 95 % interval, mean +- 1.96 standard errors.

    The clips are taken as independent and the mean as normal. Clips in which a
    predicted frame equals the truth have an infinite PSNR: they are counted and left
    out, for one of them would hide all others. (That takes a candidate's best clips
    from its mean: see the MSE, which has them all.) Where all clips are so the mean is
    infinite and has no interval (NaN); neither has a single clip where the protocol
    divides by K - 1.

    Attributes
    ----------
    per_step, per_step_half : torch.Tensor
        The mean at each time step, and half the width of its interval; ``(T,)``.
    headline, headline_half : float
        The same of the clips' means over time.
    infinite : int
        Clips that are left out: their mean over time is infinite.
    """

    per_step: torch.Tensor
    per_step_half: torch.Tensor
    headline: float
    headline_half: float
    infinite: int


class CurveTotal:
    """Sums over clips of one metric's curves, from a stream that is forgotten.

    What an `Estimate` needs: clips whose mean over time is infinite are counted only.
    """

    def __init__(self) -> None:
        self._steps, self._clips = Running(), Running()
        self._infinite = self._horizon = 0

    def add(self, curves: torch.Tensor) -> None:
        """Take in the curves ``(K, T)`` of a few clips."""
        clips = curves.mean(1)
        infinite = clips.isinf()
        self._infinite += int(infinite.sum())
        self._horizon = curves.shape[1]
        if not infinite.all():
            self._steps.update(curves[~infinite])
            self._clips.update(clips[~infinite])

    def estimate(self, ddof: int) -> Estimate:
        """The mean over clips, with intervals of 1.96 standard errors.

        Parameters
        ----------
        ddof : int
            A standard deviation over K clips divides by K - `ddof`.
        """
        if self._clips.count == 0:
            steps = torch.full((self._horizon,), math.inf, dtype=torch.float64)
            undefined = torch.full_like(steps, math.nan)
            return Estimate(steps, undefined, math.inf, math.nan, self._infinite)
        return Estimate(
            per_step=self._steps.mean,
            per_step_half=self._steps.half(ddof),
            headline=self._clips.mean.item(),
            headline_half=self._clips.half(ddof).item(),
            infinite=self._infinite,
        )

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on: tensors and numbers."""
        return {
            "steps": self._steps.state_dict(),
            "clips": self._clips.state_dict(),
            "infinite": self._infinite,
            "horizon": self._horizon,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self._steps.load_state_dict(state["steps"])
        self._clips.load_state_dict(state["clips"])
        self._infinite, self._horizon = state["infinite"], state["horizon"]
