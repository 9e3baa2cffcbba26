"""What a prior, a guide or an observation model is worth, in a few numbers."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from svg_pyro.evaluation.likelihood import bits_a_dimension, bound, likelihood
from svg_pyro.evaluation.sampling import latents_of
from svg_pyro.metrics import Calibration, CalibrationSummary, Curves
from svg_pyro.model.svg import SVG
from svg_pyro.util.seeds import seed_of
from svg_pyro.util.tensors import to_float

COVERAGE = 0.9  # of the intervals whose truth is counted


@dataclass(frozen=True)
class PartSettings:
    """How `part_scores` scores.

    Attributes
    ----------
    num_samples : int
        Futures of each clip, 2 or more.
    particles : int
        K of the importance-weighted bound.
    likelihood_clips : int
        Clips whose bound is computed, the first ones.
    batch_size : int
        Clips at a time.
    seed : int
        Of all draws.
    """

    num_samples: int = 20
    particles: int = 100
    likelihood_clips: int = 16
    batch_size: int = 8
    seed: int = 0


@dataclass(frozen=True)
class SampleScores:
    """Samples as a distribution: of frames with noise, or of their means.

    Attributes
    ----------
    coverage : tuple of float
        Of the pixels, how many lie in their central 90 % interval, by predicted frame.
        Interpolated between the intervals that N samples have; ties are drawn.
    crps : float
        Mean over pixels, frames and clips; see `svg_pyro.metrics.crps`.
    spread_skill : float
        Mean over predicted frames; 1 where calibrated.
    chi_square : float
        Of the truth's ranks against the uniform ones, over their number: 0 where
        calibrated, N where all truths are outside of all samples.
    """

    coverage: tuple[float, ...]
    crps: float
    spread_skill: float
    chi_square: float


@dataclass(frozen=True)
class PartScores:
    """What `part_scores` found.

    Attributes
    ----------
    bound : float or None
        Importance-weighted bound, nats a frame; None where the frames that are judged
        set the noise.
    bits : float or None
        The same in bits a dimension.
    kl : float or None
        Of the guide from the prior, nats a frame.
    psnr_best, psnr_mean : float
        Best and mean sample, dB; protocol "svg".
    means : SampleScores
        Of the means of frames.
    noisy : SampleScores or None
        Of frames drawn from the observation model; None where the noise is not known.
    """

    bound: float | None
    bits: float | None
    kl: float | None
    psnr_best: float
    psnr_mean: float
    means: SampleScores
    noisy: SampleScores | None


@torch.no_grad()
def part_scores(svg: SVG, clips: torch.Tensor, settings: PartSettings) -> PartScores:
    """Score a model on held-out clips.

    Parameters
    ----------
    svg : SVG
        The model; its configuration's `n_past` frames are the context.
    clips : torch.Tensor
        uint8, ``(B, T, C, H, W)``.
    settings : PartSettings
        Samples, particles and the seed.

    Raises
    ------
    FramesError
        When the clips are not of the model's frames, or have none to predict.
    EvaluationError
        When there are fewer than 2 samples.
    """
    n_past, device = svg.config.n_past, next(svg.parameters()).device
    noise = not svg.observation.needs_target
    curves = Curves(("svg",))
    means, noisy = Calibration(settings.seed), Calibration(settings.seed)
    for first in range(0, len(clips), settings.batch_size):
        frames = to_float(clips[first : first + settings.batch_size], device)
        context, truth = frames[:, :n_past], frames[:, n_past:]
        drawn = svg.draws(
            context,
            truth.shape[1],
            settings.num_samples,
            noise=noise,
            seed=seed_of(settings.seed, first),
        )
        chunks = [tuple(part.cpu() for part in draw) for draw in drawn]
        mean, noised = (torch.cat(part) for part in zip(*chunks, strict=True))
        truth = truth.cpu()
        curves.update(truth, mean)
        means.update(truth, mean)
        if noise:
            noisy.update(truth, noised)
    psnr = curves.summary()["svg"]["psnr"]
    few = clips[: settings.likelihood_clips]
    nats, bits, kl = _bounded(svg, few, settings) if noise else (None, None, None)
    return PartScores(
        bound=nats,
        bits=bits,
        kl=kl,
        psnr_best=psnr["best"].headline,
        psnr_mean=psnr["mean"].headline,
        means=_sample_scores(means.summary()),
        noisy=_sample_scores(noisy.summary()) if noise else None,
    )


def _bounded(
    svg: SVG, clips: torch.Tensor, settings: PartSettings
) -> tuple[float, float, float]:
    """Bound and KL in nats a frame, and the bound in bits a dimension between them."""
    device = next(svg.parameters()).device
    nats: list[torch.Tensor] = []
    kl: list[torch.Tensor] = []
    for first in range(0, len(clips), settings.batch_size):
        frames = to_float(clips[first : first + settings.batch_size], device)
        with latents_of(settings.seed, first, device):
            found = likelihood(svg, frames, settings.particles)
        particles = min(settings.particles, len(found.log_weights))
        nats.append(bound(found.log_weights, particles) / found.kl.shape[1])
        kl.append(found.kl.mean(1))
    mean = torch.cat(nats).mean().item()
    bits = bits_a_dimension(mean, found.dimensions, is_density=found.is_density)
    return mean, bits, torch.cat(kl).mean().item()


def _sample_scores(summary: CalibrationSummary) -> SampleScores:
    histogram = summary.rank_histogram.double()
    shares = histogram.sum(0) / histogram.sum()
    expected = 1 / len(shares)
    return SampleScores(
        coverage=tuple(
            _at(COVERAGE, summary.nominal.tolist(), row)
            for row in summary.observed.tolist()
        ),
        crps=summary.crps.mean().item(),
        spread_skill=summary.spread_skill.mean().item(),
        chi_square=((shares - expected).square() / expected).sum().item(),
    )


def _at(level: float, nominal: Sequence[float], observed: Sequence[float]) -> float:
    """What intervals of a level cover, between those that there are."""
    points = [(0.0, 0.0), *zip(nominal, observed, strict=True), (1.0, 1.0)]
    for (low, covered_low), (high, covered_high) in itertools.pairwise(points):
        if level <= high:
            share = (level - low) / (high - low)
            return covered_low + share * (covered_high - covered_low)
    return 1.0
