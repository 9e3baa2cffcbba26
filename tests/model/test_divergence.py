"""KL terms: by formula, or by a draw whose mean is the formula's value."""

import pyro.distributions as dist
import torch

from svg_pyro.model.divergence import closed_form_kl, kl_at, kl_bound


def test_a_formula_is_taken_where_there_is_one():
    q = dist.Normal(torch.tensor([0.5, -1.0]), 2.0).to_event(1)
    p = dist.Normal(torch.zeros(2), 1.0).to_event(1)
    # (s^2 + m^2 - 1) / 2 - log s for each dimension.
    want = (4 + torch.tensor([0.25, 1.0]) - 1).sum() / 2 - 2 * torch.tensor(2.0).log()
    torch.testing.assert_close(closed_form_kl(q, p), want)
    torch.testing.assert_close(kl_at(q, p, torch.randn(2)), want)


def test_without_a_formula_draws_have_its_mean():
    q = dist.Normal(torch.zeros(100_000, 1), 1.0).to_event(1)
    means = torch.tensor([[-1.0], [2.0]]).expand(100_000, 2, 1)
    p = dist.MixtureSameFamily(
        dist.Categorical(torch.tensor([0.3, 0.7]).expand(100_000, 2)),
        dist.Normal(means, 1.0).to_event(1),
    )
    assert closed_form_kl(q, p) is None
    estimates = kl_at(q, p, q.sample())
    # By quadrature.
    x = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    log_q = dist.Normal(0.0, 1.0).log_prob(x)
    parts = [
        torch.tensor(w).log() + dist.Normal(m, 1.0).log_prob(x)
        for w, m in ((0.3, -1.0), (0.7, 2.0))
    ]
    ratio = log_q - torch.stack(parts).logsumexp(0)
    want = torch.trapezoid(log_q.exp() * ratio, x).item()
    error = estimates.std().item() / len(estimates) ** 0.5
    assert abs(estimates.mean().item() - want) < 4 * error


def mixture(logits, locs, scales):
    parts = dist.Normal(locs, scales).to_event(1)
    return dist.MixtureSameFamily(dist.Categorical(logits=logits), parts)


def test_a_bound_of_the_kl_from_a_mixture_lies_above_it():
    torch.manual_seed(0)
    locs, log_scales = torch.randn(2, 40, 3, 2, dtype=torch.float64)
    prior = mixture(torch.randn(40, 3).double(), 2 * locs, (0.5 * log_scales).exp())
    loc, log_scale = torch.randn(2, 40, 2, dtype=torch.float64)
    posterior = dist.Normal(loc, (log_scale - 1).exp()).to_event(1)
    z = posterior.expand((20_000, 40)).sample()
    each = posterior.log_prob(z) - prior.log_prob(z)
    kl, error = each.mean(0), each.std(0) / 20_000**0.5
    bound = kl_bound(posterior, prior)
    assert bound.shape == (40,)
    assert (bound > kl - 4 * error).all() and (bound > kl + 4 * error).any()


def test_the_bound_is_the_kl_where_all_components_are_one():
    posterior = dist.Normal(torch.tensor([0.3, -1.0]), torch.tensor([0.5, 2.0]))
    one = dist.Normal(torch.tensor([1.0, 0.0]), torch.tensor([1.5, 0.7]))
    same = [value.expand(4, 2) for value in (one.loc, one.scale)]
    bound = kl_bound(posterior.to_event(1), mixture(torch.randn(4), *same))
    kl = torch.distributions.kl_divergence(posterior, one).sum()
    torch.testing.assert_close(bound, kl)


def test_the_bound_counts_the_weight_of_the_only_component_that_is_near():
    posterior = dist.Normal(torch.zeros(1), torch.ones(1)).to_event(1)
    locs = torch.tensor([[0.5], [100.0]])
    prior = mixture(torch.tensor([0.25, 0.75]).log(), locs, torch.ones(2, 1))
    # KL to the near one is 0.5^2 / 2; the far one is out of reach.
    expected = torch.tensor(0.125) - torch.tensor(0.25).log()
    torch.testing.assert_close(kl_bound(posterior, prior), expected)


def test_there_is_no_bound_of_a_kl_from_a_flow():
    posterior = dist.Normal(torch.zeros(2), torch.ones(2)).to_event(1)
    bend = dist.transforms.AffineTransform(1.0, 2.0)
    assert kl_bound(posterior, dist.TransformedDistribution(posterior, [bend])) is None
