"""Pyro's other ways to infer: several particles, autoguides, NUTS, enumeration.

Where frames are linear in z and Gaussian, the posterior is known::

    z ~ Normal(0, 1),  x = 0.5 + SLOPE z_1 + Normal(0, SIGMA), D values a frame
    precision of z_1 = 1 + D SLOPE^2 / SIGMA^2
    mean of z_1 = SLOPE sum(x - 0.5) / SIGMA^2 / precision
"""

import dataclasses

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import (
    MCMC,
    NUTS,
    SVI,
    Predictive,
    RenyiELBO,
    Trace_ELBO,
    TraceEnum_ELBO,
    config_enumerate,
)
from pyro.infer.autoguide import AutoNormal
from torch import nn

from svg_pyro import SVG, Observation, Prior
from svg_pyro.model.networks import Decoder, Encoder

SLOPE, SIGMA, SIDE = 0.2, 1.5, 8
PRECISION = 1 + SIDE**2 * SLOPE**2 / SIGMA**2


class Standard(Prior):
    def __init__(self, config):
        super().__init__()
        self.z_dim = config.z_dim

    def forward(self, h, state=None):
        mean = h.new_zeros(*h.shape[:-1], self.z_dim)
        return dist.Normal(mean, 1.0).to_event(1), state


class JustZ(nn.Module):
    """g_t is z_t's first dimension."""

    def forward(self, inputs, state=None):
        return inputs[..., -2:-1], None


class Small(Encoder):
    frame_shape = 1, SIDE, SIDE

    def __init__(self, config):
        super().__init__()
        self.net = nn.Linear(SIDE**2, config.g_dim)

    def forward(self, x):
        return self.net(x.flatten(-3)).tanh(), []


class Linear(Decoder):
    def forward(self, g, prepared):
        return (0.5 + SLOPE * g)[..., None, None].expand(*g.shape, SIDE, SIDE)


class Noise(Observation):
    def forward(self, mean, extra, target=None):
        return dist.Normal(mean, SIGMA).to_event(3)


@pytest.fixture
def linear(tiny):
    config = dataclasses.replace(tiny, z_dim=2)
    return SVG(
        config,
        prior=Standard(config),
        predictor=JustZ(),
        observation=Noise(),
        backbone=(Small(config), Linear()),
    ).eval()


@pytest.fixture
def clip():
    torch.manual_seed(5)
    return torch.rand(1, 3, 1, SIDE, SIDE)


def posterior_mean(clip):
    """Of z_1 at frames 2 and 3."""
    return SLOPE * (clip[0, 1:] - 0.5).sum((-3, -2, -1)) / SIGMA**2 / PRECISION


@pytest.mark.parametrize("vectorize", [False, True])
def test_bounds_of_several_particles_train(tiny, vectorize):
    svg, frames = SVG(tiny), torch.rand(2, 4, 1, 64, 64)
    options = {"num_particles": 3, "vectorize_particles": vectorize}
    for elbo in (
        RenyiELBO(alpha=0, max_plate_nesting=2, **options),
        Trace_ELBO(max_plate_nesting=2, **options),
    ):
        before = {n: p.clone() for n, p in svg.named_parameters()}
        svi = SVI(svg.model, svg.guide, pyro.optim.Adam({"lr": 1e-2}), elbo)
        first = svi.step(frames)
        for name, p in svg.named_parameters():
            assert not torch.equal(p, before[name]), name
        for _ in range(3):
            last = svi.step(frames)
        assert last < first


