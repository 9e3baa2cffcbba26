"""Compare priors, guides and observation models in short trainings from scratch."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from svg_pyro.commands.datasets import (
    BairOptions,
    ClipRequest,
    DigitOptions,
    first_clips,
)
from svg_pyro.commands.devices import choose_device
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.fields import option
from svg_pyro.commands.out_folder import own_folder
from svg_pyro.commands.own_parts import parsed
from svg_pyro.commands.part_presets import PAPER, ShortTraining, preset_of
from svg_pyro.commands.part_rows import (
    add_row,
    columns_of,
    read_rows,
    table_of,
    words_of,
)
from svg_pyro.commands.presets import RunPreset
from svg_pyro.data import ClipDataset, find_digits, make_simulated_push
from svg_pyro.evaluation.part_scores import PartSettings, part_scores
from svg_pyro.model.checkpoint import load
from svg_pyro.model.parts import check_names
from svg_pyro.model.svg import SVG
from svg_pyro.model.transfer import take_what_fits
from svg_pyro.training.trainer import Trainer

ROWS = "rows.jsonl"
_DESCRIPTION = """\
Compare priors, guides and observation models in short trainings from scratch.

A part is KIND=NAME, for instance prior=flow; two of them with a comma between train
together, and "paper" is the paper's form: a learned Gaussian prior, a filtering guide,
a sigma from beta, vectors, true frames and Trace_ELBO. elbo=mean-field and
dynamics=maps (which warps, and sees its own means) are parts too. Each training's
scores are one line of rows.jsonl in --out; those that are there are not made again,
and Ctrl-C loses nothing. Ends with a table, means over seeds."""
_DEFAULT = (
    PAPER,
    "prior=none",
    "prior=fixed",
    "prior=mixture",
    "prior=mixture-20",
    "prior=flow",
    "prior=two-scale",
    "prior=autoregressive",
    "guide=smoothing",
    "guide=flow",
    "observation=learned-sigma",
    "observation=optimal-sigma",
    "observation=per-pixel",
    "observation=laplace",
    "observation=logistic",
)


@dataclass(frozen=True)
class ComparePartsOptions:
    """What is compared, on what, and for how long.

    Attributes
    ----------
    data : tuple of str
        push: simulated robot pushing; digit: Moving MNIST of one digit.
    part : tuple of str or None
        KIND=NAME,...; may be given again, without it "paper", and every other prior,
        guide and observation model beside it. A KIND is prior, guide, observation,
        dynamics or elbo.
    seeds : tuple of int
        Seeds of the trainings.
    steps : int
        Gradient steps of each training.
    init : str or None
        Model whose weights the trainings start from, where they fit.
    clips : int
        Held-out clips.
    num_samples : int
        Futures of each clip.
    particles : int
        The K of the importance-weighted bound.
    likelihood_clips : int
        The first clips whose likelihood is bounded.
    digits_root : str or None
        Folder of MNIST's IDX files; without it data/mnist.
    bundled_digits : bool
        Take scikit-learn's digits, and do not look for MNIST.
    simulated_root : str
        Folder in which simulated clips are kept, a folder for each camera.
    simulated_clips : int
        Simulated clips to train on.
    width : int or None
        Filters of the encoder's first stage; without it the preset's.
    rnn_size : int or None
        Width of every LSTM; without it the preset's.
    batch_size : int or None
        Clips in a step; without it the preset's.
    out : str
        Folder of the rows and of the trainings.
    table : bool
        Only print the table of the rows that are there.
    device : str or None
        cuda or cpu; without it cuda where there is one.
    """

    data: tuple[str, ...] = option(("push", "digit"), choices=("push", "digit"))
    part: tuple[str, ...] | None = option(None, kind="append", metavar="PART")
    seeds: tuple[int, ...] = option((0,), least=0)
    steps: int = option(600, least=1)
    init: str | None = option(None, metavar="MODEL")
    clips: int = option(32, least=2)
    num_samples: int = option(20, least=2)
    particles: int = option(100, least=1)
    likelihood_clips: int = option(16, least=1)
    digits_root: str | None = option(None, metavar="DIR")
    bundled_digits: bool = False
    simulated_root: str = option("data/simulated_push", metavar="DIR")
    simulated_clips: int = option(640, least=1)
    width: int | None = option(None, least=1)
    rnn_size: int | None = option(None, least=1)
    batch_size: int | None = option(None, least=1)
    out: str = option("runs/compare-parts", metavar="DIR")
    table: bool = False
    device: str | None = None


@dataclass(frozen=True)
class _Job:
    """One training: what it is of, and what its row says of it."""

    data: str
    part: str
    seed: int
    steps: int
    init: str | None

    @property
    def folder(self) -> str:
        part = self.part.replace("=", "-").replace(",", "_")
        start = "" if self.init is None else f"-from-{Path(self.init).name}"
        return f"{self.data}-{part}{start}-{self.steps}-{self.seed}"


@one_line_errors()
def compare_parts(
    argv: Sequence[str] | None = None, *, prog: str | None = None
) -> None:
    """Train and score, as the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        Flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    options = parsed(ComparePartsOptions, _DESCRIPTION, argv, prog=prog)
    rows = Path(options.out) / ROWS
    if not options.table:
        start = None
        if options.init is not None:
            start = load(options.init, choose_device(options.device))
        _check(options, start)
        with own_folder(options.out):
            if not _make_rows(options, rows, start):
                print("stopped; the same command goes on")
                return
    print("\n".join(table_of(read_rows(rows))))
    print(f"rows in {rows}")


