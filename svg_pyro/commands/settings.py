"""The command line of the examples: flags, presets, folders, and one-line errors."""

import argparse
import contextlib
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from svg_pyro.config import SVGConfig, TrainingConfig
from svg_pyro.errors import ConfigError, SVGError
from svg_pyro.model import checkpoint
from svg_pyro.model.parts import check_names
from svg_pyro.training import distributed
from svg_pyro.training.step import check_batch
from svg_pyro.util.allocator import keep_freed_memory


@dataclass(frozen=True)
class Preset:
    """Defaults of a training example.

    Attributes
    ----------
    model : SVGConfig
    training : TrainingConfig
    horizon : int
        Frames predicted in the final scores and pictures.
    data : dict
        Flags of the example that say what it is trained on; a resumed run must have
        the same.
    """

    model: SVGConfig
    training: TrainingConfig
    horizon: int
    data: dict = dataclasses.field(default_factory=dict)


# May change when a run is resumed: they do not touch what a step computes, save for
# `steps`, without which a finished run could not be prolonged, and `accumulate`,
# without which one that was out of memory could not go on.
_FREE_ON_RESUME = {
    "steps", "workers", "log_every", "validate_every", "save_every", "accumulate",
    "checkpoint_activations",
}  # fmt: skip


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all errors of the examples are."""

    def error(self, message):
        _leave(f"{message}; see --help", 2)


def training_parser(description, out, presets):
    """A parser with the flags that every training example has.

    Each field of `SVGConfig` and `TrainingConfig` is a flag; those not given come
    from the preset.

    Parameters
    ----------
    description : str
    out : str
        Default folder of a run.
    presets : dict of str to Preset
        The help shows their values.
    """
    parser = Parser(description=description)
    flag = parser.add_argument
    flag("--out", help=f"folder of the run (default: {out}, or {out}-2 ...)")
    flag("--resume", action="store_true", help="go on with the run in --out")
    flag("--device", help="cuda or cpu (default: cuda where there is one)")
    flag(
        "--preset",
        choices=presets,
        help="values of the flags not given (default: paper on cuda, small on cpu)",
    )
    flag("--horizon", type=int, help="frames predicted at the end")
    counts = {
        "num-samples": (20, "futures of each clip"),
        "test-clips": (128, "held-out clips that are scored"),
        "pictures": (4, "held-out clips that are drawn"),
    }
    for name, (value, words) in counts.items():
        flag(f"--{name}", type=int, default=value, help=f"{words} (default: {value})")
    _add_fields(parser, "model", SVGConfig, presets)
    _add_fields(parser, "training", TrainingConfig, presets)
    parser.set_defaults(default_out=out)
    return parser


def _add_fields(parser, part, cls, presets):
    """A flag for each field of a configuration; its help gives the presets' values."""
    group = parser.add_argument_group(f"{part} (see svg_pyro.{cls.__name__})")
    for field in dataclasses.fields(cls):
        values = {
            name: getattr(getattr(p, part), field.name) for name, p in presets.items()
        }
        words = ", ".join(f"{name}: {value}" for name, value in values.items())
        if field.type is bool:
            how = {"action": argparse.BooleanOptionalAction}
        else:
            how = {"type": field.type, "metavar": field.type.__name__}
        name = "--" + field.name.replace("_", "-")
        group.add_argument(name, default=None, help=words, **how)


@contextlib.contextmanager
def one_line_errors():
    """End the program with one line and status 2 where the user can mend the error."""
    try:
        yield
    except SVGError as error:
        flags = ", ".join("--" + name.replace("_", "-") for name in error.advice)
        _leave(f"{error} (see {flags})" if flags else str(error), 2)
    except OSError as error:
        _leave(f"{error.filename or 'file system'}: {error.strerror or error}", 2)
    except KeyboardInterrupt:
        _leave("interrupted", 130)


def _leave(message, status):
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(status)


