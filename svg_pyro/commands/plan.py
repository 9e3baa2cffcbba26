"""Push blocks to their goals by planning in a model's futures, and compare."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import svg_pyro
from svg_pyro import Sampler
from svg_pyro.commands.devices import choose_device
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.fields import option
from svg_pyro.commands.out_folder import own_folder
from svg_pyro.commands.own_parts import parsed
from svg_pyro.errors import ConfigError
from svg_pyro.planning import (
    CrossEntropy,
    OfMeanFuture,
    PathIntegral,
    PlannerSettings,
    WorstShare,
)
from svg_pyro.planning.comparison import Tasks, compare, summary
from svg_pyro.planning.controllers import (
    PUSHES,
    Controller,
    HandToBlock,
    Planned,
    Planning,
    RandomStrokes,
)
from svg_pyro.planning.episodes import Episode
from svg_pyro.plots.planning import Share, draw_shares
from svg_pyro.plots.strips import Rows, draw_gif
from svg_pyro.util.files import write_json
from svg_pyro.util.optional import need
from svg_pyro.util.progress import progress
from svg_pyro.util.tensors import to_float

_RULES = {"cem": CrossEntropy(), "mppi": PathIntegral()}
SCRIPTS = ("random", "hand to block", "simulator")
LEARNED = ("mean future", "risk-neutral", "risk-averse")
_DESCRIPTION = """\
Push blocks to their goals by planning in a model's futures, and compare.

The tasks are those of the environment svg_pyro/Push-v0. Controllers: random strokes
("random"), a script that goes straight for the block ("hand to block"), planning with
the true simulator ("simulator") and, with a CHECKPOINT of a model with actions,
planning with the model for the cost of the samples' average ("mean future"), the mean
of the samples' costs ("risk-neutral") and the mean of the worst ones ("risk-averse").
Writes plan.json, plan.png and plan.gif."""


@dataclass(frozen=True)
class PlanOptions:
    """Which tasks are done, by whom, and with how much foresight.

    Attributes
    ----------
    checkpoint : str or None
        checkpoint.pt of a training run with actions, or push-actions, which ships;
        without it there are no plans with a model.
    tasks : int
        Tasks of each controller.
    controller : tuple of str or None
        A controller that is compared; may be given again, without it all.
    first_task : int
        Seed of the first task.
    steps : int
        Actions of a task at most.
    every : int
        Actions that are carried out of a plan before the next.
    budget : int
        Predicted frames for each plan at most.
    horizon : int
        Predicted frames of a future.
    num_samples : int
        Futures of each action sequence, of a model.
    rounds : int
        Times that better action sequences are drawn.
    rule : str
        How better action sequences are drawn: by the cross-entropy method (cem), or
        path integrals (mppi).
    goal : str
        What a model's futures are compared with: the "place" where the block's colour
        is seen, or the goal's "image".
    worst_share : float
        Share of the samples that risk-averse plans are for.
    filmed : int
        Tasks in the film, each beside its goal.
    out : str or None
        Folder of the files; without it runs/plan, or runs/plan-2 and so on.
    device : str or None
        cuda or cpu; without it cuda where there is one.
    """

    checkpoint: str | None = option(None, kind="positional", metavar="CHECKPOINT")
    tasks: int = option(50, least=1)
    controller: tuple[str, ...] | None = option(
        None, choices=(*SCRIPTS, *LEARNED), kind="append"
    )
    first_task: int = option(0, least=0)
    steps: int = option(24, least=1)
    every: int = option(3, least=1)
    budget: int = option(720, least=1)
    horizon: int = option(6, least=1)
    num_samples: int = option(2, least=1)
    rounds: int = option(2, least=1)
    rule: str = option("cem", choices=tuple(_RULES))
    goal: str = option("place", choices=("place", "image"))
    worst_share: float = 0.5
    filmed: int = option(3, least=0)
    out: str | None = option(None, metavar="DIR")
    device: str | None = None


@one_line_errors()
def plan(argv: Sequence[str] | None = None, *, prog: str | None = None) -> None:
    """Do tasks, as the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        Checkpoint and flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    options = parsed(PlanOptions, _DESCRIPTION, argv, prog=prog)
    need("gymnasium", "gymnasium", "planning in the pushing world")
    controllers = controllers_of(options)
    with own_folder(options.out, "runs/plan") as out:
        _do_tasks(options, controllers, out)


