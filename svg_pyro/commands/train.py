"""Train on a data set, score sampled futures, draw them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from svg_pyro.commands.datasets import first_clips
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.own_parts import add_parts, use_parts
from svg_pyro.commands.parser import Parser
from svg_pyro.commands.presets import PRESETS
from svg_pyro.commands.run_folder import RunOptions
from svg_pyro.commands.settings import Run, RunRequest, plan
from svg_pyro.commands.sources import TRAINING_DATA, MakeClips
from svg_pyro.commands.threads import begin_with_patient_threads
from svg_pyro.commands.train_report import (
    Pictures,
    draw_futures,
    draw_stopped,
    report,
)
from svg_pyro.commands.trained_on import check_same_clips, options_of
from svg_pyro.config import CHOICES, PRECISIONS, SVGConfig, TrainingConfig
from svg_pyro.data.batches import Batch
from svg_pyro.model.checkpoint import load
from svg_pyro.model.parts import names_to_give
from svg_pyro.model.registry import KINDS
from svg_pyro.model.svg import SVG
from svg_pyro.model.transfer import start_from
from svg_pyro.plots.training import draw_training
from svg_pyro.training.elbos import ELBOS
from svg_pyro.training.log import TRACKERS, Tracker
from svg_pyro.training.trainer import Trainer
from svg_pyro.training.validation import Validation
from svg_pyro.util import distributed


@dataclass(frozen=True)
class EarlierFlags:
    """Flags that have another name today.

    Attributes
    ----------
    sigma : str or None
        The earlier name of --observation: "beta" is "gaussian", "learned"
        "learned-sigma", and "optimal" "optimal-sigma".
    """

    sigma: str | None = None


@one_line_errors()
def train(
    name: str, argv: Sequence[str] | None = None, *, prog: str | None = None
) -> None:
    """Train on the data set `name`, as the command line says.

    Parameters
    ----------
    name : str
        "bair", "smmnist", "kth", "videos" or "lerobot".
    argv : sequence of str, optional
        Flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    data, presets = TRAINING_DATA[name], PRESETS[name]
    flags = training_parser(name, prog=prog).parse(argv)
    if argv is None:
        begin_with_patient_threads()
    use_parts(flags)
    options, files = flags.make(data.options), flags.make(data.files)
    given = {**flags.given(SVGConfig), **flags.given(TrainingConfig)}
    sigma = flags.make(EarlierFlags).sigma
    if sigma is not None:
        given["observation"] = SVGConfig.from_dict({"sigma": sigma}).observation
    request = RunRequest(
        name,
        flags.make(RunOptions),
        presets,
        given,
        options.what_is_trained_on(),
        frozenset(options.fixed) & flags.given(data.options).keys(),
    )
    run = plan(request)
    try:
        if run.options.resume:
            options = options_of(run.data, flags, data.options)
        run_training(run, data.prepare(options, files, run))
    finally:
        if run.lock is not None:
            run.lock.release()


def training_parser(name: str, *, prog: str | None = None) -> Parser:
    """A parser of the flags of a training command.

    Each field of `SVGConfig` and `TrainingConfig` is a flag, save for the number of a
    robot's actions; those not given come from the preset.

    Parameters
    ----------
    name : str
        A data set of `TRAINING_DATA`.
    prog : str, optional
        The command's name in its help.
    """
    data, presets = TRAINING_DATA[name], PRESETS[name]
    models = {key: preset.model for key, preset in presets.items()}
    trainings = {key: preset.training for key, preset in presets.items()}
    parser = Parser(data.description, prog=prog)
    parser.add_fields(data.files, title="data")
    parser.add_fields(data.options, title="data")
    parser.add_fields(
        RunOptions, title="run", presets=presets, choices={"preset": tuple(presets)}
    )
    parser.add_fields(
        SVGConfig,
        title="model (svg_pyro.SVGConfig)",
        presets=models,
        choices=CHOICES,
        known={kind: names_to_give(kind) for kind in KINDS},
        # The clips say it: those of a robot, with --actions.
        leave_out=("action_dim",),
    )
    parser.add_fields(EarlierFlags, title="model (svg_pyro.SVGConfig)")
    add_parts(parser)
    parser.add_fields(
        TrainingConfig,
        title="training (svg_pyro.TrainingConfig)",
        presets=trainings,
        choices={"precision": PRECISIONS, "elbo": tuple(ELBOS)},
    )
    return parser


def run_training(run: Run, make_clips: MakeClips) -> None:
    """Train, score held-out futures beside the baseline, and draw them.

    Under torchrun all processes train; the first one alone scores and draws.

    Parameters
    ----------
    run : Run
        Its settings.
    make_clips : callable
        ``make_clips(split, n_frames)`` gives the `ClipDataset` "train" or "test".

    Raises
    ------
    SVGError
        If the clips do not fit the model, or the training breaks down.
    """
    config, training = run.preset.model, run.preset.training
    train_set = make_clips("train", training.n_frames)
    config = replace(config, action_dim=train_set.action_dim)
    validation = test = validated_on = None
    about = run.data
    if distributed.rank() == 0:
        about = check_same_clips(run, train_set)
        count, length = run.options.test_clips, config.n_past + run.preset.horizon
        validation = first_clips(make_clips("test", training.n_frames), count)
        test = first_clips(make_clips("test", length), count)
        validated_on = held_out(validation, Pictures(run, test))
        others = len(test.frames)
        print(f"{len(train_set):,} training clips; {others:,} others are scored")
    distributed.pass_turn()
    torch.manual_seed(training.seed)
    svg = SVG(config).to(run.device)
    if run.options.init is not None:
        start_from(svg, load(run.options.init, run.device), run.options.init)

    trainer = Trainer(
        svg,
        train_set,
        training,
        run.out,
        validation=validated_on,
        about=about,
        trackers=trackers_of(run),
    )
    if run.options.resume:
        trainer.resume()
    done = trainer.run()
    distributed.end()
    if validation is None or test is None:
        return
    if not done:
        print(f"stopped at step {trainer.step}; the same command with --resume goes on")
        draw_stopped(trainer, test, run)
        return
    report(trainer, validation, test, run.options)
    draw_training(trainer.log_path, run.out / "training.png")
    draw_futures(trainer, test, run.options, "final")
    print(
        f"next: svg-pyro generate {run.out} VIDEO (futures of any video), or svg-pyro "
        f"evaluate {run.out} (scores by published protocols)"
    )
    print(f"open {_first_picture(run)}")


def trackers_of(run: Run) -> list[Tracker]:
    """What the options ask to get the log besides its file, in the first process."""
    if distributed.rank() > 0:
        return []
    return [make(run.out) for n, make in TRACKERS.items() if getattr(run.options, n)]


def _first_picture(run: Run) -> Path:
    drawn = run.options.pictures > 0
    return run.out / ("pictures/final_clip_1.gif" if drawn else "training.png")


def held_out(clips: Batch, pictures: Pictures) -> Validation:
    """What a training is validated on: 64 of the clips; and what is drawn then."""
    few = clips.first(64)
    return Validation(few.frames, pictures.draw, few.actions, pictures.preview)
