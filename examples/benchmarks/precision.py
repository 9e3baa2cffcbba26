"""What bfloat16 does to held-out PSNR and KL: the same steps in both precisions."""

import statistics

import torch

from benchmarks.workloads import Ours
from svg_pyro import SVGConfig
from svg_pyro.data import MovingMNIST, to_float
from svg_pyro.data.batches import batch_of
from svg_pyro.data.digits import load_scikit_digits
from svg_pyro.elbos import QuietMeanFieldELBO
from svg_pyro.evaluation import score_futures
from svg_pyro.terms import held_out_terms

SEEDS = (0, 1, 2)
_CONFIG = SVGConfig.preset("smmnist", width=8, beta=1e-6)
_BATCH, _FRAMES, _CLIPS = 8, 10, 64


# What is trained: a precision, and a change of all first weights by so large a part.
_RUNS = {"float32": ("float32", 0.0), "float32, nudged": ("float32", 1e-6),
         "bf16": ("bf16", 0.0)}  # fmt: skip


def compare(device, steps):
    """Rows of both precisions after `steps` steps: means over the seeds, and differences.

    All are scored in float32, so that only what was learned differs. Training amplifies
    any difference: how much, a run shows whose first weights differ in the seventh digit.
    """
    found = {
        name: [_train(device, steps, seed, *run) for seed in SEEDS]
        for name, run in _RUNS.items()
    }
    rows = []
    for name, values in found.items():
        psnr, kl = (statistics.mean(column) for column in zip(*values))
        changes = [
            (ours[0] - exact[0], 100 * (ours[1] / exact[1] - 1))
            for ours, exact in zip(values, found["float32"])
        ]
        rows.append({
            f"{steps} steps": name, "PSNR [dB]": psnr, "KL [nats/frame]": kl,
            "PSNR, less float32's": statistics.mean(c[0] for c in changes),
            "of seeds": " ".join(f"{c[0]:+.3f}" for c in changes),
            "KL, % over float32's": statistics.mean(c[1] for c in changes),
            "of the seeds": " ".join(f"{c[1]:+.1f}" for c in changes),
        })  # fmt: skip
    return rows


def _train(device, steps, seed, precision, nudge):
    """Held-out PSNR of sampled futures, and the KL."""
    ours = Ours(_CONFIG, device, precision=precision, seed=seed)
    with torch.no_grad():
        for weight in ours.svg.parameters():
            weight.mul_(1 + nudge)
    # Falling to 0, so that the last few steps do not decide.
    ours.svi.optim.lr_end, ours.svi.optim.steps = 0.0, steps
    data = MovingMNIST(load_scikit_digits("train"), "train", _FRAMES, 1, seed=seed)
    torch.manual_seed(seed)
    for step in range(steps):
        frames, _ = batch_of(data, _BATCH, step, seed)
        ours.train_step(to_float(frames, device))
    held_out = MovingMNIST(load_scikit_digits("test"), "test", _FRAMES, 1)
    clips = torch.stack([held_out.clip(i) for i in range(_CLIPS)])
    _, kl = held_out_terms(ours.svg, QuietMeanFieldELBO(), clips)
    scores = score_futures(ours.svg, clips, _CONFIG.n_past, num_samples=5)
    return scores.mean.mean().item(), kl
