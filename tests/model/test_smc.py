"""Particle filters against a Kalman filter, and futures against an exact posterior."""

import math
from dataclasses import replace

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

import svg_pyro
from svg_pyro import SVG, FramesError, SVGConfig
from svg_pyro.model.networks import Encoder
from svg_pyro.model.smc import effective_sample_size, log_evidence, resampled

KEEP, GAIN, SIGMA = 0.9, 0.05, 0.03


class Reading(Encoder):
    """A frame of one pixel is its own feature."""

    frame_shape = (1, 1, 1)

    def forward(self, x):
        return x.flatten(-3), []


class Walk(nn.Module):
    """s_t = 0.9 s_{t-1} + 0.05 z_t, whatever the frames are."""

    def forward(self, x, state=None):
        z = x[..., 1:]
        s = torch.zeros_like(z[..., 0, :]) if state is None else state
        out = []
        for t in range(z.shape[-2]):
            s = KEEP * s + GAIN * z[..., t, :]
            out.append(s)
        return torch.stack(out, -2), s


class Showing(nn.Module):
    """A pixel is 0.5 + s_t."""

    extra_channels = 0

    def prepare(self, frames, skips):
        return [frames]

    def forward(self, g, prepared):
        return 0.5 + g[..., None, None]


class Informed(nn.Module):
    """q(z_t | x_t): towards what the frame says, wide enough to be a proposal."""

    def forward(self, h, state=None):
        return dist.Normal((h - 0.5) / GAIN * 0.3, 1.2).to_event(1), None


def linear():
    config = SVGConfig(
        channels=1, g_dim=1, z_dim=1, n_past=1, beta=2 * SIGMA**2, prior="fixed"
    )
    backbone = Reading(), Showing()
    svg = SVG(config, backbone=backbone, predictor=Walk(), guide=Informed())
    return svg.double()


def kalman(pixels):
    """log p(x_2..x_T) of the linear model, ``(B,)``."""
    mean, variance, total = 0.0, 0.0, 0.0
    for x in pixels.T[1:]:
        mean, variance = KEEP * mean, KEEP**2 * variance + GAIN**2
        spread = variance + SIGMA**2
        total = total - (x - 0.5 - mean) ** 2 / (2 * spread)
        total = total - 0.5 * math.log(2 * math.pi * spread)
        gain = variance / spread
        mean, variance = mean + gain * (x - 0.5 - mean), (1 - gain) * variance
    return total


def test_the_evidence_is_that_of_an_exact_kalman_filter():
    svg = linear()
    pyro.set_rng_seed(0)
    s, pixels = torch.zeros(3, dtype=torch.float64), []
    for _ in range(8):
        s = KEEP * s + GAIN * torch.randn(3, dtype=torch.float64)
        pixels.append(0.5 + s + SIGMA * torch.randn(3, dtype=torch.float64))
    pixels = torch.stack(pixels, 1).clamp(0, 1)
    frames = pixels[:, :, None, None, None]
    exact = kalman(pixels)
    runs = torch.stack([log_evidence(svg, frames, 100) for _ in range(40)])
    # Z itself is unbiased: its mean over 40 runs within three standard errors.
    ratio = (runs - exact).exp()
    error = ratio.std(0) / math.sqrt(40)
    assert ((ratio.mean(0) - 1).abs() < 3 * error).all()
    assert (error < 0.2).all()


def test_resampling_keeps_the_expected_counts():
    torch.manual_seed(0)
    log_weights = torch.randn(8, 3, dtype=torch.float64)
    expected = 8 * log_weights.softmax(0)
    counts = torch.zeros(8, 3, dtype=torch.float64)
    for _ in range(4_000):
        ancestors = resampled(log_weights)
        each = torch.nn.functional.one_hot(ancestors, 8).sum(0).T
        assert ((each - expected).abs() < 1).all()
        counts += each
    # Of 4,000 draws whose variance is at most 1/4.
    assert ((counts / 4_000 - expected).abs() < 5 * 0.5 / math.sqrt(4_000)).all()


def test_the_effective_sample_size_of_equal_and_of_single_weights():
    log_weights = torch.tensor([[0.0, 0.0], [0.0, -100.0], [0.0, -100.0]])
    assert effective_sample_size(log_weights).tolist() == pytest.approx([3, 1])


def test_futures_are_drawn_to_their_goal_as_exact_conditioning_does():
    svg = linear()
    context = torch.full((1, 1, 1, 1, 1), 0.5, dtype=torch.float64)
    goal = torch.full((1, 1, 1), 0.62, dtype=torch.float64)
    pyro.set_rng_seed(0)
    tolerance, horizon = 0.02, 3
    futures = svg_pyro.futures_to(
        svg, context, goal, horizon, 20_000, tolerance=tolerance
    )
    weights = futures.log_weights.exp()
    assert weights.sum(0).tolist() == pytest.approx([1])
    assert 1 <= futures.ess.item() <= 20_000
    # s_t = sum_j 0.9^(t-j) 0.05 z_j is Gaussian: condition on s_3 + noise = 0.12.
    root = (
        GAIN
        * torch.tensor(
            [[KEEP ** (t - j) if j <= t else 0.0 for j in range(3)] for t in range(3)]
        ).double()
    )
    cov = root @ root.T
    gain = cov[:, 2] / (cov[2, 2] + tolerance**2)
    mean, variance = gain * 0.12, cov.diagonal() - gain * cov[2]
    samples = futures.frames[:, 0, :, 0, 0, 0] - 0.5
    found = (weights * samples).sum(0)
    spread = (weights * (samples - found) ** 2).sum(0)
    # Three standard errors of as many independent draws as count, a quarter of the
    # standard deviations at most: ancestors are shared.
    error = 3 * (variance / (futures.ess / 4)).sqrt()
    assert ((found - mean).abs() < error).all()
    assert (error < 0.006).all()
    assert torch.allclose(spread.sqrt(), variance.sqrt(), rtol=0.1, atol=0)


def test_a_goal_brings_samples_nearer_than_chance():
    torch.manual_seed(0)
    config = SVGConfig(channels=1, width=2, g_dim=8, z_dim=2, rnn_size=8, n_past=2)
    svg = SVG(replace(config, prior="fixed"))
    for p in svg.parameters():
        p.data += 0.2 * torch.randn_like(p)
    frames = torch.rand(2, 2, 1, 64, 64)
    with torch.no_grad():
        goal = svg.predict(frames, 4)[0, :, -1]
    futures = svg_pyro.futures_to(svg, frames, goal, 4, 32, tolerance=1e-4)
    free = svg.predict(frames, 4, 32)
    weights = futures.log_weights.exp()
    reached = (futures.frames[:, :, -1] - goal).square().flatten(2).mean(2)
    chance = (free[:, :, -1] - goal).square().flatten(2).mean(2).mean(0)
    assert ((weights * reached).sum(0) < chance).all()


def test_a_goal_of_another_shape_is_one_line():
    svg = SVG(SVGConfig(channels=1, width=2, g_dim=8, z_dim=2, rnn_size=8))
    context = torch.rand(2, 2, 1, 64, 64)
    for goal in (torch.rand(3, 1, 64, 64), torch.rand(1, 32, 32), "goal"):
        with pytest.raises(FramesError, match="the goal is"):
            svg_pyro.futures_to(svg, context, goal, 4, 8)
    for count, tolerance in ((0, 0.1), (8, 0.0), (8, "a")):
        with pytest.raises(FramesError):
            goal = torch.rand(1, 64, 64)
            svg_pyro.futures_to(svg, context, goal, 4, count, tolerance=tolerance)
