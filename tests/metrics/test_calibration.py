"""Calibration against definitions, closed forms and simulated forecasts."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from svg_pyro.errors import EvaluationError
from svg_pyro.metrics import (
    Calibration,
    crps,
    diversity,
    rank_histogram,
    reliability,
    spread_skill,
)


def crps_by_pairs(samples, truth, fair):
    n = len(samples)
    pairs = (samples[:, None] - samples[None]).abs().sum((0, 1)) / 2
    return (samples - truth).abs().mean(0) - pairs / (n * (n - 1) if fair else n * n)


def clips(n=7, batch=4, steps=3, seed=0):
    """Truth and samples in [0, 1], with ties as 8-bit frames have them."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(n + 1, batch, steps, 1, 4, 5, generator=generator)
    drawn = (drawn * 9).round() / 9
    return drawn[0], drawn[1:]


@pytest.mark.parametrize("fair", [True, False])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_crps_against_the_pairs(fair, n):
    samples, truth = torch.randn(n, 4, 6).double(), torch.randn(4, 6).double()
    want = crps_by_pairs(samples, truth, fair)
    torch.testing.assert_close(
        crps(samples, truth, fair=fair), want, rtol=0, atol=1e-12
    )


def test_crps_of_one_sample_is_the_absolute_error():
    samples, truth = torch.randn(1, 9), torch.randn(9)
    want = (samples[0] - truth).abs()
    torch.testing.assert_close(crps(samples, truth, fair=False), want)


def gaussian_crps(y):
    """Of N(0, 1): y (2 Phi(y) - 1) + 2 phi(y) - 1 / sqrt(pi)."""
    phi = stats.norm
    return y * (2 * phi.cdf(y) - 1) + 2 * phi.pdf(y) - 1 / math.sqrt(math.pi)


@pytest.mark.parametrize("y", [0.0, 0.8, -2.5])
def test_crps_of_a_gaussian(y):
    """Quantiles for the empirical score; for the fair one a mean over small samples."""
    grid = torch.from_numpy(stats.norm.ppf((np.arange(4000) + 0.5) / 4000))
    got = crps(grid, torch.tensor(y).double(), fair=False).item()
    assert got == pytest.approx(gaussian_crps(y), abs=2e-4)
    samples, truth = torch.randn(3, 400_000).double(), torch.tensor(y).double()
    fair, empirical = (crps(samples, truth, fair=fair) for fair in (True, False))
    error = fair.std().item() / math.sqrt(400_000)
    assert abs(fair.mean().item() - gaussian_crps(y)) < 4 * error
    # The empirical score of 3 samples is too high by E|X - X'| / 6 = 1 / (3 sqrt(pi)).
    bias = (empirical.mean() - fair.mean()).item()
    assert bias == pytest.approx(1 / (3 * math.sqrt(math.pi)), abs=0.002)


def test_ranks_of_values_without_ties():
    samples = torch.tensor([[0.1, 0.2], [0.3, 0.9], [0.5, 0.4]])
    assert rank_histogram(samples, torch.tensor([0.4, 1.0])).tolist() == [0, 0, 1, 1]
    assert rank_histogram(samples, torch.tensor([0.0, 0.0])).tolist() == [2, 0, 0, 0]


