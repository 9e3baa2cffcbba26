"""What memory work takes, and how its time grows."""

import dataclasses
import multiprocessing
import resource
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from svg_pyro import SVGConfig
from svg_pyro.commands.benchmarks.speed import alternately, synchronise
from svg_pyro.commands.benchmarks.tables import Row
from svg_pyro.commands.benchmarks.workloads import DCGAN, Ours
from svg_pyro.training import recompute as memory
from svg_pyro.util.allocator import keep_freed_memory

Call = Callable[[], object]

SMALL = SVGConfig(channels=1, width=16, n_past=2)
SAMPLES = (10, 100)
SIZES = {
    "training, frames T": (8, 16, 32, 64),
    "training, clips B": (4, 8, 16, 32),
    "futures, samples": (32, 64, 128, 256),
    "training, pixels": (64, 128),
}
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_bytes(call: Call, device: torch.device) -> int:
    """Memory that a call takes at its peak beyond what was taken before; bytes."""
    if device.type == "cuda":
        synchronise(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    if not _CLEAR.exists():  # not Linux: the process's peak, which only grows
        call()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    _CLEAR.write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def _status(key: str) -> int:
    (line,) = (x for x in _STATUS.read_text().splitlines() if x.startswith(key))
    return int(line.split()[1]) * 1024


def alone(
    function: Callable[..., Any], device: torch.device, *arguments: object
) -> Any:
    """What a function gives in a process of its own, which holds no freed memory yet.

    From then on it keeps it, as the commands do on CPUs.
    """
    if device.type == "cuda":
        return function(device, *arguments)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as process:
        process.submit(keep_freed_memory)
        return process.submit(function, device, *arguments).result()


def of_samples(device: torch.device, repeats: int) -> list[Row]:
    """Peak memory of futures against their number, each chunk used and forgotten.

    Medians over processes: what the C library's heap wastes differs from run to run.
    """
    taken = {
        n: statistics.median(
            alone(futures_bytes, device, DCGAN, n) for _ in range(2 * repeats)
        )
        for n in SAMPLES
    }
    return [
        {
            "futures of 2 clips, 28 frames": f"{count} samples",
            "peak MB": peak / 1e6,
            "ratio": peak / taken[SAMPLES[0]],
        }
        for count, peak in taken.items()
    ]


def futures_bytes(device: torch.device, config: SVGConfig, count: int) -> int:
    """Peak memory of `count` futures of two clips, ten at a time; bytes."""
    ours = Ours(dataclasses.replace(config, n_past=2), device)
    context = torch.rand(2, 2, 1, 64, 64).to(device)

    def draw() -> None:
        for chunk in ours.svg.futures(context, 28, count, chunk_size=10):
            chunk.mean()

    return peak_bytes(draw, device)


def of_training(device: torch.device, repeats: int) -> list[Row]:
    """Peak memory and time of a training step with --accumulate and recomputation.

    Beyond the weights: gradients and Adam's averages are in it.
    """
    rows = []
    for recompute in (False, True):
        for accumulate in (1, 4):
            setting = DCGAN, accumulate, recompute
            step = _step(device, *setting)
            seconds = alternately({"step": step}, device, repeats)["step"]
            rows.append(
                {
                    "DCGAN 64, B=16, 5+10": f"--accumulate {accumulate}"
                    + " --checkpoint-activations" * recompute,
                    "peak MB": alone(training_bytes, device, *setting) / 1e6,
                    "s/step": seconds,
                }
            )
    return rows


def training_bytes(
    device: torch.device, config: SVGConfig, accumulate: int, recompute: bool
) -> int:
    """Peak memory of two training steps of a new model; bytes."""
    step = _step(device, config, accumulate, recompute)
    return peak_bytes(lambda: (step(), step()), device)


def _step(
    device: torch.device, config: SVGConfig, accumulate: int, recompute: bool
) -> Callable[[], None]:
    ours = Ours(config, device, accumulate=accumulate)
    frames = torch.rand(16, 15, 1, 64, 64).to(device)

    def step() -> None:
        with memory.recomputed(ours.svg, when=recompute):
            ours.train_step(frames)

    return step


def scaling(device: torch.device, repeats: int) -> list[Row]:
    """Time against clip length, batch, samples and image size, and fitted exponents."""
    ours = Ours(SMALL, device)
    large = Ours(dataclasses.replace(SMALL, image_size=128), device)

    def training(t: int, b: int) -> Call:
        frames = torch.rand(b, t, 1, 64, 64).to(device)
        return lambda: ours.train_step(frames)

    def futures(s: int) -> Call:
        context = torch.rand(1, 2, 1, 64, 64).to(device)
        return lambda: ours.generate(context, 10, s)

    def sized(size: int) -> Call:
        frames = torch.rand(4, 10, 1, size, size).to(device)
        return lambda: (ours if size == 64 else large).train_step(frames)

    cases = {
        "training, frames T": lambda t: training(t, 4),
        "training, clips B": lambda b: training(10, b),
        "futures, samples": futures,
        "training, pixels": sized,
    }
    return [_scaling_row(k, make, device, repeats) for k, make in cases.items()]


def _scaling_row(
    name: str, make: Callable[[int], Call], device: torch.device, repeats: int
) -> Row:
    sizes = SIZES[name]
    calls = {str(size): make(size) for size in sizes}
    seconds = list(alternately(calls, device, repeats).values())
    pixels = [size**2 for size in sizes] if "pixels" in name else list(sizes)
    return {
        "cost of": name,
        "sizes": " ".join(map(str, sizes)),
        "ms": " ".join(f"{1e3 * s:.0f}" for s in seconds),
        "exponent": exponent(pixels, seconds),
    }


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Fit p of ``seconds = fixed + slope * sizes**p``, by least relative squares.

    With two sizes the fixed cost cannot be told apart and is taken to be 0.
    """
    x, y = np.array(sizes, float), np.array(seconds)
    if len(x) == 2:
        return float(np.log(y[1] / y[0]) / np.log(x[1] / x[0]))
    errors = {}
    for p in np.arange(0.5, 2.0, 0.01):
        columns = np.stack([np.ones_like(x), x**p], 1) / y[:, None]
        found, *_ = np.linalg.lstsq(columns, np.ones_like(x), rcond=None)
        if found[0] < 0:  # no cost is below none
            slope = columns[:, 1].sum() / (columns[:, 1] ** 2).sum()
            found = np.array([0.0, slope])
        errors[float(p)] = ((columns @ found - 1) ** 2).sum()
    return min(errors, key=lambda p: errors[p])
