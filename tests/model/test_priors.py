"""Priors and guides: densities against quadrature, sequences against single steps."""

import math
from dataclasses import replace

import pytest
import torch
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.optim import Adam

from svg_pyro import SVG, ConfigError, Sampler, SVGConfig
from svg_pyro.model.guides import FlowGuide, PriorGuide, SmoothingGuide
from svg_pyro.model.priors import (
    AutoregressivePrior,
    FixedPrior,
    FlowPrior,
    LearnedPrior,
    MapMixturePrior,
    MixturePrior,
    TwoScalePrior,
)


def mixture_over_maps(config):
    return MapMixturePrior(
        replace(config, dynamics="maps", map_channels=2), components=3
    )


PRIORS = [
    FixedPrior,
    LearnedPrior,
    MixturePrior,
    FlowPrior,
    TwoScalePrior,
    AutoregressivePrior,
    mixture_over_maps,
]
NAMES = ["learned", "fixed", "mixture", "flow", "two-scale", "autoregressive"]


@pytest.fixture
def config():
    return SVGConfig(
        channels=1, width=2, g_dim=5, z_dim=2, rnn_size=6, n_past=2, beta=1e-3
    )


def wide(module, spread=0.2):
    """`module` in float64, with weights that keep its distributions from plainness."""
    torch.manual_seed(0)
    module = module.double()
    for p in module.parameters():
        p.data += spread * torch.randn_like(p)
    return module


def read_by(prior, config):
    """Length of the features that a prior reads."""
    return getattr(prior, "size", config.g_dim)


