"""The closed loop: what happens when a controller acts in the pushing world."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from svg_pyro.planning.controllers import Controller
    from svg_pyro.planning.push_env import PushEnv


@dataclass(frozen=True)
class Episode:
    """What happened in one task.

    Attributes
    ----------
    seed : int
        Of the task.
    success : bool
        Whether the block came within 2 pixels of its goal.
    distances : list of float
        Of the block from its goal, in pixels, at the start and after each action.
    frames : int
        Frames that were predicted.
    decisions : int
        Plans that were made.
    seconds : float
        That deciding took.
    pictures : list of numpy.ndarray
        What was seen, uint8 ``(64, 64, 3)`` each, where a film was asked for.
    goal : numpy.ndarray or None
        The task done, in a picture alike, where a film was asked for.
    """

    seed: int
    success: bool
    distances: list[float]
    frames: int
    decisions: int
    seconds: float
    pictures: list[np.ndarray] = field(default_factory=list, repr=False)
    goal: np.ndarray | None = field(default=None, repr=False)


def run_episode(
    env: PushEnv, controller: Controller, seed: int, steps: int, *, film: bool = False
) -> Episode:
    """Let a controller act in one task until it is done or its time is over.

    Parameters
    ----------
    env : PushEnv
        The environment.
    controller : Controller
        What decides.
    seed : int
        Of the task, and of what the controller draws.
    steps : int
        Actions at most.
    film : bool
        Keep what was seen, and the goal's picture.

    Returns
    -------
    Episode
    """
    observation, info = env.reset(seed=seed)
    controller.begin(env, info, seed)
    distances, seconds = [info["distance"]], 0.0
    pictures = [observation["image"]] if film else []
    for _ in range(steps):
        start = time.perf_counter()
        action = controller.act(observation, info)
        seconds += time.perf_counter() - start
        observation, _, done, _, info = env.step(action)
        distances.append(info["distance"])
        if film:
            pictures.append(observation["image"])
        if done:
            break
    return Episode(
        seed,
        bool(info["is_success"]),
        distances,
        controller.frames,
        controller.decisions,
        seconds,
        pictures,
        observation["goal"] if film else None,
    )
