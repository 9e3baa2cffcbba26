"""Means over clips and their intervals, from a stream of clips that is forgotten."""

from svg_pyro.metrics import PROTOCOLS
from svg_pyro.metrics.curves import KINDS, estimate_of
from svg_pyro.metrics.moments import Running


class ScoreTotals:
    """What `svg_pyro.metrics.Curves` sums up, without keeping a curve of any clip."""

    def __init__(self):
        self._steps, self._clips, self._infinite = {}, {}, {}

    def add(self, curves):
        """Take in the `Curves` of a few clips."""
        metrics = ("mse", "psnr", "ssim", *curves.distances)
        for protocol in curves.protocols:
            for metric in metrics:
                for kind in KINDS:
                    key = f"{protocol.name}/{metric}/{kind}"
                    self._add(key, curves.curves(protocol.name, metric, kind))

    def summary(self):
        """Of `Estimate`, by protocol, metric and "best", "mean" or "worst"."""
        found = {}
        for key, steps in self._steps.items():
            protocol, metric, kind = key.split("/")
            ddof, clips = PROTOCOLS[protocol].ddof, self._clips[key]
            place = found.setdefault(protocol, {}).setdefault(metric, {})
            place[kind] = estimate_of(
                steps, clips, infinite=self._infinite[key], ddof=ddof
            )
        return found

    def state_dict(self):
        """All that `load_state_dict` needs to go on."""
        return {
            key: {
                "steps": steps.state_dict(),
                "clips": self._clips[key].state_dict(),
                "infinite": self._infinite[key],
            }
            for key, steps in self._steps.items()
        }

    def load_state_dict(self, state):
        """Go on from where `state_dict` was taken."""
        for key, stored in state.items():
            for place, part in ((self._steps, "steps"), (self._clips, "clips")):
                place[key] = Running()
                place[key].load_state_dict(stored[part])
            self._infinite[key] = stored["infinite"]

    def _add(self, key, curves):
        clips = curves.mean(1)
        for place, values in ((self._steps, curves), (self._clips, clips)):
            place.setdefault(key, Running()).update(values)
        infinite = int(clips.isinf().sum())
        self._infinite[key] = self._infinite.get(key, 0) + infinite
