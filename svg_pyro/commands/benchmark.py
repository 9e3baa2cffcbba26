"""Measure svg_pyro on this machine, and print tables."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from svg_pyro.commands.benchmarks import (
    costs,
    data,
    metrics,
    plans,
    processes,
    speed,
    start,
)
from svg_pyro.commands.benchmarks import precision as precisions
from svg_pyro.commands.benchmarks.tables import Row, print_table
from svg_pyro.commands.devices import choose_device
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.fields import option
from svg_pyro.commands.parser import Parser
from svg_pyro.config import PRECISIONS
from svg_pyro.util.files import check_writable, write_json

WORK = (
    "start",
    "data",
    "train",
    "generate",
    "plans",
    "overhead",
    "memory",
    "scaling",
    "processes",
    "metrics",
    "precision",
    "compile",
)
_ON_REQUEST = 2  # the last ones

_DESCRIPTION = """\
Measure svg_pyro on this machine, and print tables.

`start` is the time from a shell to the first future of weights that ship. `data` reads
random clips from data sets that it makes in a temporary folder. `train` and `generate`
run the paper's own loop in plain PyTorch (svg_pyro/commands/benchmarks/baseline.py)
and svg_pyro in turn, at the paper's settings; `plans` predicts 200 plans of one context
in a model with actions; `overhead` runs the Pyro program and the same mathematics
without Pyro; `memory` and `scaling` show what work takes and how it grows;
`processes` trains with one process and with two, one thread each; `metrics` scores
56,000 images. Only where they are asked for: `precision` compares what a small model
learns in float32 and in bfloat16, and `compile` times futures from compiled networks
beside those from others."""


@dataclass(frozen=True)
class BenchmarkOptions:
    """What is measured, and how often.

    Attributes
    ----------
    work : tuple of str
        What is measured, of start, data, train, generate, plans, overhead, memory,
        scaling, processes, metrics, precision and compile; all but the last two where
        none is given.
    precision : str or None
        Precision of our convolutions; the baseline's are as PyTorch has them, float32
        or, on NVIDIA's tensor cores, TF32. Without it float32, and what is faster.
    repeats : int
        Times that each work is measured.
    batch_size : int or None
        Clips in a step of "train"; without it as many as two cores take, 16 and 4. The
        paper's were 100 and 20.
    num_samples : int
        Futures of "generate".
    steps : int
        Training steps of "precision".
    seeds : int
        Trainings of each precision in "precision".
    device : str or None
        cuda or cpu; without it cuda where there is one.
    json : str or None
        File to write the numbers to.
    """

    work: tuple[str, ...] = option((), kind="positional", metavar="WORK")
    precision: str | None = option(None, choices=PRECISIONS)
    repeats: int = option(3, least=1)
    batch_size: int | None = option(None, least=1)
    num_samples: int = option(20, least=1)
    steps: int = option(500, least=1)
    seeds: int = option(3, least=1)
    device: str | None = None
    json: str | None = option(None, metavar="FILE")


def parse(
    argv: Sequence[str] | None = None, *, prog: str | None = None
) -> BenchmarkOptions:
    """The options of a command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Work and flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    parser = Parser(_DESCRIPTION, prog=prog)
    parser.add_fields(BenchmarkOptions, choices={"work": WORK})
    return parser.parse(argv).make(BenchmarkOptions)


@one_line_errors()
def benchmark(argv: Sequence[str] | None = None, *, prog: str | None = None) -> None:
    """Measure, as the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        Work and flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    args = parse(argv, prog=prog)
    if args.json:
        check_writable(args.json)
    device = choose_device(args.device)
    results = {
        "machine": platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "device": _name(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    print(", ".join(f"{key} {value}" for key, value in results.items()))
    for title, rows in tables(args, device):
        print_table(title, rows)
        results[title] = rows
        if args.json:
            write_json(args.json, results)


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def tables(
    args: BenchmarkOptions, device: torch.device
) -> Iterator[tuple[str, list[Row]]]:
    """Titles and rows, one table after the other."""
    work = args.work or WORK[:-_ON_REQUEST]
    if "start" in work:
        yield "From a shell to the first future", start.first_futures(args.repeats)
    if {"train", "generate", "compile"} & set(work):
        found = speed.peaks(device)
        timed = [args.precision] if args.precision else speed.worth_it(found)
        yield "Peaks", [speed.peak_row(name, of) for name, of in found.items()]
    if "train" in work:
        rows = speed.train(device, args.repeats, found, timed, args.batch_size)
        yield "Training", rows
    if "generate" in work:
        samples = args.num_samples
        rows = speed.generate(device, args.repeats, found, timed, samples)
        yield "Sampled futures", rows
    if "plans" in work:
        rows = plans.frames_a_second(device, args.repeats)
        yield "Plans of one context", rows
    if "compile" in work:
        rows = speed.compiled(device, args.repeats, timed, args.num_samples)
        yield "Compiled networks", rows
    if "overhead" in work:
        yield "What Pyro costs", speed.overhead(device, args.repeats)
    if "memory" in work:
        yield "Memory of futures", costs.of_samples(device, args.repeats)
        yield "Memory of training", costs.of_training(device, args.repeats)
    if "scaling" in work:
        yield "How time grows", costs.scaling(device, args.repeats)
    if "processes" in work:
        yield "Processes with one thread and a batch each", processes.efficiency()
    if "metrics" in work:
        yield "Scoring images", metrics.scoring(args.repeats)
    if "precision" in work:
        yield (
            "What bfloat16 changes",
            precisions.compare(device, args.steps, args.seeds),
        )
    if "data" in work:
        rows, workers = data.run()
        yield "Reading clips; a core's frames/s", rows
        yield "Batches read ahead; all processes' frames/s", workers
