"""The numbers of an evaluation: plain containers, JSON and CSV.

In JSON, "inf" is infinite (the PSNR of equal frames), null is not defined.
"""

import csv
import dataclasses
import math

import torch

import svg_pyro
from svg_pyro.util.files import written_beside

CURVES = (
    "predictor", "protocol", "quantity", "kind", "frame", "mean", "half_width_95",
)  # fmt: skip


def results_of(evaluation):
    """All figures of an `Evaluation` as containers that JSON knows.

    Parameters
    ----------
    evaluation : Evaluation
        Finished.

    Returns
    -------
    dict
    """
    return _plain(
        {
            "svg_pyro": svg_pyro.__version__,
            "data": evaluation.source,
            "clips": evaluation.clips,
            "settings": dataclasses.asdict(evaluation.settings),
            "predictors": [_predictor(s) for s in evaluation.scorers],
        }
    )


def write_curves(results, path):
    """Write every curve over time as CSV, a line for each predicted frame.

    Frames are counted from 1 in the clip; the first context frame is frame 1.
    """
    with written_beside(path) as beside, open(beside, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(CURVES)
        for predictor in results["predictors"]:
            for *labels, first, means, halves in _curves(predictor, results):
                for frame, (mean, half) in enumerate(zip(means, halves), first):
                    row = [predictor["name"], *labels, frame, mean, half]
                    writer.writerow("" if value is None else value for value in row)


def _curves(predictor, results):
    """Protocol, quantity, kind, first frame, values and half widths of each curve."""
    start = results["settings"]["n_past"] + 1
    for protocol, metrics in predictor["scores"].items():
        for metric, kinds in metrics.items():
            for kind, found in kinds.items():
                halves = found["per_step_half_width"]
                yield protocol, metric, kind, start, found["per_step"], halves
    judged, held_out = predictor["calibration"], predictor["likelihood"]
    if judged is not None:
        none = [None] * len(judged["crps"])
        for name in ("crps", "spread_skill", "diversity"):
            halves = judged["crps_half_width"] if name == "crps" else none
            yield "", name, "", start, judged[name], halves
    if held_out is not None:
        kl = held_out["kl"]
        yield "", "kl", "", 2, kl["per_step"], kl["per_step_half_width"]


def _predictor(scorer):
    candidate = scorer.candidate
    svg = candidate.svg
    return {
        "name": candidate.name,
        "checkpoint": candidate.path,
        "sha256": candidate.sha256,
        "step": candidate.step,
        "config": None if svg is None else dataclasses.asdict(svg.config),
        "num_samples": candidate.count(scorer.settings),
        "scores": {
            protocol: {
                metric: {kind: _estimate(e) for kind, e in kinds.items()}
                for metric, kinds in metrics.items()
            }
            for protocol, metrics in scorer.totals.summary().items()
        },
        "fvd": None if scorer.fvd is None else scorer.fvd.value(),
        "calibration": _calibration(scorer),
        "likelihood": scorer.held_out.summary(),
    }


def _estimate(estimate):
    return {
        "mean": estimate.headline,
        "half_width": estimate.headline_half,
        "infinite_clips": estimate.infinite,
        "per_step": estimate.per_step,
        "per_step_half_width": estimate.per_step_half,
    }


def _calibration(scorer):
    if scorer.calibration is None:
        return None
    found = scorer.calibration.summary()
    return {
        "samples": scorer.calibration.num_samples,
        "intervals": scorer.settings.intervals,
        "crps_mean": found.crps.mean(),
        "crps": found.crps,
        "crps_half_width": found.crps_half,
        "crps_pixels": found.crps_pixels.mean(0),
        "spread_skill": found.spread_skill,
        "diversity": found.diversity,
        "rank_histogram": found.rank_histogram,
        "nominal": found.nominal,
        "observed": found.observed,
    }


def _plain(value):
    """Tensors as lists, and numbers that JSON lacks as text or null."""
    if torch.is_tensor(value):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value
