"""What is said of futures that are plainly wrong, and of clips where nothing moves."""

import dataclasses
import math

import pytest
import torch

from svg_pyro import SVG
from svg_pyro.evaluation import (
    FutureScores,
    concerns,
    score_futures,
    scores_in_words,
    scores_of,
    verdict,
)
from svg_pyro.metrics import spread_skill


def scores(best=(22.0, 24.0), copy=(20.0, 21.0), variance=0.01):
    best, copy = torch.tensor(best), torch.tensor(copy)
    return FutureScores(
        best=best,
        mean=best - 1,
        copy=copy,
        variance=torch.full_like(best, variance),
        error=torch.full_like(best, 0.01),
        num_samples=20,
    )


def test_nothing_is_said_of_good_futures():
    assert concerns(scores()) == []


def test_futures_worse_than_repetition_are_told_in_words():
    (concern,) = concerns(scores(copy=(23.0, 24.0)))
    assert "worse than repeating the last frame" in concern.words
    assert "0.50 dB less" in concern.words and "--" not in concern.words
    assert concern.advice == ("steps", "pixel_skip", "beta")
    (same,) = concerns(scores(copy=(22.0, 24.04)), copies=True)
    assert "no other than the last frame repeated" in same.words
    assert "more steps" in same.words and "less" not in same.words
    (other,) = concerns(scores(copy=(23.0, 24.0)), copies=True)
    assert other.words.endswith("Train on more scenes, or for fewer steps.")
    assert "0.50 dB less" in other.words and other.advice == ("steps",)


@pytest.mark.parametrize("stochastic", [True, False])
def test_samples_that_are_alike_are_told_of_a_model_with_latents(stochastic):
    # 0.05 of the error: sqrt(21 / 20 * 0.0025).
    told = concerns(scores(variance=0.01 * 0.05**2), stochastic=stochastic)
    assert [c.advice for c in told] == [("beta", "steps")] * stochastic
    assert all("0.05 times as far apart" in c.words for c in told)


def test_a_sentence_has_the_scores_of_moving_clips():
    some = scores(best=(22.0, 24.0, 90.0), copy=(20.0, 21.0, math.inf))
    words = scores_in_words(some, 10)
    assert words.startswith("PSNR over 10 frames: 23.0 dB for the best of 20 futures")
    assert "22.0 dB for one on average, 20.5 dB for the last given frame" in words
    assert "Nothing moves" in scores_in_words(scores(copy=(math.inf, math.inf)), 10)


def test_scores_of_given_futures_are_those_of_the_model_that_gave_them(tiny):
    svg, clips = SVG(tiny), torch.randint(0, 256, (3, 6, 1, 64, 64), dtype=torch.uint8)
    want = score_futures(svg, clips, 2, num_samples=4, seed=5)
    torch.manual_seed(5)
    futures = svg.predict(clips[:, :2].float() / 255, 4, 4)
    found = scores_of(futures, clips, 2)
    for name in ("best", "mean", "copy", "variance", "error"):
        assert torch.equal(getattr(found, name), getattr(want, name)), name


def test_one_sample_shows_no_spread_and_is_not_judged_by_it():
    assert concerns(scores(variance=math.nan)) == []


def test_clips_where_nothing_moves_are_left_out_of_the_means():
    some = scores(best=(22.0, 24.0, 90.0), copy=(20.0, 21.0, math.inf))
    assert some.moving.tolist() == [True, True, False]
    assert some.averages() == (23.0, 22.0, 20.5) and some.gain == 2.5
    none = scores(copy=(math.inf, math.inf))
    assert all(map(math.isnan, none.averages())) and concerns(none) == []


@pytest.mark.parametrize(
    "of, stochastic, said, advice",
    [
        ({}, True, "2.50 dB nearer to the truth", ("steps", "width")),
        ({"copy": (21.6, 23.6)}, True, "hardly better", ("steps",)),
        ({"variance": 0.01 * 0.4**2}, True, "0.41 times as far", ("steps", "beta")),
        ({"variance": 0.01 * 0.4**2}, False, "Nothing is plainly", ("steps", "width")),
        (
            {"copy": (23.0, 24.0)},
            True,
            "worse than repeating",
            ("steps", "pixel_skip", "beta"),
        ),
        (
            {"copy": (math.inf, math.inf)},
            True,
            "Nothing moves",
            ("horizon", "n_frames"),
        ),
    ],
)
def test_every_run_ends_with_a_paragraph_and_what_to_try(of, stochastic, said, advice):
    judged = verdict(scores(**of), stochastic=stochastic)
    assert said in judged.words and judged.advice == advice
    assert "\n" not in judged.words and judged.words.endswith(".")
    assert "--" not in judged.words  # flags are the commands' words


def clips_of(count=5):
    generator = torch.Generator().manual_seed(4)
    return torch.randint(
        0, 256, (count, 5, 1, 64, 64), dtype=torch.uint8, generator=generator
    )


def test_spread_is_that_of_the_metrics(tiny):
    svg = SVG(tiny)
    clips = clips_of(4)
    found = score_futures(svg, clips, n_past=2, num_samples=6, batch_size=4, seed=3)
    torch.manual_seed(3)
    frames = clips.float() / 255
    futures = svg.predict(frames[:, :2], 3, 6)
    want = spread_skill(futures, frames[:, 2:]).item()
    assert want > 0 and found.spread_skill == pytest.approx(want, rel=1e-5)


def test_a_model_that_ignores_its_latents_is_told(tiny):
    svg = SVG(dataclasses.replace(tiny, prior="fixed"))
    first = next(svg.frame_predictor.parameters())  # of the embedding of h and z
    with torch.no_grad():
        first[:, -tiny.z_dim :] = 0
    told = concerns(score_futures(svg, clips_of(), n_past=2, num_samples=4))
    assert ("beta", "steps") in [c.advice for c in told]
