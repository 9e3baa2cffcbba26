"""Which frame's skip connections decode which frame, prepared once for each of them."""

import torch

from svg_pyro.config import SVGConfig
from svg_pyro.model.features import Features
from svg_pyro.model.types import Part


def skips_of_targets(
    decoder: Part, features: Features, config: SVGConfig
) -> list[torch.Tensor]:
    """Prepared skips for x_2..x_T; only distinct skip frames are prepared.

    Frame t takes those of frame min(t - 1, n_past): a frame of the context cannot be
    decoded from itself.

    Parameters
    ----------
    decoder : torch.nn.Module
        Whose `prepare` is called; see `svg_pyro.model.networks.Decoder`.
    features : Features
        Of the clips, T at least 2.
    config : SVGConfig
        Gives n_past and the rule for skip frames.

    Returns
    -------
    list of torch.Tensor
        What the decoder prepared, each ``(B, T-1, ...)``.
    """
    steps = features.h.shape[1] - 1
    last = last_skip_frame(config, config.n_past)
    count = min(steps, steps if config.last_frame_skip else last)
    prepared = _prepared(decoder, features, slice(count))
    if count == steps:
        return prepared
    return [_repeat_last(p, steps) for p in prepared]


def _repeat_last(maps: torch.Tensor, steps: int) -> torch.Tensor:
    """`maps` ``(B, n, C, h, w)`` and then the last of them, up to `steps`."""
    # As they lie in memory, channels last; their gradients then do so as well.
    maps = maps.movedim(-3, -1)
    rest = maps[:, -1:].expand(-1, steps - maps.shape[1], -1, -1, -1)
    return torch.cat([maps, rest], 1).movedim(-1, -3)


def skips_of_future(
    decoder: Part, features: Features, config: SVGConfig
) -> list[torch.Tensor]:
    """Prepared skips for the first frame after the context, and most often for all.

    Parameters and result are those of `skips_of_targets`, for one frame.
    """
    seen = features.h.shape[1]
    last = seen if config.last_frame_skip else last_skip_frame(config, seen)
    return _prepared(decoder, features, slice(last - 1, last))


def _prepared(decoder: Part, features: Features, frames: slice) -> list[torch.Tensor]:
    # As they lie in memory, channels last; their gradients then do so as well.
    skips = [s.movedim(-3, -1)[:, frames].movedim(-1, -3) for s in features.skips]
    given, prepare = features.frames[:, frames], decoder.prepare
    if features.lengths is None:
        prepared: list[torch.Tensor] = prepare(given, skips)
        return prepared
    real = features.lengths.places(frames.start or 0, frames.stop)
    rows = prepare(real.take(given, 3), [real.take(s, 3) for s in skips])
    return [real.put(row, 3) for row in rows]


def last_skip_frame(config: SVGConfig, context: int) -> int:
    """The frame whose skips predicted frames take, counted from 1."""
    if config.skip_from == "context":
        return context
    return max(1, context - 1)
