"""Candidates: their names and futures; means over clips that are forgotten."""

import dataclasses
import hashlib
import math

import numpy as np
import pytest
import torch
from support.evaluations import (
    CPU,
    SMALL,
    awake,
    clips,
    evaluation,
    stored_results,
)

import svg_pyro
from svg_pyro.errors import CheckpointError, EvaluationError, FramesError
from svg_pyro.evaluation import LAST_FRAME, Candidate, ModelCandidate, load_candidates
from svg_pyro.evaluation.sampling import Sampling, noisy_futures, sampled_futures
from svg_pyro.evaluation.totals import ScoreTotals
from svg_pyro.metrics import Curves
from svg_pyro.metrics.moments import Running


def save(svg, path, **training):
    svg_pyro.save(svg, path, training=training or None)
    return str(path)


def test_checkpoints_get_names_that_differ(tiny, tmp_path):
    one = save(awake(tiny), tmp_path / "a" / "checkpoint.pt", step=7, config={})
    two = save(awake(tiny), tmp_path / "b" / "checkpoint.pt")
    fixed = save(awake(tiny, prior="fixed"), tmp_path / "c" / "checkpoint.pt")
    none = save(awake(tiny, prior="none"), tmp_path / "x=y.pt")
    found = load_candidates([one, two, fixed, none], CPU)
    assert [c.name for c in found] == [
        "SVG-LP (a)",
        "SVG-LP (b)",
        "SVG-FP",
        "deterministic",
        "last frame repeated",
    ]
    assert [c.step for c in found] == [7, None, None, None, None]
    with open(one, "rb") as file:
        assert found[0].sha256 == hashlib.sha256(file.read()).hexdigest()
    names = [c.name for c in load_candidates([f"mine={one}", one, one], CPU)]
    assert names[:3] == ["mine", "SVG-LP (a)", "SVG-LP (a) 2"]
    assert load_candidates([none], CPU)[0].path == none
    for specs in ([f"m={one}", f"m={two}"], [f"last frame repeated={one}"]):
        with pytest.raises(EvaluationError, match="two predictors have the name"):
            load_candidates(specs, CPU)
    broken = awake(tiny)
    with torch.no_grad():
        broken.encoder.head[0].weight[0, 0] = math.nan
    with pytest.raises(CheckpointError, match="holds NaN or infinity"):
        load_candidates([save(broken, tmp_path / "nan.pt")], CPU)


def test_samples_share_what_does_not_depend_on_them(tiny, monkeypatch):
    svg = awake(tiny)
    encoded, prepared = [], []
    forward, prepare = svg.encoder.forward, svg.decoder.prepare
    monkeypatch.setattr(
        svg.encoder, "forward", lambda x: encoded.append(x.shape[:-3]) or forward(x)
    )
    monkeypatch.setattr(
        svg.decoder, "prepare", lambda *a: prepared.append(1) or prepare(*a)
    )
    posterior, calls = svg.posterior.forward, []
    monkeypatch.setattr(
        svg.posterior, "forward", lambda *a: calls.append(1) or posterior(*a)
    )
    futures = svg.futures(clips()[:2, :2], 3, 8, chunk_size=2)
    assert len(torch.cat([*futures])) == 8
    # The context once; then each chunk's generated frames but the last.
    assert encoded == [(2, 2)] + 8 * [(2, 2, 1)]
    assert len(prepared) == 1 and len(calls) == 2


def test_a_deterministic_predictor_is_rolled_out_once(tiny, tmp_path, monkeypatch):
    svg = awake(tiny, prior="none")
    decoded, decode = [], svg.decoder.forward
    monkeypatch.setattr(
        svg.decoder, "forward", lambda *a: decoded.append(1) or decode(*a)
    )
    futures = torch.cat([*svg.futures(clips()[:2, :2], 3, 9, chunk_size=2)])
    assert len(decoded) == 3 and (futures == futures[0]).all()
    run = evaluation(svg, tmp_path)
    run.run()
    found = stored_results(run)["predictors"][0]
    assert found["num_samples"] == 1 and found["calibration"] is None
    assert (
        found["scores"]["svg"]["psnr"]["best"]
        == found["scores"]["svg"]["psnr"]["worst"]
    )


