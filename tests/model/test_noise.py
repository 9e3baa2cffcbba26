"""Frames drawn around futures' means against each observation model's closed form."""

import dataclasses
import math

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive
from support.futures import awake, contexts

from svg_pyro import SVG, ConfigError, FramesError, Sampler
from svg_pyro.model.observations.scales import log_scale
from svg_pyro.model.registry import names

NAMES = names("observation")


def model(config, observation, **changes):
    """A model whose noise is known."""
    svg = awake(config, observation=observation, **changes)
    if observation == "optimal-sigma":
        svg.observation.squared_error.fill_(0.05**2)
        svg.observation.batches.fill_(3)
    return svg.eval()


def decoder_gives(svg, mean, extra, monkeypatch):
    """Let every frame be decoded as one mean and one value of the extra channels."""

    def forward(g, prepared):
        count = svg.observation.extra_channels
        shape = *g.shape[:-1], 1, 64, 64
        parts = [g.new_full(shape, mean)] + [g.new_full(shape, extra)] * bool(count)
        return torch.cat(parts, -3)

    monkeypatch.setattr(svg.decoder, "forward", forward)


def variance_of(svg, name, mean, extra):
    """The closed form of the variance of a value that lies far from 0 and 1."""
    if name == "bernoulli":
        return mean * (1 - mean)
    if name == "gaussian":
        return 64**2 * svg.config.beta / 2
    if name == "learned-sigma":
        return svg.observation.log_sigma.detach().mul(2).exp().item()
    if name == "optimal-sigma":
        return 0.05**2
    scale = log_scale(torch.tensor(extra).double(), svg.observation.start).exp().item()
    if name == "per-pixel":
        return scale**2
    if name == "laplace":
        return 2 * scale**2
    # The variance of a level's rounding comes on top.
    return math.pi**2 / 3 * scale**2 + 1 / 255**2 / 12


@pytest.mark.parametrize("name", NAMES)
def test_draws_have_the_mean_and_variance_of_the_closed_form(tiny, name, monkeypatch):
    # sigma is 64 sqrt(beta / 2), 0.045, so that [0, 1] is 11 standard deviations wide.
    config = dataclasses.replace(tiny, beta=1e-6)
    svg = model(config, name)
    decoder_gives(svg, 0.55, -0.5, monkeypatch)
    frames = svg.predict(contexts(), 1, 40, noise=True, seed=3)
    count = frames.numel()
    variance = variance_of(svg, name, 0.55, -0.5)
    # Within 4 standard errors; the kurtosis of none of them is above 6.
    assert frames.mean().item() == pytest.approx(
        0.55, abs=4 * math.sqrt(variance / count)
    )
    assert frames.var().item() == pytest.approx(variance, rel=4 * math.sqrt(5 / count))


@pytest.mark.parametrize("name", NAMES)
def test_the_site_is_the_observation_model_around_the_means(tiny, name):
    svg, x = model(tiny, name), contexts()
    with torch.no_grad():
        trace = poutine.trace(svg.model).get_trace(x, 3, noise=True)
    site, means = trace.nodes["x_new"], trace.nodes["x_future"]["value"]
    assert [f.name for f in site["cond_indep_stack"]] == ["batch", "future"]
    assert site["fn"].batch_shape == (2, 3) and site["fn"].event_shape == (1, 64, 64)
    torch.testing.assert_close(site["fn"].mean, means, rtol=0, atol=1e-7)
    torch.testing.assert_close(trace.nodes["_RETURN"]["value"], means)


def test_means_are_fed_back_and_noise_is_not(tiny):
    for changes in ({}, {"last_frame_skip": True}):
        svg, x = model(tiny, "per-pixel", **changes), contexts()
        draws = [*svg.draws(x, 4, 3, noise=True, seed=2)]
        means = svg.predict(x, 4, 3, seed=2)
        assert torch.equal(torch.cat([d.means for d in draws]), means)
        frames = svg.predict(x, 4, 3, noise=True, seed=2)
        assert torch.equal(torch.cat([d.frames for d in draws]), frames)
        assert not torch.equal(frames, means)