@pytest.mark.slow
def test_an_autoguide_finds_the_posterior_of_a_clip(linear, clip):
    guide = AutoNormal(poutine.block(linear.model, expose=["z", "x"]))
    svi = SVI(
        poutine.block(linear.model, hide_fn=lambda site: site["type"] == "param"),
        guide,
        pyro.optim.Adam({"lr": 0.1}),
        Trace_ELBO(num_particles=4, vectorize_particles=True, max_plate_nesting=2),
    )
    before = {n: p.clone() for n, p in linear.named_parameters()}
    means = []
    for step in range(250):
        svi.step(clip)
        if step >= 150:
            means.append(guide.median()["z"].detach())
    z = torch.stack(means).mean(0)
    assert z.shape == (1, 2, 2)
    # Its last 100 steps wander by about the rate of Adam.
    torch.testing.assert_close(z[0, :, 0], posterior_mean(clip), atol=0.1, rtol=0)
    low, high = guide.quantiles([0.1587, 0.8413])["z"].unbind(0)
    scales = (high - low).flatten(0, 1)[:, :] / 2
    assert scales[:, 0].mean().item() == pytest.approx(PRECISION**-0.5, rel=0.25)
    assert scales[:, 1].mean().item() == pytest.approx(1.0, rel=0.25)
    # The model's own weights were left alone.
    assert all(torch.equal(p, before[n]) for n, p in linear.named_parameters())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_nuts_finds_the_posterior_of_a_clip(linear, clip):
    linear.requires_grad_(False)
    mcmc = MCMC(
        NUTS(linear.model), num_samples=300, warmup_steps=100, disable_progbar=True
    )
    mcmc.run(clip)
    z = mcmc.get_samples()["z"]
    assert z.shape == (300, 1, 2, 2)
    # Four standard errors of 300 draws, were a third of them independent.
    error = 4 * PRECISION**-0.5 / 10
    found = z[:, 0, :, 0]
    assert (found.mean(0) - posterior_mean(clip)).abs().max() < error
    assert found.std(0).mean().item() == pytest.approx(PRECISION**-0.5, rel=0.25)
    assert z[..., 1].mean(0).abs().max() < 4 / 10


class Moody(Prior):
    """A clip is of one of two kinds, and its latents lie here or there."""

    def __init__(self, config):
        super().__init__()
        self.centres = nn.Parameter(torch.tensor([-1.0, 2.0]))
        self.z_dim = config.z_dim

    def forward(self, h, state=None):
        kind = pyro.sample("kind", dist.Categorical(torch.tensor([0.3, 0.7])))
        mean = self.centres[kind].unsqueeze(-1).expand(*kind.shape, self.z_dim)
        mean = mean.expand(*kind.shape[:-1], h.shape[-2], self.z_dim)
        return dist.Normal(mean, 1.0).to_event(1), state


def test_a_discrete_latent_of_a_clip_is_summed_out(tiny):
    svg = SVG(tiny, prior=Moody(tiny)).eval()
    frames = torch.rand(2, 4, 1, 64, 64)
    elbo = TraceEnum_ELBO(max_plate_nesting=2)
    pyro.set_rng_seed(1)
    loss = elbo.differentiable_loss(config_enumerate(svg.model), svg.guide, frames)
    pyro.set_rng_seed(1)
    guide = poutine.trace(svg.guide).get_trace(frames)
    q, z = guide.nodes["z"]["fn"], guide.nodes["z"]["value"]
    replayed = poutine.trace(poutine.replay(svg.model, guide)).get_trace(frames)
    log_x = replayed.nodes["x"]["fn"].log_prob(frames[:, 1:]).sum()
    of_kind = torch.stack(
        [
            torch.tensor(weight).log()
            + dist.Normal(centre, 1.0).log_prob(z).sum((-2, -1))
            for weight, centre in zip((0.3, 0.7), svg.prior.centres, strict=True)
        ]
    )
    want = q.log_prob(z).sum() - of_kind.logsumexp(0).sum() - log_x
    torch.testing.assert_close(loss, want, rtol=1e-5, atol=1e-2)
    loss.backward()
    assert svg.prior.centres.grad.abs().min() > 0


def test_outer_plates_are_left_of_the_clips(tiny):
    svg, frames = SVG(tiny).eval(), torch.rand(2, 3, 1, 64, 64)

    def outer(dim):
        def program(frames, horizon=0):
            with pyro.plate("outer", 4, dim=dim):
                return svg.model(frames, horizon)

        return program

    assert outer(-3)(frames, 2).shape == (4, 2, 2, 1, 64, 64)
    trace = poutine.trace(outer(-3)).get_trace(frames)
    assert trace.nodes["z"]["value"].shape == (4, 2, 2, 3)
    # Clips and times have the places -2 and -1 to themselves.
    for dim in (-2, -1):
        with pytest.raises(ValueError, match="collide"):
            outer(dim)(frames)


def test_without_a_horizon_nothing_is_returned(tiny):
    svg, frames = SVG(tiny).eval(), torch.rand(2, 3, 1, 64, 64)
    assert poutine.trace(svg.model).get_trace(frames).nodes["_RETURN"]["value"] is None
    draw = Predictive(svg.model, guide=svg.guide, num_samples=4, return_sites=["z"])
    assert draw(frames)["z"].shape == (4, 2, 2, 3)
    futures = Predictive(
        svg.model, guide=svg.guide, num_samples=4, return_sites=["_RETURN", "x_future"]
    )(frames, 2)
    assert torch.equal(futures["_RETURN"], futures["x_future"])
