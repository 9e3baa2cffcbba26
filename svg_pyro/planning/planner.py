"""Search for the actions whose sampled futures cost least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from svg_pyro.errors import ConfigError, FramesError
from svg_pyro.planning.costs import Cost
from svg_pyro.planning.risks import Risk, RiskNeutral
from svg_pyro.planning.rules import CrossEntropy, Rule
from svg_pyro.planning.settings import ActionRange, PlannerSettings
from svg_pyro.util.modes import seeded
from svg_pyro.util.seeds import seed_of


class Predictor(Protocol):
    """What predicts futures under actions: a `svg_pyro.Sampler`, or a simulator."""

    def predict(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int = 1,
        *,
        actions: torch.Tensor,
    ) -> torch.Tensor:
        """Futures ``(S, K, horizon, C, H, W)`` of one context under K plans."""


@dataclass(frozen=True)
class Plan:
    """Actions, and what is thought of them.

    Attributes
    ----------
    actions : torch.Tensor
        float32, shape ``(horizon, A)``; the first is to be carried out next.
    cost : float
        The least that a plan was found to cost.
    frames : int
        Frames that were predicted for this decision.
    """

    actions: torch.Tensor
    cost: float
    frames: int

    def rest(self, done: int) -> torch.Tensor:
        """The plan after `done` actions, its last one repeated: the next warm start."""
        later = self.actions[done:]
        last = self.actions[-1:].expand(len(self.actions) - len(later), -1)
        return torch.cat([later, last])


class Planner:
    """Plans by sampled futures: draws plans, costs them, and draws better ones.

    All plans of a round are predicted in one call, from one encoding of the context.

    Parameters
    ----------
    model : Predictor
        For instance ``Sampler(svg)`` of a model with actions.
    actions : ActionRange
        What may be done.
    settings : PlannerSettings
        How far and how wide is looked.
    rule : Rule
        `CrossEntropy` or `PathIntegral` (MPPI).
    risk : Risk
        `RiskNeutral`, or an averse one where there are several samples.

    Examples
    --------
    >>> class Walk:  # a point that goes where it is told: (S, K, horizon, 1, 1, 1)
    ...     def predict(self, context, horizon, num_samples=1, *, actions):
    ...         return actions[None, :, -horizon:, :, None, None].cumsum(2)
    >>> planner = Planner(Walk(), ActionRange((-0.1,), (0.1,)))
    >>> off = lambda futures: (futures[:, :, -1, 0, 0, 0] - 0.5).abs()
    >>> plan = planner.plan(torch.zeros(1, 1, 1, 1, 1), off)
    >>> plan.frames, plan.actions.sum().round(decimals=1)
    (3000, tensor(0.5000))
    """

    def __init__(
        self,
        model: Predictor,
        actions: ActionRange,
        settings: PlannerSettings | None = None,
        *,
        rule: Rule | None = None,
        risk: Risk | None = None,
    ) -> None:
        self.model, self.actions = model, actions
        self.settings = settings or PlannerSettings()
        self.rule, self.risk = rule or CrossEntropy(), risk or RiskNeutral()
        self._low = torch.tensor(actions.low)
        self._high = torch.tensor(actions.high)

    def plan(
        self,
        context: torch.Tensor,
        cost: Cost,
        *,
        past: torch.Tensor | None = None,
        start: torch.Tensor | None = None,
        seed: int = 0,
    ) -> Plan:
        """Plan the actions that follow a context.

        Parameters
        ----------
        context : torch.Tensor
            The frames up to now, ``(1, n, C, H, W)``, floats in [0, 1].
        cost : callable
            Of futures; see `svg_pyro.planning.costs`.
        past : torch.Tensor, optional
            The actions between the frames of the context, ``(n - 1, A)``; zeros where
            they are not given.
        start : torch.Tensor, optional
            Around which the first plans are drawn, ``(horizon, A)``: the `Plan.rest` of
            the decision before. The middle of the range without it.
        seed : int
            Of plans and futures, 0 or more; the global random state is left alone.

        Returns
        -------
        Plan

        Raises
        ------
        FramesError
            When the context, past or start is not what is said above.
        ConfigError
            When the cost gives something else than is said above.
        """
        mean, past = self._checked(context, past, start)
        settings, device = self.settings, context.device
        std = settings.spread * (self._high - self._low).expand_as(mean) / 2
        generator = torch.Generator().manual_seed(seed_of(seed, 0))
        best, least = mean, float("inf")
        for number in range(settings.rounds):
            plans = self._draw(
                best if self.rule.takes_best else mean, mean, std, generator
            )
            given = torch.cat([past.expand(len(plans), -1, -1), plans], 1)
            with seeded(seed_of(seed, 1 + number), device):
                futures = self.model.predict(
                    context,
                    settings.horizon,
                    settings.num_samples,
                    actions=given.to(device),
                )
            costs = self._costs(cost(futures))
            place = int(costs.argmin())
            if float(costs[place]) < least:
                best, least = plans[place], float(costs[place])
            mean, std = self.rule.update(plans, costs, mean, std)
        frames = settings.rounds * settings.num_plans
        frames *= settings.num_samples * settings.horizon
        return Plan(best if self.rule.takes_best else mean, least, frames)

    def _draw(
        self,
        first: torch.Tensor,
        mean: torch.Tensor,
        std: torch.Tensor,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Plans ``(K, horizon, A)`` around the mean, in the range; one is `first`."""
        smooth = self.settings.smoothness
        shape = self.settings.num_plans, *mean.shape
        noise = torch.randn(shape, generator=generator)
        for t in range(1, shape[1]):
            fresh = (1 - smooth**2) ** 0.5 * noise[:, t]
            noise[:, t] = smooth * noise[:, t - 1] + fresh
        plans = mean + std * noise
        plans[0] = first
        return plans.clamp(self._low, self._high)

    def _costs(self, costs: torch.Tensor) -> torch.Tensor:
        """One finite cost a plan, on the CPU."""
        count = self.settings.num_plans
        if costs.ndim != 2 or costs.shape[1] != count:
            raise ConfigError(
                f"the cost of futures of {count} plans has the shape "
                f"{tuple(costs.shape)}; give (samples, {count})"
            )
        risky = self.risk(costs.detach().float().cpu())
        known = risky.isfinite()
        if not known.any():
            raise ConfigError(
                "the cost is finite for no plan: is the thing that it looks for in "
                "the picture?"
            )
        return risky.masked_fill(~known, float(risky[known].max()))

    def _checked(
        self,
        context: torch.Tensor,
        past: torch.Tensor | None,
        start: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The first mean and the past actions."""
        size = self.actions.size
        if context.ndim != 5 or len(context) != 1:
            raise FramesError(
                f"the context has the shape {tuple(context.shape)}; give one, of the "
                "shape (1, n, C, H, W)"
            )
        middle = ((self._low + self._high) / 2).expand(self.settings.horizon, size)
        none = torch.zeros(context.shape[1] - 1, size)
        given = (("past", past, none), ("start", start, middle))
        for name, tensor, usual in given:
            if tensor is not None and tensor.shape != usual.shape:
                raise FramesError(
                    f"{name} has the shape {tuple(tensor.shape)}; give "
                    f"{tuple(usual.shape)}"
                )
        past = none if past is None else past.float().cpu()
        return middle if start is None else start.float().cpu(), past
