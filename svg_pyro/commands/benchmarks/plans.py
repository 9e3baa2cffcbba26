"""Futures of many plans of one context, as a planner asks for them."""

import pyro
import torch

import svg_pyro
from svg_pyro import Sampler
from svg_pyro.commands.benchmarks.speed import alternately
from svg_pyro.commands.benchmarks.tables import Row

PLANS, HORIZON = 200, 10
_ALONE = 10  # plans that are predicted one by one
_MODEL = "push-actions"  # of the weights that ship


def frames_a_second(
    device: torch.device, repeats: int, *, plans: int = PLANS, horizon: int = HORIZON
) -> list[Row]:
    """A row of predicted frames a second: all plans at once, and plan by plan.

    Parameters
    ----------
    device : torch.device
        Where; on CUDA the networks are compiled.
    repeats : int
        Rounds that are counted.
    plans : int
        Action sequences of one context.
    horizon : int
        Predicted frames of each.
    """
    svg = svg_pyro.load(_MODEL, map_location=device).eval()
    sampler = Sampler(svg, compiled=device.type == "cuda")
    n_past = svg.config.n_past
    context = torch.rand(1, n_past, *svg.frame_shape, device=device)
    steps = n_past - 1 + horizon
    actions = 0.05 * torch.randn(plans, steps, svg.config.action_dim, device=device)
    alone = min(_ALONE, plans)
    copies = context.expand(plans, -1, -1, -1, -1)
    calls = {
        "at once": lambda: sampler.predict(context, horizon, actions=actions),
        "copied": lambda: sampler.predict(copies, horizon, actions=actions),
        "one by one": lambda: [
            sampler.predict(context, horizon, actions=plan[None])
            for plan in actions[:alone]
        ],
    }
    with pyro.validation_enabled(False):
        seconds = alternately(calls, device, repeats)
    return [
        {
            "plans": f"{plans} x {horizon} frames, {_MODEL}",
            "frames/s": plans * horizon / seconds["at once"],
            "context copied frames/s": plans * horizon / seconds["copied"],
            "one by one frames/s": alone * horizon / seconds["one by one"],
        }
    ]
