"""Scores of many clips under several protocols at once, from one set of samples."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from svg_pyro.errors import EvaluationError
from svg_pyro.metrics.checks import check_alike
from svg_pyro.metrics.estimates import CurveTotal, Estimate
from svg_pyro.metrics.images import FrameScores
from svg_pyro.metrics.protocols import PROTOCOLS, Protocol, find_protocols

KINDS = ("best", "mean", "worst")

Score = Callable[[torch.Tensor], torch.Tensor]
"""From samples ``(N, B, T, C, H, W)`` to distances ``(N, B, T)``."""


class Curves:
    """Best, mean and worst of N samples, for each clip, metric and time step.

    Samples come in any number of portions and are forgotten: what stays of a clip is
    three curves for each protocol and metric.

    Parameters
    ----------
    protocols : sequence of str
        Names of `PROTOCOLS`, each once.
    distances : dict of str to callable, optional
        Other metrics, better the lower, such as ``{"lpips": lpips.against}``: each
        takes the truth ``(B, T, C, H, W)`` and gives a function of samples
        ``(N, B, T, C, H, W)`` whose value has the shape ``(N, B, T)``.
    """

    def __init__(
        self,
        protocols: Sequence[str] = tuple(PROTOCOLS),
        distances: Mapping[str, Callable[[torch.Tensor], Score]] | None = None,
    ) -> None:
        self.protocols = find_protocols(protocols)
        self.distances = dict(distances or {})
        self.metrics = ("mse", "psnr", "ssim", *self.distances)
        self.num_samples = 0
        self._curves: dict[str, list[torch.Tensor]] = {
            f"{protocol.name}/{metric}/{kind}": []
            for protocol in self.protocols
            for metric in self.metrics
            for kind in (*KINDS, "best_sample", "worst_sample")
        }

    @property
    def num_clips(self) -> int:
        """Clips scored so far."""
        return sum(len(part) for part in next(iter(self._curves.values())))

    @torch.no_grad()
    def update(
        self,
        truth: torch.Tensor,
        samples: torch.Tensor | Iterable[torch.Tensor],
    ) -> None:
        """Score a batch of clips. An error leaves all as it was.

        Parameters
        ----------
        truth : torch.Tensor
            Float, shape ``(B, T, C, H, W)``, values in [0, 1].
        samples : torch.Tensor or iterable of torch.Tensor
            Float, shape ``(N, B, T, C, H, W)``, or portions of it along N, such as a
            generator that predicts a few at a time.

        Raises
        ------
        EvaluationError
            Shapes do not fit, values are not in [0, 1], or N or T differs from that of
            the clips before.
        """
        windows = sorted({protocol.window for protocol in self.protocols})
        frames = FrameScores(truth, windows)
        distances = {name: make(truth) for name, make in self.distances.items()}
        chosen = [_Chosen(protocol) for protocol in self.protocols]
        for portion in [samples] if isinstance(samples, torch.Tensor) else samples:
            scores = frames(portion)
            for name, distance in distances.items():
                scores[name] = _check_distance(name, distance(portion), scores["mse"])
            for one in chosen:
                one.add(scores)
        self._append(chosen, truth.shape[1])

    def curves(self, protocol: str, metric: str, kind: str = "best") -> torch.Tensor:
        """Every clip's curve, ``(clips, T)``, float64, in the order of the updates.

        Parameters
        ----------
        protocol : str
            One of those asked for.
        metric : str
            "mse", "psnr", "ssim", or the name of a distance.
        kind : str
            "best", "mean" or "worst"; or "best_sample" or "worst_sample" for which
            sample it was, ``(clips,)``.

        Raises
        ------
        EvaluationError
            There is no such curve, or no clip was scored.
        """
        key = f"{protocol}/{metric}/{kind}"
        if not self._curves.get(key):
            reason = "no clip was scored" if key in self._curves else "not asked for"
            raise EvaluationError(f"no curves {key}: {reason}")
        return torch.cat(self._curves[key])

    def summary(self) -> dict[str, dict[str, dict[str, Estimate]]]:
        """The protocols' figures.

        Returns
        -------
        dict
            Of `Estimate`, by protocol, metric and "best", "mean" or "worst".

        Raises
        ------
        EvaluationError
            No clip was scored.
        """
        return {
            protocol.name: {
                metric: {
                    kind: _estimate(
                        self.curves(protocol.name, metric, kind), protocol.ddof
                    )
                    for kind in KINDS
                }
                for metric in self.metrics
            }
            for protocol in self.protocols
        }

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that `load_state_dict` needs to go on: tensors by name."""
        kept = {k: torch.cat(v) for k, v in self._curves.items() if v}
        return {"num_samples": torch.tensor(self.num_samples), **kept}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from where `state_dict` was taken.

        Raises
        ------
        EvaluationError
            It is of other protocols or metrics.
        """
        kept = {k: v for k, v in state.items() if k != "num_samples"}
        if kept and set(kept) != set(self._curves):
            odd = sorted(set(kept) ^ set(self._curves))[0]
            raise EvaluationError(
                f"the stored evaluation has other protocols or metrics (first: {odd}); "
                "ask for the same, or start again"
            )
        self.num_samples = int(state["num_samples"])
        self._curves = {k: [kept[k]] if kept else [] for k in self._curves}

    def _append(self, chosen: "list[_Chosen]", horizon: int) -> None:
        count = chosen[0].count
        if count == 0:
            raise EvaluationError("no samples were given; give at least one")
        if self.num_clips:
            before = next(iter(self._curves.values()))[0].shape[1]
            check_alike(
                count,
                f"{horizon} frames",
                before=(self.num_samples, f"{before} frames"),
            )
        self.num_samples = count
        for one in chosen:
            for key, value in one.result().items():
                self._curves[f"{one.protocol.name}/{key}"].append(value.cpu())


@dataclass(frozen=True)
class _End:
    """The best or the worst sample of each clip: rank and index ``(B,)``, curve."""

    rank: torch.Tensor
    sample: torch.Tensor
    curve: torch.Tensor

    def better(self, old: "_End | None", sign: int, *, last: bool) -> "_End":
        """Per clip the one of higher `sign` * rank; of equals the old or the last."""
        if old is None:
            return self
        take = sign * self.rank > sign * old.rank
        if last:
            take = take | (self.rank == old.rank)
        return _End(
            torch.where(take, self.rank, old.rank),
            torch.where(take, self.sample, old.sample),
            torch.where(take[:, None], self.curve, old.curve),
        )


class _Chosen:
    """Best, sum and worst of the samples of a batch seen so far, under one protocol."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol, self.count = protocol, 0
        self._sums: dict[str, torch.Tensor] = {}
        self._ends: dict[str, dict[str, _End]] = {"best": {}, "worst": {}}

    def add(self, scores: dict[str, torch.Tensor]) -> None:
        """Take in the scores ``(n, B, T)`` of a few samples more."""
        curves = self.protocol.pick(scores)
        chosen = {
            "best": self.protocol.best(curves),
            "worst": self.protocol.worst(curves),
        }
        ranking = self.protocol.ranking(curves)
        for metric, curve in curves.items():
            total = curve.sum(0)
            self._sums[metric] = self._sums.get(metric, torch.zeros_like(total)) + total
            for kind, ends in self._ends.items():
                index = chosen[kind][metric]
                clips = torch.arange(len(index), device=index.device)
                rank = ranking[metric][index, clips]
                end = _End(rank, index + self.count, curve[index, clips])
                best = kind == "best"
                last = best and self.protocol.best_of_equals == "last"
                ends[metric] = end.better(
                    ends.get(metric), 1 if best else -1, last=last
                )
        self.count += len(scores["mse"])

    def result(self) -> dict[str, torch.Tensor]:
        """Curves ``(B, T)`` and chosen samples ``(B,)`` by "metric/kind"."""
        result = {}
        for metric, total in self._sums.items():
            result[f"{metric}/mean"] = total / self.count
            for kind, ends in self._ends.items():
                result[f"{metric}/{kind}_sample"] = ends[metric].sample
                result[f"{metric}/{kind}"] = ends[metric].curve
        return result


def _check_distance(
    name: str,
    values: torch.Tensor,
    like: torch.Tensor,
) -> torch.Tensor:
    """A distance's values in float64, once they have the shape of the others."""
    if values.shape != like.shape or values.isnan().any():
        raise EvaluationError(
            f"{name} gave shape {tuple(values.shape)} or NaN where finite values of "
            f"shape {tuple(like.shape)} are needed; check its weights"
        )
    return values.to(like.dtype)


def _estimate(curves: torch.Tensor, ddof: int) -> Estimate:
    total = CurveTotal()
    total.add(curves)
    return total.estimate(ddof)
