"""Sequential Monte Carlo over states: likelihoods, and futures that reach a goal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch

from svg_pyro.errors import FramesError
from svg_pyro.model.checked import check_model
from svg_pyro.model.checks import MOST, check_count, check_frames
from svg_pyro.model.inputs import check_actions
from svg_pyro.model.streaming import State


@dataclass(frozen=True)
class GuidedFutures:
    """Sampled futures that were drawn towards a goal.

    Attributes
    ----------
    frames : torch.Tensor
        Means, ``(num_samples, B, horizon, C, H, W)``.
    log_weights : torch.Tensor
        Logarithms of the samples' weights, ``(num_samples, B)``; the weights of a clip
        sum to 1.
    """

    frames: torch.Tensor
    log_weights: torch.Tensor

    @property
    def ess(self) -> torch.Tensor:
        """Effective sample size of each clip, from 1 to num_samples; ``(B,)``."""
        return effective_sample_size(self.log_weights)


def effective_sample_size(log_weights: torch.Tensor) -> torch.Tensor:
    """(sum w)^2 / sum w^2 of each clip's N weights: from 1 to N; ``(B,)``.

    Parameters
    ----------
    log_weights : torch.Tensor
        Shape ``(N, B)``, up to a constant for each clip.
    """
    return (2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)).exp()


def resampled(log_weights: torch.Tensor) -> torch.Tensor:
    """Indices of the ancestors of N samples of each clip, by systematic resampling.

    Sample n is drawn floor(N w_n) or ceil(N w_n) times, N w_n times in expectation
    (Douc et al. 2005, arXiv cs/0507025).

    Parameters
    ----------
    log_weights : torch.Tensor
        Shape ``(N, B)``, up to a constant for each clip.

    Returns
    -------
    torch.Tensor
        int64, ``(N, B)``.
    """
    count, clips = log_weights.shape
    edges = log_weights.softmax(0).cumsum(0).T.contiguous()
    start = torch.rand(clips, 1, dtype=edges.dtype, device=edges.device)
    steps = torch.arange(count, dtype=edges.dtype, device=edges.device)
    places = (start + steps) / count
    # Rounding may leave the last edge below the last place.
    return torch.searchsorted(edges, places).clamp_(max=count - 1).T


def log_evidence(
    svg: Any,
    frames: torch.Tensor,
    num_particles: int,
    *,
    actions: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""An estimate of log p(x_{2:T} | x_1) of each clip by a particle filter.

    ::

        log Z = sum_t log 1/K sum_k w_t^k,
        w_t = p(x_t | z_{2:t}) p(z_t | x_{1:t-1}) / q(z_t | x_{1:t})

    with latents from the guide, and samples resampled where fewer than half of them
    count. Z is unbiased; without resampling the weights of long clips degenerate.

    Parameters
    ----------
    svg : SVG
        Its guide must filter: it is given one frame at a time.
    frames : torch.Tensor
        Shape ``(B, T, C, H, W)``, floats in [0, 1], T at least 2.
    num_particles : int
        K.
    actions : torch.Tensor, optional
        Of a model with actions, ``(B, T-1, A)``.

    Returns
    -------
    torch.Tensor
        Nats, ``(B,)``.

    Raises
    ------
    FramesError
        When the frames are not what is said above, or `num_particles` is below 1.
    ConfigError
        When `svg` is no model.
    """
    check_model(svg)
    check_frames(frames, svg.frame_shape, 2, like=svg.encoder)
    check_count("num_particles", num_particles, most=MOST)
    check_actions(svg.config, actions, frames, 0)
    state = svg.start(frames[:, 0]).expand(num_particles)
    log_weights = frames.new_zeros(num_particles, len(frames))
    total = frames.new_zeros(len(frames))
    for t in range(1, frames.shape[1]):
        state = svg.step(state, frames[:, t], action=_row(actions, t))
        assert state.log_weight is not None  # of a frame that was seen
        log_weights = log_weights + state.log_weight
        weak = effective_sample_size(log_weights) < num_particles / 2
        if weak.any():
            ancestors = _ancestors(log_weights, weak)
            state = state[ancestors, torch.arange(len(frames), device=frames.device)]
            mean = log_weights.logsumexp(0) - math.log(num_particles)
            total = total + torch.where(weak, mean, 0)
            log_weights = log_weights.masked_fill(weak, 0)
    return total + log_weights.logsumexp(0) - math.log(num_particles)


