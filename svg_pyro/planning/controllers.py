"""What decides on actions in the pushing world: scripts, and planners."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from svg_pyro.data.simulated_push.finders import ColourFinder, find_hand, track_hand
from svg_pyro.planning.costs import Cost, GoalImage, PixelGoal
from svg_pyro.planning.planner import Plan, Planner
from svg_pyro.planning.risks import Risk
from svg_pyro.planning.rules import Rule
from svg_pyro.planning.settings import ActionRange, PlannerSettings
from svg_pyro.planning.true_model import TruePush, block_of, hand_of
from svg_pyro.util.seeds import seed_of
from svg_pyro.util.tensors import to_float

if TYPE_CHECKING:
    from svg_pyro.planning.push_env import PushEnv

# The hand stays down, and does not turn.
PUSHES = ActionRange((-0.08, -0.08, 0.0, 0.0), (0.08, 0.08, 0.0, 0.0))
_SPEED = 0.07  # bin units a frame, of the script


class Controller(abc.ABC):
    """Decides what the hand does in one episode after the other.

    Attributes
    ----------
    frames : int
        Frames that were predicted in this episode.
    decisions : int
        Plans that were made in this episode.
    """

    frames = 0
    decisions = 0

    def begin(self, env: PushEnv, info: dict[str, Any], seed: int) -> None:
        """Begin an episode.

        Parameters
        ----------
        env : PushEnv
            Has been reset.
        info : dict
            Of its reset.
        seed : int
            Of all that is drawn.
        """
        self.frames = self.decisions = 0
        self._seed = seed

    @abc.abstractmethod
    def act(
        self, observation: dict[str, np.ndarray], info: dict[str, Any]
    ) -> np.ndarray:
        """The next action, float32 ``(4,)``.

        Parameters
        ----------
        observation, info : dict
            The last of the environment's.
        """


class RandomStrokes(Controller):
    """Smooth random strokes, such as a planner's first plans are.

    Parameters
    ----------
    settings : PlannerSettings
        Gives spread and smoothness.
    """

    def __init__(self, settings: PlannerSettings | None = None) -> None:
        self._settings = settings or PlannerSettings()

    def begin(self, env: PushEnv, info: dict[str, Any], seed: int) -> None:
        """As `Controller.begin`."""
        super().begin(env, info, seed)
        self._rng = np.random.default_rng([seed, 1])
        self._noise = self._rng.normal(size=4)

    def act(
        self, observation: dict[str, np.ndarray], info: dict[str, Any]
    ) -> np.ndarray:
        """As `Controller.act`."""
        low, high = np.array(PUSHES.low), np.array(PUSHES.high)
        action = self._settings.spread * self._noise * (high - low) / 2
        smooth = self._settings.smoothness
        fresh = (1 - smooth**2) ** 0.5 * self._rng.normal(size=4)
        self._noise = smooth * self._noise + fresh
        result: np.ndarray = np.clip(action, low, high).astype(np.float32)
        return result


class HandToBlock(Controller):
    """Goes straight for the block, wherever its goal is; knows where both are."""

    def begin(self, env: PushEnv, info: dict[str, Any], seed: int) -> None:
        """As `Controller.begin`."""
        super().begin(env, info, seed)
        self._env = env

    def act(
        self, observation: dict[str, np.ndarray], info: dict[str, Any]
    ) -> np.ndarray:
        """As `Controller.act`."""
        simulator, task = self._env.simulator, self._env.task
        way = np.array(simulator.poses[task.target][:2]) - simulator.gripper[:2]
        way *= _SPEED / max(float(np.hypot(*way)), 1e-6)
        return np.array([*way, 0.0, 0.0], np.float32)


@dataclass(frozen=True)
class Planning:
    """How a `Planned` controller plans.

    Attributes
    ----------
    settings : PlannerSettings
        How far and how wide it looks.
    rule : Rule or None
        Of the search; `CrossEntropy` without it.
    risk : Risk or None
        Over samples; `RiskNeutral` without it.
    every : int
        Actions that are carried out before the next plan is made.
    image_goal : bool
        Cost by the goal's picture, not by where the block is seen.
    wrap : callable or None
        Makes a cost of the cost, for instance `OfMeanFuture`.
    """

    settings: PlannerSettings = field(default_factory=PlannerSettings)
    rule: Rule | None = None
    risk: Risk | None = None
    every: int = 2
    image_goal: bool = False
    wrap: Callable[[Cost], Cost] | None = None


class Planned(Controller):
    """Plans with a model, carries some actions out, and plans again from there.

    Before an episode's first frame nothing is thought to have moved: the frame is
    repeated as often as the context needs.

    Parameters
    ----------
    model : Predictor or None
        For instance a `svg_pyro.Sampler`; the true simulator where it is None.
    n_past : int
        Frames of context.
    planning : Planning
        How it plans.
    device : torch.device, optional
        Of the model.
    """

    def __init__(
        self,
        model: Any,
        n_past: int,
        planning: Planning | None = None,
        *,
        device: torch.device | None = None,
    ) -> None:
        self._model, self._n_past = model, n_past
        self._planning, self._device = planning or Planning(), device

    def begin(self, env: PushEnv, info: dict[str, Any], seed: int) -> None:
        """As `Controller.begin`."""
        super().begin(env, info, seed)
        plan, model = self._planning, self._model
        if model is None:
            model = TruePush(env.task, env.scene, env.simulator)
        self._planner = Planner(
            model, PUSHES, plan.settings, rule=plan.rule, risk=plan.risk
        )
        self._thing: tuple[float, float] | None = None
        self._seen: list[torch.Tensor] = []
        self._done: list[torch.Tensor] = []
        self._plan: Plan | None = None
        self._used = 0

    def act(
        self, observation: dict[str, np.ndarray], info: dict[str, Any]
    ) -> np.ndarray:
        """As `Controller.act`."""
        frame = torch.from_numpy(observation["image"]).permute(2, 0, 1)
        self._seen.append(to_float(frame.contiguous(), self._device))
        every = self._planning.every
        if self._plan is None or self._used in (every, len(self._plan.actions)):
            self._plan = self._decide(self._cost_of(observation, info))
            self._used = 0
        action = self._plan.actions[self._used]
        self._used += 1
        self._done.append(action)
        result: np.ndarray = action.numpy()
        return result

    def _decide(self, cost: Cost) -> Plan:
        missing = max(0, self._n_past - len(self._seen))
        frames = [self._seen[0]] * missing + self._seen[-self._n_past :]
        past = torch.zeros(self._n_past - 1, PUSHES.size)
        known = self._done[-(self._n_past - 1) :] if self._n_past > 1 else []
        if known:
            past[-len(known) :] = torch.stack(known)
        plan = self._planner.plan(
            torch.stack(frames)[None],
            cost,
            past=past,
            start=None if self._plan is None else self._plan.rest(self._used),
            seed=seed_of(self._seed, self.decisions),
        )
        self.decisions += 1
        self.frames += plan.frames
        return plan

    def _cost_of(
        self, observation: dict[str, np.ndarray], info: dict[str, Any]
    ) -> Cost:
        cost: Cost
        if self._planning.image_goal:
            goal = torch.from_numpy(observation["goal"]).permute(2, 0, 1)
            cost = GoalImage(to_float(goal.contiguous(), self._device), last=3)
        elif self._model is None:
            cost = PixelGoal(tuple(info["goal"]), block_of, hand_of)
        else:
            cost = self._by_sight(tuple(info["goal"]), tuple(info["colour"]))
        return cost if self._planning.wrap is None else self._planning.wrap(cost)

    def _by_sight(
        self, goal: tuple[float, float], colour: tuple[float, float, float]
    ) -> Cost:
        """The cost of futures from what is seen now."""
        find, now = ColourFinder(colour), self._seen[-1]
        column, row = find(now[None])[0].tolist()
        if column == column:  # else it is hidden, and where it was
            self._thing = column, row
        hand = find_hand(now)
        return PixelGoal(
            goal, find, lambda futures: track_hand(futures, hand), start=self._thing
        )
