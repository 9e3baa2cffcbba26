"""Which clips the paper's figures are of, and what they cannot do without."""

from dataclasses import dataclass

from torch import Tensor

from svg_pyro.commands.fields import option
from svg_pyro.errors import EvaluationError
from svg_pyro.metrics import PROTOCOLS


class Skipped(EvaluationError):
    """A figure cannot be drawn from the checkpoints that were given."""


@dataclass(frozen=True)
class LabelledDigits:
    """Digits to train a classifier on, and the classes of those that are predicted.

    Attributes
    ----------
    digits : torch.Tensor
        uint8 ``(N, h, h)``, of the training split.
    labels, test_labels : torch.Tensor
        int64 ``(N,)``, their classes, and those of the test split's digits.
    """

    digits: Tensor
    labels: Tensor
    test_labels: Tensor


@dataclass(frozen=True)
class FigureSettings:
    """Which clips the paper's figures are of, and how many.

    Attributes
    ----------
    num_digits : int
        Digits in a clip, as in training.
    clips : int
        Held-out clips for sharpness and curves.
    num_samples : int
        Futures of each clip.
    horizon : int
        Predicted frames in sharpness and curves.
    sequences : int
        Clips for prior and bounces.
    long : int
        Frames of the clips for prior, and predicted ones in rollouts.
    pictures : int
        Clips in rollouts.
    protocol : str
        The published way of PSNR and SSIM; see evaluate.
    seed : int
        Seed of clips and samples.
    """

    num_digits: int = option(1, least=1)
    clips: int = option(100, least=1)
    num_samples: int = option(20, least=1)
    horizon: int = option(25, least=1)
    sequences: int = option(500, least=1)
    long: int = option(100, least=1)
    pictures: int = option(2, least=1)
    protocol: str = option("svg", choices=tuple(PROTOCOLS))
    seed: int = option(0, least=0)
