"""Are samples distributed as the truth is? The scores of `ensembles` over many clips."""

import math
from dataclasses import dataclass

import torch

from svg_pyro.errors import EvaluationError
from svg_pyro.metrics.checks import check_frames, check_samples
from svg_pyro.metrics.ensembles import (
    at_least_two,
    crps_of_sorted,
    ranks_of_sorted,
    reliability,
    spread_skill_of,
)


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


class Calibration:
    """Sums over clips of the scores above; its size does not depend on their number.

    Parameters
    ----------
    seed : int
        Breaks the ties of ranks.
    """

    def __init__(self, seed=0):
        self._generator = torch.Generator().manual_seed(seed)
        self._sums = {}
        self.num_samples = self.num_clips = 0

    @torch.no_grad()
    def update(self, truth, samples):
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
        check_frames(truth, "true frames")
        check_samples(samples, truth.shape)
        at_least_two(samples)
        count, shape = len(samples), tuple(truth.shape[1:])
        if not self._sums:
            self._start(count, shape)
        before = self.num_samples, tuple(self._sums["crps"].shape)
        if before != (count, shape):
            raise EvaluationError(
                f"{count} samples of frames {shape} after clips with {before[0]} of "
                f"{before[1]}; score all clips alike"
            )
        for b, clip in enumerate(truth):
            for t, frame in enumerate(clip):
                self._add_frame(t, samples[:, b, t].flatten(1), frame)
        self.num_clips += len(truth)

    def summary(self):
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
        pixels = sums["crps"] / clips
        curve = pixels.flatten(1).mean(-1)
        squares = (sums["crps_squares"] - clips * curve**2).clamp(min=0)
        variance = squares / (clips - 1 if clips > 1 else math.nan)
        nominal, observed = reliability(sums["ranks"])
        spread, error = (sums[k] / clips for k in ("variance", "error"))
        return CalibrationSummary(
            crps=curve,
            crps_half=1.96 * (variance / clips).sqrt(),
            crps_pixels=pixels.mean(0),
            rank_histogram=sums["ranks"].clone(),
            nominal=nominal,
            observed=observed,
            spread_skill=spread_skill_of(spread, error, self.num_samples),
            diversity=(2 * spread).sqrt(),
        )

    def state_dict(self):
        """All that `load_state_dict` needs to go on: tensors by name."""
        counts = {
            "num_samples": torch.tensor(self.num_samples),
            "num_clips": torch.tensor(self.num_clips),
            "generator": self._generator.get_state(),
        }
        return counts | {k: v.clone() for k, v in self._sums.items()}

    def load_state_dict(self, state):
        """Go on from where `state_dict` was taken."""
        sums = {k: v.clone() for k, v in state.items()}
        self.num_samples = int(sums.pop("num_samples"))
        self.num_clips = int(sums.pop("num_clips"))
        self._generator.set_state(sums.pop("generator"))
        self._sums = sums

    def _start(self, count, shape):
        steps = shape[0]
        self.num_samples = count
        self._sums = {
            name: torch.zeros(size, dtype=torch.float64)
            for name, size in (
                ("crps", shape),
                ("crps_squares", steps),
                ("variance", steps),
                ("error", steps),
            )
        }
        self._sums["ranks"] = torch.zeros(steps, count + 1, dtype=torch.int64)

    def _add_frame(self, t, samples, frame):
        """Add one frame's scores; sorts its samples once for all of them."""
        sums, truth = self._sums, frame.flatten()
        ordered = samples.T.contiguous().sort(-1).values
        sums["ranks"][t] += ranks_of_sorted(ordered, truth, self._generator).cpu()
        ordered = ordered.double() - truth[:, None].double()
        scores = crps_of_sorted(ordered, fair=True).cpu()
        sums["crps"][t] += scores.view(frame.shape)
        sums["crps_squares"][t] += scores.mean().square()
        sums["variance"][t] += ordered.var(-1).mean().cpu()
        sums["error"][t] += ordered.mean(-1).square().mean().cpu()
