"""Likelihood bounds: a linear Gaussian model's closed forms, Pyro's bound, numpy."""

import dataclasses
import math

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import RenyiELBO
from torch import nn

from svg_pyro import SVG, SVGConfig
from svg_pyro.errors import EvaluationError, FramesError
from svg_pyro.evaluation.held_out import HeldOut
from svg_pyro.evaluation.likelihood import (
    bits_a_dimension,
    bound,
    likelihood,
)
from svg_pyro.model.features import encode
from svg_pyro.model.smc import effective_sample_size
from svg_pyro.training.terms import held_out_terms

PIXELS = 64 * 64


class LinearEncoder(nn.Module):
    """h is the frame itself."""

    def forward(self, x):
        return x.flatten(-3), []


class LinearPredictor(nn.Module):
    """g_t = z_2 + .. + z_t: every frame depends on all latents before it."""

    def forward(self, x, state=None):
        return x[..., -2:].cumsum(-2), None


class LinearDecoder(nn.Module):
    """x_t = 0.5 + W g_t."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def prepare(self, frames, skips):
        return []

    def forward(self, g, prepared):
        return 0.5 + (g @ self.weight.T).unflatten(-1, (1, 64, 64))


class Fixed(nn.Module):
    """Prior or guide: given Gaussians for every step, whatever the frames are."""

    def __init__(self, loc, scale):
        super().__init__()
        self.loc, self.scale = loc, scale

    def forward(self, h, state=None):
        loc, scale = (v[: h.shape[-2]] for v in (self.loc, self.scale))
        loc = loc.expand(*h.shape[:-1], -1)
        return dist.Normal(loc, scale).to_event(1), None


def linear_model(loc=None, scale=None, steps=3):
    """A model whose likelihood is known, with a guide of the given Gaussians."""
    config = SVGConfig(channels=1, width=4, g_dim=8, z_dim=2, rnn_size=12, beta=1e-5)
    shape = steps, 2
    loc = torch.zeros(shape) if loc is None else loc
    scale = torch.ones(shape) if scale is None else scale
    prior = Fixed(torch.zeros(shape).double(), torch.ones(shape).double())
    svg = SVG(config, prior=prior, guide=Fixed(loc.double(), scale.double()))
    generator = torch.Generator().manual_seed(1)
    weight = 0.002 * torch.randn(PIXELS, 2, generator=generator).double()
    svg.encoder, svg.frame_predictor = LinearEncoder(), LinearPredictor()
    svg.decoder = LinearDecoder(weight)
    return svg


def joint(svg, frames):
    """Mean, loading of all latents, and noise of x_{2:T} as one Gaussian vector."""
    steps = frames.shape[1] - 1
    later = torch.ones(steps, steps).double().tril()
    loading = torch.kron(later, svg.decoder.weight)
    return frames[:, 1:].flatten(1) - 0.5, loading, svg.config.noise_scale


def log_likelihood(svg, frames):
    rest, loading, sigma = joint(svg, frames)
    shape = torch.full(rest.shape[1:], sigma**2).double()
    zeros = torch.zeros_like(shape)
    return torch.distributions.LowRankMultivariateNormal(
        zeros, loading, shape
    ).log_prob(rest)


def linear_frames(batch=2, steps=3):
    return (0.5 + 0.1 * torch.randn(batch, steps + 1, 1, 64, 64).double()).clamp(0, 1)


def test_bounds_reach_the_closed_form_of_a_linear_gaussian_model():
    svg, frames = linear_model(), linear_frames(batch=1)
    rest, loading, sigma = joint(svg, frames)
    precision = torch.eye(6).double() + loading.T @ loading / sigma**2
    mean = torch.linalg.solve(precision, loading.T @ rest[0] / sigma**2).view(3, 2)
    # As near as a factorised guide comes: the best one, widened a little.
    scale = 1.1 * precision.diagonal().rsqrt().view(3, 2)
    svg = linear_model(mean, scale)
    weights = likelihood(svg, frames, 2000).log_weights
    want = log_likelihood(svg, frames)
    bounds = {k: bound(weights, k).item() for k in (1, 10, 100, 1000)}
    assert bounds[1] < bounds[10] < bounds[100] < want.item() + 0.05
    assert bounds[1] < want.item() - 0.2
    assert bounds[1000] == pytest.approx(want.item(), abs=0.1)
    # The ELBO itself: log p(x) - KL(q || p(z | x)), both Gaussian.
    q = torch.distributions.MultivariateNormal(
        mean.flatten(), scale.flatten().square().diag()
    )
    p = torch.distributions.MultivariateNormal(
        mean.flatten(), precision_matrix=precision
    )
    gap = torch.distributions.kl_divergence(q, p).item()
    error = weights.std().item() / math.sqrt(2000)
    assert abs(bounds[1] - (want.item() - gap)) < 5 * error


def test_the_exact_posterior_makes_every_weight_the_likelihood():
    frames = linear_frames(batch=1, steps=1)
    svg = linear_model(steps=1)
    # A factorised guide is exact for loadings at right angles.
    loading = 0.1 * torch.linalg.qr(svg.decoder.weight)[0]
    svg.decoder.weight = loading
    rest, _, sigma = joint(svg, frames)
    covariance = 1 / (1 + 0.01 / sigma**2)
    mean = covariance * loading.T @ rest[0] / sigma**2
    svg.posterior = Fixed(mean[None], torch.full((1, 2), covariance).double().sqrt())
    found = likelihood(svg, frames, 7)
    want = log_likelihood(svg, frames)
    torch.testing.assert_close(found.log_weights, want.expand(7, 1))
    torch.testing.assert_close(
        effective_sample_size(found.log_weights), torch.tensor([7.0]).double()
    )


@pytest.mark.parametrize("particles", [1, 9])
def test_of_one_clip_it_is_pyros_own_bound(tiny, particles):
    svg = awake(tiny)
    frames = torch.rand(1, 4, 1, 64, 64).double()
    elbo = RenyiELBO(
        alpha=0, num_particles=particles, vectorize_particles=True, max_plate_nesting=2
    )
    torch.manual_seed(3)
    with torch.no_grad():
        want = -elbo.loss(svg.model, svg.guide, frames)
    torch.manual_seed(3)
    found = likelihood(svg, frames, particles).log_weights
    assert bound(found, particles).item() == pytest.approx(want, rel=1e-10)


def awake(config, **changes):
    """A float64 model whose weights are large enough for every part to matter."""
    svg = SVG(config if not changes else SVGConfig(**{**vars(config), **changes}))
    svg = svg.double().eval()
    with torch.no_grad():
        for p in svg.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return svg


def test_weights_of_each_clip_against_traces(tiny):
    svg = awake(tiny)
    frames = torch.rand(3, 4, 1, 64, 64).double()
    torch.manual_seed(5)
    found = likelihood(svg, frames, 5, chunk_size=1).log_weights.numpy()
    torch.manual_seed(5)
    for weights in found:
        with torch.no_grad():
            guide = poutine.trace(svg.guide).get_trace(frames)
            replay = poutine.replay(svg.model, trace=guide)
            model = poutine.trace(replay).get_trace(frames)
        sums = [
            t.nodes[site]["fn"].log_prob(t.nodes[site]["value"]).sum(1).numpy()
            for t, site in ((model, "x"), (model, "z"), (guide, "z"))
        ]
        np.testing.assert_allclose(weights, sums[0] + sums[1] - sums[2], rtol=1e-10)


def test_bounds_and_sample_sizes_against_numpy():
    weights = 3 * torch.randn(7, 2).double()
    w = np.exp(weights.numpy())
    np.testing.assert_allclose(bound(weights, 7), np.log(w.mean(0)), rtol=1e-12)
    np.testing.assert_allclose(bound(weights, 1), np.log(w).mean(0), rtol=1e-12)
    pairs = [np.log(w[i : i + 2].mean(0)) for i in (0, 2, 4)]
    np.testing.assert_allclose(bound(weights, 2), np.mean(pairs, 0), rtol=1e-12)
    np.testing.assert_allclose(
        effective_sample_size(weights), w.sum(0) ** 2 / (w**2).sum(0), rtol=1e-12
    )
    # As far from 0 as log-likelihoods of videos are.
    np.testing.assert_allclose(
        bound(weights - 1e5, 7), np.log(w.mean(0)) - 1e5, rtol=1e-12
    )
    one = torch.tensor([[0.0], [-1e4], [-1e4]])
    assert effective_sample_size(one).item() == pytest.approx(1)
    for k in (0, 8):
        with pytest.raises(EvaluationError, match=f"a bound of {k} draws"):
            bound(weights, k)


def test_bits_of_256_levels():
    # A uniform density says nothing of the level; one of 256 on its level all of it.
    assert bits_a_dimension(0.0, 12) == 8
    assert bits_a_dimension(-24 * math.log(2), 12, is_density=False) == 2
    assert bits_a_dimension(12 * math.log(256), 12) == pytest.approx(0)


def test_kl_terms_are_the_closed_form(tiny):
    svg = awake(tiny)
    frames = torch.rand(3, 4, 1, 64, 64).double()
    found = likelihood(svg, frames, 2)
    features = encode(svg.encoder, frames)
    with torch.no_grad():
        prior, _ = svg.prior(features.h[:, :-1])
        _, state = svg.posterior(features.h[:, :1])
        posterior, _ = svg.posterior(features.h[:, 1:], state)
    (m, s), (n, r) = ((d.base_dist.loc, d.base_dist.scale) for d in (posterior, prior))
    want = (r / s).log() + (s**2 + (m - n) ** 2) / (2 * r**2) - 0.5
    torch.testing.assert_close(found.kl_by_unit, want)
    torch.testing.assert_close(found.kl, want.sum(-1))
    torch.testing.assert_close(found.posterior_mean, m)


class StudentGuide(nn.Module):
    """A guide of a family that has no closed form of the KL beside a Gaussian."""

    def forward(self, h, state=None):
        loc = 0.1 * h[..., :3]
        return dist.MultivariateStudentT(
            torch.tensor(9.0).double(), loc, torch.eye(3).double()
        ), 0


def test_kl_without_a_closed_form_is_estimated(tiny):
    torch.manual_seed(0)
    svg = SVG(tiny, guide=StudentGuide()).double().eval()
    frames = torch.rand(2, 4, 1, 64, 64).double()
    torch.manual_seed(1)
    found = likelihood(svg, frames, 300, chunk_size=60)
    assert found.kl_by_unit is None and found.kl.shape == (2, 3)
    with torch.no_grad():
        h = encode(svg.encoder, frames).h
        posterior, prior = svg.posterior(h[:, 1:])[0], svg.prior(h[:, :-1])[0]
        z = posterior.sample((20_000,))
        ratio = posterior.log_prob(z) - prior.log_prob(z)
    error = ratio.std(0) * (1 / 300 + 1 / 20_000) ** 0.5
    assert ((found.kl - ratio.mean(0)).abs() < 5 * error).all()


def test_without_latents_it_is_exact(tiny):
    svg = awake(tiny, prior="none")
    frames = torch.rand(2, 4, 1, 64, 64).double()
    found = likelihood(svg, frames, 50)
    sigma = tiny.noise_scale
    rest = svg.reconstruct(frames) - frames[:, 1:]
    want = -(rest / sigma).square().flatten(1).sum(1) / 2
    want = want - rest[0].numel() * (math.log(sigma) + math.log(2 * math.pi) / 2)
    torch.testing.assert_close(found.log_weights, want[None])
    assert not found.kl.any() and found.posterior_mean is None
    held_out = HeldOut((1, 10))
    held_out.update(likelihood(svg, frames, 10))
    summary = dataclasses.asdict(held_out.summary())
    one, ten = summary["bounds"]
    assert one["nats_per_frame"] == pytest.approx(want.mean().item() / 3)
    assert ten["nats_per_frame"] == pytest.approx(one["nats_per_frame"])
    assert summary["effective_sample_size"] is None


def test_chunks_share_what_does_not_depend_on_the_draw(tiny, monkeypatch):
    svg = awake(tiny)
    calls = {"encoder": 0, "posterior": 0, "prior": 0}
    for name in calls:
        module, forward = getattr(svg, name), getattr(svg, name).forward

        def counted(*args, name=name, forward=forward, **kwargs):
            calls[name] += 1
            return forward(*args, **kwargs)

        monkeypatch.setattr(module, "forward", counted)
    prepare, prepared = svg.decoder.prepare, []
    monkeypatch.setattr(
        svg.decoder, "prepare", lambda *a: prepared.append(1) or prepare(*a)
    )
    likelihood(svg, torch.rand(2, 4, 1, 64, 64).double(), 12, chunk_size=2)
    # The guide's state is started by the first frame: two calls.
    assert calls == {"encoder": 1, "posterior": 2, "prior": 1} and len(prepared) == 1


def test_sums_over_clips(tiny):
    svg = awake(tiny)
    frames = torch.rand(5, 4, 1, 64, 64).double()
    parts = HeldOut((4, 1))
    assert parts.summary() is None
    torch.manual_seed(2)
    found = likelihood(svg, frames[:2], 4), likelihood(svg, frames[2:], 4)
    torch.manual_seed(2)
    parts.update(likelihood(svg, frames[:2], 4))
    state = parts.state_dict()
    parts = HeldOut((1, 4))
    parts.load_state_dict(state)
    parts.update(likelihood(svg, frames[2:], 4))
    summary = dataclasses.asdict(parts.summary())
    for row, k in zip(summary["bounds"], (1, 4), strict=True):
        clips = torch.cat([bound(f.log_weights, k) for f in found]) / 3
        assert row["nats_per_frame"] == pytest.approx(clips.mean().item())
        error = clips.std().item() / math.sqrt(5)
        assert row["nats_per_frame_se"] == pytest.approx(error)
        bits = 8 - clips / PIXELS / math.log(2)
        assert row["bits_per_dimension"] == pytest.approx(bits.mean().item())
        assert row["bits_per_dimension_se"] == pytest.approx(
            bits.std().item() / math.sqrt(5)
        )
    kl = torch.cat([f.kl for f in found])
    assert summary["kl"]["per_step"] == pytest.approx(kl.mean(0).tolist())
    assert summary["kl"]["mean"] == pytest.approx(kl.mean().item())
    ess = torch.cat([effective_sample_size(f.log_weights) for f in found])
    assert summary["effective_sample_size"]["mean"] == pytest.approx(ess.mean().item())
    units = torch.cat([f.kl_by_unit for f in found]).mean((0, 1))
    assert summary["kl"]["per_unit"] == pytest.approx(units.tolist())
    assert summary["informed_units"] == int((units > 0.01).sum())
    means = torch.cat([f.posterior_mean for f in found]).flatten(0, 1)
    assert summary["active_units"] == int((means.var(0) > 0.01).sum())
    # The KL that training logs is the same number.
    elbo = RenyiELBO(alpha=0)
    clips = (frames * 255).round().byte()
    again = HeldOut((1,))
    again.update(likelihood(svg, clips.double() / 255, 1))
    _, logged = held_out_terms(svg.float(), elbo, clips)
    assert again.summary().kl.mean == pytest.approx(logged, rel=1e-3)


def test_what_cannot_be_bounded(tiny):
    frames = torch.rand(1, 3, 1, 64, 64).double()
    with pytest.raises(EvaluationError, match="'optimal-sigma' that has no running"):
        likelihood(awake(tiny, observation="optimal-sigma"), frames, 3)
    svg = awake(tiny)
    with pytest.raises(FramesError, match="at least 1 clip of 2 frames"):
        likelihood(svg, frames[:, :1], 3)
    with pytest.raises(FramesError, match="num_particles is 0"):
        likelihood(svg, frames, 0)
    with pytest.raises(FramesError, match="chunk_size is 0"):
        likelihood(svg, frames, 1, chunk_size=0)
