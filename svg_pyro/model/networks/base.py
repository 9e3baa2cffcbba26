"""Encoder and decoder: the contract, and what their backbones share.

A subclass only lists layers. Frames come with any number of leading dimensions,
written ``*batch`` below; convolutions see them folded into one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from svg_pyro.config import SVGConfig
from svg_pyro.errors import ConfigError
from svg_pyro.model.networks.convolutions import (
    SplitConv,
    SplitConvTranspose,
    fold,
)
from svg_pyro.model.networks.warping import (
    FLOW_GAIN,
    MASK_GAIN,
    blend,
    compose,
    enlarge,
    warp,
)
from svg_pyro.model.pyro_internals import Contract


def normalisation(kind: str, channels: int) -> nn.Module:
    """BatchNorm, or GroupNorm of at most 32 groups with at least 8 channels in each."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    limit = max(1, min(32, channels // 8))
    groups = max(n for n in range(1, limit + 1) if channels % n == 0)
    return nn.GroupNorm(groups, channels)


def init_weights(module: nn.Module) -> None:
    """The paper's initialisation: weights N(0, 0.02), BatchNorm scales N(1, 0.02)."""
    for layer in module.modules():
        if isinstance(layer, (nn.modules.conv._ConvNd, nn.Linear)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)


class DecoderStage(nn.Module):
    """Enlarge d, join it with a skip, and go on: one resolution of a decoder.

    Parameters
    ----------
    join : SplitConvTranspose or SplitConv
        Enlarges d and joins it with the skip.
    rest : torch.nn.Sequential
        What follows.
    """

    def __init__(
        self, join: SplitConvTranspose | SplitConv, rest: nn.Sequential
    ) -> None:
        super().__init__()
        self.join = join
        self.rest = rest

    def forward(self, d: torch.Tensor, skip_half: torch.Tensor) -> torch.Tensor:
        """d, ``(N, C, h, w)``, at twice the size; see `StagedDecoder.prepare`."""
        batch = skip_half.shape[:-3]
        d = self.join.main(d)
        if len(d) == batch.numel():
            # In place, but not on a view: autograd copies what it writes through those.
            joined: torch.Tensor = self.rest(d.add_(skip_half.flatten(0, -4)))
            return joined
        # Any leading dimension of d that the skip lacks (samples of one context)
        # is broadcast, so that the skip half is never copied.
        d = d.unflatten(0, (-1, *batch)) + skip_half
        joined = self.rest(d.flatten(0, -4))
        return joined


class Encoder(Contract):
    """h, skips = Enc(x): the contract of encoders; a frame's features and feature maps.

    A user's own encoder may have an attribute `frame_shape`, ``(C, H, W)``, the frames
    that it takes; without it they are those of the configuration.
    """

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
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
        raise NotImplementedError


class StagedEncoder(Encoder):
    """An encoder of stages, each of which gives a skip connection.

    Subclasses set `stages` (an ``nn.ModuleList``, one stage for each resolution,
    from fine to coarse) and `head` (to ``g_dim`` values in [-1, 1]).
    """

    stages: nn.ModuleList
    head: nn.Module

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """See `Encoder.forward`."""
        batch = x.shape[:-3]
        x = fold(x)
        skips = []
        for stage in self.stages:
            x = stage(x)
            skips.append(x.unflatten(0, batch))
        h: torch.Tensor = self.head(x)
        # As it lies in memory, channels last.
        return h.movedim(-3, -1).flatten(1).unflatten(0, batch), skips


class Decoder(Contract):
    """The mean of x_t = Dec(g_t, skips of an earlier frame): the contract of decoders.

    Attributes
    ----------
    extra_channels : int
        Channels that `forward` gives after those of the mean, for an observation
        model that wants them (`svg_pyro.model.observations.Observation`).
    warps : bool
        Whether `forward` is to be given the frames before those it decodes.
    """

    extra_channels: int = 0
    warps: bool = False

    def prepare(
        self, frames: torch.Tensor, skips: list[torch.Tensor]
    ) -> list[torch.Tensor]:
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
            Tensors with leading dimensions ``*batch`` and three more; here the feature
            maps from coarse to fine, then the frames.
        """
        return [*reversed(skips), frames]

    def forward(
        self,
        g: torch.Tensor,
        prepared: list[torch.Tensor],
        previous: torch.Tensor | None = None,
        so_far: torch.Tensor | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Decode frames.

        Parameters
        ----------
        g : torch.Tensor
            Predicted features, shape ``(*samples, *batch, g_dim)``.
        prepared : list of torch.Tensor
            From `prepare`, leading dimensions ``*batch``.
        previous : torch.Tensor, optional
            The frames before those to decode, true or generated, of a shape that
            expands to ``(*samples, *batch, C, H, W)``; given to a decoder that warps.
        so_far : torch.Tensor, optional
            Given where ``warp_from`` is "context": then `previous` is an earlier frame,
            and this the flow from it to the frame before, in pixels, of a shape that
            expands to ``(*samples, *batch, 2, H, W)``.

        Returns
        -------
        torch.Tensor
            Means, values in [0, 1], and then the extra channels; shape
            ``(*samples, *batch, C + extra_channels, H, W)``. With `so_far` a pair:
            these and the flow from `previous` to them.
        """
        raise NotImplementedError


