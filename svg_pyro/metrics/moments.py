"""Means over clips and their intervals, from a stream of clips that is forgotten."""

import math

import torch


class Running:
    """Mean over clips and its 95 % interval, of values of one shape, in float64.

    Squares are merged by the formula of Chan et al. (1979), which does not cancel. Of
    infinite values the mean is infinite and the interval NaN.
    """

    def __init__(self):
        self.count, self._sum, self._squares = 0, 0.0, 0.0

    def update(self, values):
        """Take in the values of a few clips, ``(K, *shape)``."""
        values = values.double().cpu()
        count, mean = len(values), values.mean(0)
        squares = (values - mean).square().sum(0)
        if self.count:
            share = self.count * count / (self.count + count)
            squares = squares + (mean - self.mean).square() * share
        self._squares = self._squares + squares
        self._sum = self._sum + values.sum(0)
        self.count += count

    @property
    def mean(self):
        """Shape ``(*shape,)``."""
        return self._sum / self.count

    def variance(self, ddof=1):
        """Over clips, divided by their number less `ddof`; NaN where that is 0."""
        return self._squares / (self.count - ddof if self.count > ddof else math.nan)

    def error(self, ddof=1):
        """The mean's standard error."""
        return (self.variance(ddof) / self.count).sqrt()

    def half(self, ddof=1):
        """Half the width of the mean's 95 % interval: 1.96 standard errors."""
        return 1.96 * self.error(ddof)

    def state_dict(self):
        """Tensors by name."""
        values = {"count": self.count, "sum": self._sum, "squares": self._squares}
        return {k: torch.as_tensor(v).clone() for k, v in values.items()}

    def load_state_dict(self, state):
        """Go on from where `state_dict` was taken."""
        self.count = int(state["count"])
        self._sum, self._squares = state["sum"].clone(), state["squares"].clone()
