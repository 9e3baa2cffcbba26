"""PyTorch's and Pyro's idioms: programs as modules, freezing."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from svg_pyro import SVG, Prior
from svg_pyro.model.networks import folded


def test_an_elbo_of_the_programs_has_the_models_parameters(tiny):
    svg, frames = SVG(tiny), torch.rand(2, 4, 1, 64, 64)
    loss = Trace_ELBO()(svg.model, svg.guide)
    assert {id(p) for p in loss.parameters()} == {id(p) for p in svg.parameters()}
    loss(frames).backward()
    assert all(p.grad is not None for p in svg.parameters())
    pyro.set_rng_seed(2)
    future = svg(frames, 2)
    pyro.set_rng_seed(2)
    assert torch.equal(svg.model(frames, horizon=2), future)
    assert SVG.model.__doc__.startswith("p(x_{2:T}, z_{2:T} | x_1)")


class Shifted(Prior):
    def __init__(self, config):
        super().__init__()
        self.shift = nn.Parameter(torch.randn(config.z_dim))

    def forward(self, h, state=None):
        return dist.Normal(self.shift.expand(*h.shape[:-1], -1), 1.0).to_event(1), None


@pytest.mark.filterwarnings("ignore:.*not registered in the param store")
@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_weights_stay_frozen(tiny, frozen):
    svg, frames = SVG(tiny, prior=Shifted(tiny)), torch.rand(2, 4, 1, 64, 64)
    svg.prior.shift.requires_grad_(not frozen)
    svg.encoder.requires_grad_(not frozen)
    before = {n: p.clone() for n, p in svg.named_parameters()}
    SVI(svg.model, svg.guide, pyro.optim.Adam({"lr": 1e-2}), Trace_ELBO()).step(frames)
    for name, p in svg.named_parameters():
        held = frozen and name.startswith(("prior.shift", "encoder."))
        assert torch.equal(p, before[name]) == held, name
        assert p.requires_grad != held


@pytest.mark.parametrize(
    "normalise", [weight_norm, spectral_norm, nn.utils.spectral_norm]
)
def test_folding_keeps_what_a_normalised_weight_does(tiny, normalise):
    svg = SVG(tiny)
    for stage in svg.encoder.stages:
        normalise(stage[0])
    frames = torch.rand(2, 3, 1, 64, 64)
    svg(frames)  # in training mode: running statistics, power iterations
    svg.eval()
    copies = folded(svg)
    with torch.no_grad():
        torch.testing.assert_close(
            copies.encoder(frames)[0], svg.encoder(frames)[0], rtol=1e-4, atol=1e-5
        )
