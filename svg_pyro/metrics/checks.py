"""What may be scored: floats in [0, 1] of fitting shapes."""

import math
from collections.abc import Sequence

import torch

from svg_pyro.errors import EvaluationError


def check_frames(frames: torch.Tensor, what: str) -> None:
    """Refuse frames that are not floats in [0, 1].

    Parameters
    ----------
    frames : torch.Tensor
        Shape ``(*batch, C, H, W)``.
    what : str
        Names them in the message.

    Raises
    ------
    EvaluationError
        They are not floating point, are no frames, hold NaN or infinity (the message
        says where first), or leave [0, 1].
    """
    if not frames.is_floating_point():
        raise EvaluationError(
            f"{what} are of type {frames.dtype}; give floats in [0, 1] (to_float)"
        )
    if frames.dim() < 3 or frames.numel() == 0:
        raise EvaluationError(
            f"{what} have shape {tuple(frames.shape)}; give frames (..., C, H, W)"
        )
    low, high = (v.item() for v in torch.aminmax(frames))
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = (~frames.isfinite()).flatten(-3).any(-1)
        raise EvaluationError(
            f"{what} hold NaN or infinity in {int(bad.sum())} of {bad.numel()} frames, "
            f"first at index {tuple(bad.nonzero()[0].tolist())} of shape "
            f"{tuple(bad.shape)}; check the model that made them"
        )
    if low < 0 or high > 1:
        raise EvaluationError(
            f"{what} have values from {low:.4g} to {high:.4g}; give floats in [0, 1]"
        )


def check_samples(samples: torch.Tensor, truth_shape: Sequence[int]) -> None:
    """Refuse samples that are no ``(N, *truth_shape)`` of floats in [0, 1].

    Parameters
    ----------
    samples : torch.Tensor
        What is to be scored.
    truth_shape : sequence of int
        Shape ``(*batch, C, H, W)`` of the truth that they are samples of.

    Raises
    ------
    EvaluationError
        The shapes do not fit, or values are not floats in [0, 1].
    """
    if samples.shape[1:] != truth_shape:
        raise EvaluationError(
            f"samples of shape {tuple(samples.shape)} do not fit a truth of shape "
            f"{tuple(truth_shape)}; give (N, *truth), as many frames as are true"
        )
    check_frames(samples, "samples")


def check_spread(samples: torch.Tensor) -> None:
    """Refuse samples whose number shows no spread.

    Parameters
    ----------
    samples : torch.Tensor
        Shape ``(N, *shape)``.

    Raises
    ------
    EvaluationError
        N is less than 2.
    """
    if len(samples) < 2:
        raise EvaluationError(
            f"{len(samples)} sample of each clip shows no spread; give at least 2"
        )


def check_alike(samples: int, frames: str, *, before: tuple[int, str]) -> None:
    """Refuse clips that are not sampled as those before them.

    Parameters
    ----------
    samples : int
        Samples of each clip.
    frames : str
        What of their shape must stay, in words such as "25 frames".
    before : tuple of int and str
        The same of the clips before.

    Raises
    ------
    EvaluationError
        One of the two differs.
    """
    if (samples, frames) != before:
        raise EvaluationError(
            f"{samples} samples of {frames} after clips with {before[0]} of "
            f"{before[1]}; score all clips alike"
        )
