"""Encoder and decoder: the contract, and what their backbones share.

A subclass only lists layers. Frames come with any number of leading dimensions,
written ``*batch`` below; convolutions see them folded into one.
"""

import torch
from pyro.nn import PyroModule
from torch import nn

from svg_pyro.model.networks.convolutions import fold


def normalisation(kind, channels):
    """BatchNorm, or GroupNorm with at least 8 channels in a group (at most 32 groups)."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    limit = max(1, min(32, channels // 8))
    groups = max(n for n in range(1, limit + 1) if channels % n == 0)
    return nn.GroupNorm(groups, channels)


def init_weights(module):
    """The paper's initialisation: weights N(0, 0.02), BatchNorm scales N(1, 0.02)."""
    for layer in module.modules():
        if isinstance(layer, (nn.modules.conv._ConvNd, nn.Linear)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)


class DecoderStage(nn.Module):
    """Enlarge d, join it with a skip, and go on: one resolution of a decoder.

    Parameters
    ----------
    join : SplitConvTranspose or SplitConv
    rest : torch.nn.Module
    """

    def __init__(self, join, rest):
        super().__init__()
        self.join = join
        self.rest = rest

    def forward(self, d, skip_half):
        batch = skip_half.shape[:-3]
        d = self.join.main(d)
        if len(d) == batch.numel():
            # In place, but not on a view: autograd copies what it writes through those.
            return self.rest(d.add_(skip_half.flatten(0, -4)))
        # Any leading dimension of d that the skip lacks (samples of one context)
        # is broadcast, so that the skip half is never copied.
        d = d.unflatten(0, (-1, *batch)) + skip_half
        return self.rest(d.flatten(0, -4))


class Encoder(PyroModule):
    """h, skips = Enc(x): a frame's features and its feature maps.

    Subclasses set `stages` (an ``nn.ModuleList``, one stage for each resolution,
    from fine to coarse) and `head` (to ``g_dim`` values in [-1, 1]).
    """

    stages: nn.ModuleList
    head: nn.Module

    def forward(self, x):
        """Encode frames.

        Parameters
        ----------
        x : torch.Tensor
            Frames, shape ``(*batch, C, H, W)``, values in [0, 1].

        Returns
        -------
        h : torch.Tensor
            Features, shape ``(*batch, g_dim)``, values in [-1, 1].
        skips : list of torch.Tensor
            Feature maps from fine to coarse, each ``(*batch, channels, h, w)``.
        """
        batch = x.shape[:-3]
        x = fold(x)
        skips = []
        for stage in self.stages:
            x = stage(x)
            skips.append(x.unflatten(0, batch))
        return self.head(x).flatten(1).unflatten(0, batch), skips


class Decoder(PyroModule):
    """The mean of x_t = Dec(g_t, skips of an earlier frame).

    Subclasses set `head` (from g to the coarsest map) and `stages` (an
    ``nn.ModuleList`` of `DecoderStage`, from coarse to fine, the last one giving
    `out_channels` channels of logits).

    Parameters
    ----------
    config : SVGConfig
    """

    head: nn.Module
    stages: nn.ModuleList

    def __init__(self, config):
        super().__init__()
        self.pixel_skip = config.pixel_skip
        self.out_channels = config.channels + config.pixel_skip

    def prepare(self, frames, skips):
        """What decoding needs of the skip frames, computed once for each of them.

        Parameters
        ----------
        frames : torch.Tensor
            The skip frames, shape ``(*batch, C, H, W)``.
        skips : list of torch.Tensor
            Their feature maps as given by the encoder, from fine to coarse.

        Returns
        -------
        list of torch.Tensor
            The skip halves from coarse to fine, then the frames, each with
            leading dimensions ``*batch``.
        """
        halves = [
            stage.join.skip(fold(skip)).unflatten(0, skip.shape[:-3])
            for stage, skip in zip(self.stages, reversed(skips))
        ]
        return [*halves, frames]

    def forward(self, g, prepared):
        """Decode frames.

        Parameters
        ----------
        g : torch.Tensor
            Predicted features, shape ``(*samples, *batch, g_dim)``.
        prepared : list of torch.Tensor
            From `prepare`, leading dimensions ``*batch``.

        Returns
        -------
        torch.Tensor
            Means, shape ``(*samples, *batch, C, H, W)``, values in [0, 1].
        """
        *halves, frames = prepared
        d = self.head(g.flatten(0, -2)[..., None, None])
        for stage, half in zip(self.stages, halves):
            d = stage(d, half)
        # Under autocast the logits may be bfloat16, whose steps near 1 are 1/256.
        d = d.contiguous().to(frames.dtype).sigmoid().unflatten(0, g.shape[:-1])
        if not self.pixel_skip:
            return d
        # Written as a correction of the skip frame: one pass over the pixels.
        return torch.lerp(d[..., :-1, :, :], frames, d[..., -1:, :, :])
