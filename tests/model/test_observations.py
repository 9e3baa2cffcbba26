"""Observation models against closed forms, and each of them trained and sampled."""

import dataclasses
import math

import pyro
import pytest
import scipy.stats
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO

from svg_pyro import SVG, FramesError
from svg_pyro.evaluation.likelihood import likelihood
from svg_pyro.model.observations import (
    Bernoulli,
    DiscretisedLogistic,
    Logistic,
    PerPixelGaussian,
    PerPixelLaplace,
)
from svg_pyro.model.observations.scales import log_scale
from svg_pyro.model.registry import names

SHAPE = 3, 4, 4


def decoded(batch=(2, 5)):
    """Means in [0, 1] and channels of any value."""
    generator = torch.Generator().manual_seed(3)
    mean = torch.rand(*batch, *SHAPE, generator=generator, dtype=torch.float64)
    extra = torch.randn(*batch, *SHAPE, generator=generator, dtype=torch.float64)
    return mean, 3 * extra, torch.rand(mean.shape, generator=generator).double()


@pytest.mark.parametrize("log_s", [-6.0, -3.0, 0.0, 2.0])
def test_the_probabilities_of_256_levels_sum_to_one(log_s):
    loc = torch.linspace(-0.2, 1.2, 41).double()[:, None]
    levels = torch.arange(256).double() / 255
    logistic = DiscretisedLogistic(loc.expand(-1, 256), torch.tensor(log_s).double())
    log_prob = logistic.log_prob(levels.expand(41, -1))
    torch.testing.assert_close(
        log_prob.logsumexp(1), torch.zeros(41).double(), rtol=0, atol=1e-12
    )


def test_a_level_has_the_logistics_mass_around_it():
    loc, scale = 0.3, 0.05
    logistic = DiscretisedLogistic(
        torch.tensor(loc).double(), torch.tensor(scale).log()
    )
    cdf = scipy.stats.logistic(loc, scale).cdf
    for level in (1, 40, 76, 77, 200, 254):
        want = cdf((level + 0.5) / 255) - cdf((level - 0.5) / 255)
        got = logistic.log_prob(torch.tensor(level / 255).double()).exp().item()
        assert got == pytest.approx(want, rel=1e-6)
    ends = logistic.log_prob(torch.tensor([0.0, 1.0]).double()).exp()
    assert ends[0].item() == pytest.approx(cdf(0.5 / 255), rel=1e-6)
    assert ends[1].item() == pytest.approx(1 - cdf(254.5 / 255), rel=1e-6)


def test_far_levels_have_finite_log_probabilities_and_gradients():
    loc = torch.zeros(1, requires_grad=True)
    logistic = DiscretisedLogistic(loc, torch.tensor(math.log(0.5 / 255)))
    far = logistic.log_prob(torch.ones(1) - 1 / 255)
    far.backward()
    # About the distance in scales: log F(-x) is -x far out.
    assert far.item() == pytest.approx(-2 * 253.5 + math.log1p(-math.exp(-2)), rel=1e-3)
    assert loc.grad.isfinite().all() and loc.grad > 0


def test_samples_have_the_probabilities_of_their_levels():
    pyro.set_rng_seed(0)
    logistic = DiscretisedLogistic(torch.tensor(0.02), torch.tensor(math.log(0.01)))
    samples = logistic.sample((40_000,))
    for level in range(0, 12):
        p = logistic.log_prob(torch.tensor(level / 255)).exp().item()
        share = (samples.sub(level / 255).abs() < 1e-6).float().mean().item()
        assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / 40_000)


@pytest.mark.parametrize("cls", [PerPixelGaussian, PerPixelLaplace])
def test_a_scale_for_each_value_is_scipys(tiny, cls):
    observation = cls(tiny, SHAPE)
    mean, extra, x = decoded()
    oracle = scipy.stats.norm if cls is PerPixelGaussian else scipy.stats.laplace
    scale = log_scale(extra, observation.start).exp()
    assert scale.min() >= 0.5 / 255 and scale.max() <= 1 and scale.std() > 0.1
    want = oracle(mean.numpy(), scale.numpy()).logpdf(x.numpy()).sum((-3, -2, -1))
    got = observation(mean, extra, x).log_prob(x)
    torch.testing.assert_close(got, torch.from_numpy(want), rtol=1e-10, atol=1e-10)


def test_scales_start_at_betas_standard_deviation(tiny):
    config = dataclasses.replace(tiny, beta=1e-5)
    sigma = math.sqrt(math.prod(SHAPE) * 1e-5 / 2)
    mean = torch.full((1, *SHAPE), 0.5)
    for cls in (PerPixelGaussian, PerPixelLaplace):
        stddev = cls(config, SHAPE)(mean, torch.zeros(1, *SHAPE)).stddev
        assert stddev.mean().item() == pytest.approx(sigma, rel=1e-4)
    pyro.set_rng_seed(0)
    logistic = Logistic(config, SHAPE)(mean, torch.zeros(1, *SHAPE))
    # Rounding adds 1/12 of a squared level.
    want = math.sqrt(sigma**2 + 1 / (12 * 255**2))
    draws = logistic.sample((2_000,))
    assert draws.std().item() == pytest.approx(want, rel=0.03)


def test_black_and_white_frames(tiny):
    observation = Bernoulli(tiny, SHAPE)
    mean, extra, x = decoded()
    x = x.round()
    want = -torch.nn.functional.binary_cross_entropy(mean, x, reduction="none")
    got = observation(mean, extra, x).log_prob(x)
    torch.testing.assert_close(got, want.sum((-3, -2, -1)))
    sure = observation(x.float(), extra, x.float()).log_prob(x.float())
    assert sure.isfinite().all() and sure.abs().max() < 1e-4
    with pytest.raises(FramesError, match="hold values between 0 and 1") as error:
        observation(mean, extra, x * 0.5)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("pixel_skip", [False, True])
@pytest.mark.parametrize("observation", names("observation"))
def test_every_observation_model_trains_predicts_and_is_bounded(
    tiny, observation, pixel_skip
):
    config = dataclasses.replace(tiny, observation=observation, pixel_skip=pixel_skip)
    svg = SVG(config)
    frames = torch.rand(2, 4, 1, 64, 64).round()
    before = {n: p.clone() for n, p in svg.named_parameters()}
    SVI(svg.model, svg.guide, pyro.optim.Adam({"lr": 1e-2}), Trace_ELBO()).step(frames)
    assert all(not torch.equal(p, before[n]) for n, p in svg.named_parameters())
    future = svg.predict(frames, 3, 2)
    assert future.shape == (2, 2, 3, 1, 64, 64)
    assert future.min() >= 0 and future.max() <= 1
    assert svg.reconstruct(frames).shape == (2, 3, 1, 64, 64)
    assert likelihood(svg, frames, 3).log_weights.isfinite().all()
    x_dist = poutine.trace(svg.eval().model).get_trace(frames).nodes["x"]["fn"]
    noisy = x_dist.sample()
    assert noisy.shape == (2, 3, 1, 64, 64) and not torch.equal(noisy, x_dist.mean)
