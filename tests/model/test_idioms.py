"""PyTorch's and Pyro's idioms: programs as modules, freezing."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.inspect import get_model_relations
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from svg_pyro import SVG, FramesError, Prior
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


def test_every_latent_is_an_edge_to_the_future(tiny):
    svg, frames = SVG(tiny).eval(), torch.rand(2, 3, 1, 64, 64)
    relations = get_model_relations(
        svg.model, (frames, 3), {"noise": True}, include_deterministic=True
    )["sample_sample"]
    assert set(relations["x_future"]) == {"z", "z_4", "z_5", "z_6"}
    assert "x_future" in relations["x_new"]
    assert set(relations["z_6"]) == {"z", "z_4", "z_5"}
    observed = get_model_relations(svg.model, (frames,))["sample_sample"]
    assert observed["x"] == ["z"]


def test_one_latent_of_an_observed_frame_is_refused_not_ignored(tiny):
    svg, frames = SVG(tiny), torch.rand(2, 4, 1, 64, 64)
    z = torch.randn(2, 1, 3)
    for name, words in (
        ("z_3", "z_3 is of an observed frame.*frames up to 2"),
        ("z_4", "z_4 is of an observed frame"),
        ("z_8", "are z_5 to z_7"),
    ):
        with pytest.raises(FramesError, match=words) as caught:
            poutine.condition(svg.model, {name: z})(frames, 3)
        assert "\n" not in str(caught.value)
    with pytest.raises(FramesError, match="are none"):
        poutine.condition(svg.model, {"z_5": z})(frames)
    futures = [
        poutine.condition(svg.model, {"z_5": z, "z": torch.zeros(2, 3, 3)})(frames, 1)
        for _ in range(2)
    ]
    assert torch.equal(*futures)
    trace = poutine.trace(svg.model).get_trace(frames, 1)
    assert torch.equal(
        poutine.condition(svg.model, trace)(frames, 1), trace.nodes["_RETURN"]["value"]
    )


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
