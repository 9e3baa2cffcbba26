"""Training and generation beside the paper's loop, and Pyro beside plain PyTorch."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import pyro
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from svg_pyro import Sampler
from svg_pyro.commands.benchmarks.baseline import PaperLoop
from svg_pyro.commands.benchmarks.tables import Row
from svg_pyro.commands.benchmarks.workloads import (
    DCGAN,
    GENERATE,
    TRAIN,
    Ours,
    Plain,
    ReadmesLoop,
    Work,
    baseline,
)
from svg_pyro.config import PRECISIONS
from svg_pyro.model.precision import autocast

# FLOP/s of "GEMM" and "conv" by precision.
Peaks = dict[str, dict[str, float]]

SIDE = 2048  # of the matrices of the peak
# A convolution of VGG's third resolution, as wide as its batches make it.
CONV = 32, 256, 16


def synchronise(device: torch.device) -> None:
    """Wait until a CUDA device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def alternately(
    calls: Mapping[str, Callable[[], object]],
    device: torch.device,
    repeats: int,
    *,
    uncounted: int = 1,
) -> dict[str, float]:
    """Median seconds of each of some calls, in turn, so that all see one machine.

    Parameters
    ----------
    calls : dict of str to callable
        By the names of the medians.
    device : torch.device
        Where they work: a GPU is waited for.
    repeats : int
        Rounds that are counted.
    uncounted : int
        Rounds before them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(-uncounted, repeats):
        for name, call in calls.items():
            synchronise(device)
            start = time.perf_counter()
            call()
            synchronise(device)
            if i >= 0:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peaks(device: torch.device, repeats: int = 5) -> Peaks:
    """FLOP/s of this machine: a matrix product's and a convolution's, by precision.

    Parameters
    ----------
    device : torch.device
        Whose they are.
    repeats : int
        Rounds that are counted.

    Returns
    -------
    dict of str to dict of str to float
        By precision "GEMM" and "conv".
    """
    a = torch.rand(SIDE, SIDE, device=device)
    n, c, side = CONV
    x = torch.rand(n, c, side, side, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    w = torch.rand(c, c, 3, 3, device=device)
    flops = {"GEMM": 2 * SIDE**3, "conv": 2 * 9 * n * c * c * side * side}
    found = {}
    for precision in PRECISIONS:
        if precision == "tf32" and device.type != "cuda":
            continue
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        m, y, v = a.to(dtype), x.to(dtype), w.to(dtype)
        calls: dict[str, Callable[[], object]] = {
            "GEMM": partial(torch.matmul, m, m),
            "conv": partial(F.conv2d, y, v, padding=1),
        }
        with autocast(device, precision):
            seconds = alternately(calls, device, repeats)
        found[precision] = {name: flops[name] / seconds[name] for name in flops}
    return found


def peak_row(precision: str, of: dict[str, float]) -> Row:
    """A row of the table of peaks."""
    return {"GFLOP/s in": precision, **{name: x / 1e9 for name, x in of.items()}}


def worth_it(found: Peaks) -> list[str]:
    """Precisions that are fast here: others only if they are faster than float32."""
    best = {name: max(of.values()) for name, of in found.items()}
    return [name for name in best if name == "float32" or best[name] > best["float32"]]


@dataclasses.dataclass(frozen=True)
class Timing:
    """How calls are timed, and what their FLOP/s are compared with.

    Attributes
    ----------
    device : torch.device
        Where they work.
    repeats : int
        Rounds that are counted.
    peaks : dict of str to dict of str to float
        As of `peaks`.
    uncounted : int
        Rounds before them.
    """

    device: torch.device
    repeats: int
    peaks: Peaks
    uncounted: int


def _flops(call: Callable[[], object]) -> int:
    """Floating-point operations of matrix products and convolutions in a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    flops: int = counter.get_total_flops()
    return flops


def _rows(
    name: str,
    calls: Mapping[str, Callable[[], object]],
    frames: int,
    timing: Timing,
) -> list[Row]:
    """The baseline's and our frames a second, their ratio, and shares of the peaks.

    `calls` are "baseline" and, by precision, ours; `frames` are those of a call.
    """
    device, found = timing.device, timing.peaks
    flops = {key: _flops(call) for key, call in calls.items()}
    seconds = alternately(calls, device, timing.repeats, uncounted=timing.uncounted)
    best = {key: max(of.values()) for key, of in found.items()}
    # PyTorch's own default: NVIDIA's tensor cores round what convolutions are given.
    best["baseline"] = best["README's loop"] = best.get("tf32", best["float32"])
    share = {key: 100 * flops[key] / seconds[key] / best[key] for key in calls}
    base = seconds.pop("baseline")
    return [
        {
            "work": name,
            "ours in": key,
            "baseline frames/s": frames / base,
            "ours frames/s": frames / own,
            "ratio": base / own,
            "baseline % of peak": share["baseline"],
            "ours % of peak": share[key],
        }
        for key, own in seconds.items()
    ]


