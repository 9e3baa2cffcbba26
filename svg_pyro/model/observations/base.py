"""The contract of observation models: how a frame varies around its mean."""

import torch
from torch import nn

from svg_pyro.model.types import Distribution


class Observation(nn.Module):
    """p(x_t given what the decoder says of it).

    The decoder gives, for every frame, the mean of its values and as many further
    channels as an observation model wants (a scale for each pixel, say). A user's own
    observation model is a subclass that defines `forward`, given to
    ``SVG(config, observation=...)`` or registered under a name.

    Attributes
    ----------
    extra_channels : int
        Channels that the decoder gives besides the mean's. They are not bounded.
    is_density : bool
        Whether `forward` gives the density of values in [0, 1], as a Gaussian does,
        or the probability of one of 256 levels: nats become bits a dimension in
        another way.
    """

    extra_channels: int = 0
    is_density: bool = True

    @property
    def needs_target(self) -> bool:
        """Whether it can only judge the frames that set it: no noise, no likelihood."""
        return False

    def forward(
        self,
        mean: torch.Tensor,
        extra: torch.Tensor,
        target: torch.Tensor | None = None,
    ) -> Distribution:
        """The distribution of frames.

        Parameters
        ----------
        mean : torch.Tensor
            Decoder means, shape ``(*batch, C, H, W)``, values in [0, 1].
        extra : torch.Tensor
            The decoder's further channels, ``(*batch, extra_channels, H, W)``.
        target : torch.Tensor, optional
            The frames that will be scored, whose shape broadcasts with `mean`'s;
            absent where noise is to be drawn.

        Returns
        -------
        pyro.distributions.Distribution
            Batch shape ``(*batch,)``, event shape ``(C, H, W)``.
        """
        raise NotImplementedError

    def of_real(
        self,
        mean: torch.Tensor,
        extra: torch.Tensor,
        target: torch.Tensor,
        real: torch.Tensor,
    ) -> Distribution:
        """What `forward` gives, where some frames are padding: they are not scored.

        One whose noise depends on all frames of a batch leaves them out of it.

        Parameters
        ----------
        mean, extra, target
            As in `forward`; 0 in the padding.
        real : torch.Tensor
            bool, ``(*batch,)``: which frames are none.
        """
        return self(mean, extra, target)

    def split(self, decoded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and extra out of what a decoder gave, ``(*batch, C + extra, H, W)``."""
        channels = decoded.shape[-3] - self.extra_channels
        # Without extra channels the mean is the tensor itself, not a view of it.
        mean = decoded[..., :channels, :, :] if self.extra_channels else decoded
        return mean, decoded[..., channels:, :, :]
