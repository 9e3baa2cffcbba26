"""How plans get better from one round to the next."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

import torch

from svg_pyro.errors import ConfigError


class Rule(abc.ABC):
    """Draws a search's Gaussian over plans to the good ones.

    Attributes
    ----------
    takes_best : bool
        Whether the plan that is carried out is the best that was tried, or the mean.
    """

    takes_best: ClassVar[bool]

    @abc.abstractmethod
    def update(
        self,
        plans: torch.Tensor,
        costs: torch.Tensor,
        mean: torch.Tensor,
        std: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the next round.

        Parameters
        ----------
        plans : torch.Tensor
            Shape ``(K, horizon, A)``.
        costs : torch.Tensor
            Finite, shape ``(K,)``.
        mean, std : torch.Tensor
            Of the plans, ``(horizon, A)``.

        Returns
        -------
        mean, std : torch.Tensor
            Shape ``(horizon, A)``.
        """


@dataclass(frozen=True)
class CrossEntropy(Rule):
    """The cross-entropy method: mean and deviation of the best plans.

    Rubinstein and Kroese (2004), "The cross-entropy method".

    Attributes
    ----------
    share : float
        Of plans that are the best, above 0 up to 1; two at least.
    inertia : float
        How much of the old mean and deviation is kept, 0 up to below 1.

    Raises
    ------
    ConfigError
        When one of them is out of range.
    """

    share: float = 0.1
    inertia: float = 0.1
    takes_best: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(
                f"CrossEntropy: share is {self.share!r}; give one above 0 up to 1"
            )
        if not 0 <= self.inertia < 1:
            raise ConfigError(
                f"CrossEntropy: inertia is {self.inertia!r}; give 0 up to below 1"
            )

    def update(
        self,
        plans: torch.Tensor,
        costs: torch.Tensor,
        mean: torch.Tensor,
        std: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `Rule.update`."""
        count = min(len(plans), max(2, round(self.share * len(plans))))
        best = plans[costs.topk(count, largest=False).indices]
        return (
            best.mean(0).lerp(mean, self.inertia),
            best.std(0, correction=0).lerp(std, self.inertia),
        )


@dataclass(frozen=True)
class PathIntegral(Rule):
    r"""Model predictive path integral control (MPPI): the mean, weighted by cost.

    ::

        w_k = softmax_k(-cost_k / (temperature * deviation of the costs))
        mean = sum_k w_k plan_k,    the deviation of the plans is kept

    Williams et al. (2017), arXiv 1707.02342; the costs' deviation makes the temperature
    free of their units.

    Attributes
    ----------
    temperature : float
        Above 0; towards 0 the best plan alone counts.

    Raises
    ------
    ConfigError
        When the temperature is not above 0.
    """

    temperature: float = 0.3
    takes_best: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(
                f"PathIntegral: temperature is {self.temperature!r}; give one above 0"
            )

    def update(
        self,
        plans: torch.Tensor,
        costs: torch.Tensor,
        mean: torch.Tensor,
        std: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `Rule.update`."""
        scale = self.temperature * costs.std(correction=0).clamp_min(1e-12)
        weights = torch.softmax(-(costs - costs.min()) / scale, 0)
        return torch.einsum("k,kta->ta", weights, plans), std