@pytest.mark.parametrize("make", PRIORS)
def test_one_call_equals_one_step_after_the_other(config, make):
    prior = wide(make(config))
    h = torch.rand(3, 7, read_by(prior, config), dtype=torch.float64) * 2 - 1
    z = torch.randn(3, 7, config.z_dim, dtype=torch.float64)
    whole, _ = prior(h)
    state, steps = None, []
    for t in range(7):
        each, state = prior(h[:, t : t + 1], state)
        steps.append(each.log_prob(z[:, t : t + 1]))
    assert torch.allclose(whole.log_prob(z), torch.cat(steps, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", PRIORS)
def test_a_state_goes_on_for_samples_and_is_indexed(config, make):
    prior = wide(make(config))
    h = torch.rand(3, 4, read_by(prior, config), dtype=torch.float64)
    after = torch.rand(2, 3, 1, read_by(prior, config), dtype=torch.float64)
    z = torch.randn(2, 3, 1, config.z_dim, dtype=torch.float64)
    _, state = prior(h)
    found = prior(after, state)[0].log_prob(z)
    for s in range(2):
        alone = prior(after[s], state)[0].log_prob(z[s])
        assert torch.allclose(found[s], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", PRIORS)
def test_a_density_integrates_to_one_and_is_that_of_its_draws(config, make):
    prior = wide(make(config), spread=0.1)
    h = torch.rand(1, 1, read_by(prior, config), dtype=torch.float64)
    z_dist = prior(h)[0]
    torch.manual_seed(1)
    draws = z_dist.expand((20_000, 1, 1)).sample()[:, 0, 0]
    half = 1.2 * draws.abs().max().item()
    side = torch.linspace(-half, half, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    density = z_dist.log_prob(grid[:, None, None])[:, 0, 0].exp()
    cell = (side[1] - side[0]) ** 2
    assert (density.sum() * cell).item() == pytest.approx(1, abs=0.01)
    mean = (density[:, None] * grid).sum(0) * cell
    # Six standard errors of 20,000 draws.
    bound = 6 * draws.std(0) / math.sqrt(len(draws)) + 0.01 * half
    assert ((draws.mean(0) - mean).abs() < bound).all()


def test_a_mixture_is_the_weighted_sum_of_its_gaussians(config):
    prior = wide(MixturePrior(config, components=3))
    h = torch.rand(2, 4, config.g_dim, dtype=torch.float64)
    z = torch.randn(2, 4, 2, dtype=torch.float64)
    x, _ = prior.recurrent(h)
    weights = prior.logits(x).softmax(-1)
    locs = prior.locs(x).unflatten(-1, (3, 2))
    variances = prior.log_variances(x).unflatten(-1, (3, 2)).exp()
    exponent = -((z[..., None, :] - locs) ** 2 / variances).sum(-1) / 2
    each = exponent.exp() / (2 * math.pi * variances.prod(-1).sqrt())
    by_hand = (weights * each).sum(-1).log()
    assert torch.allclose(prior(h)[0].log_prob(z), by_hand, rtol=0, atol=1e-10)


def test_a_mixture_over_maps_is_the_weighted_sum_of_its_gaussians(config):
    prior = wide(mixture_over_maps(config))
    h = torch.rand(2, 4, prior.size, dtype=torch.float64)
    z = torch.randn(2, 4, 2, dtype=torch.float64)
    read, _ = prior.vectors(h)
    log_weights = read[..., :3].log_softmax(-1)
    by_hand = 0
    for k in range(3):
        loc, log_variance = read[..., 3 + 4 * k : 7 + 4 * k].chunk(2, -1)
        gaussian = torch.distributions.Normal(loc, log_variance.exp().sqrt())
        by_hand += (log_weights[..., k] + gaussian.log_prob(z).sum(-1)).exp()
    assert torch.allclose(prior(h)[0].log_prob(z), by_hand.log(), rtol=0, atol=1e-10)


def test_later_dimensions_do_not_reach_earlier_ones(config):
    config = replace(config, z_dim=4)
    prior = wide(AutoregressivePrior(config))
    h = torch.rand(1, 1, config.g_dim, dtype=torch.float64)
    z_dist = prior(h)[0]
    z = torch.randn(1, 1, 4, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(
        lambda z: z_dist._parameters(z)[0], z
    )[0, 0, :, 0, 0]
    assert (jacobian.triu() == 0).all() and (jacobian.tril(-1).abs() > 0).any()


def test_the_slow_memory_is_a_running_mean(config):
    prior = TwoScalePrior(config, span=4.0).double()
    h = torch.rand(2, 6, config.g_dim, dtype=torch.float64)
    averages, _, _ = prior._averages(h, None, None)
    mean, weight = torch.zeros_like(h[:, 0]), 0.0
    for t in range(6):
        mean, weight = mean + (h[:, t] - mean) / 4, weight + (1 - weight) / 4
        assert torch.allclose(averages[:, t], mean / weight, rtol=0, atol=1e-12)


def test_a_smoothing_guide_sees_later_frames_and_the_past(config):
    guide = wide(SmoothingGuide(config))
    h = torch.rand(1, 5, config.g_dim, dtype=torch.float64)
    for changed in (0, 4):
        other = h.clone()
        other[:, changed] += 0.5
        locs = (guide(x)[0].mean[:, 2] for x in (h, other))
        assert not torch.allclose(*locs)


def test_the_density_of_a_flow_guide_is_that_of_its_map(config):
    config = replace(config, z_dim=3)
    guide = wide(FlowGuide(config))
    h = torch.rand(1, 1, config.g_dim, dtype=torch.float64)
    z_dist = guide(h)[0]
    base = z_dist.base_dist
    torch.manual_seed(0)
    e = base.sample()

    def bend(e):
        for transform in z_dist.transforms:
            e = transform(e)
        return e

    jacobian = torch.autograd.functional.jacobian(bend, e).reshape(3, 3)
    by_hand = base.log_prob(e) - jacobian.det().abs().log()
    z = e
    log_prob = base.log_prob(e)
    for transform in z_dist.transforms:
        bent = transform(z)
        log_prob = log_prob - transform.log_abs_det_jacobian(z, bent)
        z = bent
    assert torch.allclose(log_prob, by_hand, rtol=0, atol=1e-10)
    torch.manual_seed(0)
    assert torch.equal(z_dist.rsample(), z)


def test_the_prior_as_guide_has_no_divergence(config):
    prior = wide(LearnedPrior(config))
    guide = PriorGuide()
    guide.follow(prior)
    h = torch.rand(2, 6, config.g_dim, dtype=torch.float64)
    _, state = guide(h[:, :1])
    q, _ = guide(h[:, 1:], state)
    p, _ = prior(h[:, :-1])
    assert torch.equal(q.mean, p.mean) and torch.equal(q.variance, p.variance)
    assert not list(guide.parameters())


@pytest.mark.parametrize("prior", NAMES)
@pytest.mark.parametrize("guide", ["filtering", "smoothing", "flow", "prior"])
@pytest.mark.slow
def test_each_pair_trains_and_samples(config, prior, guide):
    torch.manual_seed(0)
    svg = SVG(replace(config, prior=prior, guide=guide, norm="group"))
    frames = torch.rand(2, 5, 1, 64, 64)
    svi = SVI(svg.model, svg.guide, Adam({"lr": 1e-3}), Trace_ELBO())
    losses = [svi.step(frames) for _ in range(4)]
    assert losses[-1] < losses[0]
    for part in (svg.prior, svg.posterior):
        for name, weight in part.named_parameters():
            assert weight.grad is None or weight.grad.isfinite().all(), name
    futures = svg.predict(frames[:, :2], 3, num_samples=3)
    assert futures.shape == (3, 2, 3, 1, 64, 64)
    assert not torch.equal(futures[0], futures[1])
    assert Sampler(svg).predict(frames[:, :2], 3).shape == (1, 2, 3, 1, 64, 64)
    predictive = Predictive(svg.model, guide=svg.guide, num_samples=3, parallel=True)
    assert predictive(frames[:, :2], horizon=2)["x_future"].shape[:3] == (3, 2, 2)
    assert svg.reconstruct(frames).shape == (2, 4, 1, 64, 64)


@pytest.mark.parametrize("prior", ["flow", "autoregressive"])
def test_one_latent_cannot_be_bent(config, prior):
    with pytest.raises(ConfigError, match="z_dim is 1"):
        SVG(replace(config, prior=prior, z_dim=1))