def test_predictive_gives_the_site(tiny):
    svg, x = model(tiny, "logistic"), contexts()
    drawn = Predictive(svg.model, guide=svg.guide, num_samples=4)(x, 3, noise=True)
    assert drawn["x_new"].shape == drawn["x_future"].shape == (4, 2, 3, 1, 64, 64)
    levels = drawn["x_new"] * 255
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-9)
    parallel = Predictive(svg.model, guide=svg.guide, num_samples=4, parallel=True)(
        x, 3, noise=True
    )
    assert parallel["x_new"].shape == (4, 2, 3, 1, 64, 64)
    assert "x_new" not in Predictive(svg.model, guide=svg.guide, num_samples=2)(x, 3)


def test_a_given_future_is_scored(tiny):
    svg, x = model(tiny, "laplace"), contexts()
    truth = torch.rand(2, 3, 1, 64, 64).double()
    with torch.no_grad():
        trace = poutine.trace(poutine.condition(svg.model, {"x_new": truth})).get_trace(
            x, 3, noise=True
        )
        site = trace.nodes["x_new"]
        trace.compute_log_prob()
    want = site["fn"].log_prob(truth)
    assert want.shape == (2, 3)
    torch.testing.assert_close(site["log_prob"], want)


def test_without_latents_every_sample_has_noise_of_its_own(tiny):
    svg, x = model(tiny, "gaussian", prior="none"), contexts()
    for chunk_size in (None, 2):
        frames = svg.predict(x, 2, 5, noise=True, chunk_size=chunk_size, seed=0)
        assert torch.unique(frames.flatten(1), dim=0).shape[0] == 5
        means = svg.predict(x, 2, 5, chunk_size=chunk_size, seed=0)
        assert torch.unique(means.flatten(1), dim=0).shape[0] == 1


def test_a_seed_leaves_the_global_random_state_alone(tiny):
    svg, x = model(tiny, "gaussian"), contexts()
    pyro.set_rng_seed(5)
    before = torch.get_rng_state()
    first = svg.predict(x, 2, 5, chunk_size=2, noise=True, seed=7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert torch.equal(svg.predict(x, 2, 5, chunk_size=2, noise=True, seed=7), first)
    assert not torch.equal(
        svg.predict(x, 2, 5, chunk_size=2, noise=True, seed=8), first
    )
    # Chunks differ from each other.
    assert torch.unique(first.flatten(1), dim=0).shape[0] == 5
    sampler = Sampler(svg)
    ours = sampler.predict(x, 2, 5, chunk_size=2, noise=True, seed=7)
    torch.testing.assert_close(ours, first, rtol=1e-9, atol=1e-10)


def test_draws_of_a_real_line_are_cut_by_predict_alone(tiny, monkeypatch):
    svg, x = model(tiny, "gaussian"), contexts()
    decoder_gives(svg, 1.0, 0.0, monkeypatch)
    frames = svg.predict(x, 1, 4, noise=True, seed=0)
    assert frames.max() == 1 and (frames == 1).double().mean() == pytest.approx(
        0.5, abs=0.02
    )
    site = Predictive(svg.model, guide=svg.guide, num_samples=4)(x, 1, noise=True)
    assert site["x_new"].max() > 1


def test_noise_that_is_not_known_and_bad_seeds_are_one_line(tiny):
    svg, x = SVG(dataclasses.replace(tiny, observation="optimal-sigma")), contexts()
    x = x.float()
    for ask in (
        lambda: svg.predict(x, 2, noise=True),
        lambda: Sampler(svg).futures(x, 2, noise=True),
        lambda: svg.model(x, 2, noise=True),
    ):
        with pytest.raises(ConfigError, match="no noise to draw") as caught:
            ask()
        assert "\n" not in str(caught.value)
    for seed in (-1, 0.5):
        with pytest.raises(FramesError, match="seed is"):
            svg.predict(x, 2, seed=seed)
