"""Futures, step by step: what follows the last observed frame, in many samples."""

from typing import Protocol

import pyro
import torch
from pyro.ops.provenance import get_provenance

from svg_pyro.config import SVGConfig
from svg_pyro.errors import ConfigError
from svg_pyro.model.checks import latents
from svg_pyro.model.decoding import decode_next, source_of
from svg_pyro.model.features import Features
from svg_pyro.model.inputs import join, with_action
from svg_pyro.model.skips import skips_of_future
from svg_pyro.model.types import Part, RecurrentState


class Parts(Protocol):
    """What of a model generates frames; see `svg_pyro.model.svg.SVG`."""

    config: SVGConfig
    encoder: Part
    decoder: Part
    observation: Part
    prior: Part | None
    frame_predictor: Part


def roll_out(
    svg: Parts,
    features: Features,
    states: tuple[RecurrentState, RecurrentState],
    horizon: int,
    *,
    noise: bool = False,
) -> torch.Tensor:
    """Generate frames, each from the mean of the one before it.

    Parameters
    ----------
    svg : SVG
        Gives the parts: encoder, decoder, prior, frame predictor, observation model.
    features : Features
        Of the context.
    states : tuple
        Of the prior and of the frame predictor after the last context frame but one.
    horizon : int
        Frames to generate.
    noise : bool
        Whether frames are drawn around the means, as the site "x_new"; none of them is
        fed back.

    Returns
    -------
    torch.Tensor
        Means, shape ``(*samples, B, horizon, C, H, W)``; the site "x_future".

    Raises
    ------
    ConfigError
        When there is to be noise, and the observation model does not know any yet.
    """
    if noise:
        check_noise(svg.observation)
    prepared = features.once(
        "future skips", lambda: skips_of_future(svg.decoder, features, svg.config)
    )
    seen, h, future = features.h.shape[1], features.h[:, -1:], _Future(horizon)
    source = source_of(svg.config, features.inputs[:, -1:])
    for t in range(seen + 1, seen + horizon + 1):
        action = features.actions_from(t - 2, t - 1)
        g, states = predict_next(svg, t, with_action(svg, h, action), states)
        decoded, mean, source = decode_next(svg, g, prepared, source)
        future.append(decoded if noise else mean)
        if t == seen + horizon:
            break
        h, skips = svg.encoder(mean)
        if svg.config.last_frame_skip:
            prepared = svg.decoder.prepare(mean, skips)
    decoded, extra = future.frames(), None
    if noise:
        decoded, extra = svg.observation.split(decoded)
    with pyro.plate("future", horizon, dim=-1):
        means: torch.Tensor = pyro.deterministic("x_future", decoded, event_dim=3)
        if noise:
            pyro.sample("x_new", svg.observation(means, extra))
    return means


def check_noise(observation: Part) -> None:
    """Refuse to draw frames from an observation model that knows no noise yet.

    Parameters
    ----------
    observation : Observation
        Of the model.

    Raises
    ------
    ConfigError
        When its noise is set by the frames that it scores, and it has seen none.
    """
    if observation.needs_target:
        raise ConfigError(
            "the observation model sets its noise by training batches and has seen "
            "none, so that there is no noise to draw; train the model, or ask for means"
        )


class _Future:
    """Frames ``(*samples, B, 1, C, H, W)``, put together along time.

    Without gradients each is written where it belongs at once: frames that wait among
    the activations of all steps would leave a heap full of holes behind.
    """

    def __init__(self, horizon: int) -> None:
        self._horizon = horizon
        self._count = 0
        self._parts: list[torch.Tensor] = []
        self._whole: torch.Tensor | None = None

    def append(self, mean: torch.Tensor) -> None:
        # What is written in place would forget which latents it follows from, which
        # `pyro.render_model` asks for.
        if torch.is_grad_enabled() or get_provenance(mean):
            self._parts.append(mean)
            return
        if self._whole is None:
            shape = *mean.shape[:-4], self._horizon, *mean.shape[-3:]
            self._whole = mean.new_empty(shape)
        self._whole.narrow(-4, self._count, 1).copy_(mean)
        self._count += 1

    def frames(self) -> torch.Tensor:
        return torch.cat(self._parts, -4) if self._whole is None else self._whole


def predict_next(
    svg: Parts, t: int, h: torch.Tensor, states: tuple[RecurrentState, RecurrentState]
) -> tuple[torch.Tensor, tuple[RecurrentState, RecurrentState]]:
    """g_t and the next states from h_{t-1}, shapes ``(*samples, B, 1, ...)``.

    Parameters
    ----------
    svg : SVG
        Gives the prior and the frame predictor.
    t : int
        The frame that is predicted, counted from 1: the site is "z_{t}".
    h : torch.Tensor
        Features of frame t - 1, and the action behind them,
        ``(*samples, B, 1, g_dim + A)``.
    states : tuple
        Of the prior and of the frame predictor, before frame t - 1 is seen.
    """
    prior_state, state = states
    if svg.prior is None:
        g, state = svg.frame_predictor(h, state)
        return g, (None, state)
    z_dist, prior_state = latents("prior", svg.prior(h, prior_state), svg.config.z_dim)
    # A plate of size 1 keeps the rank of every step's latents the same.
    with pyro.plate(f"time_{t}", 1, dim=-1):
        z = pyro.sample(f"z_{t}", z_dist)
    g, state = svg.frame_predictor(join(h, z), state)
    return g, (prior_state, state)
