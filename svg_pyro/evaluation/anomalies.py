"""Anomalies planted in Moving MNIST of one digit, and how well scores tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from svg_pyro.data.moving_mnist import DIGIT_SIZE, MovingMNIST
from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation.surprise import SCORES, frame_surprises
from svg_pyro.util.seeds import seed_of
from svg_pyro.util.tensors import to_float

KINDS = ("teleport", "wall", "freeze", "digit")
_FIRST = 5  # frames that are as they should be, at least
_SPAN = 3  # frames, from the first that is not, of which the highest score counts
_FAR = 12  # pixels along an axis that a teleported digit jumps, at least
_FAST = 2  # pixels a frame along an axis of a digit that is frozen, at least


@dataclass(frozen=True)
class Planted:
    """A clip in which something happens that does not happen in the data.

    Attributes
    ----------
    frames : torch.Tensor
        uint8, ``(T, 1, H, W)``.
    time : int
        The first frame that is not as it should be, counted from 0.
    """

    frames: torch.Tensor
    time: int


@dataclass(frozen=True)
class Detection:
    """How well one score tells clips with an anomaly from the same clips without.

    Attributes
    ----------
    kind : str
        Of `KINDS`.
    score : str
        Of `svg_pyro.evaluation.surprise.SCORES`.
    auc : float
        Area under the ROC curve, in [0, 1]; 0.5 says nothing.
    low, high : float
        Its 95 % interval, by the bootstrap over clips.
    clips : int
        Clips with, and as many without.
    """

    kind: str
    score: str
    auc: float
    low: float
    high: float
    clips: int


def plant(data: MovingMNIST, index: int, kind: str, *, seed: int = 0) -> Planted | None:
    """A clip of a data set with an anomaly in it.

    - "teleport": the digit is somewhere else, and goes on from there as it went.
    - "wall": where it should bounce, it goes on, out of the picture.
    - "freeze": it stops, and stays.
    - "digit": it is another clip's digit from there on.

    Parameters
    ----------
    data : MovingMNIST
        Of one digit, in clips of 8 frames or more.
    index : int
        The clip.
    kind : str
        Of `KINDS`.
    seed : int
        Draws when and where, 0 or more.

    Returns
    -------
    Planted or None
        None where this clip has no place for it: a digit that never bounces does not
        go through a wall.

    Raises
    ------
    EvaluationError
        There is no such kind, or the data are of more digits or shorter clips.
    """
    if kind not in KINDS:
        raise EvaluationError(f"no anomaly {kind!r}; choose one of {list(KINDS)}")
    if data.num_digits != 1 or data.n_frames < _FIRST + _SPAN:
        raise EvaluationError(
            f"clips of {data.num_digits} digits and {data.n_frames} frames; anomalies "
            f"are planted in those of 1 digit and {_FIRST + _SPAN} frames or more"
        )
    clip = data.clip_with_bounces(index)
    path = clip["positions"][:, 0].numpy()
    bounced = clip["bounces"][:, 0].numpy()
    rng = np.random.default_rng([seed, index, KINDS.index(kind)])
    times = np.arange(_FIRST, data.n_frames - _SPAN + 1)
    # The way to a frame is known where the velocity was not drawn just before.
    steady = times[~bounced[times - 1]]
    speed = path[times] - path[times - 1]
    other = path.copy()
    image = _digit(clip)
    if kind == "wall":
        times = steady[bounced[steady]]
    elif kind == "freeze":
        times = times[np.abs(speed).max(1) >= _FAST]
    if not len(times):
        return None
    t = int(times[0] if kind == "wall" else rng.choice(times))
    if kind == "digit":
        second = _digit(data.clip_with_bounces((index + 1) % len(data)))
        frames = _drawn(image, path, data.image_size)
        frames[t:] = _drawn(second, path[t:], data.image_size)
        return Planted(frames, t)
    if kind == "freeze":
        other[t:] = path[t - 1]
    elif kind == "wall":
        step = path[t - 1] - path[t - 2]
        other[t:] = path[t - 1] + step * np.arange(1, len(path) - t + 1)[:, None]
    else:
        other[t:] = _reflected(
            _far_from(path[t], data.image_size - DIGIT_SIZE, rng),
            path[t - 1] - path[t - 2],
            len(path) - t,
            data.image_size - DIGIT_SIZE,
        )
    return Planted(_drawn(image, other, data.image_size), t)


def detections(
    svg: Any,
    data: MovingMNIST,
    *,
    clips: int = 200,
    batch_size: int = 32,
    num_samples: int = 8,
    seed: int = 0,
) -> list[Detection]:
    """How well each score tells each kind of anomaly, on the first clips of a data set.

    A clip's score is the highest of the anomaly's first three frames; the clips without
    are the same ones, as they are, at the same frames.

    Parameters
    ----------
    svg : SVG
        Trained on such clips.
    data : MovingMNIST
        Of one digit.
    clips : int
        From the first one, of which each kind takes those that have a place for it.
    batch_size : int
        Clips at a time.
    num_samples : int
        Draws of the latents that are averaged.
    seed : int
        Of the anomalies and of the draws.

    Returns
    -------
    list of Detection
        By kind, then by score.

    Raises
    ------
    EvaluationError
        As `plant`; or fewer than two of the clips have a place for a kind.
    """
    indices = range(min(clips, len(data)))
    options = {"batch_size": batch_size, "num_samples": num_samples, "seed": seed}
    usual = _scores(svg, [data.clip(i) for i in indices], **options)
    found = []
    for kind in KINDS:
        planted = [(i, plant(data, i, kind, seed=seed)) for i in indices]
        pairs = [(i, p) for i, p in planted if p is not None]
        if len(pairs) < 2:
            raise EvaluationError(
                f"{len(pairs)} of {len(indices)} clips have a place for a {kind}; give "
                "more or longer clips"
            )
        scores = _scores(svg, [p.frames for _, p in pairs], **options)
        for row, name in enumerate(SCORES):
            ones = _highest(scores[row], [p.time for _, p in pairs])
            zeros = _highest(
                usual[row][[i for i, _ in pairs]], [p.time for _, p in pairs]
            )
            auc, low, high = auc_with_interval(ones, zeros, seed=seed)
            found.append(Detection(kind, name, auc, low, high, len(pairs)))
    return found


def auc_with_interval(
    ones: torch.Tensor, zeros: torch.Tensor, *, resamples: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Area under the ROC curve of pairs, and its 95 % interval by the bootstrap.

    Parameters
    ----------
    ones, zeros : torch.Tensor
        Scores of the same clips with and without, each ``(N,)``; clips are drawn
        with both of their scores.
    resamples : int
        Of the bootstrap.
    seed : int
        Of the bootstrap.

    Returns
    -------
    auc, low, high : float
        In [0, 1].

    Raises
    ------
    EvaluationError
        A score is not finite.
    """
    if not (ones.isfinite().all() and zeros.isfinite().all()):
        raise EvaluationError("scores hold NaN or infinity; check the model")
    higher = (ones[:, None] > zeros).double() + 0.5 * (ones[:, None] == zeros).double()
    generator = torch.Generator().manual_seed(seed_of(seed))
    drawn = torch.randint(len(ones), (resamples, len(ones)), generator=generator)
    # How often each clip was drawn: the mean over pairs of drawn clips.
    counts = torch.zeros(resamples, len(ones), dtype=torch.float64)
    counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
    counts /= len(ones)
    aucs = ((counts @ higher) * counts).sum(1)
    low, high = aucs.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return higher.mean().item(), low.item(), high.item()


