"""Scores of parts: intervals that hold as often as they say, where they should."""

import pyro.distributions as dist
import pytest
import torch
from support.evaluations import awake
from torch import nn

from svg_pyro import SVG, Observation, Prior
from svg_pyro.evaluation.likelihood import likelihood
from svg_pyro.evaluation.part_scores import PartSettings, part_scores
from svg_pyro.metrics import Calibration
from svg_pyro.model.networks import Decoder

CLIPS = torch.randint(0, 256, (3, 5, 1, 64, 64), dtype=torch.uint8)


class Standard(Prior):
    def __init__(self, config):
        super().__init__()
        self.z_dim = config.z_dim

    def forward(self, h, state=None):
        mean = h.new_zeros(*h.shape[:-1], self.z_dim)
        return dist.Normal(mean, 1.0).to_event(1), state


class JustZ(nn.Module):
    def forward(self, inputs, state=None):
        return inputs[..., -1:], None


class Grey(Decoder):
    def forward(self, g, prepared):
        return (0.5 + 0 * g)[..., None, None].expand(*g.shape, 64, 64)


class Sigma(Observation):
    def __init__(self, sigma):
        super().__init__()
        self.sigma = sigma

    def forward(self, mean, extra, target=None):
        return dist.Normal(mean, self.sigma).to_event(3)


@pytest.mark.parametrize("sigma, factor", [(0.1, 1.0), (0.05, 0.5), (0.2, 2.0)])
def test_coverage_is_that_of_normal_noise(tiny, sigma, factor):
    """Truth is Normal(0.5, 0.1); an interval of +-1.645 sigma holds erf of it."""
    svg = SVG(
        tiny,
        prior=Standard(tiny),
        observation=Sigma(sigma),
        predictor=JustZ(),
        backbone=(SVG(tiny).encoder, Grey()),
    ).eval()
    truth = (0.5 + 0.1 * torch.randn(3, 5, 1, 64, 64)).clamp(0, 1) * 255
    scores = part_scores(
        svg, truth.round().byte(), PartSettings(num_samples=99, particles=2)
    )
    normal = torch.distributions.Normal(0.0, 1.0)
    want = 2 * normal.cdf(torch.tensor(1.645 * factor)).item() - 1
    # 99 samples' quantiles scatter; 12,288 pixels a frame average that out.
    assert scores.noisy.coverage == pytest.approx([want] * 3, abs=0.015)
    assert scores.noisy.spread_skill == pytest.approx(factor, rel=0.03)
    if factor == 1:
        assert scores.noisy.chi_square < 0.02
        # The CRPS of a normal truth under its own distribution is sigma / sqrt(pi).
        assert scores.noisy.crps == pytest.approx(0.1 / torch.pi**0.5, rel=0.02)
    # Means that never vary hold nothing.
    assert scores.means.coverage == pytest.approx([0.0] * 3, abs=0.03)
    assert scores.kl is not None and scores.bits is not None


def test_scores_are_those_of_the_parts_of_an_evaluation(tiny):
    svg = awake(tiny)
    settings = PartSettings(
        num_samples=20, particles=3, likelihood_clips=3, batch_size=3
    )
    scores = part_scores(svg, CLIPS, settings)
    frames = CLIPS.float() / 255
    assert scores.kl == pytest.approx(likelihood(svg, frames, 1).kl.mean().item())
    assert scores.psnr_best >= scores.psnr_mean
    calibration = Calibration()
    held = svg.predict(frames[:, :2], 3, 20, seed=1)
    calibration.update(frames[:, 2:], held)
    want = calibration.summary()
    # Other draws of the same distribution.
    assert scores.means.crps == pytest.approx(want.crps.mean().item(), rel=0.02)
    again = part_scores(svg, CLIPS, settings)
    assert again == scores


def test_a_model_whose_frames_set_its_noise_has_means_alone(tiny):
    svg = SVG(tiny, observation=None).eval()
    svg.observation = SVG(
        type(tiny)(**{**tiny.__dict__, "observation": "optimal-sigma"})
    ).observation
    scores = part_scores(svg, CLIPS, PartSettings(num_samples=2, particles=2))
    assert scores.noisy is None and scores.bound is None and scores.kl is None
    assert scores.means.crps > 0
