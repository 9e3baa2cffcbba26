"""What is observed: the frames of whole clips, each from the true ones before it."""

import contextlib
from typing import Any

import pyro
import torch
from pyro import poutine

from svg_pyro.model.checks import latents
from svg_pyro.model.decoding import decode
from svg_pyro.model.features import Features
from svg_pyro.model.inputs import join, with_action
from svg_pyro.model.lengths import Places
from svg_pyro.model.skips import skips_of_targets
from svg_pyro.model.types import Part, RecurrentState


def teacher_forced(
    svg: Part, features: Features
) -> tuple[torch.Tensor, tuple[RecurrentState, RecurrentState]]:
    """g_2..g_T and the states after frame T-1, from h_1..h_{T-1}.

    Has the site "z" under the prior, in a plate "time".

    Parameters
    ----------
    svg : SVG
        Gives the prior and the frame predictor.
    features : Features
        Of x_1..x_T, T at least 2.

    Returns
    -------
    g : torch.Tensor
        What the decoder takes, ``(*samples, B, T-1, g_dim)``.
    states : tuple
        Of the prior, None without latents, and of the frame predictor.
    """
    steps = features.h.shape[1] - 1
    actions = features.actions_from(0, steps)
    h = with_action(svg, features.h[:, :-1], actions)
    prior_network = svg.prior
    if prior_network is None:
        g, state = svg.frame_predictor(h)
        return g, (None, state)
    # The guide's latents lead to the true x_t, which only true frames foretell.
    seen = with_action(svg, features.true_h[:, :-1], actions)
    prior, prior_state = features.once(
        "prior", lambda: latents("prior", prior_network(seen), svg.config.z_dim)
    )
    with pyro.plate("time", steps, dim=-1), without_padding(features):
        z = pyro.sample("z", prior)
    g, state = svg.frame_predictor(join(h, z))
    return g, (prior_state, state)


def observe(svg: Part, features: Features, g: torch.Tensor) -> None:
    """x_2..x_T, scored under what the decoder makes of g_2..g_T, as the site "x".

    Parameters
    ----------
    svg : SVG
        Gives the decoder and the observation model.
    features : Features
        Of x_1..x_T.
    g : torch.Tensor
        From `teacher_forced`.
    """
    target = features.frames[:, 1:]
    skips = features.once(
        "skips", lambda: skips_of_targets(svg.decoder, features, svg.config)
    )
    given = g, skips, features.inputs[:, :-1]
    # In the frames' own precision: a likelihood in bfloat16 would be useless.
    if features.lengths is None:
        decoded = decode(svg.decoder, *given).to(target.dtype)
        x_dist = svg.observation(*svg.observation.split(decoded), target)
    else:
        real = features.lengths.places(1)
        target = target.where(real.mask[..., None, None, None], 0)
        decoded = _decode_real(svg.decoder, real, *given).to(target.dtype)
        mean, extra = svg.observation.split(decoded)
        x_dist = svg.observation.of_real(mean, extra, target, real.mask)
    # Not z's plate: x_t depends on all of z_{2:t}, so that per-time weights
    # of a shared plate would be wrong.
    with pyro.plate("frames", target.shape[1], dim=-1), without_padding(features):
        pyro.sample("x", x_dist, obs=target)


def without_padding(features: Features) -> contextlib.AbstractContextManager[object]:
    """A context whose sites, one value for each of frames 2..T, leave padding out.

    Parameters
    ----------
    features : Features
        Of x_1..x_T; where no clip is padded, the context does nothing.
    """
    if features.lengths is None:
        return contextlib.nullcontext()
    real: Any = features.lengths.places(1).mask  # declared as a BoolTensor by Pyro
    mask: contextlib.AbstractContextManager[object] = poutine.mask(mask=real)
    return mask


def _decode_real(
    decoder: Part,
    real: Places,
    g: torch.Tensor,
    skips: list[torch.Tensor],
    previous: torch.Tensor,
) -> torch.Tensor:
    """Decode real frames alone; 0 in place of the others."""
    rows = [real.take(skip, 3) for skip in skips]
    decoded = decode(decoder, real.take(g, 1), rows, real.take(previous, 3))
    return real.put(decoded, 3)
