"""Surprise frame by frame: against whole clips; planted anomalies against oracles."""

import csv
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pyro import poutine
from sklearn.metrics import roc_auc_score
from support.futures import awake

from svg_pyro import SVG, FramesError, save
from svg_pyro.commands.main import main
from svg_pyro.data import MovingMNIST
from svg_pyro.data.digits import load_scikit_digits
from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation import anomalies
from svg_pyro.evaluation.anomalies import KINDS, auc_with_interval, plant
from svg_pyro.evaluation.surprise import frame_surprises, moments_of


def video(steps=7, clips=2):
    torch.manual_seed(4)
    return torch.rand(steps, clips, 1, 64, 64).double()


def test_scores_are_those_of_the_whole_clip(tiny):
    # Without latents a frame has one likelihood.
    svg, frames = awake(tiny, prior="none").eval(), video()
    scores = [*frame_surprises(svg, frames, num_samples=3, window=2)]
    with torch.no_grad():
        x = poutine.trace(svg.model).get_trace(frames.transpose(0, 1)).nodes["x"]
    nll = -x["fn"].log_prob(x["value"])
    assert [score.time for score in scores] == [2, 3, 4, 5, 6, 7]
    for t, score in enumerate(scores):
        torch.testing.assert_close(score.nll, nll[:, t], rtol=1e-12, atol=0)
        assert (score.kl == 0).all() and torch.equal(score.surprise, score.nll)
        if t == 0:
            assert score.relative_nll.isnan().all()
        else:
            want = nll[:, t] - nll[:, max(0, t - 2) : t].mean(1)
            torch.testing.assert_close(score.relative_nll, want, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(score.relative_surprise, want)


@pytest.mark.slow
def test_draws_are_averaged_and_follow_the_seed(tiny):
    svg, frames = awake(tiny).eval(), video(4)
    before = torch.get_rng_state()
    first = [*frame_surprises(svg, frames, num_samples=4, seed=1)]
    assert torch.equal(torch.get_rng_state(), before)
    again = [*frame_surprises(svg, frames, num_samples=4, seed=1)]
    other = [*frame_surprises(svg, frames, num_samples=4, seed=2)]
    assert torch.equal(first[-1].nll, again[-1].nll)
    assert not torch.equal(first[-1].nll, other[-1].nll)
    # The KL of a filtering guide in closed form does not depend on the draws.
    torch.testing.assert_close(first[-1].kl, other[-1].kl, rtol=1e-9, atol=0)
    many = next(iter(frame_surprises(svg, frames, num_samples=400, seed=3))).nll
    few = torch.stack(
        [
            next(iter(frame_surprises(svg, frames[:2], num_samples=1, seed=s))).nll
            for s in range(100)
        ]
    )
    error = 4 * few.std(0) * (1 / 100 + 1 / 400) ** 0.5
    assert ((many - few.mean(0)).abs() < error).all()


def test_frames_are_asked_for_one_by_one(tiny):
    svg, asked = awake(tiny).eval(), []

    def stream():
        for frame in video(5):
            asked.append(len(asked))
            yield frame

    scores = frame_surprises(svg, stream(), num_samples=2)
    for t in range(1, 5):
        assert next(scores).time == t + 1 and len(asked) == t + 1
    for bad in ({"num_samples": 0}, {"window": 0}, {"seed": -1}):
        with pytest.raises(FramesError, match="give a whole number"):
            next(frame_surprises(svg, video(3), **bad))


def test_moments_that_stand_out():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 10, 200)
    scores[0] = math.nan
    assert moments_of(scores) == []
    scores[50], scores[51], scores[120] = 90, 95, 200
    assert moments_of(scores) == [51, 120]
    assert moments_of(scores + 1e6) == [51, 120]
    assert moments_of([3.0] * 10) == [] and moments_of([math.nan]) == []
    assert moments_of([3.0] * 10 + [3.1] + [3.0] * 10) == [10]
    with pytest.raises(EvaluationError, match="threshold is 0"):
        moments_of(scores, threshold=0)


