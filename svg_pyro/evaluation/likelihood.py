"""Bounds on log p(x_{2:T} given x_1) of each held-out clip, and their KL terms.

A density of values in [0, 1] has no natural unit; in bits a dimension it is made the
probability of one of 256 levels, each 1/256 wide: -log2(p) / D + 8.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.distributions import Distribution, Independent

from svg_pyro.errors import EvaluationError
from svg_pyro.model.checked import check_model
from svg_pyro.model.checks import check_count, check_frames
from svg_pyro.model.divergence import closed_form_kl
from svg_pyro.model.features import Features, encode
from svg_pyro.model.svg import SVG
from svg_pyro.util.modes import evaluating

_Values = TypeVar("_Values", float, torch.Tensor)

_FRAMES_AT_ONCE = 512  # decoded frames that are held, where no chunk size is given


@dataclass(frozen=True)
class Likelihood:
    """What draws from the approximate posterior say of a batch of clips.

    Attributes
    ----------
    log_weights : torch.Tensor
        log p(x_{2:T}, z^k given x_1) - log q(z^k given x) in nats, z^k from q;
        float64, ``(K, B)``. Of a model without latents the log-likelihood, ``(1, B)``.
    kl : torch.Tensor
        KL(q || p) of each frame's latent in nats, ``(B, T-1)``. In closed form where
        there is one, else estimated from the K draws.
    kl_by_unit : torch.Tensor or None
        The same of each latent dimension, ``(B, T-1, z_dim)``; None where q or p is
        not independent over dimensions.
    posterior_mean : torch.Tensor or None
        E_q[z_t], ``(B, T-1, z_dim)``; None where it is not known.
    dimensions : int
        Values of a frame, C H W.
    exact : bool
        Whether the weights are the likelihood itself: there are no latents.
    is_density : bool
        Whether it is that of values in [0, 1], and not of levels.
    """

    log_weights: torch.Tensor
    kl: torch.Tensor
    kl_by_unit: torch.Tensor | None
    posterior_mean: torch.Tensor | None
    dimensions: int
    exact: bool = False
    is_density: bool = True

    def cpu(self) -> "Likelihood":
        """The same with all tensors on the CPU."""
        moved: dict[str, Any] = {
            field.name: value.cpu()
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), torch.Tensor)
        }
        return dataclasses.replace(self, **moved)


def likelihood(
    svg: SVG,
    frames: torch.Tensor,
    num_particles: int,
    *,
    chunk_size: int | None = None,
    lengths: Sequence[int] | torch.Tensor | None = None,
    actions: torch.Tensor | None = None,
) -> Likelihood:
    """Log importance weights and KL terms of each clip.

    Besides the weights themselves, memory does not grow with their number.

    Parameters
    ----------
    svg : SVG
        The model; it is run in evaluation mode.
    frames : torch.Tensor
        Shape ``(B, T, C, H, W)``, floats in [0, 1], T at least 2.
    num_particles : int
        K.
    chunk_size : int, optional
        Draws at a time; by default so many that 512 frames are decoded together.
    lengths : sequence of int or torch.Tensor, optional
        Of padded clips, see `SVG.model`; the KL of padding is 0.
    actions : torch.Tensor, optional
        Of a model with actions, ``(B, T - 1, A)``.

    Returns
    -------
    Likelihood

    Raises
    ------
    EvaluationError
        The model's noise is set by the frames that it judges: its values are no
        densities.
    FramesError
        The frames are not those that the model takes, there is but one of each clip, or
        a number is below 1.
    ConfigError
        `svg` is no model.
    """
    check_model(svg)
    if svg.observation.needs_target:
        raise EvaluationError(
            f"a model with observation {svg.names['observation']!r} that has no "
            "running sigma sets its noise by the frames that it judges: it has no "
            "likelihood; train it on, or with another observation model"
        )
    if lengths is None:
        check_frames(frames, svg.frame_shape, 2)
    real = svg.check(frames, 0, 2, lengths, actions)
    check_count("num_particles", num_particles)
    if chunk_size is None:
        decoded = frames.shape[0] * (frames.shape[1] - 1)
        chunk_size = max(1, _FRAMES_AT_ONCE // decoded)
    check_count("chunk_size", chunk_size)
    with torch.no_grad(), evaluating(svg):
        features = encode(
            svg.encoder, frames, shared=True, lengths=real, actions=actions
        )
        if svg.prior is None:
            return _exact(svg, features, frames[0, 0].numel())
        return _sampled(svg, features, num_particles, chunk_size, frames[0, 0].numel())


def bound(log_weights: torch.Tensor, particles: int) -> torch.Tensor:
    r"""The importance-weighted bound L_K of each clip (Burda et al. 2016).

    ::

        L_K = E[ log 1/K sum_k w_k ],    L_1 = ELBO <= L_K <= log p(x_{2:T} | x_1)

    Of more than K weights, the mean over as many groups of K as there are.

    Parameters
    ----------
    log_weights : torch.Tensor
        Of N draws for each of B clips, nats, shape ``(N, B)``.
    particles : int
        K, from 1 to N.

    Returns
    -------
    torch.Tensor
        Nats, ``(B,)``.

    Raises
    ------
    EvaluationError
        There are fewer weights than K.
    """
    count = len(log_weights)
    if not 1 <= particles <= count:
        raise EvaluationError(
            f"a bound of {particles} draws needs as many; there are {count}"
        )
    used = log_weights[: count - count % particles]
    used = used.reshape(-1, particles, *log_weights.shape[1:])
    return (used.logsumexp(1) - math.log(particles)).mean(0)


def bits_a_dimension(
    nats: _Values, dimensions: int, *, is_density: bool = True
) -> _Values:
    """Bits a value of 256 levels, from a log-likelihood in nats; lower is better.

    Parameters
    ----------
    nats : float or torch.Tensor
        log p of all values together.
    dimensions : int
        Their number.
    is_density : bool
        Whether p is a density of values in [0, 1], as of a Gaussian, or already the
        probability of levels; see `svg_pyro.model.observations.Observation`.
    """
    return (8 if is_density else 0) - nats / (dimensions * math.log(2))


def _exact(svg: SVG, features: Features, dimensions: int) -> Likelihood:
    _, model = svg.sample_traces(features)
    log_prob = _log_prob(model, "x")
    return Likelihood(
        log_weights=log_prob.sum(-1)[None],
        kl=torch.zeros_like(log_prob),
        kl_by_unit=None,
        posterior_mean=None,
        dimensions=dimensions,
        is_density=svg.observation.is_density,
        exact=True,
    )


def _sampled(
    svg: SVG, features: Features, num_particles: int, chunk_size: int, dimensions: int
) -> Likelihood:
    log_weights: list[torch.Tensor] = []
    log_ratio = torch.zeros((), dtype=torch.float64, device=features.h.device)
    for start in range(0, num_particles, chunk_size):
        count = min(chunk_size, num_particles - start)
        guide, model = svg.sample_traces(features, count)
        ratio = _log_prob(guide, "z") - _log_prob(model, "z")
        log_weights.append((_log_prob(model, "x") - ratio).sum(-1))
        log_ratio = log_ratio + ratio.sum(0)
    posterior, prior = (trace.nodes["z"]["fn"] for trace in (guide, model))
    mask = guide.nodes["z"]["mask"]
    closed_form = _masked(_divergence(posterior, prior), mask)
    estimate = log_ratio / num_particles
    return Likelihood(
        log_weights=torch.cat(log_weights),
        kl=estimate if closed_form is None else closed_form,
        kl_by_unit=_masked(
            _divergence(_by_unit(posterior), _by_unit(prior)),
            None if mask is None else mask[..., None],
        ),
        posterior_mean=_mean(posterior),
        dimensions=dimensions,
        is_density=svg.observation.is_density,
    )


def _log_prob(trace: Any, site: str) -> torch.Tensor:  # Pyro's trace
    """Of each frame or latent: ``(*samples, B, T-1)``, float64."""
    node = trace.nodes[site]
    log_prob = _masked(node["fn"].log_prob(node["value"]).double(), node["mask"])
    assert log_prob is not None
    return log_prob


def _masked(
    values: torch.Tensor | None, mask: torch.Tensor | None
) -> torch.Tensor | None:
    """`values`, 0 where the frame or its latent is padding."""
    return values if values is None or mask is None else values.where(mask, 0)


def _divergence(
    posterior: Distribution | None, prior: Distribution | None
) -> torch.Tensor | None:
    """KL in closed form, the same for all draws: ``(B, T-1, ...)``, or None."""
    if posterior is None or prior is None:
        return None
    kl = closed_form_kl(posterior, prior)
    return None if kl is None else kl[0].double()


def _by_unit(distribution: Distribution) -> Distribution | None:
    """The distribution of each latent dimension, if they are independent, else None."""
    if isinstance(distribution, Independent) and not distribution.base_dist.event_shape:
        base: Distribution = distribution.base_dist
        return base
    return None


def _mean(posterior: Distribution) -> torch.Tensor | None:
    try:
        return posterior.mean[0].double()
    except NotImplementedError:
        return None