def _do_tasks(
    options: PlanOptions, controllers: dict[str, Controller], out: Path
) -> None:
    """Have each controller do the tasks; write what is known so far after each."""
    from svg_pyro.planning.push_env import PushEnv

    found: dict[str, dict[str, Any]] = {}
    tasks = Tasks(options.tasks, options.first_task, options.steps, options.filmed)
    total = len(controllers) * tasks.count
    with progress(total=total, unit="task", desc="planning") as bar:

        def done(name: str, episodes: list[Episode]) -> None:
            found[name] = {**summary(episodes), "episodes": _plain(episodes)}
            write_json(
                out / "plan.json",
                {"options": dataclasses.asdict(options), "controllers": found},
            )
            bar.set_postfix_str(f"{name} {found[name]['successes']}/{len(episodes)}")
            bar.update()

        episodes = compare(PushEnv(), controllers, tasks, done)
    draw_shares(
        [Share(name, f["share"], f["low"], f["high"]) for name, f in found.items()],
        out / "plan.png",
    )
    if options.filmed:
        draw_gif(_film(episodes, tasks), out / "plan.gif", frames_per_second=5)
    print(_table(found))
    print(f"open {out / 'plan.png'}; numbers in {out / 'plan.json'}")


def controllers_of(options: PlanOptions) -> dict[str, Controller]:
    """The controllers that are compared, by their names.

    Parameters
    ----------
    options : PlanOptions
        Says which, and how they plan.

    Raises
    ------
    ConfigError
        When a controller needs a model and there is none, the model has no actions of
        four numbers, or a setting is out of range.
    """
    names = options.controller or (
        SCRIPTS if options.checkpoint is None else (*SCRIPTS, *LEARNED)
    )
    sure = PlannerSettings(options.budget, options.horizon, rounds=options.rounds)
    scripts: dict[str, Callable[[], Controller]] = {
        "random": lambda: RandomStrokes(sure),
        "hand to block": HandToBlock,
        "simulator": lambda: Planned(
            None, 1, Planning(sure, _RULES[options.rule], every=options.every)
        ),
    }
    found: dict[str, Controller] = {
        name: scripts[name]() for name in SCRIPTS if name in names
    }
    if learned := [name for name in LEARNED if name in names]:
        found.update(_learned(learned, options))
    return found


def _learned(names: Sequence[str], options: PlanOptions) -> dict[str, Controller]:
    if options.checkpoint is None:
        raise ConfigError(f"{names[0]!r} plans with a model; give a CHECKPOINT")
    device = choose_device(options.device)
    svg = svg_pyro.load(options.checkpoint, map_location=device).eval()
    size = PUSHES.size
    if (svg.config.action_dim, svg.config.channels) != (size, 3):
        raise ConfigError(
            f"{options.checkpoint}: takes actions of {svg.config.action_dim} numbers; "
            f"give a model of robot pushing that was trained with its {size}"
        )
    settings = PlannerSettings(
        options.budget, options.horizon, options.num_samples, options.rounds
    )
    base = Planning(
        settings,
        _RULES[options.rule],
        every=options.every,
        image_goal=options.goal == "image",
    )
    ways = {
        "mean future": dataclasses.replace(base, wrap=OfMeanFuture),
        "risk-neutral": base,
        "risk-averse": dataclasses.replace(base, risk=WorstShare(options.worst_share)),
    }
    sampler, n_past = Sampler(svg), svg.config.n_past
    return {name: Planned(sampler, n_past, ways[name], device=device) for name in names}


def _plain(episodes: Sequence[Episode]) -> list[dict[str, Any]]:
    return [
        {
            "seed": episode.seed,
            "success": episode.success,
            "distances": [round(distance, 2) for distance in episode.distances],
            "frames": episode.frames,
            "decisions": episode.decisions,
        }
        for episode in episodes
    ]


def _film(episodes: Mapping[str, Sequence[Episode]], tasks: Tasks) -> list[Rows]:
    """For each filmed task its goal, and what each controller did.

    What is done stands still.
    """
    films, length = [], tasks.steps + 1
    for place in range(min(tasks.filmed, tasks.count)):
        played = {name: mine[place] for name, mine in episodes.items()}
        goal = next(iter(played.values())).goal
        assert goal is not None  # a film was asked for
        rows = {"goal": _frames([goal], length)}
        rows |= {name: _frames(of.pictures, length) for name, of in played.items()}
        films.append(Rows(rows, 0, frozenset(rows)))
    return films


def _frames(pictures: Sequence[np.ndarray], length: int) -> torch.Tensor:
    """A film ``(length, 3, H, W)``, whose last picture stands still."""
    still = [pictures[-1]] * (length - len(pictures))
    film = torch.from_numpy(np.stack([*pictures, *still]))
    return to_float(film.permute(0, 3, 1, 2).contiguous())


def _table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Successes with their interval: a line for each controller."""
    width = max(map(len, found))
    return "\n".join(
        f"{name:{width}}  {of['successes']:3} of {of['tasks']} "
        f"[{100 * of['low']:.0f} %, {100 * of['high']:.0f} %]  "
        f"{of['frames_per_decision']:5} frames and "
        f"{of['seconds_per_decision']:.2f} s a decision"
        for name, of in found.items()
    )