def _make_rows(options: ComparePartsOptions, rows: Path, start: SVG | None) -> bool:
    """Make the rows that are not there; whether all are."""
    for job in _jobs(options):
        if job in {_job_of(row) for row in read_rows(rows)}:
            continue
        row = _row(job, options, start)
        if row is None:
            return False
        add_row(rows, row)
        print(words_of(row))
    return True


def _jobs(options: ComparePartsOptions) -> Iterator[_Job]:
    """Seed by seed, so that a table of one seed is there first."""
    for seed in options.seeds:
        for data in options.data:
            for part in options.part or _DEFAULT:
                yield _Job(data, part, seed, options.steps, options.init)


def _job_of(row: dict[str, Any]) -> _Job:
    return _Job(*(row[field.name] for field in dataclasses.fields(_Job)))


def _check(options: ComparePartsOptions, start: SVG | None) -> None:
    """Refuse unknown parts before anything is trained."""
    for job in _jobs(options):
        check_names(_preset(job, options, start).model)


def _preset(job: _Job, options: ComparePartsOptions, start: SVG | None) -> RunPreset:
    short = ShortTraining(
        options.steps,
        seed=job.seed,
        batch_size=options.batch_size,
        width=options.width,
        rnn_size=options.rnn_size,
        start=None if start is None else start.config,
    )
    return preset_of(job.data, job.part, short)


def _row(
    job: _Job, options: ComparePartsOptions, start: SVG | None
) -> dict[str, Any] | None:
    """Train and score; None where the training was asked to stop."""
    preset = _preset(job, options, start)
    device = choose_device(options.device)
    out = Path(options.out) / job.folder
    train_set, test = _clips(job, preset, options)
    torch.manual_seed(job.seed)
    svg = SVG(preset.model).to(device)
    if start is not None:
        take_what_fits(svg, start)
    trainer = Trainer(svg, train_set, preset.training, out)
    resumed = trainer.checkpoint_path.is_file()
    if resumed:
        trainer.resume()
    began = time.perf_counter(), time.process_time()
    if not trainer.run():
        return None
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    settings = PartSettings(
        options.num_samples, options.particles, options.likelihood_clips, seed=job.seed
    )
    scores = part_scores(svg, test, settings)
    return {
        **dataclasses.asdict(job),
        **columns_of(scores),
        # Of a training that was stopped once only the last part is known.
        "seconds": None if resumed else round(wall, 1),
        "cpu_seconds": None if resumed else round(cpu, 1),
        "weights": sum(weight.numel() for weight in svg.parameters()),
        "clips": len(test),
        "num_samples": options.num_samples,
        "particles": options.particles,
    }


def _clips(
    job: _Job, preset: RunPreset, options: ComparePartsOptions
) -> tuple[ClipDataset, torch.Tensor]:
    """Clips to train on, and held-out ones, uint8 ``(B, T, C, H, W)``."""
    model, training = preset.model, preset.training
    length = model.n_past + preset.horizon
    train = ClipRequest("train", training.n_frames, model, training.seed)
    # The held-out clips are the same for all seeds.
    held_out = ClipRequest("test", length, model)
    if job.data == "push":
        push = BairOptions(simulated_root=options.simulated_root)
        root = make_simulated_push(
            push.simulated,
            n_train=options.simulated_clips,
            n_test=max(options.clips, options.simulated_clips // 5),
        )
        sets = push.clips(train, root), push.clips(held_out, root)
    else:
        load_digits, _ = find_digits(
            options.digits_root, bundled=options.bundled_digits
        )
        digit = DigitOptions(num_digits=1)
        sets = digit.clips(train, load_digits), digit.clips(held_out, load_digits)
    return sets[0], first_clips(sets[1], options.clips).frames
