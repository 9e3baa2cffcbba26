"""How much each frame of a video surprises a model, as the frames come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from svg_pyro.errors import EvaluationError
from svg_pyro.model.checked import check_model
from svg_pyro.model.checks import check_count
from svg_pyro.util.modes import seeded
from svg_pyro.util.seeds import seed_of

SCORES = (
    "nll",
    "kl",
    "surprise",
    "relative_nll",
    "relative_kl",
    "relative_surprise",
)


@dataclass(frozen=True)
class FrameSurprise:
    r"""What one frame of each clip is scored with; all in nats, ``(B,)``.

    ::

        nll_t      = mean_k -log p(x_t | x_{1:t-1}, z^k_{2:t}),     z^k from the guide
        kl_t       = mean_k KL(q(z_t | x_{1:t}) || p(z_t | x_{1:t-1}))
        surprise_t = nll_t + kl_t  >=  -log p(x_t | x_{1:t-1})      in expectation

    The relative scores are those less their means over the last frames before: raw ones
    mostly tell how hard a clip is to draw.

    Attributes
    ----------
    time : int
        The frame, counted from 1; the first that is scored is the second.
    nll, kl, surprise : torch.Tensor
        See above.
    relative_nll, relative_kl, relative_surprise : torch.Tensor
        See above; NaN of the first frame that is scored.
    """

    time: int
    nll: torch.Tensor
    kl: torch.Tensor
    surprise: torch.Tensor
    relative_nll: torch.Tensor
    relative_kl: torch.Tensor
    relative_surprise: torch.Tensor


def frame_surprises(
    svg: Any,
    frames: Iterable[torch.Tensor],
    *,
    num_samples: int = 8,
    window: int = 3,
    seed: int = 0,
) -> Iterator[FrameSurprise]:
    """Score a video frame by frame, in memory that does not grow with its length.

    Parameters
    ----------
    svg : SVG
        A model that was trained on such videos; its guide must filter, for it is given
        one frame at a time.
    frames : iterable of torch.Tensor
        One frame of each clip after the other, ``(B, C, H, W)``, floats in [0, 1].
    num_samples : int
        Draws of the latents that are averaged.
    window : int
        Frames before, to which the relative scores are relative.
    seed : int
        Of the draws, 0 or more; the global random state is left alone.

    Yields
    ------
    FrameSurprise
        Of each frame but the first, as soon as it has come.

    Raises
    ------
    FramesError
        When a frame is not what is said above, or a number is below 1.
    ConfigError
        When `svg` is no model.

    Examples
    --------
    >>> config = svg_pyro.SVGConfig(channels=1, width=4, g_dim=8, rnn_size=12)
    >>> svg = svg_pyro.SVG(config)
    >>> video = torch.rand(6, 1, 1, 64, 64)  # six frames of one clip
    >>> scores = list(frame_surprises(svg, video))
    >>> [score.time for score in scores], scores[-1].relative_surprise.shape
    ([2, 3, 4, 5, 6], torch.Size([1]))
    """
    check_model(svg)
    check_count("num_samples", num_samples)
    check_count("window", window)
    check_count("seed", seed, least=0)
    state = None
    before: deque[torch.Tensor] = deque(maxlen=window)
    for frame in frames:
        if state is None:
            state = svg.start(frame).expand(num_samples)
            continue
        with seeded(seed_of(seed, state.time), frame.device):
            state = svg.step(state, frame)
        nll, kl = state.nll.mean(0), state.kl.mean(0)
        raw = torch.stack([nll, kl, nll + kl])
        usual = torch.stack([*before]).mean(0) if before else raw * float("nan")
        before.append(raw)
        yield FrameSurprise(state.time, *raw, *(raw - usual))


def moments_of(
    scores: Sequence[float], *, threshold: float = 5.0, apart: int = 3
) -> list[int]:
    r"""The places of the scores that stand out.

    A score stands out where it is the largest within `apart` places and ::

        score - median > threshold * 1.4826 * MAD

    with MAD the median of the distances from the median, a measure of spread that what
    stands out does not move (for Gaussian scores 1.4826 MAD is sigma).

    Parameters
    ----------
    scores : sequence of float
        For instance the `relative_surprise` of each frame of one clip; NaN never
        stands out.
    threshold : float
        Above 0.
    apart : int
        Places to each side.

    Returns
    -------
    list of int
        In ascending order, counted from 0.

    Raises
    ------
    EvaluationError
        When the threshold is not above 0.

    Examples
    --------
    >>> moments_of([0.1, -0.2, 0.0, 9.0, 8.0, -0.1, 0.2, 0.1, -0.1])
    [3]
    """
    if not threshold > 0:
        raise EvaluationError(f"threshold is {threshold!r}; give a number above 0")
    values = torch.tensor([float(score) for score in scores], dtype=torch.float64)
    known = values[~values.isnan()]
    if not len(known):
        return []
    # The quantile, since torch.median is the lower of two in the middle.
    middle = known.quantile(0.5)
    spread = 1.4826 * (known - middle).abs().quantile(0.5)
    # All alike but for rounding: nothing stands out by that.
    least = middle + torch.maximum(threshold * spread, 1e-9 * known.abs().max())
    values = values.nan_to_num(nan=-float("inf"))
    return [
        place
        for place, value in enumerate(values.tolist())
        if value > least
        and value == values[max(0, place - apart) : place + apart + 1].max()
    ]