def _scores(
    svg: Any,
    clips: Sequence[torch.Tensor],
    *,
    batch_size: int,
    num_samples: int,
    seed: int,
) -> torch.Tensor:
    """``(scores, clips, T)``, float64, on the CPU; NaN of frames without a score."""
    device = next(svg.parameters()).device
    rows = []
    for start in range(0, len(clips), batch_size):
        batch = torch.stack([*clips[start : start + batch_size]])
        video = to_float(batch, device).transpose(0, 1)
        scored = frame_surprises(svg, video, num_samples=num_samples, seed=seed)
        by_time = [
            torch.stack([getattr(score, name) for name in SCORES]).double().cpu()
            for score in scored
        ]
        first = torch.full_like(by_time[0], float("nan"))
        rows.append(torch.stack([first, *by_time], -1))
    return torch.cat(rows, 1)


def _highest(scores: torch.Tensor, times: Sequence[int]) -> torch.Tensor:
    """Of each clip ``(T,)``, the highest score of the frames from its time on."""
    return torch.stack(
        [s[t : t + _SPAN].max() for s, t in zip(scores, times, strict=True)]
    )


def _digit(clip: dict[str, torch.Tensor]) -> np.ndarray:
    """The digit of a clip, uint8 ``(32, 32)``."""
    y, x = clip["positions"][0, 0].tolist()
    frame: np.ndarray = clip["frames"][0, 0].numpy()
    return frame[y : y + DIGIT_SIZE, x : x + DIGIT_SIZE]


def _drawn(image: np.ndarray, path: np.ndarray, size: int) -> torch.Tensor:
    """A digit along a path that may leave the picture: uint8 ``(T, 1, H, W)``."""
    frames = np.zeros((len(path), 1, size, size), np.uint8)
    for frame, (y, x) in zip(frames, path.tolist(), strict=True):
        top, left = max(0, y), max(0, x)
        seen = image[top - y : max(0, size - y), left - x : max(0, size - x)]
        frame[0, top : top + seen.shape[0], left : left + seen.shape[1]] = seen
    return torch.from_numpy(frames)


def _far_from(place: np.ndarray, last: int, rng: np.random.Generator) -> np.ndarray:
    """A place within the picture, far from another one."""
    while True:
        other = rng.integers(last + 1, size=2)
        if np.abs(other - place).max() >= _FAR:
            return other


def _reflected(
    place: np.ndarray, speed: np.ndarray, steps: int, last: int
) -> np.ndarray:
    """Places from `place` on, reflected by the edges, ``(steps, 2)``."""
    ways = place + speed * np.arange(steps)[:, None]
    ways = np.abs(ways) % (2 * last)
    return np.minimum(ways, 2 * last - ways)