@pytest.fixture(scope="module")
def digits():
    return MovingMNIST(load_scikit_digits("test"), "test", 20, num_digits=1, seed=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_clip_is_the_clip_up_to_its_time(digits, kind):
    planted = {i: plant(digits, i, kind) for i in range(30)}
    clips = {i: p for i, p in planted.items() if p is not None}
    assert len(clips) >= (10 if kind == "wall" else 25)
    for i, p in clips.items():
        clip = digits.clip_with_bounces(i)
        assert p.frames.shape == clip["frames"].shape and 5 <= p.time <= 17
        assert torch.equal(p.frames[: p.time], clip["frames"][: p.time])
        assert not torch.equal(p.frames[p.time], clip["frames"][p.time])
        again = plant(digits, i, kind)
        assert torch.equal(again.frames, p.frames) and again.time == p.time


def places_of(frames):
    """Centres of mass (y, x) of frames, in pixels."""
    weights = frames[:, 0].double()
    grid = torch.arange(frames.shape[-1]).double()
    total = weights.sum((1, 2))
    return torch.stack(
        [(weights.sum(2) @ grid) / total, (weights.sum(1) @ grid) / total], 1
    )


def test_what_is_planted_is_what_its_name_says(digits):
    for i in range(30):
        p = plant(digits, i, "teleport")
        jump = (places_of(p.frames)[p.time] - places_of(p.frames)[p.time - 1]).abs()
        assert jump.max() >= 12 - 4
        p = plant(digits, i, "freeze")
        if p is not None:
            assert (p.frames[p.time :] == p.frames[p.time - 1]).all()
        p = plant(digits, i, "digit")
        clip = digits.clip_with_bounces(i)
        other = digits.clip_with_bounces(i + 1)["frames"][0]
        assert p.frames[p.time].sum() == other.sum()
        p = plant(digits, i, "wall")
        if p is not None:
            mass = p.frames.flatten(1).long().sum(1)
            assert clip["bounces"][p.time, 0]
            # It leaves the picture for good, bit by bit.
            assert (mass[p.time :].diff() <= 0).all() and mass[-1] < mass[0]


def test_auc_against_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    zeros = torch.randn(80, generator=generator).round(decimals=1)
    ones = zeros + torch.randn(80, generator=generator).round(decimals=1) + 1
    auc, low, high = auc_with_interval(ones, zeros)
    labels = [1] * 80 + [0] * 80
    assert auc == pytest.approx(roc_auc_score(labels, torch.cat([ones, zeros])))
    assert low < auc < high and 0.05 < high - low < 0.25
    # Bootstrap samples drawn by hand.
    rng = np.random.default_rng(1)
    by_hand = []
    for _ in range(500):
        drawn = torch.from_numpy(rng.integers(80, size=80))
        by_hand.append(roc_auc_score(labels, torch.cat([ones[drawn], zeros[drawn]])))
    want = np.quantile(by_hand, [0.025, 0.975])
    np.testing.assert_allclose([low, high], want, atol=0.015)
    assert auc_with_interval(zeros + 9, zeros) == pytest.approx((1, 1, 1))
    with pytest.raises(EvaluationError, match="NaN"):
        auc_with_interval(ones * math.nan, zeros)


def test_an_oracle_of_motion_detects_what_it_can(digits, monkeypatch):
    """A score that is the way the digit's centre moved: large where it teleports."""

    def oracle(svg, frames, *, num_samples, seed):
        before = None
        for t, frame in enumerate(frames):
            place = places_of(frame)
            if before is not None:
                way = (place - before).norm(dim=1)
                names = dict.fromkeys(anomalies.SCORES, way)
                yield SimpleNamespace(time=t + 1, **names)
            before = place

    monkeypatch.setattr(anomalies, "frame_surprises", oracle)
    svg = SimpleNamespace(parameters=lambda: iter([torch.zeros(1)]))
    found = anomalies.detections(svg, digits, clips=40)
    auc = {(d.kind, d.score): d.auc for d in found}
    assert len(found) == 4 * 6 and auc["teleport", "nll"] == 1
    assert auc["freeze", "nll"] < 0.2


@pytest.mark.parametrize(
    "change, words",
    [
        ({"num_digits": 2}, "clips of 2 digits"),
        ({"n_frames": 7}, "7 frames; anomalies"),
    ],
    ids=str,
)
def test_bad_plants_are_one_line(change, words):
    options = {"num_digits": 1, "n_frames": 12} | change
    steps = options.pop("n_frames")
    data = MovingMNIST(load_scikit_digits("test"), "test", steps, **options)
    with pytest.raises(EvaluationError, match=words):
        plant(data, 0, "teleport")
    with pytest.raises(EvaluationError, match="no anomaly 'fire'"):
        plant(data, 0, "fire")


@pytest.fixture
def checkpoint(tiny, tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "checkpoint.pt"
    save(SVG(tiny), path)
    return str(path)


def test_the_command_writes_picture_and_table(checkpoint, tmp_path, capsys):
    # A new model's means are grey.
    frames = np.random.default_rng(0).integers(120, 136, (30, 64, 64), np.uint8)
    frames[:, 20:40, 10:30] = 200
    frames[21, 10:60, 30:64] = 255  # a flash
    np.save(tmp_path / "film.npy", frames)
    out = tmp_path / "out"
    arguments = [checkpoint, str(tmp_path / "film.npy"), "--out", str(out)]
    main(["surprise", *arguments, "--num-samples", "2"])
    said = capsys.readouterr().out
    assert "30 frames, of which" in said and "nats less likely than" in said
    assert "frame 21: " in said
    with open(out / "surprise.csv") as file:
        rows = [*csv.DictReader(file)]
    assert [int(r["frame"]) for r in rows] == list(range(1, 30))
    assert rows[0]["relative_nll"] == "" and float(rows[1]["relative_nll"]) < 1e9
    best = max(rows[1:], key=lambda r: float(r["relative_surprise"]))
    assert int(best["frame"]) == 21
    assert {p.name for p in out.iterdir()} == {
        "surprise.csv",
        "surprise.png",
        "surprise.pdf",
    }


@pytest.mark.slow
def test_the_command_tests_planted_anomalies(checkpoint, tmp_path, capsys):
    arguments = ["surprise", checkpoint, "--planted", "12", "--bundled-digits"]
    main([*arguments, "--num-samples", "1", "--out", str(tmp_path / "out")])
    stored = json.loads((tmp_path / "out" / "anomalies.json").read_text())
    assert len(stored) == 24 and all(0 <= s["auc"] <= 1 for s in stored)
    assert "teleport" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "give a VIDEO, or --planted N"),
        (["x.npy", "--planted", "3"], "give a VIDEO, or --planted N"),
        (["--planted", "1"], "--planted is 1; give 2 or more"),
        (["short.npy"], "holds 2 frames at this start"),
        (["nowhere.mp4"], "nowhere.mp4"),
    ],
    ids=str,
)
def test_bad_commands_are_one_line(
    checkpoint, arguments, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    np.save("short.npy", np.zeros((2, 64, 64), np.uint8))
    with pytest.raises(SystemExit) as caught:
        main(["surprise", checkpoint, *arguments])
    said = capsys.readouterr().err.strip()
    assert caught.value.code == 2 and words in said and "\n" not in said
