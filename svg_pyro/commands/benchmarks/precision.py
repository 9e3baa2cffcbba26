"""What bfloat16 does to held-out PSNR and KL: the same steps in both precisions."""

import statistics

import torch

from svg_pyro import SVG, SVGConfig, TrainingConfig
from svg_pyro.commands.benchmarks.tables import Row
from svg_pyro.commands.benchmarks.workloads import Ours
from svg_pyro.data import MovingMNIST, to_float
from svg_pyro.data.batches import batch_of
from svg_pyro.data.digits import load_scikit_digits
from svg_pyro.evaluation import score_futures
from svg_pyro.model.precision import autocast
from svg_pyro.training.elbos import ELBOS
from svg_pyro.training.optim import Schedule, make_adam
from svg_pyro.training.terms import held_out_terms

# At the paper's learning rate a run amplifies any difference (see `compare`).
LR = 2e-4
CONFIG = SVGConfig.preset("smmnist", width=24, beta=1e-6)
BATCH, FRAMES, CLIPS = 8, 10, 64
NUDGE = 1e-6


def compare(device: torch.device, steps: int, seeds: int) -> list[Row]:
    """Rows of both precisions after `steps` steps: means over seeds, and differences.

    Training amplifies any difference: how much, a run shows whose first weights are
    changed by a millionth. All are scored in float32, so that only what was learned
    differs, but for one row that shows what bfloat16 does to the scoring alone.
    """
    found = [_scores(device, steps, seed) for seed in range(seeds)]
    rows = []
    for name in found[0]:
        psnr, kl = (statistics.mean(f[name][i] for f in found) for i in (0, 1))
        changes = [
            (f[name][0] - f["float32"][0], 100 * (f[name][1] / f["float32"][1] - 1))
            for f in found
        ]
        rows.append(
            {
                f"{steps} steps": name,
                "PSNR [dB]": psnr,
                "KL [nats/frame]": kl,
                "PSNR, less float32's": statistics.mean(c[0] for c in changes),
                "of seeds": " ".join(f"{c[0]:+.3f}" for c in changes),
                "KL, % over float32's": statistics.mean(c[1] for c in changes),
                "of the seeds": " ".join(f"{c[1]:+.1f}" for c in changes),
            }
        )
    return rows


def _scores(
    device: torch.device, steps: int, seed: int
) -> dict[str, tuple[float, float]]:
    """PSNR and KL by the name of what was trained, and how it was scored."""
    exact = _train(device, steps, seed, "float32")
    return {
        "float32": _score(exact, device, "float32"),
        "the same, scored in bf16": _score(exact, device, "bf16"),
        "float32, nudged": _score(
            _train(device, steps, seed, "float32", NUDGE), device, "float32"
        ),
        "bf16": _score(_train(device, steps, seed, "bf16"), device, "float32"),
    }


def _train(
    device: torch.device, steps: int, seed: int, precision: str, nudge: float = 0.0
) -> SVG:
    """A model after `steps` steps; its first weights larger by the part `nudge`."""
    ours = Ours(CONFIG, device, precision=precision, seed=seed)
    with torch.no_grad():
        for weight in ours.svg.parameters():
            weight.mul_(1 + nudge)
    # Falling to 0, so that the last few steps do not decide.
    training = TrainingConfig(lr=LR, lr_end=0.0, steps=steps)
    schedule = Schedule(make_adam(ours.svg.parameters(), training), training)
    ours.svi.optim = schedule.optimiser
    data = MovingMNIST(
        load_scikit_digits("train"), "train", FRAMES, num_digits=1, seed=seed
    )
    torch.manual_seed(seed)
    for step in range(steps):
        frames = batch_of(data, BATCH, step, seed).frames
        ours.train_step(to_float(frames, device))
        schedule.advance()
    return ours.svg


def _score(svg: SVG, device: torch.device, precision: str) -> tuple[float, float]:
    """Held-out PSNR of sampled futures, and the KL."""
    data = MovingMNIST(load_scikit_digits("test"), "test", FRAMES, num_digits=1)
    clips = torch.stack([data.clip(i) for i in range(CLIPS)])
    with autocast(device, precision):
        _, kl = held_out_terms(svg, ELBOS["mean-field"](), clips)
        scores = score_futures(svg, clips, CONFIG.n_past, num_samples=5)
    return scores.mean.mean().item(), kl