def test_ties_are_broken_evenly_and_by_the_generator():
    samples, truth = torch.zeros(4, 50_000), torch.zeros(50_000)
    samples[3] = 1
    first, again, other = (
        rank_histogram(samples, truth, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first[4] == 0
    assert stats.chisquare(first[:4].numpy()).pvalue > 1e-3


@pytest.mark.parametrize("n", [4, 5])
def test_a_calibrated_forecast_is_found_to_be_so(n):
    """Truth and samples from one distribution of few values: many ties."""
    drawn = torch.randint(0, 6, (n + 1, 60_000)).float() / 5
    samples, truth = drawn[1:], drawn[0]
    histogram = rank_histogram(samples, truth)
    assert histogram.sum() == 60_000
    assert stats.chisquare(histogram.numpy()).pvalue > 1e-3
    nominal, observed = reliability(histogram)
    want = [(n + 1 - 2 * a) / (n + 1) for a in range(n // 2, 0, -1)]
    np.testing.assert_allclose(nominal, want, rtol=1e-12)
    np.testing.assert_allclose(observed, nominal, atol=0.01)
    assert spread_skill(samples, truth).item() == pytest.approx(1, abs=0.01)


def test_a_forecast_that_is_too_sure():
    samples, truth = 0.5 * torch.randn(9, 40_000), torch.randn(40_000)
    nominal, observed = reliability(rank_histogram(samples, truth))
    assert (observed < nominal - 0.05).all()
    want = math.sqrt(0.25 * 10 / 9 / (1 + 0.25 / 9))
    assert spread_skill(samples, truth).item() == pytest.approx(want, rel=0.02)


def test_reliability_counts_the_intervals():
    samples, truth = torch.rand(6, 500), torch.rand(500)
    nominal, observed = reliability(rank_histogram(samples, truth))
    ordered = samples.sort(0).values
    for a, level, share in zip((3, 2, 1), nominal, observed, strict=True):
        assert level.item() == pytest.approx((7 - 2 * a) / 7)
        inside = (truth > ordered[a - 1]) & (truth < ordered[6 - a])
        assert share.item() == pytest.approx(inside.double().mean().item())


def test_diversity_against_the_pairs():
    samples = torch.rand(5, 2, 3, 1, 4, 4).double()
    pairs = [
        (samples[i] - samples[j]).square().flatten(-3).mean(-1)
        for i in range(5)
        for j in range(i)
    ]
    want = torch.stack(pairs).mean(0).sqrt()
    torch.testing.assert_close(diversity(samples), want, rtol=1e-12, atol=0)
    assert diversity(samples[:1].expand(4, -1, -1, -1, -1, -1)).max() == 0


def fed(*parts, seed=3):
    calibration = Calibration(seed)
    for truth, samples in parts:
        calibration.update(truth, samples)
    return calibration


def test_sums_over_clips_against_the_functions():
    truth, samples = clips()
    got = fed((truth[:3], samples[:, :3]), (truth[3:], samples[:, 3:])).summary()
    scores = crps_by_pairs(samples.double(), truth.double(), fair=True)
    frames = scores.mean((2, 3, 4))
    close = {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(got.crps, frames.mean(0), **close)
    half = 1.96 * frames.std(0) / math.sqrt(4)
    torch.testing.assert_close(got.crps_half, half, **close)
    torch.testing.assert_close(got.crps_pixels, scores.mean((0, 1)), **close)
    for t in range(3):
        x, y = samples[:, :, t].double(), truth[:, t].double()
        ratio = spread_skill(x, y)
        torch.testing.assert_close(got.spread_skill[t], ratio, **close)
        apart = diversity(x).square().mean().sqrt()
        torch.testing.assert_close(got.diversity[t], apart, **close)
    assert (got.rank_histogram.sum(1) == truth[:, 0].numel()).all()
    nominal, observed = reliability(got.rank_histogram)
    assert torch.equal(got.nominal, nominal) and torch.equal(got.observed, observed)


def test_ranks_are_those_of_the_functions():
    """Without ties, where nothing is drawn."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.rand(6, 3, 2, 1, 4, 4, generator=generator)
    got = fed((drawn[0], drawn[1:])).summary().rank_histogram
    for t in range(2):
        want = rank_histogram(drawn[1:, :, t], drawn[0, :, t])
        assert torch.equal(got[t], want)


def test_an_interrupted_calibration_goes_on(tmp_path):
    truth, samples = clips()
    whole = fed((truth[:2], samples[:, :2]), (truth[2:], samples[:, 2:]))
    half = fed((truth[:2], samples[:, :2]))
    torch.save(half.state_dict(), tmp_path / "state.pt")
    resumed = Calibration(seed=99)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    resumed.update(truth[2:], samples[:, 2:])
    state = resumed.state_dict()
    for key, value in whole.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_every_device_agrees(device):
    truth, samples = clips()
    want = fed((truth, samples)).summary()
    got = fed((truth.to(device), samples.to(device))).summary()
    torch.testing.assert_close(vars(got), vars(want), rtol=1e-9, atol=1e-12)


def test_one_clip_and_perfect_samples():
    truth, _ = clips(batch=1)
    got = fed((truth, truth.expand(3, *truth.shape))).summary()
    assert got.crps_half.isnan().all() and got.spread_skill.isnan().all()
    assert got.crps.abs().max() == got.diversity.max() == 0


def test_what_cannot_be_scored():
    truth, samples = clips()
    calibration = fed((truth, samples))
    before = calibration.state_dict()
    cases = {
        "at least 2": (truth, samples[:1]),
        "4 samples of frames": (truth, samples[:4]),
        "score all clips alike": (truth[:, :2], samples[:, :, :2]),
        "do not fit": (truth[:2], samples),
        "hold NaN": (truth, samples / 0),
        "true frames have values": (truth + 1, samples),
    }
    for message, parts in cases.items():
        with pytest.raises(EvaluationError, match=message):
            calibration.update(*parts)
    after = calibration.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items())
    with pytest.raises(EvaluationError, match="no clip was scored"):
        Calibration().summary()
    with pytest.raises(EvaluationError, match="at least 2"):
        crps(samples[:1], truth)
    with pytest.raises(EvaluationError, match="at least 2"):
        spread_skill(samples[:1], truth)
    with pytest.raises(EvaluationError, match="at least 2"):
        diversity(samples[:1])