def test_futures_come_lazily_and_leave_grad_mode_alone(tiny):
    svg = awake(tiny).train()
    futures = svg.futures(clips()[:1, :2], 2, 4, chunk_size=2)
    for chunk in futures:
        assert torch.is_grad_enabled() and svg.training
        assert chunk.shape == (2, 1, 2, 1, 64, 64) and not chunk.requires_grad
    for arguments, words in (
        ((clips()[:1, :2], 0), "horizon is 0"),
        ((clips()[:1, :2], 2, 0), "num_samples is 0"),
        ((clips()[:1, :0], 2), "at least 1 clip of 1 frames"),
    ):
        with pytest.raises(FramesError, match=words):
            svg.futures(*arguments)
    with pytest.raises(FramesError, match="chunk_size is 0"):
        svg.futures(clips()[:1, :2], 2, chunk_size=0)


def test_samples_are_a_function_of_seed_batch_and_chunk(tiny):
    svg = awake(tiny)
    before = torch.get_rng_state()
    context = clips()[:2, :2]

    def sampled(first=0, **changes):
        settings = dataclasses.replace(SMALL, **changes)
        return torch.cat(
            [
                *sampled_futures(
                    ModelCandidate("m", svg), context, settings.sampling, first
                )
            ]
        )

    futures = sampled()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(sampled(), futures)
    for other in (sampled(seed=1), sampled(first=2)):
        assert not torch.equal(other, futures)
    # More samples prolong the series by whole chunks.
    assert torch.equal(sampled(num_samples=12)[:4], futures[:4])
    assert torch.unique(sampled(num_samples=12).flatten(1), dim=0).shape[0] == 12


def test_observation_noise_is_added_to_the_means(tiny, tmp_path):
    svg = awake(tiny, observation="learned-sigma")
    with torch.no_grad():
        svg.observation.log_sigma.fill_(math.log(0.07))
    candidate = ModelCandidate("m", svg)
    given = candidate, clips()[:2, :2], SMALL.sampling, 0
    means = torch.cat([*sampled_futures(*given)])
    draws = [*noisy_futures(*given)]
    noisy = torch.cat([draw.frames for draw in draws])
    assert torch.equal(torch.cat([draw.means for draw in draws]), means)
    inside = (means > 0.3) & (means < 0.7)
    noise = (noisy - means)[inside]
    assert len(noise) > 10_000  # four standard errors: 3 % of sigma
    assert noise.std().item() == pytest.approx(0.07, rel=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=0.003)
    again = torch.cat([draw.frames for draw in noisy_futures(*given)])
    assert torch.equal(again, noisy)
    assert noisy.min() >= 0 and noisy.max() <= 1
    # Zero means under this noise: the truth of black frames is one of many zeros, so
    # that intervals of noisy samples cover it as often as they say.
    settings = dataclasses.replace(SMALL, intervals="noisy")
    run = evaluation(svg, tmp_path, settings)
    run.run()
    judged = stored_results(run)["predictors"][0]["calibration"]
    plain = evaluation(svg, tmp_path / "plain")
    plain.run()
    means = stored_results(plain)["predictors"][0]
    assert judged["intervals"] == "noisy"
    assert np.mean(judged["spread_skill"]) > np.mean(
        means["calibration"]["spread_skill"]
    )
    # Only the calibration sees the noise.
    assert stored_results(run)["predictors"][0]["scores"] == means["scores"]


class Fading(Candidate):
    """A predictor of a user's own: the last frame at a random brightness."""

    name = "fading"
    stochastic = True

    def futures(self, context, horizon, num_samples, chunk_size=None):
        for start in range(0, num_samples, chunk_size):
            count = min(chunk_size, num_samples - start)
            share = torch.rand(count, len(context), horizon, 1, 1, 1)
            yield share * context[:, -1:]


