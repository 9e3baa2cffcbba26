"""A small evaluation, and its samples taken together: what the tests of it share."""

import dataclasses
import json

import torch
from support.squares import Squares

from svg_pyro import SVG, SVGConfig
from svg_pyro.evaluation import (
    LAST_FRAME,
    Evaluation,
    EvaluationSettings,
    ModelCandidate,
    Perceptual,
    TestSet,
    results_of,
)
from svg_pyro.evaluation.result_files import write_results
from svg_pyro.evaluation.sampling import sampled_futures

TINY = SVGConfig(
    channels=1, width=4, g_dim=8, z_dim=3, rnn_size=12, n_past=2, beta=1e-3
)
CPU = torch.device("cpu")
SMALL = EvaluationSettings(
    n_past=2,
    horizon=3,
    num_samples=6,
    clips=5,
    batch_size=2,
    chunk_size=4,
    calibration_samples=5,
    particles=(1, 4),
    likelihood_clips=3,
    pictures=1,
)


def awake(config, **changes):
    """A model whose samples differ."""
    svg = SVG(dataclasses.replace(config, **changes)).eval()
    with torch.no_grad():
        for p in svg.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return svg


def squares(n_frames=5):
    return Squares(count=6, n_frames=n_frames)


def evaluation(
    svg, out, settings=SMALL, data=None, others=(), device=CPU, source="", **networks
):
    data = squares(settings.n_frames) if data is None else data
    candidates = [ModelCandidate("model", svg), *others, LAST_FRAME]
    return Evaluation(
        candidates,
        TestSet(data, source),
        settings,
        out=out,
        device=device,
        perceptual=Perceptual(**networks),
    )


def stored_results(run):
    """The results of an evaluation as they stand in results.json."""
    write_results(results_of(run), run.out / "results.json")
    return json.loads((run.out / "results.json").read_text())


def clips(count=5):
    return torch.stack([squares().clip(i) for i in range(count)]).float() / 255


def samples_of(svg, settings=SMALL):
    """All samples of all clips, from `SVG.predict` with the seeds of the chunks."""
    parts = []
    for first in range(0, settings.clips, settings.batch_size):
        last = min(first + settings.batch_size, settings.clips)
        context = clips()[first:last, : settings.n_past]
        candidate = ModelCandidate("model", svg)
        parts.append(
            torch.cat([*sampled_futures(candidate, context, settings.sampling, first)])
        )
    return torch.cat(parts, 1)


class FakeLpips:
    """The mean absolute difference, in the form of an LPIPS."""

    def against(self, truth):
        return lambda samples: (samples - truth).abs().mean((-3, -2, -1))
