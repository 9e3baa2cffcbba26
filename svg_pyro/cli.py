"""What the examples share: flags made from the configurations, and the main job."""

import argparse
import contextlib
import dataclasses
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from svg_pyro import checkpoint
from svg_pyro.config import SVGConfig, TrainingConfig
from svg_pyro.elbos import ELBOS
from svg_pyro.errors import ConfigError, SVGError
from svg_pyro.evaluation import picture_rows, score_futures
from svg_pyro.files import written_beside
from svg_pyro.plots import draw_gif, draw_strip, draw_training
from svg_pyro.svg import SVG
from svg_pyro.terms import held_out_terms
from svg_pyro.training import Trainer


@dataclass(frozen=True)
class Preset:
    """Defaults of a training example.

    Attributes
    ----------
    model : SVGConfig
    training : TrainingConfig
    horizon : int
        Frames predicted in the final scores and pictures.
    """

    model: SVGConfig
    training: TrainingConfig
    horizon: int


# May change when a run is resumed: they do not touch what a step computes, save
# for `steps`, without which a finished run could not be prolonged.
_FREE_ON_RESUME = {"steps", "log_every", "validate_every", "save_every"}
_HELP = {
    "prior": "learned (SVG-LP), fixed (SVG-FP) or none (deterministic)",
    "elbo": f"one of {', '.join(ELBOS)}",
    "beta": "the paper's KL weight, which sets the observation noise",
    "steps": "gradient steps of the whole run",
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all errors of the examples are."""

    def error(self, message):
        _leave(f"{message}; see --help", 2)


def training_parser(description, out):
    """A parser with the flags that every training example has.

    Each field of `SVGConfig` and `TrainingConfig` is a flag; those not given come
    from the preset.

    Parameters
    ----------
    description : str
    out : str
        Default folder of a run.
    """
    parser = Parser(description=description)
    parser.add_argument(
        "--out", help=f"folder of the run (default: {out}, or {out}-2 ...)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in --out"
    )
    parser.add_argument(
        "--device", help="cuda or cpu (default: cuda where there is one)"
    )
    parser.add_argument("--preset", choices=("paper", "small"),
                        help="values of the flags not given (default: paper on cuda, "
                        "small on cpu)")  # fmt: skip
    parser.add_argument("--horizon", type=int, help="frames predicted at the end")
    parser.add_argument("--num-samples", type=int, default=20,
                        help="futures of each clip (default: 20)")  # fmt: skip
    parser.add_argument("--test-clips", type=int, default=128,
                        help="held-out clips that are scored (default: 128)")  # fmt: skip
    parser.add_argument("--pictures", type=int, default=4,
                        help="held-out clips that are drawn (default: 4)")  # fmt: skip
    for title, cls in (("model", SVGConfig), ("training", TrainingConfig)):
        group = parser.add_argument_group(f"{title} (defaults: the preset's)")
        for field in dataclasses.fields(cls):
            flag = "--" + field.name.replace("_", "-")
            kind = argparse.BooleanOptionalAction if field.type is bool else None
            how = {"action": kind} if kind else {"type": field.type}
            group.add_argument(flag, default=None, help=_HELP.get(field.name), **how)
    parser.set_defaults(default_out=out)
    return parser


@contextlib.contextmanager
def one_line_errors():
    """End the program with one line and status 2 where the user can mend the error."""
    try:
        yield
    except SVGError as error:
        _leave(str(error), 2)
    except OSError as error:
        _leave(f"{error.filename or 'file system'}: {error.strerror or error}", 2)
    except KeyboardInterrupt:
        _leave("interrupted", 130)


def _leave(message, status):
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(status)


def choose_device(name):
    """The device to work on: `name`, else CUDA where there is one, else the CPU."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"no device {name!r}; give cuda or cpu") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device was found; give --device cpu")
    return device


def plan(args, presets):
    """The settings of a run: from the flags and a preset, or from its checkpoint.

    Prints the first line of a run, which names the preset and the device.

    Parameters
    ----------
    args : argparse.Namespace
        Of `training_parser`.
    presets : dict of str to Preset

    Returns
    -------
    device : torch.device
    out : Path
    preset : Preset
        With the flags put in.
    """
    device = choose_device(args.device)
    out = _folder(args)
    name = args.preset or ("paper" if device.type == "cuda" else "small")
    preset = presets[name]
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
    for flag in ("horizon", "num_samples", "test_clips"):
        value = preset.horizon if flag == "horizon" else getattr(args, flag)
        if value < 1:
            raise ConfigError(f"--{flag.replace('_', '-')} is {value}; give 1 or more")
    if preset.training.n_frames <= preset.model.n_past:
        raise ConfigError(
            f"--n-frames is {preset.training.n_frames} and --n-past "
            f"{preset.model.n_past}; training clips need a frame after the context"
        )
    print(f"preset {name}, device {device}, {preset.training.steps} steps, out {out}")
    return device, out, preset


