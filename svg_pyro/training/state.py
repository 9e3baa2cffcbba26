"""The state of a run in its checkpoint: written, checked, and taken up."""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from svg_pyro.config import TrainingConfig
from svg_pyro.errors import CheckpointError, SVGError
from svg_pyro.model.svg import SVG
from svg_pyro.training.optim import Schedule
from svg_pyro.training.statistics import FittedStatistics, moving_statistics
from svg_pyro.util.words import one_line

_TYPES: dict[str, tuple[type, ...]] = {
    "config": (dict,),
    "step": (int,),
    "optimiser": (dict,),
    "rng": (torch.Tensor,),
    "cuda_rng": (torch.Tensor, type(None)),
}
# Not in the first checkpoints.
_LATER: dict[str, tuple[type, ...]] = {
    "data": (dict,),
    "moving_statistics": (dict, type(None)),
    "best_bound": (float,),
}


def state_of(
    optimiser: Schedule, statistics: FittedStatistics, device: torch.device
) -> dict[str, Any]:
    """What a run needs to go on, beside the weights, its step and its configuration.

    Parameters
    ----------
    optimiser : Schedule
        With its moments.
    statistics : FittedStatistics
        BatchNorm's.
    device : torch.device
        That trains; a CUDA device's random state is stored too.
    """
    cuda = device.type == "cuda"
    return {
        "optimiser": optimiser.state_dict(),
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state(device) if cuda else None,
        "moving_statistics": statistics.moving,
    }


def take_up(
    state: dict[str, Any],
    svg: SVG,
    optimiser: Schedule,
    statistics: FittedStatistics,
) -> None:
    """Go on from where `state_of` was taken.

    Parameters
    ----------
    state : dict
        That `check_state` has passed.
    svg : SVG
        With the checkpoint's weights, on the device that trains.
    optimiser : Schedule
        Gets the moments.
    statistics : FittedStatistics
        Gets BatchNorm's.

    Raises
    ------
    ValueError
        If what is stored is of another model, or holds numbers that cannot be.
    KeyError, TypeError, AttributeError, RuntimeError
        If it is not built as such a state is.
    """
    statistics.moving = checked_statistics(
        state.get("moving_statistics"), dict(moving_statistics(svg))
    )
    check_adam(state["optimiser"]["adam"], optimiser.optimiser)
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["rng"])
    device = next(svg.parameters()).device
    if state["cuda_rng"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda_rng"], device)


def check_state(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """What a checkpoint holds of a run, if every key is there and of its type.

    Parameters
    ----------
    content : dict
        Of `svg_pyro.model.checkpoint.read`.
    path : Path
        The file, for messages.

    Raises
    ------
    CheckpointError
        If it holds no state, or a damaged one.
    """
    state: dict[str, Any] | None = content["training"]
    if state is None:
        raise CheckpointError(
            f"{path} holds a model but no training state; start a new run in another "
            "folder"
        )
    for key, types in {**_TYPES, **_LATER}.items():
        wanted = key in _TYPES or key in state
        if wanted and (
            not isinstance(state.get(key), types) or isinstance(state[key], bool)
        ):
            raise _damaged(path, f"its {key} is missing or of another type")
    if state["step"] < 0:
        raise _damaged(path, f"its step is {state['step']}")
    with explaining_damage(path):
        TrainingConfig(**state["config"])
        if state["optimiser"]["step"] != state["step"]:
            raise ValueError("its optimiser is of another step")
    return state


def checked_statistics(
    given: dict[str, Any] | None, own: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor] | None:
    """BatchNorm's moving statistics of a state, if they are those of the model.

    Parameters
    ----------
    given : dict or None
        Of the state.
    own : dict of str to torch.Tensor
        Those of the model, see `svg_pyro.training.statistics.moving_statistics`.

    Raises
    ------
    ValueError
        If one is missing, left over, of another shape, or not finite.
    """
    if given is None:
        return None
    if given.keys() != own.keys():
        raise ValueError("its moving_statistics are of other layers")
    for name, value in given.items():
        if not isinstance(value, torch.Tensor) or value.shape != own[name].shape:
            raise ValueError(f"its moving_statistics hold another {name}")
        if not value.isfinite().all():
            raise ValueError(f"its moving_statistics hold NaN or infinity, {name}")
    return given


def check_adam(state: dict[str, Any], adam: torch.optim.Adam) -> None:
    """Refuse moments that are not those of an optimiser's weights.

    Parameters
    ----------
    state : dict
        Of an Adam's ``state_dict``.
    adam : torch.optim.Adam
        That is to take it up.

    Raises
    ------
    ValueError
        If settings differ, or a moment is of another shape, not finite or negative.
    KeyError, TypeError, AttributeError
        If it is not built as such a state is.
    """
    (given,), (own,) = state["param_groups"], adam.param_groups
    weights = own["params"]
    if given["params"] != list(range(len(weights))):
        raise ValueError("its optimiser is of another number of weights")
    for key in ("betas", "eps", "weight_decay", "amsgrad", "maximize"):
        if given[key] != own[key]:
            raise ValueError(f"its optimiser's {key} is {given[key]!r}")
    if not 0 <= given["lr"] < math.inf:
        raise ValueError(f"its optimiser's lr is {given['lr']!r}")
    for place, moments in state["state"].items():
        for key in ("exp_avg", "exp_avg_sq"):
            moment, weight = moments[key], weights[place]
            if moment.shape != weight.shape or moment.dtype != weight.dtype:
                raise ValueError("its optimiser is of weights of other shapes")
            if not moment.isfinite().all():
                raise ValueError("its optimiser holds NaN or infinity")
        if (moments["exp_avg_sq"] < 0).any():
            raise ValueError("its optimiser holds a negative second moment")
        if not 0 < float(moments["step"]) < math.inf:
            raise ValueError("its optimiser has done no number of steps")


@contextlib.contextmanager
def explaining_damage(path: Path) -> Iterator[None]:
    """Say in one line what a damaged state makes Python or PyTorch raise.

    Raises
    ------
    CheckpointError
        If what runs inside fails.
    """
    try:
        yield
    except CheckpointError:
        raise
    # What a wrong value in a state can lead to has no common class.
    except Exception as error:
        kind = "" if isinstance(error, (SVGError, ValueError)) else type(error).__name__
        raise _damaged(path, f"{kind} {one_line(error)}".strip()) from error


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path} holds a damaged training state ({one_line(reason)}); go on from "
        "another checkpoint of the run, put in its place"
    )