def choose_device(name):
    """The device to work on: `name`, else CUDA where there is one, else the CPU.

    Under torchrun each process gets a CUDA device of its own. For work on the CPU the
    process keeps its freed memory from then on.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"no device {name!r}; give cuda or cpu") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device was found; give --device cpu")
    if device.type == "cpu":
        keep_freed_memory()
    return distributed.own_device(device)


def plan(args, presets, data=()):
    """The settings of a run: from the flags and a preset, or from its checkpoint.

    Prints the first line of a run, which names the preset and the device. Under
    torchrun the processes join here, and all but the first wait until that one has
    made its data and comes to `svg_pyro.commands.train.run_training`.

    Parameters
    ----------
    args : argparse.Namespace
        Of `training_parser`.
    presets : dict of str to Preset
    data : sequence of str
        Names of the example's own flags that say what it is trained on.

    Returns
    -------
    device : torch.device
    out : Path
    preset : Preset
        With the flags put in.
    """
    distributed.start()
    device = choose_device(args.device)
    chosen = {name: getattr(args, name) for name in data}
    out, preset = distributed.from_first(
        lambda: _settings(args, presets, device, chosen)
    )
    distributed.wait_turn()
    return device, out, preset


def _settings(args, presets, device, data):
    out = _folder(args)
    name = args.preset or ("paper" if device.type == "cuda" else "small")
    preset = dataclasses.replace(presets[name], data=data)
    if args.resume:
        preset, name = _resumed(args, preset, out), "of the resumed run"
    else:
        model = SVGConfig.from_dict(_given(args, preset.model))
        preset = dataclasses.replace(
            preset,
            model=model,
            training=TrainingConfig(**_given(args, preset.training)),
        )
    if args.horizon is not None:
        preset = dataclasses.replace(preset, horizon=args.horizon)
    _check(args, preset)
    warn_of_useless_precision(preset.training.precision, device)
    ranks = distributed.ranks()
    where = f"device {device}" if ranks == 1 else f"{ranks} processes on {device.type}"
    print(f"preset {name}, {where}, {preset.training.steps} steps, out {out}")
    return out, preset


def _check(args, preset):
    """What no configuration can check by itself."""
    counts = {"horizon": preset.horizon, "num-samples": args.num_samples,
              "test-clips": args.test_clips, "pictures": args.pictures}  # fmt: skip
    for flag, value in counts.items():
        least = 0 if flag == "pictures" else 1
        if value < least:
            raise ConfigError(f"--{flag} is {value}; give {least} or more")
    if preset.training.n_frames <= preset.model.n_past:
        raise ConfigError(
            f"--n-frames is {preset.training.n_frames} and --n-past "
            f"{preset.model.n_past}; training clips need a frame after the context"
        )
    check_names(preset.model)
    check_batch(preset.training)


def warn_of_useless_precision(precision, device):
    """Say so where a precision wins nothing on a device.

    Parameters
    ----------
    precision : str
        Of `svg_pyro.config.PRECISIONS`.
    device : torch.device
    """
    if precision == "tf32" and device.type != "cuda":
        print(f"only NVIDIA's GPUs have TF32; {device.type} computes in float32")
    slow = torch.backends.cpu.get_cpu_capability() == "AVX2"
    if precision == "bf16" and device.type == "cpu" and slow:
        print(
            "this processor has no bfloat16 arithmetic and imitates it, many times "
            "slower than float32; leave --precision bf16 out"
        )


def _given(args, defaults):
    """The fields of a configuration with the flags that were given put in."""
    values = dataclasses.asdict(defaults)
    given = {k: getattr(args, k) for k in values}
    return {k: v if given[k] is None else given[k] for k, v in values.items()}


def _resumed(args, preset, out):
    content = checkpoint.read(out / "checkpoint.pt")
    if content["training"] is None:
        raise ConfigError(f"{out / 'checkpoint.pt'} holds no training run to resume")
    model = dataclasses.asdict(SVGConfig.from_dict(content["config"]))
    stored = {**model, **content["training"]["config"]}
    for key, value in stored.items():
        flag = getattr(args, key)
        if flag is not None and flag != value and key not in _FREE_ON_RESUME:
            raise ConfigError(
                f"--{key.replace('_', '-')} {flag} differs from the run in {out}, "
                f"which has {value}; leave it out, or start a new run"
            )
    for key, value in content["training"].get("data", {}).items():
        if preset.data.get(key, value) != value:
            raise ConfigError(
                f"--{key.replace('_', '-')} is {preset.data[key]}, and {value} in the "
                f"run in {out}; give that, or start a new run"
            )
    changes = {
        k: getattr(args, k) for k in _FREE_ON_RESUME if getattr(args, k) is not None
    }
    training = {**content["training"]["config"], **changes}
    return dataclasses.replace(
        preset,
        model=SVGConfig.from_dict(content["config"]),
        training=TrainingConfig(**training),
    )


def _folder(args):
    """The run's folder; a run that is there is only touched by --resume."""
    if args.out is not None:
        out = Path(args.out)
        if (out / "checkpoint.pt").exists() and not args.resume:
            raise ConfigError(
                f"{out} holds a run; give --resume to go on with it, or another --out"
            )
        return out
    number, found = 1, None
    while True:
        out = Path(args.default_out + (f"-{number}" if number > 1 else ""))
        if not (out / "checkpoint.pt").exists():
            return found if args.resume and found else out
        number, found = number + 1, out
