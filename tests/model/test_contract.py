"""Swapping priors and guides in code, several models in one process, copies."""

import copy
import dataclasses

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Predictive, Trace_ELBO, TraceMeanField_ELBO
from torch import nn

from svg_pyro import SVG, ConfigError, FixedPrior, LearnedPrior


class MarkovPrior(nn.Module):
    """A user's own prior: from the last frame's features alone."""

    def __init__(self, config):
        super().__init__()
        self.net = nn.Linear(config.g_dim, 2 * config.z_dim)

    def forward(self, h, state=None):
        loc, log_scale = self.net(h).chunk(2, -1)
        return dist.Normal(loc, log_scale.exp()).to_event(1), None


class SmoothingGuide(nn.Module):
    """A user's own guide: an LSTM that reads the clip in both directions."""

    def __init__(self, config):
        super().__init__()
        self.lstm = nn.LSTM(config.g_dim, 8, batch_first=True, bidirectional=True)
        self.net = nn.Linear(16, 2 * config.z_dim)

    def forward(self, h, state=None):
        loc, log_scale = self.net(self.lstm(h)[0]).chunk(2, -1)
        return dist.Normal(loc, log_scale.exp()).to_event(1), state


def moved(svg, elbo, frames):
    """Names of the parameters that a step of SVI changed."""
    before = {n: p.detach().clone() for n, p in svg.named_parameters()}
    SVI(svg.model, svg.guide, pyro.optim.Adam({"lr": 1e-2}), elbo).step(frames)
    return {n for n, p in svg.named_parameters() if not torch.equal(p, before[n])}


@pytest.mark.parametrize("elbo", [Trace_ELBO, TraceMeanField_ELBO])
@pytest.mark.parametrize(
    "prior, guide",
    [
        (None, None),
        (FixedPrior, None),
        (MarkovPrior, None),
        (None, SmoothingGuide),
        (MarkovPrior, SmoothingGuide),
    ],
)
def test_every_part_moves_and_futures_can_be_sampled(tiny, elbo, prior, guide):
    svg = SVG(tiny, prior=prior and prior(tiny), guide=guide and guide(tiny))
    frames = torch.rand(2, 5, 1, 64, 64)
    assert moved(svg, elbo(), frames) == {n for n, _ in svg.named_parameters()}
    predictive = Predictive(svg.model, guide=svg.guide, num_samples=3, parallel=True)
    assert predictive(frames, horizon=2)["x_future"].shape == (3, 2, 2, 1, 64, 64)


def test_a_second_instance_and_a_copy_train_too(tiny):
    frames = torch.rand(2, 4, 1, 64, 64)
    first = SVG(tiny)
    names = {n for n, _ in first.named_parameters()}
    assert moved(first, Trace_ELBO(), frames) == names
    kept = copy.deepcopy(first.state_dict())
    for other in (SVG(tiny), copy.deepcopy(first)):
        assert moved(other, Trace_ELBO(), frames) == names
    for name, value in first.state_dict().items():
        assert torch.equal(value, kept[name]), name


def test_training_goes_on_after_the_store_is_cleared(tiny):
    frames = torch.rand(2, 4, 1, 64, 64)
    svg = SVG(tiny)
    moved(svg, Trace_ELBO(), frames)
    pyro.clear_param_store()
    assert moved(svg, Trace_ELBO(), frames) == {n for n, _ in svg.named_parameters()}


def test_weights_that_pyro_would_copy_are_refused(tiny):
    svg = SVG(tiny).to(memory_format=torch.channels_last)
    with pytest.raises(ConfigError, match=r"torch\.contiguous_format"):
        moved(svg, Trace_ELBO(), torch.rand(2, 4, 1, 64, 64))
    svg.to(memory_format=torch.contiguous_format)
    moved(svg, Trace_ELBO(), torch.rand(2, 4, 1, 64, 64))


@pytest.mark.parametrize("prior", ["fixed", "none"])
def test_priors_by_name(tiny, prior):
    svg = SVG(dataclasses.replace(tiny, prior=prior))
    frames = torch.rand(2, 4, 1, 64, 64)
    assert moved(svg, Trace_ELBO(), frames) == {n for n, _ in svg.named_parameters()}
    assert (svg.prior is None) == (prior == "none")


def test_prior_by_sequence_equals_prior_by_steps(tiny):
    prior = LearnedPrior(tiny).double()
    h = torch.randn(2, 5, tiny.g_dim).double()
    whole, _ = prior(h)
    state = None
    for t in range(5):
        step, state = prior(h[:, t : t + 1], state)
        torch.testing.assert_close(
            step.base_dist.loc[:, 0], whole.base_dist.loc[:, t], rtol=1e-10, atol=1e-12
        )
        torch.testing.assert_close(
            step.base_dist.scale[:, 0],
            whole.base_dist.scale[:, t],
            rtol=1e-10,
            atol=1e-12,
        )


def test_fixed_prior_is_the_standard_normal(tiny):
    prior, state = FixedPrior(tiny)(torch.randn(2, 5, tiny.g_dim))
    assert state is None and prior.batch_shape == (2, 5)
    z = torch.randn(2, 5, tiny.z_dim)
    want = -0.5 * (z.square() + torch.tensor(2 * torch.pi).log()).sum(-1)
    torch.testing.assert_close(prior.log_prob(z), want)


def test_learned_prior_does_not_see_the_future(tiny):
    prior = LearnedPrior(tiny)
    h = torch.randn(1, 5, tiny.g_dim)
    before = prior(h)[0].base_dist.loc
    h[:, 3] += 1
    after = prior(h)[0].base_dist.loc
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3:], after[:, 3:])


def test_wrong_pairs_of_model_and_guide_fail(tiny):
    wide = SVG(dataclasses.replace(tiny, z_dim=5))
    narrow = SVG(tiny)
    svi = SVI(narrow.model, wide.guide, pyro.optim.Adam({"lr": 1e-3}), Trace_ELBO())
    with pytest.raises((ValueError, RuntimeError)):
        svi.step(torch.rand(2, 4, 1, 64, 64))