def futures_to(
    svg: Any,
    context: torch.Tensor,
    goal: torch.Tensor,
    horizon: int,
    num_samples: int,
    *,
    tolerance: float = 0.02,
    actions: torch.Tensor | None = None,
) -> GuidedFutures:
    r"""Futures of a context, conditioned on a frame that they are to arrive at.

    Sequential Monte Carlo with the prior as proposal. After t of the horizon's H frames
    a sample has the weight of its prior times ::

        psi_t = exp(-a_t mse(goal, x_t) / (2 tolerance^2))

    where a_t, at most 1, is as large as leaves half of each clip's samples to count
    (Del Moral et al. 2012 choose temperatures so); where it is below 1 they are
    resampled. At t = H it is 1: a Gaussian likelihood of the goal in which all pixels
    together count as one observation, since with each by itself a single sample would
    have all the weight. With a goal that lies after a gap in a video this fills it.

    Parameters
    ----------
    svg : SVG
        The model.
    context : torch.Tensor
        Shape ``(B, n, C, H, W)``, floats in [0, 1], n at least 1.
    goal : torch.Tensor
        The last frame of the future, ``(B, C, H, W)`` or ``(C, H, W)``.
    horizon : int
        Frames to generate, the goal's included.
    num_samples : int
        Futures of each clip.
    tolerance : float
        Root mean square error of a pixel at which the goal counts as reached; above 0.
    actions : torch.Tensor, optional
        Of a model with actions, ``(B, n - 1 + horizon, A)``.

    Returns
    -------
    GuidedFutures

    Raises
    ------
    FramesError
        When context or goal are of another shape, type or range, a number is below 1,
        or the tolerance is not above 0.
    ConfigError
        When `svg` is no model.
    """
    check_model(svg)
    check_frames(context, svg.frame_shape, 1, like=svg.encoder)
    check_count("horizon", horizon, most=MOST)
    check_count("num_samples", num_samples, most=MOST)
    goal = _checked_goal(svg, goal, len(context))
    if not isinstance(tolerance, Real) or not tolerance > 0:
        raise FramesError(f"tolerance is {tolerance!r}; give a number above 0")
    seen = context.shape[1]
    check_actions(svg.config, actions, context, horizon)
    state = svg.start(context[:, 0])
    for t in range(1, seen):
        state = svg.step(state, context[:, t], action=_row(actions, t))
    coming = None if actions is None else actions[:, seen - 1 :]
    rows = [_row(coming, t + 1) for t in range(horizon)]
    return _drawn_to(svg, state.expand(num_samples), goal, rows, tolerance)


def _drawn_to(
    svg: Any,
    state: State,
    goal: torch.Tensor,
    actions: list[torch.Tensor | None],
    tolerance: float,
) -> GuidedFutures:
    count, clips = len(state.frame), torch.arange(len(goal), device=goal.device)
    log_weights = goal.new_zeros(state.batch_shape)
    potential, frames = log_weights, []
    for left, action in zip(reversed(range(len(actions))), actions, strict=True):
        state = svg.step(state, action=action)
        frames.append(state.frame)
        mse = (state.frame - goal).square().flatten(-3).mean(-1)
        whole = -mse / (2 * tolerance**2)
        before, potential = potential, whole
        if left:
            potential = whole * _temperature(log_weights - potential, whole)
        log_weights = log_weights + potential - before
        # Just half of the samples count where a temperature below 1 was chosen.
        weak = effective_sample_size(log_weights) < 0.51 * count
        if left and weak.any():
            ancestors = _ancestors(log_weights, weak)
            state = state[ancestors, clips]
            potential = potential[ancestors, clips]
            frames = [frame[ancestors, clips] for frame in frames]
            log_weights = log_weights.masked_fill(weak, 0)
    return GuidedFutures(torch.stack(frames, 2), log_weights.log_softmax(0))


def _row(actions: torch.Tensor | None, t: int) -> torch.Tensor | None:
    """The action that leads to frame t, counted from 0."""
    return None if actions is None else actions[:, t - 1]


def _temperature(log_weights: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """The largest a in [0, 1] with which half of the samples count; of each clip."""
    low = torch.zeros_like(log_weights[0])
    high = torch.ones_like(low)
    for _ in range(30):  # halvings: to one part in 10^9
        middle = (low + high) / 2
        enough = effective_sample_size(log_weights + middle * whole) >= len(whole) / 2
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
    return torch.where(high == 1, high, low)


def _ancestors(log_weights: torch.Tensor, weak: torch.Tensor) -> torch.Tensor:
    """Ancestors ``(N, B)``, drawn for the clips marked by `weak`, else each its own."""
    same = torch.arange(len(log_weights), device=log_weights.device)[:, None]
    return torch.where(weak, resampled(log_weights), same)


def _checked_goal(svg: Any, goal: torch.Tensor, clips: int) -> torch.Tensor:
    shape = tuple(svg.frame_shape)
    if not torch.is_tensor(goal) or tuple(goal.shape) not in (shape, (clips, *shape)):
        given = tuple(goal.shape) if torch.is_tensor(goal) else type(goal).__name__
        raise FramesError(
            f"the goal is {given}; give one frame {shape}, or one for each of the "
            f"{clips} clips"
        )
    goal = goal.expand(clips, *shape)
    check_frames(goal[:, None], svg.frame_shape, 1)
    return goal
