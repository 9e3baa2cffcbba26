"""Futures, step by step: what follows the last observed frame, for any number of samples."""

import pyro
import torch

from svg_pyro.model.skips import skips_of_future

_FRAMES_A_STEP = 256  # of all samples and clips together, where no chunk size is given


def drawn_chunks(svg, features, horizon, num_samples, chunk_size, even=False):
    """The chunks of `SVG.futures`, from checked arguments and the context's features.

    With `even` all are drawn in one size, and the last one is cut.
    """
    frames, future = features.frames, None
    if chunk_size is None:
        chunk_size = max(1, _FRAMES_A_STEP // len(frames))
    clips = frames.shape[0], horizon, *frames.shape[2:]
    for start in range(0, num_samples, chunk_size):
        count = min(chunk_size, num_samples - start)
        drawn = min(chunk_size, num_samples) if even else count
        # A predictor without latents has one future.
        if future is None or svg.prior is not None:
            future = None  # before the next one is drawn
            _, model = svg.sample_traces(features, drawn, horizon, False)
            future = model.nodes["_RETURN"]["value"]
            del model
        yield future.expand(drawn, *clips)[:count]


def gathered(chunks, context, horizon, num_samples):
    """All chunks in one tensor, ``(num_samples, B, horizon, C, H, W)``."""
    shape = num_samples, len(context), horizon, *context.shape[2:]
    means, start = context.new_empty(shape), 0
    for chunk in chunks:
        means[start : start + len(chunk)] = chunk
        start += len(chunk)
    return means


def roll_out(svg, features, states, horizon):
    """Generate frames, each from the mean of the one before it.

    Parameters
    ----------
    svg : SVG
    features : Features
        Of the context.
    states : tuple
        Of the prior and of the frame predictor after the last context frame but one.
    horizon : int

    Returns
    -------
    torch.Tensor
        Means, shape ``(*samples, B, horizon, C, H, W)``; the site "x_future".
    """
    prepared = features.once(
        "future skips", lambda: skips_of_future(svg.config, features)
    )
    encoder, decoder = features.networks.encoder, features.networks.decoder
    seen, h, future = features.h.shape[1], features.h[:, -1:], _Future(horizon)
    for t in range(seen + 1, seen + horizon + 1):
        g, states = _step(svg, t, h, states)
        mean = decoder(g, prepared).to(features.frames.dtype)
        future.append(mean)
        if t == seen + horizon:
            break
        h, skips = encoder(mean)
        if svg.config.last_frame_skip:
            prepared = decoder.prepare(mean, skips)
    with pyro.plate("future", horizon, dim=-1):
        return pyro.deterministic("x_future", future.frames(), event_dim=3)


class _Future:
    """Frames ``(*samples, B, 1, C, H, W)``, put together along time.

    Without gradients each is written where it belongs at once: frames that wait among
    the activations of all steps would leave a heap full of holes behind.
    """

    def __init__(self, horizon):
        self._horizon, self._parts, self._whole = horizon, [], None

    def append(self, mean):
        if torch.is_grad_enabled():
            self._parts.append(mean)
            return
        if self._whole is None:
            shape = *mean.shape[:-4], self._horizon, *mean.shape[-3:]
            self._whole = mean.new_empty(shape)
        self._whole.narrow(-4, len(self._parts), 1).copy_(mean)
        self._parts.append(None)

    def frames(self):
        return torch.cat(self._parts, -4) if self._whole is None else self._whole


def _step(svg, t, h, states):
    """g_t and the next states from h_{t-1}, shapes ``(*samples, B, 1, ...)``."""
    prior_state, state = states
    if svg.prior is None:
        g, state = svg.frame_predictor(h, state)
        return g, (None, state)
    prior, prior_state = svg.prior(h, prior_state)
    # A plate of size 1 keeps the rank of every step's latents the same.
    with pyro.plate(f"time_{t}", 1, dim=-1):
        z = pyro.sample(f"z_{t}", prior)
    g, state = svg.frame_predictor(join(h, z), state)
    return g, (prior_state, state)


def join(h, z):
    """concat(h, z), either of which may have further leading dimensions."""
    batch = torch.broadcast_shapes(h.shape[:-1], z.shape[:-1])
    return torch.cat([h.expand(*batch, -1), z.expand(*batch, -1)], -1)
