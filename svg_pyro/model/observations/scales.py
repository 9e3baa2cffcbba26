"""Scales that a decoder gives, one for each value of a frame."""

import math

import torch

from svg_pyro.config import SVGConfig, noise_of_beta

# Half a grey level is the least that 8-bit video can mean; beyond 1 a scale is no noise
# of values in [0, 1].
_FINEST, _COARSEST = math.log(0.5 / 255), 0.0


def first_log_scale(config: SVGConfig, frame_shape: tuple[int, int, int]) -> float:
    """The logarithm of the standard deviation of a new model: beta's, at most 0.1.

    Parameters
    ----------
    config : SVGConfig
        Gives beta.
    frame_shape : tuple of int
        ``(C, H, W)``.
    """
    return math.log(min(0.1, noise_of_beta(config.beta, math.prod(frame_shape))))


def log_scale(extra: torch.Tensor, start: float) -> torch.Tensor:
    """What a decoder gave, as the logarithm of a scale: `start` where it gave 0.

    Bent smoothly into the range from half a grey level to 1, so that no gradient
    vanishes at an edge.

    Parameters
    ----------
    extra : torch.Tensor
        Any values.
    start : float
        A logarithm within the range.
    """
    share = (start - _FINEST) / (_COARSEST - _FINEST)
    share = min(max(share, 0.01), 0.99)
    offset = math.log(share / (1 - share))
    return _FINEST + (_COARSEST - _FINEST) * torch.sigmoid(extra + offset)
