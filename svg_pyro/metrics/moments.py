"""Streaming mean, variance and covariance, and the 95 % interval of a mean."""

import math
from collections.abc import Mapping

import torch

# The 97.5 % quantile of the standard normal, as published tables round it.
QUANTILE_95 = 1.96


class Running:
    """Mean and variance of values of one shape, from a stream that is forgotten.

    Sums of squares about the mean are merged by the formula of Chan et al. (1979),
    which does not cancel. Of infinite values the mean is infinite and the variance NaN.

    Parameters
    ----------
    dtype : torch.dtype
        In which sums are kept. Single precision halves the memory of whole frames.
    device : torch.device or str
        Where they are kept.

    Attributes
    ----------
    count : int
        Values taken in so far.
    """

    def __init__(
        self,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        self.count = 0
        self._dtype, self._device = dtype, device
        self._sum = self._squares = torch.zeros((), dtype=dtype, device=device)

    def update(self, values: torch.Tensor) -> None:
        """Take in the next values.

        Parameters
        ----------
        values : torch.Tensor
            Shape ``(K, *shape)``, K at least 1.
        """
        values = values.to(self._device, self._dtype)
        count, mean = len(values), values.mean(0)
        squares = self._within(values - mean)
        if self.count:
            share = self.count * count / (self.count + count)
            squares = squares + self._within((mean - self.mean)[None]) * share
        self._squares = self._squares + squares
        self._sum = self._sum + values.sum(0)
        self.count += count

    @property
    def mean(self) -> torch.Tensor:
        """Shape ``(*shape,)``."""
        return self._sum / self.count

    def variance(self, ddof: int = 1) -> torch.Tensor:
        """Sum of squares about the mean over the count less `ddof`.

        Parameters
        ----------
        ddof : int
            1 for the unbiased estimate, 0 for the values' own variance.

        Returns
        -------
        torch.Tensor
            Shape ``(*shape,)``; NaN where the divisor is 0.
        """
        return self._squares / (self.count - ddof if self.count > ddof else math.nan)

    def error(self, ddof: int = 1) -> torch.Tensor:
        """The mean's standard error, values taken as independent."""
        return (self.variance(ddof) / self.count).sqrt()

    def half(self, ddof: int = 1) -> torch.Tensor:
        """Half the width of the mean's 95 % interval: 1.96 standard errors."""
        return QUANTILE_95 * self.error(ddof)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that `load_state_dict` needs to go on: tensors by name."""
        return {
            "count": torch.tensor(self.count),
            "sum": self._sum.clone(),
            "squares": self._squares.clone(),
        }

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from where `state_dict` was taken."""
        self.count = int(state["count"])
        self._sum, self._squares = state["sum"].clone(), state["squares"].clone()

    @staticmethod
    def _within(centred: torch.Tensor) -> torch.Tensor:
        """Sum over the first axis of what a deviation adds to the squares."""
        return centred.square().sum(0)


class RunningCovariance(Running):
    """Mean and covariance of vectors ``(K, F)``; see `Running`.

    `variance` is the covariance matrix ``(F, F)`` here, so `error` and `half` have no
    meaning.
    """

    @property
    def covariance(self) -> torch.Tensor:
        """Divided by K - 1, shape ``(F, F)``."""
        return self.variance()

    @staticmethod
    def _within(centred: torch.Tensor) -> torch.Tensor:
        return centred.T @ centred
