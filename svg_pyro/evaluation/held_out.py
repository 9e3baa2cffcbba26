"""Likelihood and KL over a stream of test clips."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from svg_pyro.evaluation.likelihood import (
    Likelihood,
    bits_a_dimension,
    bound,
)
from svg_pyro.evaluation.results import (
    BoundResult,
    KLResult,
    LikelihoodResult,
    MeanAndError,
)
from svg_pyro.metrics.moments import Running
from svg_pyro.model.smc import effective_sample_size

ACTIVE = 0.01  # of the posterior mean's variance, and of nats


class HeldOut:
    """Sums over clips of what `svg_pyro.evaluation.likelihood` gives; of a fixed size.

    Parameters
    ----------
    particles : sequence of int
        The K of the bounds.
    """

    def __init__(self, particles: Sequence[int]) -> None:
        self.particles = tuple(sorted(particles))
        self._sums: dict[str, Running] = {}
        self._dimensions, self._exact, self._is_density = 0, False, True

    def update(self, clips: Likelihood) -> None:
        """Take in a batch of clips, of as many draws as the last K."""
        steps = clips.kl.shape[1]
        self._dimensions, self._exact = clips.dimensions, clips.exact
        self._is_density = clips.is_density
        weights = clips.log_weights
        if clips.exact:
            weights = weights.expand(self.particles[-1], -1)
        for k in self.particles:
            self._add(f"bound/{k}", bound(weights, k) / steps)
        self._add("ess", effective_sample_size(weights))
        self._add("kl", clips.kl)
        self._add("kl_clip", clips.kl.mean(1))
        if clips.kl_by_unit is not None:
            self._add("unit", clips.kl_by_unit.mean(1))
        if clips.posterior_mean is not None:
            self._add("latent", clips.posterior_mean.flatten(0, 1))

    def summary(self) -> LikelihoodResult | None:
        """What there is of the clips so far; None without clips."""
        if not self._sums:
            return None
        kl = self._sums["kl"]
        units, active, informed = self._units()
        return LikelihoodResult(
            clips=kl.count,
            scored_frames=len(kl.mean),
            bounds=tuple(self._bound(k) for k in self.particles),
            effective_sample_size=None if self._exact else self._estimate("ess"),
            kl=self._kl(),
            units=units,
            active_units=active,
            informed_units=informed,
        )

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on."""
        return {
            "sums": {k: v.state_dict() for k, v in self._sums.items()},
            "dimensions": self._dimensions,
            "exact": self._exact,
            "is_density": self._is_density,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self._dimensions, self._exact = state["dimensions"], state["exact"]
        self._is_density = state.get("is_density", True)
        for key, stored in state["sums"].items():
            self._sums[key] = Running()
            self._sums[key].load_state_dict(stored)

    def _add(self, key: str, values: torch.Tensor) -> None:
        self._sums.setdefault(key, Running()).update(values)

    def _estimate(self, key: str) -> MeanAndError:
        sums = self._sums[key]
        return MeanAndError(mean=sums.mean.item(), se=sums.error().item())

    def _bound(self, particles: int) -> BoundResult:
        nats = self._estimate(f"bound/{particles}")
        return BoundResult(
            particles=particles,
            nats_per_frame=nats.mean,
            nats_per_frame_se=nats.se,
            bits_per_dimension=bits_a_dimension(
                nats.mean, self._dimensions, is_density=self._is_density
            ),
            bits_per_dimension_se=nats.se / (self._dimensions * math.log(2)),
        )

    def _kl(self) -> KLResult:
        steps, clips = self._sums["kl"], self._estimate("kl_clip")
        unit = self._sums.get("unit")
        return KLResult(
            mean=clips.mean,
            se=clips.se,
            per_step=tuple(steps.mean.tolist()),
            per_step_half_width=tuple(steps.half().tolist()),
            per_unit=None if unit is None else tuple(unit.mean.tolist()),
        )

    def _units(self) -> tuple[int | None, int | None, int | None]:
        """Latent dimensions, active ones, and informed ones, where they are known."""
        units = active = informed = None
        if "latent" in self._sums:
            variance = self._sums["latent"].variance()
            units, active = len(variance), int((variance > ACTIVE).sum())
        if "unit" in self._sums:
            informed = int((self._sums["unit"].mean > ACTIVE).sum())
        return units, active, informed
