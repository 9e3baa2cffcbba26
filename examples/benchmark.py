"""Measure svg_pyro on this machine, and print tables.

`data` reads random clips from data sets that it makes in a temporary folder. `train`
and `generate` run the paper's own loop in plain PyTorch (benchmarks/baseline.py) and
svg_pyro in turn, at the paper's settings; `overhead` runs the Pyro program and the same
mathematics without Pyro; `memory` and `scaling` show what work takes and how it grows;
`processes` trains with one process and with two, one thread each; `metrics` scores
56,000 images. Only where they are asked for: `precision` compares what a small model
learns in float32 and in bfloat16, and `compile` times futures from compiled networks
beside those from others.
"""

import platform

import torch
from benchmarks import costs, data, metrics, processes, speed
from benchmarks import precision as precisions
from benchmarks.tables import print_table

from svg_pyro.commands.settings import Parser, choose_device, one_line_errors
from svg_pyro.config import PRECISIONS
from svg_pyro.errors import ConfigError
from svg_pyro.util.files import write_json

WORK = (
    "data",
    "train",
    "generate",
    "overhead",
    "memory",
    "scaling",
    "processes",
    "metrics",
    "precision",
    "compile",
)
_ON_REQUEST = 2  # the last ones


def parse(argv=None):
    parser = Parser(description=__doc__)
    flag = parser.add_argument
    flag(
        "work", nargs="*", help=f"of {', '.join(WORK)} (default: all but the last two)"
    )
    flag(
        "--precision",
        choices=PRECISIONS,
        help="of our convolutions; the baseline's are in float32 "
        "(default: float32, and bf16 where it is faster)",
    )
    flag("--repeats", type=int, default=3, help="counted rounds (default: 3)")
    flag(
        "--num-samples",
        type=int,
        default=20,
        help="futures of `generate` (default: 20)",
    )
    flag("--steps", type=int, default=500, help="of `precision` (default: 500)")
    flag("--seeds", type=int, default=3, help="of `precision` (default: 3)")
    flag("--device", help="cuda or cpu (default: cuda where there is one)")
    flag("--json", help="file to write the figures to")
    return parser.parse_args(argv)


def tables(args, device):
    """Titles and rows, one table after the other."""
    work = args.work or WORK[:-_ON_REQUEST]
    if {"train", "generate", "compile"} & set(work):
        found = speed.peaks(device)
        timed = [args.precision] if args.precision else speed.worth_it(found)
        yield "Peaks", [speed.peak_row(name, of) for name, of in found.items()]
    if "train" in work:
        yield "Training", speed.train(device, args.repeats, found, timed)
    if "generate" in work:
        samples = args.num_samples
        rows = speed.generate(device, args.repeats, found, timed, samples)
        yield "Sampled futures", rows
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


def main(argv=None):
    args = parse(argv)
    with one_line_errors():
        for word in args.work:
            if word not in WORK:
                raise ConfigError(f"no work {word!r}; choose of {', '.join(WORK)}")
        device = choose_device(args.device)
        results = {
            "machine": platform.processor() or platform.machine(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "device": str(device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }
        print(", ".join(f"{key} {value}" for key, value in results.items()))
        for title, rows in tables(args, device):
            print_table(title, rows)
            results[title] = rows
            if args.json:
                write_json(args.json, results)


# Processes that read clips ahead import this file.
if __name__ == "__main__":
    main()
