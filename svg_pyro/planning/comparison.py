"""How often each of several controllers does the same tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from svg_pyro.planning.episodes import Episode, run_episode

if TYPE_CHECKING:
    from svg_pyro.planning.controllers import Controller
    from svg_pyro.planning.push_env import PushEnv


@dataclass(frozen=True)
class Tasks:
    """Which tasks are done, and in how many actions.

    Attributes
    ----------
    count : int
        Tasks; their seeds are `first`, `first` + 1 and so on.
    first : int
        Seed of the first.
    steps : int
        Actions at most.
    filmed : int
        Of the first tasks the pictures are kept.
    """

    count: int
    first: int = 0
    steps: int = 20
    filmed: int = 0


def compare(
    env: PushEnv,
    controllers: Mapping[str, Controller],
    tasks: Tasks,
    done: Callable[[str, list[Episode]], None] = lambda name, episodes: None,
) -> dict[str, list[Episode]]:
    """Let each controller do each task.

    Parameters
    ----------
    env : PushEnv
        The environment.
    controllers : mapping of str to Controller
        By the names under which their episodes are returned.
    tasks : Tasks
        The same for all.
    done : callable
        Is given the name and the episodes so far after each task.

    Returns
    -------
    dict of str to list of Episode
    """
    episodes: dict[str, list[Episode]] = {}
    for name, controller in controllers.items():
        mine = episodes[name] = []
        for place in range(tasks.count):
            seed, film = tasks.first + place, place < tasks.filmed
            mine.append(run_episode(env, controller, seed, tasks.steps, film=film))
            done(name, mine)
    return episodes


def summary(episodes: Sequence[Episode]) -> dict[str, Any]:
    """What came of some episodes, for a table or a JSON file.

    Returns
    -------
    dict
        "tasks", "successes", "share" of them with its 95 % interval of Wilson's
        ("low", "high"); mean "final_distance" and "closest" in pixels; "decisions",
        "frames_per_decision", the most that were predicted for one, and
        "seconds_per_decision".
    """
    from scipy.stats import binomtest

    count, wins = len(episodes), sum(episode.success for episode in episodes)
    interval = binomtest(wins, count).proportion_ci(method="wilson")
    decisions = sum(episode.decisions for episode in episodes)
    seconds = sum(episode.seconds for episode in episodes)
    return {
        "tasks": count,
        "successes": wins,
        "share": wins / count,
        "low": float(interval.low),
        "high": float(interval.high),
        "final_distance": sum(e.distances[-1] for e in episodes) / count,
        "closest": sum(min(e.distances) for e in episodes) / count,
        "decisions": decisions,
        "frames_per_decision": max(
            (math.ceil(e.frames / e.decisions) for e in episodes if e.decisions),
            default=0,
        ),
        "seconds_per_decision": seconds / decisions if decisions else 0.0,
    }
