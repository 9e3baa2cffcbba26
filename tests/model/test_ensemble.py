"""Several models as one predictor: whose samples they are, where variance is from."""

import dataclasses

import pyro.distributions as dist
import pytest
import torch
from support.evaluations import awake
from torch import nn

import svg_pyro
from svg_pyro import SVG, ConfigError, Ensemble, FramesError, Observation, Prior
from svg_pyro.model.ensemble import spread_of
from svg_pyro.model.networks import Decoder

CLIPS, HORIZON = 2, 2


class Around(Prior):
    """z ~ Normal(mean, scale), always."""

    def __init__(self, config, mean, scale):
        super().__init__()
        self.mean, self.scale, self.z_dim = mean, scale, config.z_dim

    def forward(self, h, state=None):
        shape = *h.shape[:-1], self.z_dim
        mean = h.new_full(shape, self.mean)
        return dist.Normal(mean, self.scale).to_event(1), state


class JustZ(nn.Module):
    """g_t is z_t's first dimension."""

    def forward(self, inputs, state=None):
        return inputs[..., -1:], None


class Flat(Decoder):
    """Frames whose values all are g."""

    def forward(self, g, prepared):
        return g[..., None, None].expand(*g.shape, 64, 64)


class Fixed(Observation):
    def forward(self, mean, extra, target=None):
        return dist.Normal(mean, 0.05).to_event(3)


@pytest.fixture
def context():
    return torch.rand(CLIPS, 2, 1, 64, 64)


def known(config, mean, scale):
    """A model of frames that are Normal(mean, scale), all values of one frame alike."""
    svg = SVG(
        config,
        prior=Around(config, mean, scale),
        observation=Fixed(),
        predictor=JustZ(),
        backbone=(SVG(config).encoder, Flat()),
    )
    return svg.eval()


def test_the_spread_is_that_of_the_law_of_total_variance(tiny, context):
    members = [known(tiny, 0.4, 0.02), known(tiny, 0.5, 0.03), known(tiny, 0.6, 0.04)]
    n = 600
    spread = Ensemble(members).spread(context, HORIZON, n, seed=0)
    assert spread.mean.shape == (CLIPS, HORIZON, 1, 64, 64)
    aleatoric = (0.02**2 + 0.03**2 + 0.04**2) / 3
    epistemic = (0.1**2 + 0 + 0.1**2) / 3
    # Five standard errors of a variance of n / 3 samples, and of a mean of them.
    for found, want, error in (
        (spread.mean, 0.5, (aleatoric / n) ** 0.5),
        (spread.aleatoric, aleatoric, 0.04**2 * (2 / n) ** 0.5),
        (spread.epistemic, epistemic, 2 * 0.1 * (aleatoric / n) ** 0.5),
    ):
        values = found[..., 0, 0, 0].flatten()
        assert (values - want).abs().max() < 5 * error
    assert torch.equal(spread.total, spread.aleatoric + spread.epistemic)
    noisy = Ensemble(members).spread(context, HORIZON, 150, seed=0, noise=True)
    # Each pixel has noise of its own, so that their mean is sharp.
    assert noisy.aleatoric.mean().item() == pytest.approx(aleatoric + 0.05**2, rel=0.15)
    assert noisy.epistemic.mean().item() == pytest.approx(epistemic, rel=0.2)


def test_models_that_agree_have_no_epistemic_variance_on_average(tiny, context):
    """With 2 samples each, the variance of their means is half of the true one."""
    samples = torch.randn(4, 40_000, dtype=torch.float64)
    spread = spread_of(samples, 2)
    assert abs(spread.epistemic.mean().item()) < 5 * 0.5 / 200
    assert abs(spread.aleatoric.mean().item() - 1) < 5 / 200
    # Of few samples too, what they add up to is the samples' own variance and bias.
    m, n = 2, 2
    own = samples.var(0, correction=0)
    within = spread.aleatoric * (n - 1) / n
    between = spread.epistemic + spread.aleatoric / n * (1 - 1 / m)
    torch.testing.assert_close(within + between, own)


def test_members_take_turns_whatever_the_chunks(tiny, context):
    members = [known(tiny, 0.2 * k, 1e-6) for k in range(1, 4)]
    for count, chunk_size in [(7, None), (7, 4), (7, 1), (2, None), (9, 6)]:
        ensemble = Ensemble(members)
        found = ensemble.predict(context, HORIZON, count, chunk_size=chunk_size)
        want = torch.tensor([0.2, 0.4, 0.6]).repeat(3)[:count]
        assert torch.allclose(found[:, 0, 0, 0, 0, 0], want, atol=1e-4)
        for chunk in ensemble.futures(context, HORIZON, count, chunk_size=chunk_size):
            assert chunk_size is None or len(chunk) <= max(chunk_size, 3)


def test_a_seed_makes_the_samples_and_members_differ(tiny, context):
    svg = awake(tiny)
    ensemble = Ensemble([svg, svg])
    one = ensemble.predict(context, HORIZON, 4, seed=3)
    state = torch.get_rng_state()
    assert torch.equal(one, ensemble.predict(context, HORIZON, 4, seed=3))
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.allclose(one[0], one[1])


def test_members_may_be_files(tiny, tmp_path, context):
    svgs = [awake(tiny), awake(tiny, prior="none")]
    for number, svg in enumerate(svgs):
        svg_pyro.save(svg, tmp_path / f"{number}.pt")
    loaded = Ensemble([tmp_path / "0.pt", str(tmp_path / "1.pt")])
    given = Ensemble(svgs)
    assert torch.equal(
        loaded.predict(context, HORIZON, 5, seed=1),
        given.predict(context, HORIZON, 5, seed=1),
    )


@pytest.mark.parametrize(
    "members, words",
    [
        ([], "an ensemble needs members: give a list"),
        (3, "an ensemble needs members: give a list"),
        ("push", "an ensemble needs members: give a list"),
        (
            [{"channels": 3}, {}],
            r"take frames \(1, 64, 64\) and \(3, 64, 64\); give models",
        ),
        ([{"n_past": 3}, {}], "contexts of 2 and 3 frames; give models"),
    ],
)
def test_members_that_do_not_fit_are_one_line(tiny, members, words):
    if isinstance(members, list):
        members = [SVG(dataclasses.replace(tiny, **changes)) for changes in members]
    with pytest.raises(ConfigError, match=words):
        Ensemble(members)


def test_too_few_samples_have_no_spread(tiny, context):
    with pytest.raises(FramesError, match="num_samples is 3; give a whole number of 4"):
        Ensemble([SVG(tiny), SVG(tiny)]).spread(context, HORIZON, 3)


def test_plans_are_handed_to_the_members_that_take_them(tiny):
    acting = awake(dataclasses.replace(tiny, action_dim=2))
    context, plans = torch.rand(1, 2, 1, 64, 64), torch.randn(3, 3, 2)
    found = Ensemble([acting, awake(tiny)]).predict(
        context, HORIZON, 4, seed=0, actions=plans
    )
    assert found.shape == (4, 3, HORIZON, 1, 64, 64)
    assert not torch.equal(found[0, 0], found[0, 1])
    assert torch.equal(found[1, 0], found[1, 1])
    with pytest.raises(FramesError, match="actions"):
        Ensemble([awake(tiny)]).predict(context, HORIZON, 4, actions=plans)
