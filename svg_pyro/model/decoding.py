"""Decoding with what a decoder that moves frames is to move."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from svg_pyro.config import SVGConfig


def decode(
    decoder: Any,
    g: torch.Tensor,
    prepared: list[torch.Tensor],
    previous: torch.Tensor,
) -> torch.Tensor:
    """Decode, with the frames before for a decoder that moves them.

    Parameters
    ----------
    decoder : torch.nn.Module
        See `svg_pyro.model.networks.Decoder`, which also says what the others are.
    g, prepared, previous
        As `Decoder.forward` takes them.
    """
    given = (previous,) if getattr(decoder, "warps", False) else ()
    decoded: torch.Tensor = decoder(g, prepared, *given)
    return decoded


class Source(NamedTuple):
    """What a decoder that warps moves to make the next frame.

    Attributes
    ----------
    frame : torch.Tensor
        ``(*batch, C, H, W)``: the frame before the next one, or an earlier one.
    flow : torch.Tensor or None
        From it to the frame before the next one, ``(*batch, 2, H, W)`` in pixels; None
        where it is the frame before. See ``SVGConfig.warp_from``.
    """

    frame: torch.Tensor
    flow: torch.Tensor | None = None

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Source":
        """The source whose tensors are changed alike."""
        flow = None if self.flow is None else change(self.flow)
        return Source(change(self.frame), flow)


def source_of(config: SVGConfig, frame: torch.Tensor) -> Source:
    """The source of the frame after one that was seen, ``(*batch, C, H, W)``."""
    if config.warp_from == "before":
        return Source(frame)
    return Source(frame, frame.new_zeros(*frame.shape[:-3], 2, *frame.shape[-2:]))


def decode_next(
    svg: Any, g: torch.Tensor, prepared: list[torch.Tensor], source: Source
) -> tuple[torch.Tensor, torch.Tensor, Source]:
    """Decode frames in generation.

    Parameters
    ----------
    svg : SVG
        Gives decoder and observation model.
    g, prepared
        As `Decoder.forward` takes them.
    source : Source
        What is moved.

    Returns
    -------
    decoded : torch.Tensor
        As `Decoder.forward` gives it, in the precision of frames.
    mean : torch.Tensor
        Its first channels.
    source : Source
        Of the frame after.
    """
    flow = None
    if source.flow is None:
        decoded = decode(svg.decoder, g, prepared, source.frame)
    else:
        decoded, flow = svg.decoder(g, prepared, *source)
    decoded = decoded.to(source.frame.dtype)
    mean, _ = svg.observation.split(decoded)
    return decoded, mean, Source(mean) if flow is None else Source(source.frame, flow)
