"""What a plan is worth whose samples cost differently: risk-neutral and risk-averse."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass

import torch

from svg_pyro.errors import ConfigError


class Risk(abc.ABC):
    """Makes one cost of the costs of a plan's samples."""

    @abc.abstractmethod
    def __call__(self, costs: torch.Tensor) -> torch.Tensor:
        """One cost a plan.

        Parameters
        ----------
        costs : torch.Tensor
            Shape ``(S, K)``.

        Returns
        -------
        torch.Tensor
            Shape ``(K,)``.
        """


@dataclass(frozen=True)
class RiskNeutral(Risk):
    """The mean over samples."""

    def __call__(self, costs: torch.Tensor) -> torch.Tensor:
        """As `Risk`."""
        return costs.mean(0)


@dataclass(frozen=True)
class WorstShare(Risk):
    """The mean of the worst samples: conditional value at risk (CVaR).

    Rockafellar and Uryasev (2000), "Optimization of conditional value-at-risk".

    Attributes
    ----------
    share : float
        Of the samples, above 0 up to 1; rounded up to whole samples. 1 is risk-neutral.

    Raises
    ------
    ConfigError
        When the share is out of range.
    """

    share: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(
                f"WorstShare: share is {self.share!r}; give one above 0 up to 1"
            )

    def __call__(self, costs: torch.Tensor) -> torch.Tensor:
        """As `Risk`."""
        # A hair less, lest 0.1 of 30 be four.
        count = max(1, math.ceil(self.share * len(costs) - 1e-9))
        return costs.topk(count, 0).values.mean(0)


@dataclass(frozen=True)
class MeanAndSpread(Risk):
    """Mean and standard deviation over samples: mean + weight * std.

    Attributes
    ----------
    weight : float
        Above 0 shuns what is not certain, below 0 seeks it.
    """

    weight: float = 1.0

    def __call__(self, costs: torch.Tensor) -> torch.Tensor:
        """As `Risk`."""
        return costs.mean(0) + self.weight * costs.std(0, correction=0)
