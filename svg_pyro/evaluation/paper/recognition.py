"""Whether a digit is still the digit that it was: by a classifier of true frames."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from svg_pyro.data.moving_mnist import DIGIT_SIZE, MovingMNIST
from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation.candidates import Candidate
from svg_pyro.evaluation.paper.futures import futures_of_clips
from svg_pyro.metrics import PROTOCOLS, ssim
from svg_pyro.util.optional import need

_WINDOW = DIGIT_SIZE + 8  # pixels around a digit's centre of mass
_TRAINED_ON = 6000


@dataclass(frozen=True)
class Recognition:
    """Shares of clips whose digit is named rightly, by predicted frame.

    Attributes
    ----------
    best, any_sample : torch.Tensor
        In the sample of highest SSIM, and over all samples; ``(horizon,)``.
    truth : torch.Tensor
        In the true future: how good the classifier itself is.
    clips : int
        Clips that were predicted.
    """

    best: torch.Tensor
    any_sample: torch.Tensor
    truth: torch.Tensor
    clips: int


def centred(frames: torch.Tensor) -> torch.Tensor:
    """The window around each frame's centre of mass, at half its size.

    Parameters
    ----------
    frames : torch.Tensor
        Shape ``(*batch, H, W)``, values in [0, 1].

    Returns
    -------
    torch.Tensor
        Shape ``(*batch, 20, 20)``; black beyond the frame's edge.
    """
    height, width = frames.shape[-2:]
    mass = frames.sum((-1, -2)).clamp_min(1e-6)
    rows = torch.arange(height, dtype=frames.dtype, device=frames.device)
    columns = torch.arange(width, dtype=frames.dtype, device=frames.device)
    y = (frames.sum(-1) @ rows / mass).round().long()
    x = (frames.sum(-2) @ columns / mass).round().long()
    margin = _WINDOW // 2
    whole = frames.reshape(-1, height, width)
    padded = torch.nn.functional.pad(whole, (margin,) * 4)
    windows = [
        frame[top : top + _WINDOW, left : left + _WINDOW]
        for frame, top, left in zip(
            padded, y.flatten().tolist(), x.flatten().tolist(), strict=True
        )
    ]
    small = torch.nn.functional.avg_pool2d(torch.stack(windows)[:, None], 2)[:, 0]
    return small.reshape(*frames.shape[:-2], *small.shape[-2:])


class Recogniser:
    """scikit-learn's support vector machine over digits as Moving MNIST draws them.

    Parameters
    ----------
    digits : torch.Tensor
        uint8, shape ``(N, h, h)``, of the training split; the first 6,000 are used.
    labels : torch.Tensor
        int64, shape ``(N,)``.

    Raises
    ------
    DataError
        scikit-learn is not installed.
    """

    def __init__(self, digits: torch.Tensor, labels: torch.Tensor) -> None:
        svm = need("sklearn.svm", "scikit-learn", "recognising digits")
        images = _alone(digits[:_TRAINED_ON])
        self._machine: Any = svm.SVC(C=10)
        self._machine.fit(
            centred(images).flatten(1).numpy(), labels[:_TRAINED_ON].numpy()
        )

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """Classes of frames ``(*batch, H, W)``: int64 ``(*batch,)``."""
        windows = centred(frames.cpu()).flatten(-2)
        classes = self._machine.predict(windows.flatten(0, -2).numpy())
        named: torch.Tensor = torch.from_numpy(classes)
        return named.reshape(windows.shape[:-1])


def _alone(digits: torch.Tensor) -> torch.Tensor:
    """Digits as they are drawn, each alone in a frame; ``(N, 64, 64)`` in [0, 1]."""
    large = torch.nn.functional.interpolate(
        digits[:, None].float() / 255, (DIGIT_SIZE, DIGIT_SIZE), mode="bilinear"
    )
    return torch.nn.functional.pad(large[:, 0], (DIGIT_SIZE // 2,) * 4)


def recognition(
    candidate: Candidate,
    data: MovingMNIST,
    labels: torch.Tensor,
    recognise: Callable[[torch.Tensor], torch.Tensor],
    *,
    n_past: int,
    clips: int,
    num_samples: int,
    seed: int = 0,
) -> Recognition:
    """How often the digit of sampled futures is still named rightly.

    Parameters
    ----------
    candidate : Candidate
        What predicts.
    data : MovingMNIST
        Of one digit; its first `clips` clips are predicted.
    labels : torch.Tensor
        The class of each of the data's digits, ``(N,)``.
    recognise : callable
        A `Recogniser`.
    n_past : int
        Frames of context.
    clips, num_samples : int
        Clips, and futures of each.
    seed : int
        Of the samples.

    Raises
    ------
    EvaluationError
        The clips have more than one digit.
    """
    if data.num_digits != 1:
        raise EvaluationError(
            f"clips of {data.num_digits} digits cannot be told apart in samples; give "
            "clips of one"
        )
    drawn = [data.clip_with_bounces(i) for i in range(min(clips, len(data)))]
    frames = torch.stack([clip["frames"] for clip in drawn])
    classes = labels[torch.cat([clip["digits"] for clip in drawn])]
    window, first = PROTOCOLS["svg"].window, 0
    sums: list[torch.Tensor] = []
    for truth, samples in futures_of_clips(
        candidate, frames, n_past, num_samples, seed=seed
    ):
        right = classes[first : first + truth.shape[0], None]
        first += truth.shape[0]
        likeness = ssim(samples, truth.expand_as(samples), window=window)
        best = likeness.mean(-1).argmax(0)
        named = recognise(samples[:, :, :, 0]) == right
        sums.append(
            torch.stack(
                [
                    named[best.cpu(), torch.arange(len(right))].double().sum(0),
                    named.double().mean(0).sum(0),
                    (recognise(truth[:, :, 0]) == right).double().sum(0),
                ]
            )
        )
    best_share, any_share, true_share = torch.stack(sums).sum(0) / first
    return Recognition(best_share, any_share, true_share, first)
