"""Evaluations: against written-out loops, resumed against whole, in bounded memory."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from support.evaluations import (
    SMALL,
    TINY,
    FakeLpips,
    awake,
    clips,
    evaluation,
    samples_of,
    stored_results,
)
from support.features import Moving, script
from support.squares import Squares
from torch.nn.functional import interpolate
from torch.utils._python_dispatch import TorchDispatchMode

from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation import ModelCandidate, runner
from svg_pyro.metrics import PROTOCOLS, Calibration, frechet_distance


def test_scores_against_all_samples_at_once(tiny, tmp_path):
    svg = awake(tiny)
    run = evaluation(svg, tmp_path)
    assert run.run()
    model, copy = stored_results(run)["predictors"]
    samples, truth = samples_of(svg), clips()[:, 2:]
    assert samples.shape == (6, 5, 3, 1, 64, 64)
    # Not all alike, or the choice of a sample would not be tested.
    assert samples.std(0).max() > 0.01
    for name, protocol in PROTOCOLS.items():
        scores = protocol.score(truth, samples)
        for kind, choose in (("best", protocol.best), ("worst", protocol.worst)):
            chosen = choose(scores)
            for metric, curve in scores.items():
                want = curve[chosen[metric], torch.arange(5)]
                check_estimate(model["scores"][name][metric][kind], want, protocol.ddof)
        still = clips()[:, 1:2].expand(-1, 3, -1, -1, -1)
        for metric, curve in protocol.score(truth, still[None]).items():
            got = copy["scores"][name][metric]
            assert got["best"] == got["mean"] == got["worst"]
            check_estimate(got["mean"], curve[0], protocol.ddof)
            check_estimate(
                model["scores"][name][metric]["mean"],
                scores[metric].mean(0),
                protocol.ddof,
            )
    assert (model["num_samples"], copy["num_samples"]) == (6, 1)
    assert copy["calibration"] is None and copy["likelihood"] is None


def check_estimate(found, curves, ddof):
    """Against numpy; `curves` are (clips, T)."""
    curves = curves.numpy()
    clips = curves.mean(1)
    if np.isinf(clips).any():
        assert found["mean"] == "inf" and found["half_width"] is None
        return
    half = 1.96 * clips.std(ddof=ddof) / math.sqrt(len(clips))
    assert found["mean"] == pytest.approx(clips.mean(), rel=1e-9)
    assert found["half_width"] == pytest.approx(half, rel=1e-6)
    assert found["per_step"] == pytest.approx(curves.mean(0).tolist(), rel=1e-9)
    halves = 1.96 * curves.std(0, ddof=ddof) / math.sqrt(len(clips))
    assert found["per_step_half_width"] == pytest.approx(halves.tolist(), rel=1e-6)


def test_calibration_is_of_the_first_samples(tiny, tmp_path):
    svg = awake(tiny)
    run = evaluation(svg, tmp_path)
    run.run()
    found = stored_results(run)["predictors"][0]["calibration"]
    want = Calibration(SMALL.seed)
    for batch in (slice(0, 2), slice(2, 4), slice(4, 5)):
        want.update(clips()[batch, 2:], samples_of(svg)[:5, batch])
    want = want.summary()
    assert found["samples"] == 5
    assert found["crps"] == pytest.approx(want.crps.tolist(), rel=1e-6)
    assert found["rank_histogram"] == want.rank_histogram.tolist()
    assert found["observed"] == want.observed.tolist()
    assert found["crps_mean"] == pytest.approx(np.mean(found["crps_pixels"]), rel=1e-6)


def test_resumed_equals_whole(tiny, tmp_path, monkeypatch):
    svgs = awake(tiny), awake(tiny, prior="none")
    others = [ModelCandidate("deterministic", svgs[1])]
    fvd = script(Moving(), tmp_path / "moving.pt")

    def make(out):
        return evaluation(
            svgs[0], out, others=others, lpips=FakeLpips(), fvd_network=fvd
        )

    whole = make(tmp_path / "whole")
    assert whole.run()
    want = stored_results(whole)
    for stop in (2, 5):
        out = tmp_path / str(stop)
        left = [stop]

        class Stopping(runner.Interrupts):
            @property
            def requested(self, left=left):
                left[0] -= 1
                return left[0] < 0

            @requested.setter
            def requested(self, value):
                pass

        with monkeypatch.context() as patch:
            patch.setattr(runner, "Interrupts", Stopping)
            parts = make(out)
            assert not parts.run() and not parts.done
        assert sum(s.done for s in parts.scorers) > 0
        again = make(out)
        again.resume()
        assert [s.done for s in again.scorers] == [s.done for s in parts.scorers]
        assert again.run()
        assert stored_results(again) == want
        assert [s.chosen for s in again.scorers] == [s.chosen for s in whole.scorers]


def test_perceptual_metrics_where_there_are_weights(tiny, tmp_path):
    svg = awake(tiny)
    network = script(Moving(), tmp_path / "moving.pt")
    run = evaluation(svg, tmp_path, lpips=FakeLpips(), fvd_network=network)
    run.run()
    found = stored_results(run)["predictors"][0]
    samples, truth = samples_of(svg), clips()[:, 2:]
    distance = (samples - truth).abs().mean((-3, -2, -1))
    best = distance[distance.mean(-1).argmin(0), torch.arange(5)]
    check_estimate(found["scores"]["srvp"]["lpips"]["best"], best.double(), 0)
    # FVD: one sample of each clip, with the true context before it.
    predicted = torch.cat([clips()[:, :2], samples[0]], 1)
    moments = []
    for videos in (clips(), predicted):
        frames = interpolate(videos.flatten(0, 1), (224, 224), mode="bilinear")
        videos = frames.expand(-1, 3, -1, -1).unflatten(0, videos.shape[:2])
        features = Moving()(2 * videos.transpose(1, 2) - 1).double()
        moments += [features.mean(0), features.T.cov()]
    want = frechet_distance(*moments)
    assert found["fvd"] == pytest.approx(want, rel=1e-4)


class Largest(TorchDispatchMode):
    """The size of the largest tensor that any operation gives."""

    def __init__(self):
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, (tuple, list)) else [out]:
            if torch.is_tensor(value):
                self.values = max(self.values, value.numel())
        return out


def numbers_in(state):
    if isinstance(state, dict):
        return sum(map(numbers_in, state.values()))
    return state.numel() if torch.is_tensor(state) else 1


def test_memory_grows_neither_with_samples_nor_with_clips(tiny, tmp_path):
    svg, found = awake(tiny), []
    # From 64 draws on they come in portions, and so do samples from 4 on.
    for num_samples, count, particles in ((8, 2, 64), (16, 2, 128), (8, 4, 64)):
        settings = dataclasses.replace(
            SMALL,
            num_samples=num_samples,
            clips=count,
            particles=(1, particles),
            likelihood_clips=4,
        )
        run = evaluation(svg, tmp_path / f"{num_samples} {count}", settings)
        with Largest() as largest:
            run.run()
        found.append(
            (largest.values, numbers_in(next(s.state_dict() for s in run.scorers)))
        )
    assert found[0] == found[1] == found[2]


def test_a_state_of_another_evaluation_is_refused(tiny, tmp_path):
    svg = awake(tiny)
    with pytest.raises(EvaluationError, match="no evaluation to resume"):
        evaluation(svg, tmp_path).resume()
    evaluation(svg, tmp_path).save()
    evaluation(svg, tmp_path).resume()
    changed = dataclasses.replace(SMALL, seed=4)
    for other, words in (
        (evaluation(svg, tmp_path, changed), "seed was 0, now it is 4"),
        (evaluation(svg, tmp_path, lpips=FakeLpips()), "lpips was False"),
        (evaluation(svg, tmp_path, source="x"), "source was ''"),
        (evaluation(svg, tmp_path, data=Squares(9)), "test set was 6"),
    ):
        with pytest.raises(EvaluationError, match=words):
            other.resume()
    path = tmp_path / "state.pt"
    data = bytearray(path.read_bytes())
    data[data.index(b"checkpoints") + 3] ^= 1  # PyTorch alone would take it
    path.write_bytes(data)
    with pytest.raises(EvaluationError, match=r"the checksum of .* is wrong"):
        evaluation(svg, tmp_path).resume()
    (tmp_path / "state.pt").write_bytes(b"spoiled")
    with pytest.raises(EvaluationError, match="no readable evaluation"):
        evaluation(svg, tmp_path).resume()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"num_samples": 0}, "num_samples is 0"),
        ({"horizon": 0}, "horizon is 0"),
        ({"n_past": 0}, "n_past is 0"),
        ({"clips": 0}, "clips is 0"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"seed": -1}, "seed is -1"),
        ({"calibration_samples": 1}, "calibration_samples is 1"),
        ({"intervals": "wide"}, "intervals is 'wide'"),
        ({"particles": ()}, "particles are"),
        ({"particles": (0, 3)}, "particles are"),
        ({"particles": (2.5,)}, "particles are"),
        ({"particles": (3, 1, 3)}, "each once"),
        ({"protocols": ("svg", "svg")}, "give each of them once"),
        ({"protocols": ("ours",)}, "no protocol 'ours'"),
        ({"protocols": ()}, "no protocol was asked for"),
    ],
    ids=str,
)
def test_settings_are_checked(changes, words):
    with pytest.raises(EvaluationError, match=words):
        dataclasses.replace(SMALL, **changes)


def test_models_and_clips_that_do_not_fit(tiny, tmp_path):
    with pytest.raises(EvaluationError, match="clips of 4 frames do not hold 2 of"):
        evaluation(awake(tiny), tmp_path, data=Squares(n_frames=4))
    with pytest.raises(EvaluationError, match=r"model takes frames \(3, 64, 64\)"):
        evaluation(awake(tiny, channels=3), tmp_path)
    with pytest.raises(EvaluationError, match=r"takes frames \(1, 128, 128\)"):
        evaluation(awake(tiny, image_size=128), tmp_path)
    noisy = dataclasses.replace(SMALL, intervals="noisy")
    with pytest.raises(EvaluationError, match="not known before"):
        evaluation(awake(tiny, observation="optimal-sigma"), tmp_path, noisy)
    one = dataclasses.replace(SMALL, clips=1)
    with pytest.raises(EvaluationError, match="FVD of 1 clip"):
        evaluation(awake(tiny), tmp_path, one, fvd_network="any")
    with pytest.raises(EvaluationError, match="FVD needs a TorchScript file"):
        evaluation(awake(tiny), tmp_path, fvd_network="nowhere.pt")


def test_predictions_that_are_not_numbers(tiny, tmp_path, monkeypatch):
    svg = awake(tiny)
    decode = svg.decoder.forward

    def broken(*arguments):
        frames = decode(*arguments)
        frames[..., 0, 0] = math.nan
        return frames

    monkeypatch.setattr(svg.decoder, "forward", broken)
    # The second generated frame's latents come from an encoded NaN.
    with pytest.raises(
        EvaluationError, match=r"model, test clips 0 to 1: .*NaN|breaks down"
    ):
        evaluation(svg, tmp_path).run()
    settings = dataclasses.replace(SMALL, horizon=1)
    with pytest.raises(EvaluationError, match="clips 0 to 1: samples hold NaN"):
        evaluation(svg, tmp_path, settings).run()


def test_running_out_of_memory_is_one_line(tmp_path, monkeypatch):
    svg = awake(TINY)

    def exhausted(*arguments):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(svg.decoder, "forward", exhausted)
    with pytest.raises(EvaluationError, match=r"lower chunk_size \(now 4\)"):
        evaluation(svg, tmp_path).run()
    monkeypatch.setattr(svg.decoder, "forward", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluation(svg, tmp_path).run()


def test_on_a_device(device, tmp_path):
    svg = awake(TINY, prior="none")
    found = []
    for where in (torch.device("cpu"), device):
        others = [ModelCandidate("stochastic", awake(TINY).to(where))]
        run = evaluation(svg.to(where), tmp_path, others=others, device=where)
        assert run.run()
        found.append(stored_results(run)["predictors"])
        assert run.candidates[0].svg is svg
    for cpu, other in zip(*found, strict=True):
        for protocol, metrics in cpu["scores"].items():
            for metric, kinds in metrics.items():
                # Samples are other numbers on another device.
                if cpu["name"] != "stochastic":
                    want = kinds["best"]["per_step"]
                    got = other["scores"][protocol][metric]["best"]["per_step"]
                    assert got == pytest.approx(want, rel=1e-3, abs=1e-4)
    assert found[1][1]["likelihood"]["bounds"][0]["nats_per_frame"] is not None
