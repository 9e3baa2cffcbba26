"""KL terms: by formula, or by a draw whose mean is the formula's value."""

import pyro.distributions as dist
import torch

from svg_pyro.model.divergence import closed_form_kl, kl_at


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
