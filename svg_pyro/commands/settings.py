"""The settings of a training run: from flags and a preset, or from its checkpoint."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from svg_pyro.commands.devices import choose_device, warn_of_useless_precision
from svg_pyro.commands.fields import option
from svg_pyro.commands.presets import RunPreset
from svg_pyro.config import SVGConfig, TrainingConfig
from svg_pyro.errors import ConfigError
from svg_pyro.model import checkpoint
from svg_pyro.model.parts import check_names
from svg_pyro.training import distributed
from svg_pyro.training.step import check_batch

# May change when a run is resumed: they do not touch what a step computes, save for
# `steps`, without which a finished run could not be prolonged, and `accumulate`,
# without which one that was out of memory could not go on.
_FREE_ON_RESUME = {
    "steps",
    "workers",
    "log_every",
    "validate_every",
    "save_every",
    "accumulate",
    "checkpoint_activations",
}


@dataclass(frozen=True)
class RunOptions:
    """Where a training run is kept, and how it is scored and drawn.

    Attributes
    ----------
    out : str or None
        Folder of the run; without it runs/ and the data set's name, and then a number
        where that holds a run.
    resume : bool
        Go on with the run in `out`.
    other_data : bool
        Go on also where the data are not those that the run was trained on so far.
    init : str or None
        Checkpoint, or name of a model that ships, whose weights the training starts
        from; its architecture takes the place of the preset's.
    device : str or None
        cuda or cpu; without it cuda where there is one.
    preset : str or None
        Named values of the flags that are not given; without it "paper" on cuda and
        "small" on a cpu.
    horizon : int or None
        Frames predicted in the final scores and pictures.
    num_samples : int
        Futures of each clip.
    test_clips : int
        Held-out clips that are scored.
    pictures : int
        Held-out clips that are drawn.
    """

    out: str | None = option(None, metavar="DIR")
    resume: bool = False
    other_data: bool = False
    init: str | None = option(None, metavar="MODEL")
    device: str | None = None
    preset: str | None = None
    horizon: int | None = option(None, least=1)
    num_samples: int = option(20, least=1)
    test_clips: int = option(128, least=1)
    pictures: int = option(4, least=0)


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
    """

    device: torch.device
    out: Path
    preset: RunPreset
    options: RunOptions
    data: dict[str, Any]


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
    out, preset, data = distributed.from_first(lambda: _settings(request, device))
    distributed.wait_turn()
    return Run(device, out, preset, request.options, data)


def _settings(
    request: RunRequest, device: torch.device
) -> tuple[Path, RunPreset, dict[str, Any]]:
    options, data = request.options, dict(request.data)
    out = _folder(request)
    name = options.preset or ("paper" if device.type == "cuda" else "small")
    preset = request.presets[name]
    if options.resume and options.init is not None:
        raise ConfigError(
            "--init begins a training and --resume goes on with one; give one of them"
        )
    if options.init is not None:
        content = checkpoint.read(options.init)
        model = SVGConfig.from_dict(content["config"])
        preset = dataclasses.replace(preset, model=model)
    if options.resume:
        preset, data = _resumed(request, preset, out)
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
    return out, preset, data


def _given(
    given: Mapping[str, Any], defaults: SVGConfig | TrainingConfig
) -> dict[str, Any]:
    """The fields of a configuration, with those that were given put in."""
    values = dataclasses.asdict(defaults)
    return {name: given.get(name, value) for name, value in values.items()}


def _resumed(
    request: RunRequest, preset: RunPreset, out: Path
) -> tuple[RunPreset, dict[str, Any]]:
    path = out / "checkpoint.pt"
    content = checkpoint.read(path)
    if content["training"] is None:
        raise ConfigError(f"{path} holds no training run to resume")
    model = dataclasses.asdict(SVGConfig.from_dict(content["config"]))
    stored = {**model, **content["training"]["config"]}
    for key, value in stored.items():
        given = request.given.get(key, value)
        if given != value and key not in _FREE_ON_RESUME:
            raise ConfigError(
                f"--{key.replace('_', '-')} {given} differs from the run in {out}, "
                f"which has {value}; leave it out, or start a new run"
            )
    changes = {k: v for k, v in request.given.items() if k in _FREE_ON_RESUME}
    preset = dataclasses.replace(
        preset,
        model=SVGConfig.from_dict(content["config"]),
        training=TrainingConfig(**{**content["training"]["config"], **changes}),
    )
    return preset, _resumed_data(request, content["training"].get("data", {}), out)


def _resumed_data(
    request: RunRequest, stored: Mapping[str, Any], out: Path
) -> dict[str, Any]:
    """What a resumed run is trained on: as it was, save for what was asked for."""
    data = {**request.data, **stored}
    if data["kind"] != request.data["kind"]:
        raise ConfigError(
            f"the run in {out} is one of {data['kind']}, not {request.data['kind']}; "
            f"resume it by train {data['kind']}"
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


def _folder(request: RunRequest) -> Path:
    """The run's folder; a run that is there is only touched by --resume."""
    resume = request.options.resume
    if request.options.out is not None:
        out = Path(request.options.out)
        if (out / "checkpoint.pt").exists() and not resume:
            raise ConfigError(
                f"{out} holds a run; give --resume to go on with it, or another --out"
            )
        return out
    number, last = 1, None
    while True:
        out = Path(f"runs/{request.name}" + (f"-{number}" if number > 1 else ""))
        if not (out / "checkpoint.pt").exists():
            return last if resume and last is not None else out
        number, last = number + 1, out
