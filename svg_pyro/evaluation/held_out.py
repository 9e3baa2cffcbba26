"""Likelihood and KL over a stream of test clips."""

import math

from svg_pyro.evaluation.likelihood import (
    bits_a_dimension,
    bound,
    effective_sample_size,
    likelihood,
)
from svg_pyro.metrics.moments import Running

ACTIVE = 0.01  # of the posterior mean's variance, and of nats


class HeldOut:
    """Sums over clips of what `svg_pyro.evaluation.likelihood` gives; of a fixed size.

    Parameters
    ----------
    particles : sequence of int
        The K of the bounds.
    """

    def __init__(self, particles):
        self.particles = tuple(sorted(particles))
        self._sums, self._dimensions, self._exact = {}, 0, False

    def update(self, svg, frames):
        """Take in a batch of clips ``(B, T, C, H, W)``, floats in [0, 1]."""
        found = likelihood(svg, frames, self.particles[-1])
        steps = frames.shape[1] - 1
        self._dimensions = frames[0, 0].numel()
        self._exact = svg.prior is None
        weights = found.log_weights
        if self._exact:
            weights = weights.expand(self.particles[-1], -1)
        for k in self.particles:
            self._add(f"bound/{k}", bound(weights, k) / steps)
        self._add("ess", effective_sample_size(weights))
        self._add("kl", found.kl)
        self._add("kl_clip", found.kl.mean(1))
        if found.kl_by_unit is not None:
            self._add("unit", found.kl_by_unit.mean(1))
        if found.posterior_mean is not None:
            self._add("latent", found.posterior_mean.flatten(0, 1))

    def summary(self):
        """Plain numbers, in nats a frame and in bits a dimension; None without clips.

        Returns
        -------
        dict or None
            "bounds", one for each K; "effective_sample_size" of the most draws, None
            where the likelihood is exact; "kl" in nats a frame, its curve "per_step"
            and "per_unit"; "active_units", those whose posterior mean varies by more
            than 0.01 over clips and frames (Burda et al. 2016), and "informed_units",
            those of more than 0.01 nats a frame. Standard errors are over clips.
        """
        if not self._sums:
            return None
        kl = self._sums["kl"]
        per_unit = self._sums["unit"].mean.tolist() if "unit" in self._sums else None
        ess = None if self._exact else _estimate(self._sums["ess"])
        return {
            "clips": kl.count,
            "scored_frames": len(kl.mean),
            "bounds": [self._bound(k) for k in self.particles],
            "effective_sample_size": ess,
            "kl": {
                **_estimate(self._sums["kl_clip"]),
                "per_step": kl.mean.tolist(),
                "per_step_half_width": kl.half().tolist(),
                "per_unit": per_unit,
            },
            **self._units(),
        }

    def state_dict(self):
        """All that `load_state_dict` needs to go on."""
        return {
            "sums": {k: v.state_dict() for k, v in self._sums.items()},
            "dimensions": self._dimensions,
            "exact": self._exact,
        }

    def load_state_dict(self, state):
        """Go on from where `state_dict` was taken."""
        self._dimensions, self._exact = state["dimensions"], state["exact"]
        for key, stored in state["sums"].items():
            self._sums[key] = Running()
            self._sums[key].load_state_dict(stored)

    def _add(self, key, values):
        self._sums.setdefault(key, Running()).update(values)

    def _bound(self, particles):
        nats = self._sums[f"bound/{particles}"]
        mean, error = nats.mean.item(), nats.error().item()
        return {
            "particles": particles,
            "nats_per_frame": mean,
            "nats_per_frame_se": error,
            "bits_per_dimension": bits_a_dimension(mean, self._dimensions),
            "bits_per_dimension_se": error / (self._dimensions * math.log(2)),
        }

    def _units(self):
        found = {"units": None, "active_units": None, "informed_units": None}
        if "latent" in self._sums:
            variance = self._sums["latent"].variance()
            found["units"] = len(variance)
            found["active_units"] = int((variance > ACTIVE).sum())
        if "unit" in self._sums:
            found["informed_units"] = int((self._sums["unit"].mean > ACTIVE).sum())
        return found


def _estimate(running):
    return {"mean": running.mean.item(), "se": running.error().item()}