class StagedDecoder(Decoder):
    """A decoder of stages, each of which is joined with a skip connection.

    Subclasses set `head` (from g to the coarsest map) and `stages` (an
    ``nn.ModuleList`` of `DecoderStage`, from coarse to fine, the last one giving
    `out_channels` channels of logits). If `warps`, also `flow`, from the coarsest map
    to the two channels of a flow of its size: so coarse that what moves keeps its
    shape.

    Parameters
    ----------
    config : SVGConfig
        Gives the channels of a frame, and whether there is a skip of pixels.
    extra_channels : int
        See `Decoder`.
    """

    head: nn.Module
    stages: nn.ModuleList
    flow: nn.Module

    def __init__(self, config: SVGConfig, extra_channels: int = 0) -> None:
        super().__init__()
        self.extra_channels = extra_channels
        self.pixel_skip = config.pixel_skip
        self.decodes_changes = config.decodes == "change"
        self.channels = config.channels
        self.warps = config.warp
        self.out_channels = config.channels + config.pixel_skip + extra_channels
        if config.warp:
            self.out_channels += 1  # another mask

    def prepare(
        self, frames: torch.Tensor, skips: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        """See `Decoder.prepare`; the skip halves, coarse to fine, then the frames."""
        stages = cast("list[DecoderStage]", self.stages)
        halves = [
            stage.join.skip(fold(skip)).unflatten(0, skip.shape[:-3])
            for stage, skip in zip(stages, reversed(skips), strict=True)
        ]
        return [*halves, frames]

    def start_at_copy(self) -> None:
        """Where changes are decoded, let those of fresh weights and the flow be 0.

        Then a frame is the skip frame, and no run begins worse than by repeating it,
        while all masks are even and learn.
        """
        if not self.decodes_changes:
            return
        last = cast("DecoderStage", self.stages[-1])
        layer = last.rest[-1] if len(last.rest) else last.join
        with torch.no_grad():
            # Both kinds of last layer are transposed: (in, out, 4, 4).
            cast("torch.Tensor", layer.weight)[:, : self.channels] = 0
            if self.warps:
                cast("nn.Conv2d", self.flow).weight.zero_()

    def as_maps(self, g: torch.Tensor) -> torch.Tensor:
        """g, ``(N, g_dim)``, as `head` takes it: maps of one pixel."""
        return g[..., None, None]

    def forward(
        self,
        g: torch.Tensor,
        prepared: list[torch.Tensor],
        previous: torch.Tensor | None = None,
        so_far: torch.Tensor | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """See `Decoder.forward`."""
        *halves, frames = prepared
        d: torch.Tensor = self.head(self.as_maps(g.flatten(0, -2)))
        flow = self.flow(d).unflatten(0, g.shape[:-1]) if self.warps else d
        for stage, half in zip(self.stages, halves, strict=True):
            d = stage(d, half)
        # Under autocast the logits may be bfloat16, whose steps near 1 are 1/256.
        d = d.contiguous().to(frames.dtype)
        if self.warps:
            d = d.unflatten(0, g.shape[:-1])
            bounded, extra = d.tensor_split([d.shape[-3] - self.extra_channels], dim=-3)
            flow = enlarge(flow.to(d.dtype) * FLOW_GAIN, (d.shape[-2], d.shape[-1]))
            if so_far is not None:
                flow = compose(so_far, flow)
            mean = self._moved_mean(bounded, flow, frames, previous)
            if self.extra_channels:
                mean = torch.cat([mean, extra], -3)
            return mean if so_far is None else (mean, flow)
        if not self.extra_channels:
            return self._mean(d.sigmoid().unflatten(0, g.shape[:-1]), frames)
        d = d.unflatten(0, g.shape[:-1])
        bounded, extra = d.tensor_split([-self.extra_channels], dim=-3)
        return torch.cat([self._mean(bounded.sigmoid(), frames), extra], -3)

    def _mean(self, d: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        if not self.pixel_skip:
            return d
        new, mask = d[..., :-1, :, :], d[..., -1:, :, :]
        if self.decodes_changes:
            mean = frames + (1 - mask) * (2 * new - 1)
        else:
            # Written as a correction of the skip frame: one pass over the pixels.
            mean = torch.lerp(new, frames, mask)
        return mean.clamp(0, 1)  # rounded, it can be above

    def _moved_mean(
        self,
        d: torch.Tensor,
        flow: torch.Tensor,
        frames: torch.Tensor,
        previous: torch.Tensor | None,
    ) -> torch.Tensor:
        """Each pixel from the frame before, moved, the decoded and the skip frame."""
        if previous is None:
            raise ConfigError(
                "the decoder moves the frame before, which it was not given; call "
                "decoder(g, prepared, previous)"
            )
        masks = 1 + self.pixel_skip
        new, logits = d.split([d.shape[-3] - masks, masks], -3)
        moved = warp(previous.expand_as(new), flow)
        shares = logits * MASK_GAIN
        return blend(new.sigmoid(), moved, frames, shares, change=self.decodes_changes)


@dataclass(frozen=True)
class Backbone:
    """An encoder and a decoder that belong together, and the sizes that they can do.

    Parameters
    ----------
    encoder : callable
        Called with the configuration.
    decoder : callable
        Called with the configuration and the number of extra channels.
    sizes : tuple of int
        Heights (equal to the widths) of the frames that they can do, in pixels.
    """

    encoder: Callable[[SVGConfig], Encoder]
    decoder: Callable[[SVGConfig, int], Decoder]
    sizes: tuple[int, ...]

    def __call__(
        self, config: SVGConfig, extra_channels: int = 0
    ) -> tuple[Encoder, Decoder]:
        """Make both."""
        return self.encoder(config), self.decoder(config, extra_channels)