def test_any_object_that_samples_futures_is_scored(tiny, tmp_path):
    run = evaluation(awake(tiny), tmp_path, others=[Fading()])
    assert run.run()
    _, own, _ = stored_results(run)["predictors"]
    assert own["name"] == "fading" and own["num_samples"] == SMALL.num_samples
    assert own["config"] is own["likelihood"] is own["checkpoint"] is None
    best, worst = (own["scores"]["svg"]["psnr"][k]["mean"] for k in ("best", "worst"))
    assert best > worst and own["calibration"]["samples"] == 5
    again = evaluation(awake(tiny), tmp_path / "again", others=[Fading()])
    again.run()
    assert stored_results(again)["predictors"][1] == own
    noisy = dataclasses.replace(SMALL, intervals="noisy")
    with pytest.raises(EvaluationError, match="noise of fading is not known"):
        evaluation(awake(tiny), tmp_path, noisy, others=[Fading()])


@pytest.mark.parametrize("chunk_size", [None, 2, 9])
def test_the_last_frame_is_repeated_as_often_as_asked_for(chunk_size):
    context = clips()[:2, :2]
    chunks = list(LAST_FRAME.futures(context, 3, 5, chunk_size))
    futures = torch.cat(chunks)
    assert futures.shape == (5, 2, 3, 1, 64, 64)
    assert (futures == context[:, -1:]).all()
    assert all(len(chunk) <= (chunk_size or 5) for chunk in chunks)
    # One is as good as many.
    sampling = Sampling(horizon=3, num_samples=5, chunk_size=2, seed=0)
    assert len(torch.cat([*sampled_futures(LAST_FRAME, context, sampling, 0)])) == 1


def test_running_means_are_those_of_all_clips():
    values = 1e3 + torch.randn(9, 4)
    running = Running()
    for part in values.split([2, 1, 6]):
        state = running.state_dict()
        running = Running()
        running.load_state_dict(state)
        running.update(part)
    values = values.double()
    torch.testing.assert_close(running.mean, values.mean(0))
    torch.testing.assert_close(running.variance(), values.var(0), rtol=1e-9, atol=0)
    torch.testing.assert_close(running.error(), values.std(0) / 3, rtol=1e-9, atol=0)
    one = Running()
    one.update(values[:1])
    assert one.half().isnan().all() and (one.half(ddof=0) == 0).all()


def test_totals_are_what_the_curves_sum_up():
    truth = torch.rand(5, 3, 1, 16, 16)
    samples = (truth + 0.1 * torch.rand(4, 5, 3, 1, 16, 16)).clamp(0, 1)
    samples[2, 3] = truth[3]  # an infinite PSNR
    whole, totals = Curves(), ScoreTotals()
    whole.update(truth, samples)
    for batch in (slice(0, 2), slice(2, 5)):
        part = Curves()
        part.update(truth[batch], samples[:, batch])
        totals.add(part.state_dict())
        state = totals.state_dict()
        totals = ScoreTotals()
        totals.load_state_dict(state)
    want, got = whole.summary(), totals.summary()
    assert want["svg"]["psnr"]["best"].infinite == 1
    for protocol, metrics in want.items():
        for metric, kinds in metrics.items():
            for kind, estimate in kinds.items():
                found = got[protocol][metric][kind]
                for field in dataclasses.fields(estimate):
                    a, b = (
                        torch.as_tensor(getattr(e, field.name)).double()
                        for e in (found, estimate)
                    )
                    torch.testing.assert_close(
                        a, b, equal_nan=True, rtol=1e-7, atol=1e-12
                    )


def test_a_shipped_model_is_a_candidate_by_its_name():
    model, last = load_candidates(["smmnist-1"], torch.device("cpu"))
    assert model.step == 8100 and len(model.sha256) == 64
    assert model.name == "SVG-LP" and last.name == "last frame repeated"
