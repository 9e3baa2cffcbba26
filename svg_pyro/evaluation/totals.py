"""Means over clips and their intervals, from a stream of clips that is forgotten."""

from collections.abc import Mapping
from typing import Any

import torch

from svg_pyro.metrics import PROTOCOLS, Estimate
from svg_pyro.metrics.curves import KINDS
from svg_pyro.metrics.estimates import CurveTotal


class ScoreTotals:
    """What `svg_pyro.metrics.Curves` sums up, without keeping a curve of any clip.

    As there, clips whose PSNR is infinite are counted and left out of the means.
    """

    def __init__(self) -> None:
        self._totals: dict[str, CurveTotal] = {}

    def add(self, curves: Mapping[str, torch.Tensor]) -> None:
        """Take in the `Curves.state_dict` of a few clips."""
        for key, values in curves.items():
            if key.rpartition("/")[2] in KINDS:
                self._totals.setdefault(key, CurveTotal()).add(values)

    def summary(self) -> dict[str, dict[str, dict[str, Estimate]]]:
        """Of `Estimate`, by protocol, metric and "best", "mean" or "worst"."""
        summary: dict[str, dict[str, dict[str, Estimate]]] = {}
        for key, total in self._totals.items():
            protocol, metric, kind = key.split("/")
            kinds = summary.setdefault(protocol, {}).setdefault(metric, {})
            kinds[kind] = total.estimate(PROTOCOLS[protocol].ddof)
        return summary

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on."""
        return {key: total.state_dict() for key, total in self._totals.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        for key, stored in state.items():
            self._totals[key] = CurveTotal()
            self._totals[key].load_state_dict(stored)
