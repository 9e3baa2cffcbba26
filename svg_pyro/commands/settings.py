"""The settings of a training run: from flags and a preset, or from its checkpoint."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from svg_pyro.commands.devices import choose_device, warn_of_useless_precision
from svg_pyro.commands.fields import flag_of
from svg_pyro.commands.presets import RunPreset
from svg_pyro.commands.run_folder import RunOptions, choose_folder
from svg_pyro.config import SVGConfig, TrainingConfig
from svg_pyro.errors import ConfigError
from svg_pyro.model import checkpoint
from svg_pyro.model.parts import check_names
from svg_pyro.training.state import check_state
from svg_pyro.training.step import check_batch
from svg_pyro.util import distributed
from svg_pyro.util.locks import FolderLock
from svg_pyro.util.words import shown

# May change when a run is resumed: they do not touch what a step computes, save for
# `steps`, without which a finished run could not be prolonged, and `accumulate`,
# without which one that was out of memory could not go on.
_FREE_ON_RESUME = {
    "steps",
    "workers",
    "log_every",
    "validate_every",
    "save_every",
    "keep_last",
    "accumulate",
    "checkpoint_activations",
}


@dataclass(frozen=True)
class RunRequest:
    """What a training command was asked for.

    Attributes
    ----------
    name : str
        The data set.
    options : RunOptions
        Folder, device, preset and scores.
    presets : mapping of str to RunPreset
        "paper", "small" and others.
    given : mapping of str to Any
        Fields of `SVGConfig` and `TrainingConfig` that were given; the others come from
        the preset, or from the run that is resumed.
    data : mapping of str to Any
        What the run is trained on, as a checkpoint stores it.
    data_given : frozenset of str
        Which of it was given; the rest of a resumed run's comes from its checkpoint.
    """

    name: str
    options: RunOptions
    presets: Mapping[str, RunPreset]
    given: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    data_given: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Run:
    """A training run that can begin.

    Attributes
    ----------
    device : torch.device
        Where this process trains.
    out : Path
        Folder of the run.
    preset : RunPreset
        Model and training, with all that was given put in.
    options : RunOptions
        Folder, device and scores, as they were given.
    data : dict of str to Any
        What the run is trained on, as its checkpoint stores it: of a resumed run with
        "clips" and "fingerprint" of the clips that it has seen.
    lock : FolderLock or None
        Of `out`, in the first process; to be released when the run has ended.
    """

    device: torch.device
    out: Path
    preset: RunPreset
    options: RunOptions
    data: dict[str, Any]
    lock: FolderLock | None = None


class _Settled(NamedTuple):
    out: Path
    preset: RunPreset
    data: dict[str, Any]
    resume: bool


def plan(request: RunRequest) -> Run:
    """The settings of a run: from the flags and a preset, or from its checkpoint.

    Prints the first line of a run, which names the preset and the device. Under
    torchrun the processes join here, and all but the first wait until that one has
    made its data and comes to `svg_pyro.commands.train.run_training`.

    Raises
    ------
    ConfigError
        If a value is out of range, the folder holds a run and is not to be resumed, or
        a resumed run was made with other values.
    CheckpointError
        If the checkpoint of a run that is to be resumed is missing or cannot be read.
    """
    distributed.start()
    device = choose_device(request.options.device)
    locks: list[FolderLock] = []

    def settle() -> _Settled:
        place = choose_folder(request.name, request.options)
        locks.append(place.lock)
        again = dataclasses.replace(request.options, resume=place.resume)
        preset, data = _settings(request, again, place.out, device)
        return _Settled(place.out, preset, data, place.resume)

    try:
        settled = distributed.from_first(settle)
    except BaseException:
        for lock in locks:
            lock.release()
        raise
    distributed.wait_turn()
    return Run(
        device,
        settled.out,
        settled.preset,
        dataclasses.replace(request.options, resume=settled.resume),
        settled.data,
        locks[0] if locks else None,
    )


def _settings(
    request: RunRequest, options: RunOptions, out: Path, device: torch.device
) -> tuple[RunPreset, dict[str, Any]]:
    data = dict(request.data)
    name = options.preset or ("paper" if device.type == "cuda" else "small")
    preset = request.presets[name]
    if request.options.resume and options.init is not None:
        raise ConfigError(
            "--init begins a training and --resume goes on with one; give one of them"
        )
    if options.init is not None and not options.resume:
        content = checkpoint.read(options.init)
        preset = preset.of_trained(SVGConfig.from_dict(content["config"]))
    if options.resume:
        asked = preset
        preset, data = _resumed(request, preset, out)
        if options.preset is not None:
            _say_what_preset_lost(request, asked, preset, out)
        name = "of the resumed run"
    else:
        preset = dataclasses.replace(
            preset,
            model=SVGConfig.from_dict(_given(request.given, preset.model)),
            training=TrainingConfig(**_given(request.given, preset.training)),
        )
    if options.horizon is not None:
        preset = dataclasses.replace(preset, horizon=options.horizon)
    if preset.training.n_frames <= preset.model.n_past:
        raise ConfigError(
            f"--n-frames is {preset.training.n_frames} and --n-past "
            f"{preset.model.n_past}; training clips need a frame after the context"
        )
    check_names(preset.model)
    check_batch(preset.training)
    warn_of_useless_precision(preset.training.precision, device)
    ranks = distributed.ranks()
    where = f"device {device}" if ranks == 1 else f"{ranks} processes on {device.type}"
    print(f"preset {name}, {where}, {preset.training.steps} steps, out {out}")
    return preset, data


def _given(
    given: Mapping[str, Any], defaults: SVGConfig | TrainingConfig
) -> dict[str, Any]:
    """The fields of a configuration, with those that were given put in."""
    values = dataclasses.asdict(defaults)
    return {name: given.get(name, value) for name, value in values.items()}


def _say_what_preset_lost(
    request: RunRequest, asked: RunPreset, run: RunPreset, out: Path
) -> None:
    """Name the values of a preset that a resumed run does not take."""
    others = []
    for mine, its in ((run.model, asked.model), (run.training, asked.training)):
        values = dataclasses.asdict(its)
        for key, value in dataclasses.asdict(mine).items():
            # The number of actions comes from the data.
            if key in request.given or key == "action_dim" or values[key] == value:
                continue
            others.append(f"{flag_of(key)} {shown(value)}")
    if others:
        more = f" and {len(others) - 4} more" if len(others) > 4 else ""
        print(
            f"--preset {request.options.preset} has other values than the run in "
            f"{out}, which keeps its own: {', '.join(others[:4])}{more}"
        )


def _resumed(
    request: RunRequest, preset: RunPreset, out: Path
) -> tuple[RunPreset, dict[str, Any]]:
    path = out / "checkpoint.pt"
    content = checkpoint.read(path)
    check_state(content, path)
    model = SVGConfig.from_dict(content["config"])
    # With the defaults of fields that an older run does not know.
    training = TrainingConfig(**content["training"]["config"])
    stored = {**dataclasses.asdict(model), **dataclasses.asdict(training)}
    for key, value in stored.items():
        given = request.given.get(key, value)
        if given != value and key not in _FREE_ON_RESUME:
            raise ConfigError(
                f"--{key.replace('_', '-')} {given} differs from the run in {out}, "
                f"which has {value}; leave it out, or start a new run"
            )
    done, asked = content["training"]["step"], request.given.get("steps", math.inf)
    if asked < done:
        raise ConfigError(
            f"--steps is {asked}, and the run in {out} has made {done}; give {done} or "
            "more"
        )
    changes = {k: v for k, v in request.given.items() if k in _FREE_ON_RESUME}
    preset = dataclasses.replace(
        preset, model=model, training=dataclasses.replace(training, **changes)
    )
    return preset, _resumed_data(request, content["training"].get("data", {}), out)


def _resumed_data(
    request: RunRequest, stored: Mapping[str, Any], out: Path
) -> dict[str, Any]:
    """What a resumed run is trained on: as it was, save for what was asked for."""
    data = {**request.data, **stored}
    mine, asked = data.get("kind"), request.data.get("kind")
    if mine != asked:
        raise ConfigError(
            f"the run in {out} is one of {mine}, not {asked}; resume it by train {mine}"
        )
    for key in sorted(request.data_given):
        new, old = request.data[key], stored.get(key, request.data[key])
        if new == old:
            continue
        words = f"--{key.replace('_', '-')} is {new}, and {old} in the run in {out}"
        if not request.options.other_data:
            raise ConfigError(
                f"{words}; give that, or --other-data to go on all the same, or start "
                "a new run"
            )
        print(f"{words}; goes on with {new}")
        data[key] = new
    return data
