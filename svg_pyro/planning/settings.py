"""What a planner may do, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass

from svg_pyro.errors import ConfigError
from svg_pyro.util.checks import check_whole

_WHERE = "PlannerSettings: "


@dataclass(frozen=True)
class ActionRange:
    """The actions that a planner may take, in the units that the model was trained on.

    Attributes
    ----------
    low, high : tuple of float
        Of each of the A numbers of an action; equal where it is not to be planned.

    Raises
    ------
    ConfigError
        When the two are of different lengths, empty, or not in order.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.low or len(self.low) != len(self.high):
            raise ConfigError(
                f"ActionRange: low has {len(self.low)} numbers and high "
                f"{len(self.high)}; give one each for every number of an action"
            )
        pairs = zip(self.low, self.high, strict=True)
        for place, (low, high) in enumerate(pairs):
            if not -float("inf") < low <= high < float("inf"):
                raise ConfigError(
                    f"ActionRange: low is {low:g} and high {high:g} at place {place}; "
                    "give finite numbers in order"
                )

    @property
    def size(self) -> int:
        """A, the numbers of an action."""
        return len(self.low)


@dataclass(frozen=True)
class PlannerSettings:
    """How far and how wide a planner looks.

    Attributes
    ----------
    budget : int
        Frames that may be predicted for one decision. It sets how many plans there are
        in each round: budget / (rounds * num_samples * horizon), rounded down.
    horizon : int
        Actions of a plan, each of which leads to one predicted frame.
    num_samples : int
        Sampled futures of each plan.
    rounds : int
        How often plans are drawn, each time around better ones.
    spread : float
        Standard deviation of the first plans' actions, in half ranges of the actions.
    smoothness : float
        Correlation of a plan's noise from one action to the next, 0 up to below 1:
        strokes as a robot makes them, instead of trembling.

    Raises
    ------
    ConfigError
        When a number is out of range, or the budget is too small for two plans.
    """

    budget: int = 3000
    horizon: int = 10
    num_samples: int = 1
    rounds: int = 3
    spread: float = 0.7
    smoothness: float = 0.8

    def __post_init__(self) -> None:
        for name in ("budget", "horizon", "num_samples", "rounds"):
            check_whole(
                name, getattr(self, name), least=1, error=ConfigError, where=_WHERE
            )
        if not self.spread > 0:
            raise ConfigError(f"{_WHERE}spread is {self.spread!r}; give one above 0")
        if not 0 <= self.smoothness < 1:
            raise ConfigError(
                f"{_WHERE}smoothness is {self.smoothness!r}; give 0 up to below 1"
            )
        if self.num_plans < 2:
            least = 2 * self.rounds * self.num_samples * self.horizon
            raise ConfigError(
                f"{_WHERE}a budget of {self.budget} frames is not enough for two plans "
                f"in each round; give at least {least}",
                advice=("budget",),
            )

    @property
    def num_plans(self) -> int:
        """Plans of one round."""
        return self.budget // (self.rounds * self.num_samples * self.horizon)
