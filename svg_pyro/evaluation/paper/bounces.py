"""Where a digit goes after a bounce: truth against samples."""

from dataclasses import dataclass

import torch

from svg_pyro.data.moving_mnist import DIGIT_SIZE, MovingMNIST
from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation.candidates import Candidate
from svg_pyro.evaluation.paper.futures import futures_of_clips


def locate(frames: torch.Tensor, templates: torch.Tensor) -> torch.Tensor:
    """Where in each frame its digit fits best.

    The place p of least squared error ``sum_u (x(p + u) - d(u))^2`` over all shifts
    of the digit d on an otherwise black frame x. As d lies wholly inside the frame
    at every place, this is the place of highest correlation ``sum_u x(p + u) d(u)``,
    which is computed by FFT. On a clean frame of one digit it is exact.

    Parameters
    ----------
    frames : torch.Tensor
        Shape ``(*batch, H, W)``, values in [0, 1].
    templates : torch.Tensor
        Digits, shape ``(*batch, h, w)`` that broadcasts, values in [0, 1], not black.

    Returns
    -------
    torch.Tensor
        int64, shape ``(*batch, 2)``: the top left corner (y, x) in pixels. Of equals
        the first.
    """
    size = frames.shape[-2:]
    spectrum = torch.fft.rfft2(templates.double(), s=size).conj()
    fit = torch.fft.irfft2(torch.fft.rfft2(frames.double()) * spectrum, s=size)
    height, width = templates.shape[-2:]
    rows, columns = size[0] - height + 1, size[1] - width + 1
    best = fit[..., :rows, :columns].flatten(-2).argmax(-1)
    return torch.stack([best // columns, best % columns], -1)


@dataclass(frozen=True)
class Bounces:
    """Clips that end one frame after a digit's bounce.

    The digit bounces in frame n (its velocity is drawn again there); frame n + 1
    shows where it goes.

    Attributes
    ----------
    clips : torch.Tensor
        uint8, shape ``(B, n + 1, 1, H, W)``.
    templates : torch.Tensor
        The digits, shape ``(B, 32, 32)``, values in [0, 1].
    places : torch.Tensor
        int64 ``(B, 2)``: the digit's top left corner (y, x) in frame n.
    axis : torch.Tensor
        int64 ``(B,)``: 0 where it bounced off the upper or lower edge, else 1.
    inward : torch.Tensor
        int64 ``(B,)``: the sign of a step away from the edge.
    """

    clips: torch.Tensor
    templates: torch.Tensor
    places: torch.Tensor
    axis: torch.Tensor
    inward: torch.Tensor

    def displacements(self, frames: torch.Tensor) -> torch.Tensor:
        """How far the digit is from where it bounced.

        Parameters
        ----------
        frames : torch.Tensor
            Shape ``(*samples, B, H, W)``, values in [0, 1].

        Returns
        -------
        torch.Tensor
            int64 ``(*samples, B, 2)`` in pixels: away from the edge, and along it.
        """
        moved = locate(frames, self.templates.to(frames.device)).cpu() - self.places
        clips = torch.arange(len(self.axis))
        away = moved[..., clips, self.axis] * self.inward
        return torch.stack([away, moved[..., clips, 1 - self.axis]], -1)


_Fields = tuple[torch.Tensor, ...]


def find_bounces(data: MovingMNIST, n_past: int, count: int) -> Bounces:
    """The first bounce off a single edge in each of a data set's first clips.

    Parameters
    ----------
    data : MovingMNIST
        Of one digit; in each clip bounces from frame `n_past` on are looked for.
    n_past : int
        Frames up to the bounce, the one where it happens included.
    count : int
        Clips to find; fewer if the data set has fewer.

    Returns
    -------
    Bounces

    Raises
    ------
    EvaluationError
        If the clips have more than one digit, or not one has such a bounce.
    """
    if data.num_digits != 1:
        raise EvaluationError(
            f"clips of {data.num_digits} digits: their places cannot be told in "
            "samples; give clips of one"
        )
    bounces: list[_Fields] = []
    for index in range(len(data)):
        if len(bounces) == count:
            break
        bounce = _first_bounce(data.clip_with_bounces(index), n_past, data.image_size)
        if bounce is not None:
            bounces.append(bounce)
    if not bounces:
        raise EvaluationError(
            f"no clip of {data.n_frames} frames bounces after {n_past} frames; give "
            "longer clips"
        )
    return Bounces(*(torch.stack(field) for field in zip(*bounces, strict=True)))


def _first_bounce(
    clip: dict[str, torch.Tensor], n_past: int, image_size: int
) -> _Fields | None:
    """The fields of `Bounces` of one clip, or None."""
    last = image_size - DIGIT_SIZE
    times = clip["bounces"][n_past - 1 : -1, 0].nonzero()[:, 0] + n_past - 1
    for t in times.tolist():
        place = clip["positions"][t, 0]
        at_edge = (place == 0) | (place == last)
        # In a corner, or beside the other edge, it is not known which one it left.
        if at_edge.sum() != 1:
            continue
        axis = at_edge.int().argmax()
        y, x = place.tolist()
        frames = clip["frames"][t - n_past + 1 : t + 2]
        digit = frames[n_past - 1, 0, y : y + DIGIT_SIZE, x : x + DIGIT_SIZE] / 255
        return frames, digit, place, axis, torch.where(place[axis] == 0, 1, -1)
    return None


def displacements(
    candidate: Candidate, bounces: Bounces, num_samples: int, *, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Displacements in the frame after a bounce, true and sampled.

    Parameters
    ----------
    candidate : Candidate
        What predicts.
    bounces : Bounces
        Clips that end one frame after a bounce.
    num_samples : int
        For each clip; one where all would be the same.
    seed : int
        Of the samples.

    Returns
    -------
    truth, sampled : torch.Tensor
        int64 ``(B, 2)`` and ``(S, B, 2)`` in pixels: away from the edge, along it.
    """
    n_past = bounces.clips.shape[1] - 1
    batches = list(
        futures_of_clips(candidate, bounces.clips, n_past, num_samples, seed=seed)
    )
    truth = torch.cat([true for true, _ in batches])
    samples = torch.cat([drawn for _, drawn in batches], 1)
    # One sample at a time: its spectrum is four times as large as its frames.
    sampled = [bounces.displacements(sample[:, 0, 0]) for sample in samples]
    return bounces.displacements(truth[:, 0, 0]), torch.stack(sampled)


def histogram(values: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Shares of whole numbers from `low` to `high`, to which others are clipped.

    Parameters
    ----------
    values : torch.Tensor
        int64, any shape.
    low, high : int
        The least and the greatest that is told apart.

    Returns
    -------
    torch.Tensor
        float64, shape ``(high - low + 1,)``, sums to 1.
    """
    places = values.flatten().clamp(low, high) - low
    return torch.bincount(places, minlength=high - low + 1).double() / places.numel()


def total_variation(a: torch.Tensor, b: torch.Tensor) -> float:
    """Total variation distance of two samples of whole numbers: in [0, 1].

    Half the sum over values of the absolute difference of their shares.
    """
    return (_shares_of(a, b).diff(dim=0).abs().sum() / 2).item()


def wasserstein(a: torch.Tensor, b: torch.Tensor) -> float:
    """Wasserstein-1 distance of two samples of whole numbers, in their unit."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(a.flatten().numpy(), b.flatten().numpy()))


def _shares_of(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Histograms of both over all that occurs in either, shape ``(2, values)``."""
    low = int(min(a.min(), b.min()))
    high = int(max(a.max(), b.max()))
    return torch.stack([histogram(v, low, high) for v in (a, b)])