def _given(args, defaults):
    """The fields of a configuration with the flags that were given put in."""
    values = dataclasses.asdict(defaults)
    given = {k: getattr(args, k) for k in values}
    return {k: v if given[k] is None else given[k] for k, v in values.items()}


def _resumed(args, preset, out):
    content = checkpoint.read(out / "checkpoint.pt")
    if content["training"] is None:
        raise ConfigError(f"{out / 'checkpoint.pt'} holds no training run to resume")
    stored = {**content["config"], **content["training"]["config"]}
    for key, value in stored.items():
        flag = getattr(args, key)
        if flag is not None and flag != value and key not in _FREE_ON_RESUME:
            raise ConfigError(
                f"--{key.replace('_', '-')} {flag} differs from the run in {out}, "
                f"which has {value}; leave it out, or start a new run"
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


def first_clips(data, count):
    """The first clips of a data set as one uint8 tensor ``(B, T, C, H, W)``."""
    return torch.stack([data.clip(i) for i in range(min(count, len(data)))])


def run_training(args, device, out, preset, make_data):
    """Train, score held-out futures beside the baseline, and draw them.

    Parameters
    ----------
    args : argparse.Namespace
        Of `training_parser`.
    device, out, preset
        Of `plan`.
    make_data : callable
        ``make_data(split, n_frames)`` gives the `ClipDataset` "train" or "test".
    """
    config, training = preset.model, preset.training
    train_set = make_data("train", training.n_frames)
    validation = first_clips(make_data("test", training.n_frames), args.test_clips)
    length = config.n_past + preset.horizon
    test = first_clips(make_data("test", length), args.test_clips)
    torch.manual_seed(training.seed)
    svg = SVG(config).to(device)

    def draw(trainer):
        draw_training(trainer.log_path, out / "training.png")
        draw_futures(trainer, test, args, f"step_{trainer.step:06d}")

    trainer = Trainer(svg, train_set, training, out, validation[:64], draw)
    if args.resume:
        trainer.resume()
    if not trainer.run():
        print(f"stopped at step {trainer.step}; the same command with --resume goes on")
        return
    report(trainer, validation, test, args)
    draw_training(trainer.log_path, out / "training.png")
    draw_futures(trainer, test, args, "final")
    print(f"open {out / 'pictures' / 'final_clip_1.gif'}")


def draw_futures(trainer, clips, args, name):
    """Strips and animations of some clips' futures, named after `name`."""
    n_past = trainer.svg.config.n_past
    for i, clip in enumerate(clips[: args.pictures], 1):
        rows = picture_rows(trainer.svg, clip, n_past, args.num_samples)
        path = trainer.out / "pictures" / f"{name}_clip_{i}"
        draw_strip(rows, n_past, path.with_suffix(".png"))
        draw_gif(rows, n_past, path.with_suffix(".gif"))


def report(trainer, validation, test, args):
    """Print and store the held-out KL, and the scores beside the baseline's."""
    svg = trainer.svg
    elbo = ELBOS[trainer.config.elbo]()
    nll, kl = held_out_terms(svg, elbo, validation)
    scores = score_futures(svg, test, svg.config.n_past, args.num_samples)
    best, mean, copy = (
        s.mean().item() for s in (scores.best, scores.mean, scores.copy)
    )
    results = {
        "clips": len(test), "horizon": test.shape[1] - svg.config.n_past,
        "num_samples": args.num_samples, "psnr_best": best, "psnr_mean": mean,
        "psnr_copy_last_frame": copy, "gain": scores.gain, "nll": nll, "kl": kl,
        "step": trainer.step,
    }  # fmt: skip
    with written_beside(trainer.out / "results.json") as beside:
        beside.write_text(json.dumps(results, indent=1) + os.linesep)
    print(
        f"held-out PSNR over {results['horizon']} predicted frames, {len(test)} clips: "
        f"best of {args.num_samples} samples {best:.2f} dB, mean sample {mean:.2f} dB, "
        f"last context frame repeated {copy:.2f} dB; gain {scores.gain:+.2f} dB"
    )
    print(f"held-out KL {kl:.2f} nats a frame")
