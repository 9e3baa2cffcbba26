"""Gaussian observation models whose standard deviation is one number for all pixels."""

import pyro.distributions as dist
import torch
from torch import nn

from svg_pyro.config import SVGConfig, noise_of_beta
from svg_pyro.model.observations.base import Observation
from svg_pyro.model.registry import register
from svg_pyro.model.types import Distribution

_FINEST = 0.5 / 255  # half a grey level is the least that 8-bit video can mean


class _Scaled(Observation):
    """Normal(x_t | mean, sigma) with one sigma, from beta to begin with.

    Parameters
    ----------
    config : SVGConfig
        Gives beta.
    frame_shape : tuple of int
        ``(C, H, W)``, whose product is D in ``sigma**2 = D * beta / 2``.
    """

    def __init__(self, config: SVGConfig, frame_shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = frame_shape
        self.noise_scale = noise_of_beta(config.beta, channels * height * width)

    def sigma(self, mean: torch.Tensor, target: torch.Tensor | None) -> torch.Tensor:
        """The standard deviation, in the units of [0, 1]."""
        raise NotImplementedError

    def forward(
        self,
        mean: torch.Tensor,
        extra: torch.Tensor,
        target: torch.Tensor | None = None,
    ) -> Distribution:
        """See `Observation.forward`."""
        return dist.Normal(mean, self.sigma(mean, target)).to_event(3)


@register("observation", "gaussian")
class Gaussian(_Scaled):
    """The paper's: Normal(x_t | mean, sigma), ``sigma**2 = D * beta / 2``.

    Its negative log-likelihood is the paper's mean squared error, times D / beta and
    plus a constant.
    """

    def sigma(self, mean: torch.Tensor, target: torch.Tensor | None) -> torch.Tensor:
        """The number that beta stands for."""
        # PyTorch would copy a Python number to the device, and wait until it is there.
        return mean.new_full((), self.noise_scale)


@register("observation", "learned-sigma")
class LearnedSigma(_Scaled):
    """Normal(x_t | mean, sigma) with a trained sigma, from beta's to begin with.

    Attributes
    ----------
    log_sigma : torch.nn.Parameter
        A scalar.
    """

    def __init__(self, config: SVGConfig, frame_shape: tuple[int, int, int]) -> None:
        super().__init__(config, frame_shape)
        self.log_sigma = nn.Parameter(torch.tensor(self.noise_scale).log())

    def sigma(self, mean: torch.Tensor, target: torch.Tensor | None) -> torch.Tensor:
        """exp(log_sigma)."""
        return self.log_sigma.exp()


@register("observation", "optimal-sigma")
class OptimalSigma(_Scaled):
    """Normal(x_t | mean, sigma) with the likeliest sigma of each training batch.

    sigma-VAE, Rybkin et al. 2021, arXiv 2006.13202: the root of the batch's mean
    squared error, at least half a grey level. In evaluation sigma is that of the
    running mean of the training batches' squared errors, as BatchNorm has it, so that
    held-out frames do not set the noise they are judged by.

    Attributes
    ----------
    squared_error : torch.Tensor
        The running mean, a scalar.
    batches : torch.Tensor
        Training batches that are in it, a scalar; 0 in a new model, or one whose
        checkpoint has no running mean: there sigma is that of the frames to score.
    """

    momentum = 0.01
    squared_error: torch.Tensor
    batches: torch.Tensor

    def __init__(self, config: SVGConfig, frame_shape: tuple[int, int, int]) -> None:
        super().__init__(config, frame_shape)
        self.register_buffer("squared_error", torch.tensor(0.0))
        self.register_buffer("batches", torch.tensor(0))

    @property
    def needs_target(self) -> bool:
        """Until a training batch has been seen."""
        return self.batches.item() == 0

    def sigma(self, mean: torch.Tensor, target: torch.Tensor | None) -> torch.Tensor:
        """The batch's in training, else the running one."""
        return self._sigma(mean, target, None)

    def of_real(
        self,
        mean: torch.Tensor,
        extra: torch.Tensor,
        target: torch.Tensor,
        real: torch.Tensor,
    ) -> Distribution:
        """See `Observation.of_real`; sigma is that of the real frames."""
        return dist.Normal(mean, self._sigma(mean, target, real)).to_event(3)

    def _sigma(
        self,
        mean: torch.Tensor,
        target: torch.Tensor | None,
        real: torch.Tensor | None,
    ) -> torch.Tensor:
        if target is None:
            return self._running()
        if not self.training and not self.needs_target:
            return self._running()
        # The maximum over sigma has no gradient in sigma: detaching is exact.
        squares = (mean.detach() - target).square()
        if real is None:
            error = squares.mean()
        else:
            of_frames = squares.flatten(-3).mean(-1)
            real = real.expand(of_frames.shape)
            error = of_frames.where(real, 0).sum() / real.sum()
        if self.training:
            self._update(error)
        return error.sqrt().clamp_min(_FINEST)

    def _running(self) -> torch.Tensor:
        return self.squared_error.sqrt().clamp_min(_FINEST)

    @torch.no_grad()
    def _update(self, error: torch.Tensor) -> None:
        # A plain mean of the first batches, then an exponential one; without a read
        # from the device.
        self.batches += 1
        share = (1 / self.batches.to(error.dtype)).clamp_min(self.momentum)
        self.squared_error.lerp_(error.to(self.squared_error.dtype), share)
