"""What may be scored: floats in [0, 1] of fitting shapes."""

import math

import torch

from svg_pyro.errors import EvaluationError


def check_frames(frames, what):
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
        With the place of the first frame that is not finite, if one is not.
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


def check_samples(samples, truth_shape):
    """Refuse samples that are no ``(N, *truth_shape)`` of floats in [0, 1].

    Raises
    ------
    EvaluationError
    """
    if samples.shape[1:] != truth_shape:
        raise EvaluationError(
            f"samples of shape {tuple(samples.shape)} do not fit a truth of shape "
            f"{tuple(truth_shape)}; give (N, *truth), as many frames as are true"
        )
    check_frames(samples, "samples")
