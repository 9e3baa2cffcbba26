"""Which frame's skip connections decode which frame, prepared once for each of them."""

import torch


def skips_of_targets(svg, features):
    """Prepared skips for x_2..x_T; only distinct skip frames are prepared.

    Frame t takes those of frame min(t - 1, n_past): a frame of the context cannot be
    decoded from itself.
    """
    steps = features.h.shape[1] - 1
    last = _last_skip_frame(svg.config, svg.config.n_past)
    count = min(steps, steps if svg.config.last_frame_skip else last)
    prepared = _prepared(svg, features, slice(count))
    if count == steps:
        return prepared
    frame = torch.arange(steps, device=features.h.device).clamp_(max=count - 1)
    return [p.index_select(1, frame) for p in prepared]


def skips_of_future(svg, features):
    """Prepared skips for the first frame after the context, and most often for all."""
    seen = features.h.shape[1]
    last = seen if svg.config.last_frame_skip else _last_skip_frame(svg.config, seen)
    return _prepared(svg, features, slice(last - 1, last))


def _prepared(svg, features, frames):
    skips = [s[:, frames] for s in features.skips]
    return svg.decoder.prepare(features.frames[:, frames], skips)


def _last_skip_frame(config, context):
    """The frame whose skips predicted frames take, counted from 1."""
    if config.skip_from == "context":
        return context
    return max(1, context - 1)
