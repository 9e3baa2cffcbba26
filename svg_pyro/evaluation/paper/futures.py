"""Sampled futures of held-out clips, batch by batch, and their scores."""

import numpy as np

from svg_pyro.errors import EvaluationError
from svg_pyro.metrics import Curves
from svg_pyro.util.modes import seeded
from svg_pyro.util.progress import progress
from svg_pyro.util.tensors import to_float


def sampled_futures(svg, clips, n_past, num_samples, seed=0, batch_size=16):
    """Each batch's true future and samples of it.

    Parameters
    ----------
    svg : SVG
    clips : torch.Tensor
        uint8, shape ``(B, T, C, H, W)``.
    n_past : int
        Frames of context; the T - `n_past` others are predicted.
    num_samples : int
        Futures of each clip; the deterministic predictor has but one.
    seed : int
        The samples are a function of it and of `batch_size`; the global random
        state is left alone.
    batch_size : int
        Clips at a time.

    Yields
    ------
    truth : torch.Tensor
        Shape ``(b, T - n_past, C, H, W)``, values in [0, 1].
    samples : torch.Tensor
        Shape ``(S, b, T - n_past, C, H, W)``, values in [0, 1].

    Raises
    ------
    EvaluationError
        If the clips hold no frame after the context.
    """
    horizon = clips.shape[1] - n_past
    if n_past < 1 or horizon < 1:
        raise EvaluationError(
            f"{n_past} frames of context in clips of {clips.shape[1]}; give at least "
            "one, and clips that go on after it"
        )
    device = next(svg.parameters()).device
    if svg.prior is None:
        num_samples = 1
    parts = progress(clips.split(batch_size), desc="sampling", unit="batch")
    for number, part in enumerate(parts):
        part = to_float(part, device)
        own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        with seeded(own, device):
            samples = svg.predict(part[:, :n_past], horizon, num_samples)
        yield part[:, n_past:], samples


def score_curves(svg, clips, n_past, num_samples, protocol="svg", seed=0):
    """PSNR and SSIM against time, by a published protocol.

    Parameters
    ----------
    svg, clips, n_past, num_samples, seed
        As in `sampled_futures`.
    protocol : str
        One of `svg_pyro.metrics.PROTOCOLS`.

    Returns
    -------
    dict
        "psnr" (dB) and "ssim", each a dict of "best", "mean" and "worst" to an
        `svg_pyro.metrics.Estimate`: of N samples, over clips.

    Raises
    ------
    EvaluationError
    """
    curves = Curves([protocol])
    for truth, samples in sampled_futures(svg, clips, n_past, num_samples, seed):
        curves.update(truth, samples)
    found = curves.summary()[protocol]
    return {metric: found[metric] for metric in ("psnr", "ssim")}
