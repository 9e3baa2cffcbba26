"""Training and generation beside the paper's loop, and Pyro beside plain PyTorch."""

import dataclasses
import statistics
import time

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.workloads import DCGAN, GENERATE, TRAIN, Ours, Plain, baseline

_SIDE = 2048  # of the matrices of the peak
# A convolution of VGG's third resolution, as wide as its batches make it.
_CONV = 32, 256, 16


def synchronise(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def alternately(calls, device, repeats):
    """Median seconds of each of some calls, made in turn, so that all see the same machine.

    Parameters
    ----------
    calls : dict of str to callable
    device : torch.device
    repeats : int
        Rounds that are counted, after one that is not.
    """
    seconds = {name: [] for name in calls}
    for i in range(repeats + 1):
        for name, call in calls.items():
            synchronise(device)
            start = time.perf_counter()
            call()
            synchronise(device)
            if i:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak(device, repeats=5):
    """FLOP/s of this machine in float32: the larger of a matrix product and a convolution."""
    a = torch.rand(_SIDE, _SIDE, device=device)
    n, c, side = _CONV
    x, w = (
        torch.rand(n, c, side, side, device=device),
        torch.rand(c, c, 3, 3, device=device),
    )
    seconds = alternately(
        {"GEMM": lambda: a @ a, "conv": lambda: F.conv2d(x, w, padding=1)},
        device,
        repeats,
    )
    flops = {"GEMM": 2 * _SIDE**3, "conv": 2 * 9 * n * c * c * side * side}
    return {name: flops[name] / seconds[name] for name in flops}


def _flops(call):
    """Floating-point operations of matrix products and convolutions in a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def _row(name, calls, frames, device, repeats, best):
    """The baseline's and our frames a second, their ratio, and shares of the peak."""
    flops = {key: _flops(call) for key, call in calls.items()}
    seconds = alternately(calls, device, repeats)
    base, ours = seconds["baseline"], seconds["ours"]
    return {
        "work": name, "baseline frames/s": frames / base, "ours frames/s": frames / ours,
        "ratio": base / ours,
        "baseline % of peak": 100 * flops["baseline"] / base / best,
        "ours % of peak": 100 * flops["ours"] / ours / best,
    }  # fmt: skip


def train(device, repeats, best, precision="float32"):
    """Rows of training steps at the paper's settings."""
    rows = []
    for work in TRAIN:
        frames = work.frames(device)
        loop = baseline(work.config, device)
        ours = Ours(work.config, device, precision=precision)
        calls = {
            "baseline": lambda loop=loop, x=frames: loop.train_step(x),
            "ours": lambda ours=ours, x=frames: ours.train_step(x),
        }
        name = f"train {work.name}, B={work.batch}, {_split(work)}"
        count = frames.shape[0] * frames.shape[1]
        rows.append(_row(name, calls, count, device, repeats, best))
    return rows


def generate(device, repeats, best, num_samples=20, precision="float32"):
    """Rows of sampled futures at the paper's settings."""
    rows = []
    for work in GENERATE:
        context = work.frames(device)[:, : work.config.n_past]
        loop = baseline(work.config, device)
        ours = Ours(work.config, device, precision=precision)
        calls = {
            "baseline": lambda m=loop, w=work, x=context: m.generate(
                x, w.future, num_samples
            ),
            "ours": lambda m=ours, w=work, x=context: m.generate(
                x, w.future, num_samples
            ),
        }
        name = f"generate {work.name}, B={work.batch}, {_split(work)}, {num_samples} samples"
        count = work.batch * work.future * num_samples
        rows.append(_row(name, calls, count, device, repeats, best))
    return rows


def _split(work):
    return f"{work.config.n_past}+{work.future}"


def overhead(device, repeats):
    """The Pyro program's time over that of the same mathematics without Pyro."""
    rows = []
    small = dataclasses.replace(DCGAN, width=16)
    for name, config, batch in (
        ("DCGAN 64, B=16, 5+10", DCGAN, 16), ("DCGAN 64, width 16, B=8, 5+10", small, 8),
    ):  # fmt: skip
        frames = torch.rand(batch, 15, 1, 64, 64).to(device)
        models = {"Pyro": Ours(config, device), "plain": Plain(config, device)}
        calls = {k: lambda m=m, x=frames: m.train_step(x) for k, m in models.items()}
        seconds = alternately(calls, device, 2 * repeats)
        rows.append({
            "a training step of": name, "Pyro ms": 1e3 * seconds["Pyro"],
            "plain ms": 1e3 * seconds["plain"],
            "Pyro / plain": seconds["Pyro"] / seconds["plain"],
        })  # fmt: skip
    return rows
