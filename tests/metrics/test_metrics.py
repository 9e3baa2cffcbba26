"""Frame scores and protocols against scikit-image and direct loops in float64."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage import metrics as skimage

from svg_pyro.errors import EvaluationError
from svg_pyro.metrics import (
    PROTOCOLS,
    Curves,
    FrameScores,
    PublishedTest,
    clip_mse,
    psnr,
    published_test,
    ssim,
)

SIZE = 24


def smooth(*shape, seed=0):
    """Frames with edges and flat parts, quantised as files are."""
    rng = np.random.default_rng(seed)
    blur = (0,) * (len(shape) - 2) + (3, 3)
    frames = gaussian_filter(rng.normal(size=shape), blur) * 4 + 0.5
    return torch.from_numpy((frames.clip(0, 1) * 255).round() / 255).float()


def video(n=3, batch=4, steps=5, channels=3, size=SIZE, seed=0):
    truth = smooth(batch, steps, channels, size, size, seed=seed)
    noise = smooth(n, batch, steps, channels, size, size, seed=seed + 1) - 0.5
    scale = torch.linspace(0.1, 1, n).view(-1, 1, 1, 1, 1, 1)
    return truth, (truth + scale * noise).clamp(0, 1)


def finn_ssim(x, y):
    """Finn et al.'s SSIM of one channel, window by window."""
    at = np.arange(11) - 5
    weights = np.exp(-(at[:, None] ** 2 + at**2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for i, j in itertools.product(*(range(n - 10) for n in x.shape)):
        a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
        m, n = (weights * a).sum(), (weights * b).sum()
        s, t = (weights * (a - m) ** 2).sum(), (weights * (b - n) ** 2).sum()
        both = (weights * (a - m) * (b - n)).sum()
        values.append(
            (2 * m * n + 1e-4)
            * (2 * both + 9e-4)
            / ((m**2 + n**2 + 1e-4) * (s + t + 9e-4))
        )
    return np.mean(values)


def svg_ssim(x, y):
    return skimage.structural_similarity(x, y, data_range=2.0)


def svg_psnr(x, y):
    return skimage.peak_signal_noise_ratio(y, x, data_range=1.0)


def direct_psnr(x, y):
    return 10 * math.log(1 / ((x - y) ** 2).mean()) / math.log(10)


# Of each protocol SSIM and PSNR of a channel, what chooses samples where it is one
# metric for all, which of equal samples is the best, and the standard deviation's ddof.
ORACLES = {
    "svg": (svg_ssim, svg_psnr, "ssim", "last", 1),
    "srvp": (finn_ssim, direct_psnr, None, "first", 0),
    "finn": (finn_ssim, direct_psnr, None, "first", 1),
}


def test_every_protocol_has_an_oracle_and_words():
    assert list(ORACLES) == list(PROTOCOLS)
    assert all(name == p.name and len(p.words) > 40 for name, p in PROTOCOLS.items())


def by_loop(function, truth, samples):
    """The mean over channels of a score of two grey images, ``(N, B, T)``."""
    truth, samples = truth.double().numpy(), samples.double().numpy()
    out = np.zeros(samples.shape[:3])
    for index in np.ndindex(out.shape):
        pairs = zip(samples[index], truth[index[1:]], strict=True)
        out[index] = np.mean([function(x, y) for x, y in pairs])
    return out


@pytest.mark.parametrize("name", ORACLES)
def test_protocols_against_an_oracle(name):
    truth, samples = video(n=2, batch=2, steps=2)
    curves = PROTOCOLS[name].score(truth, samples)
    for metric, function in zip(("ssim", "psnr"), ORACLES[name][:2], strict=True):
        want = by_loop(function, truth, samples)
        np.testing.assert_allclose(curves[metric].numpy(), want, atol=1e-6, rtol=0)
    want = by_loop(lambda x, y: ((x - y) ** 2).mean(), truth, samples)
    np.testing.assert_allclose(curves["mse"].numpy(), want, rtol=1e-9)


def flat(value):
    return torch.full((1, SIZE, SIZE), value)


def halves():
    frame = torch.zeros(1, SIZE, SIZE)
    frame[..., SIZE // 2 :] = 1
    return frame


@pytest.mark.parametrize(
    "x, y",
    [
        (flat(0.7), flat(0.9)),
        (flat(1.0), flat(1.0)),
        (flat(0.0), flat(1.0)),
        (halves(), 1 - halves()),
        (0.9 * halves() + 0.05, 0.3 * halves() + 0.7),
        (smooth(1, SIZE, SIZE), flat(0.3)),
        (smooth(1, SIZE, SIZE) * 1e-3 + 0.99, smooth(1, SIZE, SIZE, seed=1)),
    ],
)
def test_ssim_of_flat_bright_and_equal_frames(x, y):
    pair = [v[0].double().numpy() for v in (x, y)]
    assert ssim(x, y).item() == pytest.approx(finn_ssim(*pair), abs=1e-9)
    assert ssim(x, y, window="uniform").item() == pytest.approx(
        svg_ssim(*pair), abs=1e-9
    )
    assert ssim(x, x).item() == pytest.approx(1, abs=1e-12)


def test_ssim_of_constant_frames_in_closed_form():
    a, b = 0.25, 0.75
    got = ssim(flat(a), flat(b)).item()
    assert got == pytest.approx((2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4), rel=1e-9)


def test_chunks_of_any_size_and_layout_agree(device):
    truth, samples = video(n=2, channels=1, size=40)
    whole = FrameScores(truth.to(device))(samples.to(device))
    strided = samples.to(device).transpose(0, 1).contiguous().transpose(0, 1)
    scores = FrameScores(truth.to(device))
    scores(1 - samples.to(device))
    for key, value in scores(strided).items():
        assert torch.equal(value, whole[key]), key
    big = 64  # 2^16 pixels are 16 frames of this size: several uneven chunks
    truth, samples = (v.repeat_interleave(2, -1) for v in video(1, 5, 5, 1, big))
    got = FrameScores(truth)(samples)["ssim_gaussian"]
    for b, t in ((0, 0), (2, 3), (4, 4)):
        one = ssim(samples[0, b, t], truth[b, t])
        assert got[0, b, t].item() == pytest.approx(one.item(), abs=1e-14)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_samples_of_other_float_types(kind):
    truth, samples = video(n=1)
    got = PROTOCOLS["srvp"].score(truth, samples.to(kind))
    want = PROTOCOLS["srvp"].score(truth, samples.to(kind).double())
    assert all(torch.equal(got[k], want[k]) for k in want)


def loop_choice(protocol, curves, sign):
    """The protocols' choice as their authors' loops over samples make it."""
    chosen = {}
    for metric in curves:
        by = ORACLES[protocol][2] or metric
        values = curves[by].numpy().mean(-1) * (-1 if by == "mse" else 1) * sign
        best = np.zeros(values.shape[1], int)
        for b, i in itertools.product(range(values.shape[1]), range(len(values))):
            if values[i, b] > values[best[b], b]:
                best[b] = i
        chosen[metric] = best
    return chosen


@pytest.mark.parametrize("name", PROTOCOLS)
def test_choice_of_samples(name):
    torch.manual_seed(1)
    curves = {k: torch.rand(9, 6, 4) for k in ("mse", "psnr", "ssim")}
    protocol = PROTOCOLS[name]
    for sign, chosen in ((1, protocol.best(curves)), (-1, protocol.worst(curves))):
        for metric, index in loop_choice(name, curves, sign).items():
            np.testing.assert_array_equal(chosen[metric].numpy(), index)
    own = protocol.best(curves)
    assert torch.equal(own["psnr"], own["ssim"]) == (ORACLES[name][2] is not None)


def test_of_equal_samples_the_first_code_takes_the_last_one():
    """Sorted by their SSIM the best comes last, and of equals the one drawn last."""
    curves = {k: torch.ones(4, 1, 2) for k in ("mse", "psnr", "ssim")}
    order = np.argsort(curves["ssim"].mean(-1)[:, 0].numpy(), kind="stable")
    assert (order[-1], order[0]) == (3, 0)
    for name, protocol in PROTOCOLS.items():
        best = [v.item() for v in protocol.best(curves).values()]
        worst = [v.item() for v in protocol.worst(curves).values()]
        assert best == 3 * [order[-1] if ORACLES[name][3] == "last" else 0]
        assert worst == 3 * [order[0]]


@pytest.mark.parametrize("sizes", [[4], [1, 3], [2, 2], [1, 1, 1, 1]])
def test_ties_are_broken_alike_in_portions(sizes):
    truth, samples = video(n=4, batch=2)
    samples[2], samples[3] = samples[0], samples[1]
    curves = Curves()
    curves.update(truth, in_portions(samples, sizes))
    for name, protocol in PROTOCOLS.items():
        scores = protocol.score(truth, samples)
        for kind, choose in (("best", protocol.best), ("worst", protocol.worst)):
            chosen = choose(scores)
            for metric, index in chosen.items():
                got = curves.curves(name, metric, f"{kind}_sample")
                assert torch.equal(got, index)
                last = ORACLES[name][3] == "last" and kind == "best"
                assert (index >= 2).all() if last else (index < 2).all()


def test_published_tests_are_those_of_the_first_protocol_that_has_one():
    assert published_test(["srvp"], "smmnist") == PublishedTest(20, clips=5000)
    assert published_test(["svg", "srvp"], "smmnist").horizon == 25
    assert published_test(["srvp", "svg"], "smmnist").horizon == 20
    assert published_test(["svg", "srvp"], "kth", with_clips=True).clips == 1000
    assert published_test(["finn", "srvp"], "bair", with_clips=True).clips == 256
    assert published_test(["svg"], "bair", with_clips=True) is None
    assert published_test(PROTOCOLS, "videos") is None
    with pytest.raises(EvaluationError, match="give each of them once"):
        Curves(("svg", "srvp", "svg"))
    with pytest.raises(EvaluationError, match="no protocol 'theirs'"):
        published_test(["theirs"], "bair")


def in_portions(samples, sizes):
    """A generator, so that nothing can hold on to all of the samples."""
    yield from samples.split(sizes)


def test_curves_against_numpy():
    truth, samples = video(n=5, batch=6)
    curves = Curves()
    curves.update(truth[:4], in_portions(samples[:, :4], [2, 1, 2]))
    curves.update(truth[4:], samples[:, 4:])
    assert (curves.num_clips, curves.num_samples) == (6, 5)
    summary = curves.summary()
    for name, protocol in PROTOCOLS.items():
        scores = protocol.score(truth, samples)
        best, worst = protocol.best(scores), protocol.worst(scores)
        for metric, score in scores.items():
            score, clips = score.numpy(), np.arange(6)
            wants = {
                "best": score[best[metric], clips],
                "mean": score.mean(0),
                "worst": score[worst[metric], clips],
            }
            key = (name, metric)
            assert torch.equal(curves.curves(*key, "best_sample"), best[metric])
            assert torch.equal(curves.curves(*key, "worst_sample"), worst[metric])
            for kind, want in wants.items():
                np.testing.assert_allclose(curves.curves(*key, kind), want, rtol=1e-12)
                got = summary[name][metric][kind]
                ddof = ORACLES[name][4]
                half = 1.96 * want.std(0, ddof=ddof) / math.sqrt(6)
                np.testing.assert_allclose(got.per_step, want.mean(0), rtol=1e-12)
                np.testing.assert_allclose(got.per_step_half, half, rtol=1e-9)
                clips_mean = want.mean(1)
                half = 1.96 * clips_mean.std(ddof=ddof) / math.sqrt(6)
                assert got.headline == pytest.approx(clips_mean.mean(), rel=1e-12)
                assert got.headline_half == pytest.approx(half, rel=1e-9)
                assert got.infinite == 0


def test_an_interrupted_evaluation_goes_on(tmp_path):
    truth, samples = video(n=3, batch=6)
    whole, first, second = Curves(), Curves(), Curves()
    whole.update(truth[:2], samples[:, :2])
    whole.update(truth[2:], samples[:, 2:])
    first.load_state_dict(Curves().state_dict())
    first.update(truth[:2], samples[:, :2])
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    second.update(truth[2:], samples[:, 2:])
    state = second.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in whole.state_dict().items())
    with pytest.raises(EvaluationError, match="other protocols or metrics"):
        Curves(["svg"]).load_state_dict(state)


def test_what_is_kept_does_not_grow_with_the_samples():
    truth, samples = video(n=1, batch=2)
    sizes = []
    for n in (1, 7):
        curves = Curves(["svg"])
        curves.update(truth, (samples for _ in range(n)))
        sizes.append(sum(v.numel() for v in curves.state_dict().values()))
    assert sizes[0] == sizes[1] == 1 + 3 * 2 * (3 * 5 + 2)


def test_other_distances_are_better_the_lower():
    truth, samples = video(n=4)

    def far(truth):
        return lambda samples: (samples - truth).abs().amax((-3, -2, -1))

    curves = Curves(["svg", "srvp"], {"far": far})
    curves.update(truth, in_portions(samples, [1, 3]))
    score = far(truth)(samples).double()
    np.testing.assert_allclose(
        curves.curves("srvp", "far"), score[score.mean(-1).argmin(0), range(4)]
    )
    by_ssim = PROTOCOLS["svg"].best(PROTOCOLS["svg"].score(truth, samples))["ssim"]
    assert torch.equal(curves.curves("svg", "far", "best_sample"), by_ssim)
    broken = Curves(["svg"], {"far": lambda truth: lambda s: s.flatten(3).mean(-1) / 0})
    with pytest.raises(EvaluationError, match=r"far gave .* NaN"):
        broken.update(torch.zeros_like(truth), torch.zeros_like(samples))


def test_clips_with_equal_frames_are_counted_and_left_out_of_the_mean_psnr():
    truth, samples = video(n=2)
    samples = samples.flip(0)  # the second is the better one under every protocol
    samples[1, 2, 3] = truth[2, 3]
    curves = Curves()
    curves.update(truth, samples)
    for protocol in PROTOCOLS:
        found = curves.summary()[protocol]
        others = torch.arange(len(truth)) != 2
        for kind in ("best", "mean"):
            every = curves.curves(protocol, "psnr", kind)
            assert every[2].isinf().tolist() == [False, False, False, True, False]
            estimate, kept = found["psnr"][kind], every[others]
            assert estimate.infinite == 1 and kept.isfinite().all()
            assert estimate.headline == pytest.approx(kept.mean().item())
            torch.testing.assert_close(estimate.per_step, kept.mean(0))
            spread = kept.mean(1).numpy().std(ddof=PROTOCOLS[protocol].ddof)
            half = 1.96 * spread / math.sqrt(len(kept))
            assert estimate.headline_half == pytest.approx(half)
        assert curves.curves(protocol, "psnr", "best_sample")[2] == 1
        # All clips count where nothing is infinite.
        for metric, kind in (("psnr", "worst"), ("ssim", "best"), ("mse", "best")):
            every = curves.curves(protocol, metric, kind)
            assert found[metric][kind].infinite == 0
            assert found[metric][kind].headline == pytest.approx(every.mean().item())


def test_where_every_clip_has_equal_frames_the_mean_psnr_is_infinite():
    truth, _ = video(n=1)
    curves = Curves()
    curves.update(truth, truth[None])
    for protocol in PROTOCOLS:
        best = curves.summary()[protocol]["psnr"]["best"]
        assert best.headline == math.inf and best.infinite == len(truth)
        assert math.isnan(best.headline_half) and best.per_step.isinf().all()


def test_one_clip_has_no_interval():
    truth, samples = video(n=2, batch=1)
    curves = Curves()
    curves.update(truth, samples)
    assert math.isnan(curves.summary()["svg"]["ssim"]["best"].headline_half)
    assert curves.summary()["srvp"]["ssim"]["best"].headline_half == 0


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s[:, :, :4], "samples of shape"),
        (lambda s: s.index_fill(2, torch.tensor([3]), torch.nan), r"index \(0, 0, 3\)"),
        (lambda s: s * 2 - 1, "values from -1 to"),
        (lambda s: (s * 255).byte(), "uint8"),
        (lambda s: s[:0], "give frames"),
        (lambda s: [], "no samples"),
    ],
)
def test_samples_that_cannot_be_scored(change, message):
    truth, samples = video()
    samples[0, 0, 0, 0, 0, 0] = 0
    curves = Curves()
    curves.update(truth, samples)
    before = curves.state_dict()
    with pytest.raises(EvaluationError, match=message) as caught:
        curves.update(truth, change(samples))
    assert "\n" not in str(caught.value)
    after = curves.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items())


