"""How sharp frames are: what an average of several futures loses."""

import torch

from svg_pyro.evaluation.candidates import Candidate
from svg_pyro.evaluation.paper.futures import futures_of_clips


def sharpness(frames: torch.Tensor) -> torch.Tensor:
    r"""The standard deviation of a frame's Laplacian (Pech-Pacheco et al. 2000).

    With the five-point Laplacian, over the pixels that have four neighbours::

        L(y, x) = f(y+1, x) + f(y-1, x) + f(y, x+1) + f(y, x-1) - 4 f(y, x)

    It is proportional to contrast, and a Gaussian blur of s pixels multiplies what a
    wave of k radians a pixel adds to it by ``exp(-s**2 k**2 / 2)``: fine detail goes
    first. (The mean gradient would not do: blurring an edge leaves it as it is.)

    Parameters
    ----------
    frames : torch.Tensor
        Shape ``(*batch, C, H, W)``, values in [0, 1], H and W at least 3.

    Returns
    -------
    torch.Tensor
        The mean over channels, shape ``(*batch,)``; 0 for a constant frame.
    """
    middle = frames[..., 1:-1, 1:-1]
    rows = frames[..., 2:, 1:-1] + frames[..., :-2, 1:-1]
    columns = frames[..., 1:-1, 2:] + frames[..., 1:-1, :-2]
    laplacian = rows + columns - 4 * middle
    return laplacian.flatten(-2).std(-1, correction=0).mean(-1)


def sharpness_curves(
    candidate: Candidate,
    clips: torch.Tensor,
    n_past: int,
    num_samples: int,
    *,
    seed: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean sharpness of true and of sampled futures against time.

    Parameters
    ----------
    candidate, clips, n_past, num_samples, seed
        As in `svg_pyro.evaluation.paper.futures_of_clips`.

    Returns
    -------
    truth, sampled : torch.Tensor
        Means over clips, and over clips and samples; shape ``(T - n_past,)``.
    """
    true, sampled = [], []
    for truth, samples in futures_of_clips(
        candidate, clips, n_past, num_samples, seed=seed
    ):
        true.append(sharpness(truth).cpu())
        sampled.append(sharpness(samples).mean(0).cpu())
    return torch.cat(true).mean(0), torch.cat(sampled).mean(0)