def train(
    device: torch.device,
    repeats: int,
    found: Peaks,
    precisions: list[str],
    batch: int | None = None,
) -> list[Row]:
    """Rows of training steps at the paper's settings, of `batch` clips if given."""
    rows = []
    for work in TRAIN:
        work = dataclasses.replace(work, batch=batch or work.batch)
        frames = work.frames(device)
        models: dict[str, PaperLoop | Ours | ReadmesLoop] = {
            **_models(work, device, precisions),
            "README's loop": ReadmesLoop(work.config, device),
        }
        calls = {k: lambda m=m, x=frames: m.train_step(x) for k, m in models.items()}
        name = f"train {work.name}, B={work.batch}, {_split(work)}"
        count = frames.shape[0] * frames.shape[1]
        # The allocator needs some steps until all its blocks have been used before.
        rows += _rows(name, calls, count, Timing(device, repeats, found, 3))
    return rows


def generate(
    device: torch.device,
    repeats: int,
    found: Peaks,
    precisions: list[str],
    num_samples: int,
) -> list[Row]:
    """Rows of sampled futures at the paper's settings."""
    rows = []
    for work in GENERATE:
        context = work.frames(device)[:, : work.config.n_past]
        calls = {
            k: lambda m=m, w=work, x=context: m.generate(x, w.future, num_samples)
            for k, m in _models(work, device, precisions).items()
        }
        name = f"generate {work.name}, B={work.batch}, {_split(work)}, "
        name += f"{num_samples} samples"
        count = work.batch * work.future * num_samples
        rows += _rows(name, calls, count, Timing(device, repeats, found, 0))
    return rows


def compiled(
    device: torch.device, repeats: int, precisions: list[str], num_samples: int
) -> list[Row]:
    """Rows of sampled futures, networks compiled and not, and what compiling takes."""
    rows = []
    for work in GENERATE:
        context = work.frames(device)[:, : work.config.n_past]
        for precision in precisions:
            svg, found = Ours(work.config, device).svg, {}
            for name in ("plain", "compiled"):
                sampler = Sampler(svg, precision, compiled=name == "compiled")
                found[name] = lambda s=sampler, w=work, x=context: s.predict(
                    x, w.future, num_samples
                )
            with pyro.validation_enabled(False):
                first = {
                    k: alternately({k: f}, device, 1, uncounted=0)[k]
                    for k, f in found.items()
                }
                later = alternately(found, device, repeats)
            rows.append(
                {
                    "generate": f"{work.name}, {num_samples} samples",
                    "in": precision,
                    "first call s": first["compiled"],
                    "then s": later["compiled"],
                    "not compiled s": later["plain"],
                    "ratio": later["plain"] / later["compiled"],
                }
            )
    return rows


def _models(
    work: Work, device: torch.device, precisions: list[str]
) -> dict[str, PaperLoop | Ours]:
    ours = {p: Ours(work.config, device, precision=p) for p in precisions}
    return {"baseline": baseline(work.config, device), **ours}


def _split(work: Work) -> str:
    return f"{work.config.n_past}+{work.future}"


def overhead(device: torch.device, repeats: int) -> list[Row]:
    """The Pyro program's time over that of the same mathematics without Pyro."""
    rows = []
    small = dataclasses.replace(DCGAN, width=16)
    for name, config, batch in (
        ("DCGAN 64, B=16, 5+10", DCGAN, 16),
        ("DCGAN 64, width 16, B=8, 5+10", small, 8),
    ):
        frames = torch.rand(batch, 15, 1, 64, 64).to(device)
        models = {"Pyro": Ours(config, device), "plain": Plain(config, device)}
        calls = {k: lambda m=m, x=frames: m.train_step(x) for k, m in models.items()}
        seconds = alternately(calls, device, 2 * repeats)
        rows.append(
            {
                "a training step of": name,
                "Pyro ms": 1e3 * seconds["Pyro"],
                "plain ms": 1e3 * seconds["plain"],
                "Pyro / plain": seconds["Pyro"] / seconds["plain"],
            }
        )
    return rows
