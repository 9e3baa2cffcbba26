"""Are samples distributed as the truth is? Scores of `ensembles` over many clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from svg_pyro.errors import EvaluationError
from svg_pyro.metrics.checks import (
    check_alike,
    check_frames,
    check_samples,
    check_spread,
)
from svg_pyro.metrics.ensembles import (
    crps_of_sorted,
    places_of_sorted,
    ranks_of_places,
    reliability,
    spread_skill_of,
)
from svg_pyro.metrics.moments import Running


@dataclass(frozen=True)
class CalibrationSummary:
    """What `Calibration` found, over all its clips.

    Attributes
    ----------
    crps : torch.Tensor
        Fair CRPS at each time step, mean over pixels and clips; ``(T,)``.
    crps_half : torch.Tensor
        Half the width of its 95 % interval over clips, NaN for one clip; ``(T,)``.
    crps_pixels : torch.Tensor
        The same at each pixel, mean over time and clips; ``(C, H, W)``.
    rank_histogram : torch.Tensor
        Counts of the truth's ranks at each time step, int64, ``(T, N + 1)``.
    nominal, observed : torch.Tensor
        See `reliability`; ``(N // 2,)`` and ``(T, N // 2)``.
    spread_skill : torch.Tensor
        At each time step, ``(T,)``.
    diversity : torch.Tensor
        Root of the mean over clips of `diversity` squared; ``(T,)``.
    """

    crps: torch.Tensor
    crps_half: torch.Tensor
    crps_pixels: torch.Tensor
    rank_histogram: torch.Tensor
    nominal: torch.Tensor
    observed: torch.Tensor
    spread_skill: torch.Tensor
    diversity: torch.Tensor


@dataclass(frozen=True)
class JudgedClip:
    """What `Calibration` takes in of a clip of T frames of P values; on the CPU.

    Attributes
    ----------
    num_samples : int
        N.
    below, ties : torch.Tensor
        How many samples lie below the truth, and how many equal it; int32, ``(T, P)``.
    crps : torch.Tensor
        Of each value, float64, ``(T, C, H, W)``.
    variance, error : torch.Tensor
        Mean variance of the samples, and mean squared error of their mean; float64,
        ``(T,)``.
    """

    num_samples: int
    below: torch.Tensor
    ties: torch.Tensor
    crps: torch.Tensor
    variance: torch.Tensor
    error: torch.Tensor


class Calibration:
    """Sums over clips of the scores above; its size does not depend on their number.

    Parameters
    ----------
    seed : int
        Breaks the ties of ranks.
    """

    def __init__(self, seed: int = 0) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._sums: dict[str, torch.Tensor] = {}
        self._curve = Running()
        self.num_samples = 0

    @property
    def num_clips(self) -> int:
        """Clips scored so far."""
        return self._curve.count

    @torch.no_grad()
    def update(self, truth: torch.Tensor, samples: torch.Tensor) -> None:
        """Take in a batch of clips with all their samples. An error changes nothing.

        Parameters
        ----------
        truth : torch.Tensor
            Float, shape ``(B, T, C, H, W)``, values in [0, 1].
        samples : torch.Tensor
            Float, shape ``(N, B, T, C, H, W)``, N at least 2, values in [0, 1].

        Raises
        ------
        EvaluationError
            Shapes do not fit each other or the clips before, or values are not in
            [0, 1].
        """
        self.take(judged(truth, samples))

    def take(self, clips: Sequence[JudgedClip]) -> None:
        """Take in clips that `judged` has judged, here or in another process.

        Parameters
        ----------
        clips : sequence of JudgedClip
            The next ones; ties are drawn in their order.

        Raises
        ------
        EvaluationError
            They do not fit the clips before.
        """
        for clip in clips:
            count, shape = clip.num_samples, tuple(clip.crps.shape)
            if not self._sums:
                self._start(count, shape)
            before = tuple(self._sums["crps"].shape)
            check_alike(
                count, f"frames {shape}", before=(self.num_samples, f"frames {before}")
            )
            for t, places in enumerate(zip(clip.below, clip.ties, strict=True)):
                self._sums["ranks"][t] += ranks_of_places(
                    *places, count, self._generator
                )
            for name in ("crps", "variance", "error"):
                self._sums[name] += getattr(clip, name)
            curve = torch.stack([scores.mean() for scores in clip.crps])
            self._curve.update(curve[None])

    def summary(self) -> CalibrationSummary:
        """The scores of all clips so far.

        Returns
        -------
        CalibrationSummary

        Raises
        ------
        EvaluationError
            No clip was scored.
        """
        if not self.num_clips:
            raise EvaluationError("no clip was scored; give at least one")
        sums, clips = self._sums, self.num_clips
        nominal, observed = reliability(sums["ranks"])
        spread, error = (sums[k] / clips for k in ("variance", "error"))
        return CalibrationSummary(
            crps=self._curve.mean,
            crps_half=self._curve.half(),
            crps_pixels=(sums["crps"] / clips).mean(0),
            rank_histogram=sums["ranks"].clone(),
            nominal=nominal,
            observed=observed,
            spread_skill=spread_skill_of(spread, error, self.num_samples),
            diversity=(2 * spread).sqrt(),
        )

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that `load_state_dict` needs to go on: tensors by name."""
        counts = {
            "num_samples": torch.tensor(self.num_samples),
            "generator": self._generator.get_state(),
        }
        curve = {f"curve/{k}": v for k, v in self._curve.state_dict().items()}
        return counts | curve | {k: v.clone() for k, v in self._sums.items()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from where `state_dict` was taken."""
        sums = {k: v.clone() for k, v in state.items()}
        self.num_samples = int(sums.pop("num_samples"))
        names = self._curve.state_dict()
        self._curve.load_state_dict({k: sums.pop(f"curve/{k}") for k in names})
        self._generator.set_state(sums.pop("generator"))
        self._sums = sums

    def _start(self, count: int, shape: tuple[int, ...]) -> None:
        steps = shape[0]
        self.num_samples = count
        sizes: dict[str, Sequence[int]] = {
            "crps": shape,
            "variance": (steps,),
            "error": (steps,),
        }
        self._sums = {
            name: torch.zeros(size, dtype=torch.float64) for name, size in sizes.items()
        }
        self._sums["ranks"] = torch.zeros(steps, count + 1, dtype=torch.int64)


@torch.no_grad()
def judged(truth: torch.Tensor, samples: torch.Tensor) -> list[JudgedClip]:
    """What `Calibration.take` needs of a batch of clips; arguments of its `update`.

    Raises
    ------
    EvaluationError
        Shapes do not fit each other, or values are not in [0, 1].
    """
    check_frames(truth, "true frames")
    check_samples(samples, truth.shape)
    check_spread(samples)
    return [_judged_clip(clip, samples[:, b]) for b, clip in enumerate(truth)]


def _judged_clip(clip: torch.Tensor, samples: torch.Tensor) -> JudgedClip:
    found: list[tuple[torch.Tensor, ...]] = []
    for t, frame in enumerate(clip):
        truth = frame.flatten()
        # Sorted once for all.
        ordered = samples[:, t].flatten(1).T.contiguous().sort(-1).values
        places = places_of_sorted(ordered, truth)
        ordered = ordered.double() - truth[:, None].double()
        scores = crps_of_sorted(ordered, fair=True).view(frame.shape)
        error = ordered.mean(-1).square().mean()
        found.append((*places, scores, ordered.var(-1).mean(), error))
    stacked = (torch.stack(parts).cpu() for parts in zip(*found, strict=True))
    return JudgedClip(len(samples), *stacked)
