"""Scores of many clips under several protocols at once, from one set of samples."""

import math
from dataclasses import dataclass

import torch

from svg_pyro.errors import EvaluationError
from svg_pyro.metrics.images import FrameScores
from svg_pyro.metrics.protocols import find_protocols

KINDS = ("best", "mean", "worst")


@dataclass(frozen=True)
class Estimate:
    """A mean over clips and its 95 % interval, mean +- 1.96 standard errors.

    The clips are taken as independent and the mean as normal. An infinite mean has no
    interval (NaN), and neither has a single clip where the protocol divides by K - 1.

    Attributes
    ----------
    per_step, per_step_half : torch.Tensor
        The mean at each time step, and half the width of its interval; ``(T,)``.
    headline, headline_half : float
        The same of the clips' means over time.
    infinite : int
        Clips whose mean over time is infinite: a predicted frame equals the truth.
    """

    per_step: torch.Tensor
    per_step_half: torch.Tensor
    headline: float
    headline_half: float
    infinite: int


class Curves:
    """Best, mean and worst of N samples, for each clip, metric and time step.

    Samples come in any number of portions and are forgotten: what stays of a clip is
    three curves for each protocol and metric.

    Parameters
    ----------
    protocols : sequence of str
        Names of `PROTOCOLS`.
    distances : dict of str to callable, optional
        Other metrics, better the lower, such as ``{"lpips": lpips.against}``: each takes
        the truth ``(B, T, C, H, W)`` and gives a function of samples
        ``(N, B, T, C, H, W)`` whose value has the shape ``(N, B, T)``.
    """

    def __init__(self, protocols=("svg", "srvp", "finn"), distances=None):
        self.protocols = find_protocols(protocols)
        self.distances = dict(distances or {})
        self.num_samples = 0
        metrics = ("mse", "psnr", "ssim", *self.distances)
        self._kept = {
            f"{protocol.name}/{metric}/{kind}": []
            for protocol in self.protocols
            for metric in metrics
            for kind in (*KINDS, "best_sample", "worst_sample")
        }

    @property
    def num_clips(self):
        """Clips scored so far."""
        return sum(len(part) for part in next(iter(self._kept.values())))

    @torch.no_grad()
    def update(self, truth, samples):
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
        running = [_Running(protocol) for protocol in self.protocols]
        for portion in [samples] if torch.is_tensor(samples) else samples:
            scores = frames(portion)
            for name, distance in distances.items():
                scores[name] = _checked(name, distance(portion), scores["mse"])
            for one in running:
                one.add(scores)
        self._keep(running, truth.shape[1])

    def curves(self, protocol, metric, kind="best"):
        """Every clip's curve, ``(clips, T)``, float64, in the order of the updates.

        With `kind` "best_sample" or "worst_sample": which sample it was, ``(clips,)``.

        Raises
        ------
        EvaluationError
            There is no such curve, or no clip was scored.
        """
        key = f"{protocol}/{metric}/{kind}"
        if not self._kept.get(key):
            reason = "no clip was scored" if key in self._kept else "not asked for"
            raise EvaluationError(f"no curves {key}: {reason}")
        return torch.cat(self._kept[key])

    def summary(self):
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
        metrics = ("mse", "psnr", "ssim", *self.distances)
        return {
            protocol.name: {
                metric: {
                    kind: _estimate(
                        self.curves(protocol.name, metric, kind), protocol.ddof
                    )
                    for kind in KINDS
                }
                for metric in metrics
            }
            for protocol in self.protocols
        }

    def state_dict(self):
        """All that `load_state_dict` needs to go on: tensors by name."""
        kept = {k: torch.cat(v) for k, v in self._kept.items() if v}
        return {"num_samples": torch.tensor(self.num_samples), **kept}

    def load_state_dict(self, state):
        """Go on from where `state_dict` was taken.

        Raises
        ------
        EvaluationError
            It is of other protocols or metrics.
        """
        kept = {k: v for k, v in state.items() if k != "num_samples"}
        if kept and set(kept) != set(self._kept):
            odd = sorted(set(kept) ^ set(self._kept))[0]
            raise EvaluationError(
                f"the stored evaluation has other protocols or metrics (first: {odd}); "
                "ask for the same, or start anew"
            )
        self.num_samples = int(state["num_samples"])
        self._kept = {k: [kept[k]] if kept else [] for k in self._kept}

    def _keep(self, running, horizon):
        count = running[0].count
        if count == 0:
            raise EvaluationError("no samples were given; give at least one")
        if self.num_clips:
            before = next(iter(self._kept.values()))[0].shape[1]
            if (count, horizon) != (self.num_samples, before):
                raise EvaluationError(
                    f"{count} samples of {horizon} frames after clips with "
                    f"{self.num_samples} of {before}; score all clips alike"
                )
        self.num_samples = count
        for one in running:
            for key, value in one.result().items():
                self._kept[f"{one.protocol.name}/{key}"].append(value.cpu())


class _Running:
    """Best, sum and worst of the samples of a batch seen so far, under one protocol."""

    def __init__(self, protocol):
        self.protocol, self.count = protocol, 0
        self._sums, self._ends = {}, {"best": {}, "worst": {}}

    def add(self, scores):
        """Take in the scores ``(n, B, T)`` of a few samples more."""
        curves = self.protocol.pick(scores)
        chosen = {
            "best": self.protocol.best(curves),
            "worst": self.protocol.worst(curves),
        }
        ranking = self.protocol.ranking(curves)
        for metric, curve in curves.items():
            self._sums[metric] = self._sums.get(metric, 0) + curve.sum(0)
            for kind, ends in self._ends.items():
                index = chosen[kind][metric]
                clips = torch.arange(len(index), device=index.device)
                rank = ranking[metric][index, clips]
                new = (rank, index + self.count, curve[index, clips])
                ends[metric] = _better(
                    ends.get(metric), new, 1 if kind == "best" else -1
                )
        self.count += len(curve)

    def result(self):
        """Curves ``(B, T)`` and chosen samples ``(B,)`` by "metric/kind"."""
        found = {}
        for metric, total in self._sums.items():
            found[f"{metric}/mean"] = total / self.count
            for kind, ends in self._ends.items():
                _, found[f"{metric}/{kind}_sample"], found[f"{metric}/{kind}"] = ends[
                    metric
                ]
        return found


def _better(old, new, sign):
    """Per clip the one of higher `sign` * rank, the old one of equals."""
    if old is None:
        return new
    take = sign * new[0] > sign * old[0]
    rank, index = (torch.where(take, n, o) for n, o in zip(new[:2], old[:2]))
    return rank, index, torch.where(take[:, None], new[2], old[2])


def _checked(name, values, like):
    if values.shape != like.shape or values.isnan().any():
        raise EvaluationError(
            f"{name} gave shape {tuple(values.shape)} or NaN where finite values of "
            f"shape {tuple(like.shape)} are needed; check its weights"
        )
    return values.to(like.dtype)


def _estimate(curves, ddof):
    per_step, per_step_half = _interval(curves, ddof)
    clips = curves.mean(1)
    headline, headline_half = _interval(clips, ddof)
    infinite = int(clips.isinf().sum())
    return Estimate(
        per_step, per_step_half, headline.item(), headline_half.item(), infinite
    )


def _interval(values, ddof):
    """Mean over the first axis, and 1.96 standard errors of it."""
    mean, count = values.mean(0), len(values)
    # By hand: torch.var warns where count - ddof is 0.
    variance = (values - mean).square().sum(0) / (
        count - ddof if count > ddof else math.nan
    )
    return mean, 1.96 * (variance / count).sqrt()