def test_what_else_cannot_be_scored():
    truth, samples = video(n=2)
    with pytest.raises(EvaluationError, match="smaller than the SSIM's 11-pixel"):
        ssim(truth[..., :10], truth[..., :10])
    with pytest.raises(EvaluationError, match="no protocol 'fid'"):
        Curves(["fid"])
    with pytest.raises(EvaluationError, match="no protocol was asked for"):
        Curves([])
    curves = Curves()
    with pytest.raises(EvaluationError, match="no clip was scored"):
        curves.summary()
    curves.update(truth, samples)
    with pytest.raises(EvaluationError, match="1 samples of 5 frames after"):
        curves.update(truth, samples[:1])
    with pytest.raises(EvaluationError, match="2 samples of 3 frames after"):
        curves.update(truth[:, :3], samples[:, :, :3])
    with pytest.raises(EvaluationError, match="svg/psnr/median: not asked for"):
        curves.curves("svg", "psnr", "median")


def test_clip_mse_and_psnr_of_clips():
    a, b = torch.rand(2, 3, 4, 1, 8, 8).double()
    want = [((x - y) ** 2).mean() for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    np.testing.assert_allclose(clip_mse(a, b), want, rtol=1e-12)
    np.testing.assert_allclose(psnr(clip_mse(a, b)), -10 * np.log10(want), rtol=1e-12)
    assert psnr(clip_mse(a, a)).isposinf().all()
