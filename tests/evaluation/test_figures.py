"""The paper's figures: their numbers against oracles, and examples/figures.py."""

import json
import math

import figures as example
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, stats
from sklearn.metrics import roc_auc_score

import svg_pyro
from svg_pyro import SVG
from svg_pyro.data import MovingMNIST
from svg_pyro.data.digits import load_scikit_digits
from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation import Candidate, ModelCandidate
from svg_pyro.evaluation import paper as analysis
from svg_pyro.metrics import psnr, ssim
from svg_pyro.plots import paper as figures


@pytest.fixture(scope="module")
def images():
    return load_scikit_digits("test")


def models(tiny, **priors):
    """Untrained models by name; with priors as given."""
    values = {**vars(tiny)}
    return {
        name: SVG(type(tiny)(**{**values, "prior": prior})).eval()
        for name, prior in priors.items()
    }


def clips_of(data, count):
    return torch.stack([data.clip(i) for i in range(count)])


# Sharpness


def test_sharpness_against_scipy():
    frames = torch.rand(2, 3, 1, 17, 23, dtype=torch.float64)
    got = analysis.sharpness(frames)
    for i, j in np.ndindex(2, 3):
        inner = ndimage.laplace(frames[i, j, 0].numpy())[1:-1, 1:-1]
        assert got[i, j].item() == pytest.approx(inner.std(), rel=1e-12)
    colour = torch.cat([frames[:, :1], frames[:, 1:2]], 2)
    torch.testing.assert_close(analysis.sharpness(colour)[:, 0], got[:, :2].mean(1))


@pytest.mark.parametrize("waves", [2, 5, 9])
@pytest.mark.parametrize("blur", [0.8, 1.5])
def test_a_wave_and_its_blur_are_as_sharp_as_theory_says(waves, blur):
    """a cos(kx): a (2 - 2 cos k) / sqrt 2; blurred by s: times exp(-s^2 k^2 / 2)."""
    k = 2 * math.pi * waves / 64
    wave = 0.5 + 0.3 * torch.cos(k * torch.arange(66.0, dtype=torch.float64))
    frame = wave.expand(1, 66, 66)
    sharp = analysis.sharpness(frame).item()
    assert sharp == pytest.approx(0.3 * (2 - 2 * math.cos(k)) / math.sqrt(2), rel=1e-9)
    periodic = frame[:, :64, :64].numpy()
    soft = ndimage.gaussian_filter(periodic, (0, blur, blur), mode="wrap", truncate=8)
    soft = np.pad(soft, ((0, 0), (0, 2), (0, 2)), mode="wrap")
    ratio = analysis.sharpness(torch.from_numpy(soft)).item() / sharp
    assert ratio == pytest.approx(math.exp(-((blur * k) ** 2) / 2), rel=5e-3)


def test_the_mean_of_futures_is_less_sharp_than_each(images):
    data = MovingMNIST(images, "test", 2, num_digits=1)
    frames = clips_of(data, 40)[:, 0] / 255
    each = analysis.sharpness(frames).mean()
    assert analysis.sharpness(frames.mean(0)) < 0.5 * each
    assert analysis.sharpness(torch.full((1, 64, 64), 0.3)) == 0
    torch.testing.assert_close(analysis.sharpness(frames / 2).mean(), each / 2)


def test_sharpness_curves_against_a_loop(tiny, images):
    (svg,) = models(tiny, lp="learned").values()
    clips = clips_of(MovingMNIST(images, "test", 5, num_digits=1), 6)
    truth, own = analysis.sharpness_curves(
        ModelCandidate("m", svg), clips, 2, 3, seed=1
    )
    x = clips / 255
    torch.testing.assert_close(truth, analysis.sharpness(x[:, 2:]).mean(0))
    parts = list(
        analysis.futures_of_clips(ModelCandidate("m", svg), clips, 2, 3, seed=1)
    )
    samples = torch.cat([s for _, s in parts], 1)
    want = [analysis.sharpness(samples[:, :, t]).mean() for t in range(3)]
    torch.testing.assert_close(own, torch.stack(want))


# Sampled futures and their scores


def test_sampled_futures_are_a_function_of_the_seed(tiny, images):
    both = models(tiny, lp="learned", det="none")
    clips = clips_of(MovingMNIST(images, "test", 5, num_digits=1), 5)
    clips[2] = clips[0]  # the first of another batch

    def draw(name, seed):
        torch.rand(1)  # another global state
        before = torch.get_rng_state()
        candidate = ModelCandidate(name, both[name])
        parts = list(
            analysis.futures_of_clips(candidate, clips, 2, 4, seed=seed, batch_size=2)
        )
        assert torch.equal(before, torch.get_rng_state())
        assert [len(truth) for truth, _ in parts] == [2, 2, 1]
        assert torch.equal(torch.cat([t for t, _ in parts]), clips[:, 2:] / 255)
        return torch.cat([samples for _, samples in parts], 1)

    first = draw("lp", 3)
    assert first.shape == (4, 5, 3, 1, 64, 64)
    assert torch.equal(first, draw("lp", 3)) and not torch.equal(first, draw("lp", 4))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[:, 0], first[:, 2])
    want = both["det"].predict(clips[:, :2] / 255, 3)
    torch.testing.assert_close(draw("det", 3), want)
    for n_past in (0, 5):
        with pytest.raises(EvaluationError, match=f"{n_past} frames of context"):
            next(
                analysis.futures_of_clips(
                    ModelCandidate("lp", both["lp"]), clips, n_past, 1
                )
            )


def test_score_curves_against_the_metrics_themselves(tiny, images):
    (svg,) = models(tiny, det="none").values()
    clips = clips_of(MovingMNIST(images, "test", 6, num_digits=1), 4)
    found = analysis.score_curves(
        ModelCandidate("m", svg), clips, 2, 9, protocol="srvp"
    )
    x = clips / 255
    future = svg.predict(x[:, :2], 4)[0]
    mse = (future.double() - x[:, 2:].double()).square().mean((-3, -2, -1))
    got = {metric: kinds["best"].per_step for metric, kinds in found.items()}
    torch.testing.assert_close(got["psnr"], psnr(mse).mean(0))
    want = ssim(future, x[:, 2:], window="gaussian").mean(0)
    torch.testing.assert_close(got["ssim"], want)


# Motion


@pytest.mark.parametrize("image_size", [64, 128])
def test_a_digit_is_located_exactly(images, image_size):
    data = MovingMNIST(images, "test", 30, num_digits=1, image_size=image_size)
    for index in range(5):
        clip = data.clip_with_bounces(index)
        frames, places = clip["frames"][:, 0] / 255, clip["positions"][:, 0]
        y, x = places[0].tolist()
        digit = frames[0, y : y + 32, x : x + 32]
        assert torch.equal(analysis.locate(frames, digit), places)


def test_location_is_that_of_least_squares():
    torch.manual_seed(2)
    frames, digits = torch.rand(4, 3, 12, 11), torch.rand(3, 5, 4)
    got = analysis.locate(frames, digits)
    assert got.shape == (4, 3, 2)
    for s, b in np.ndindex(4, 3):
        # On a canvas that is black but for the digit; the frame is not.
        errors = {}
        for y, x in np.ndindex(8, 8):
            canvas = torch.zeros(12, 11)
            canvas[y : y + 5, x : x + 4] = digits[b]
            errors[y, x] = (frames[s, b] - canvas).square().sum().item()
        assert tuple(got[s, b].tolist()) == min(errors, key=errors.get)


def test_bounces_are_found_and_go_the_way_of_the_rule(images):
    """Away from the edge: uniform on 1..4; along it: within -4..4, without a side."""
    data = MovingMNIST(images, "test", 45, num_digits=1, seed=2)
    bounces = analysis.find_bounces(data, 5, 400)
    assert bounces.clips.shape == (400, 6, 1, 64, 64)
    edge = bounces.places[torch.arange(400), bounces.axis]
    assert torch.equal(bounces.inward, torch.where(edge == 0, 1, -1))
    assert ((edge == 0) | (edge == 32)).all()
    frames = bounces.clips[:, :, 0] / 255
    seen = analysis.locate(frames[:, 4], bounces.templates)
    assert torch.equal(seen, bounces.places)
    moved = bounces.displacements(frames[:, 5])
    counts = np.bincount(moved[:, 0], minlength=5)
    assert len(counts) == 5 and counts[0] == 0
    # 99.9 % quantile of chi-square with 3 degrees of freedom.
    assert ((counts[1:] - 100) ** 2 / 100).sum() < 16.3
    assert moved[:, 1].abs().max() == 4
    share = (moved[:, 1] > 0).double().mean() - (moved[:, 1] < 0).double().mean()
    assert abs(share) < 0.16


def test_bounces_cut_the_clip_where_its_generator_says(images, monkeypatch):
    data = MovingMNIST(images, "test", 60, num_digits=1)
    bounces = analysis.find_bounces(data, 3, 1)
    clip = data.clip_with_bounces(0)
    at_edge = ((clip["positions"] == 0) | (clip["positions"] == 32)).sum(-1) == 1
    times = (clip["bounces"] & at_edge)[:, 0].nonzero()[:, 0]
    t = min(t for t in times.tolist() if t >= 2)
    assert torch.equal(bounces.clips[0], clip["frames"][t - 2 : t + 2])
    with pytest.raises(EvaluationError, match="clips of 2 digits"):
        analysis.find_bounces(MovingMNIST(images), 3, 1)
    short = MovingMNIST(images, "test", 3, num_digits=1)
    monkeypatch.setattr(MovingMNIST, "__len__", lambda _: 30)
    with pytest.raises(EvaluationError, match="no clip of 3 frames"):
        analysis.find_bounces(short, 3, 1)


@pytest.mark.parametrize("shift", [None, 0, 2])
def test_displacements_of_known_futures(images, shift):
    """A candidate that repeats the truth, or moves the digit so far from the edge."""
    data = MovingMNIST(images, "test", 45, num_digits=1)
    bounces = analysis.find_bounces(data, 5, 20)
    truth = iter(bounces.clips[:, -1].split(16))
    sides = iter(zip(bounces.axis.split(16), bounces.inward.split(16), strict=True))

    class Known(Candidate):
        name, stochastic = "known", True

        def futures(self, context, horizon, num_samples, chunk_size=None):
            assert horizon == 1
            yield predict(context, num_samples)

    def predict(context, num_samples):
        if shift is None:
            frames = next(truth) / 255
        else:
            axis, inward = next(sides)
            frames = torch.stack(
                [
                    frame.roll(shift * int(i), 1 + int(a))
                    for frame, a, i in zip(context[:, -1], axis, inward, strict=True)
                ]
            )
        return frames[None, :, None].expand(num_samples, -1, -1, -1, -1, -1)

    true, sampled = analysis.displacements(Known(), bounces, 3)
    assert true.shape == (20, 2) and sampled.shape == (3, 20, 2)
    if shift is None:
        assert (sampled == true).all() and analysis.total_variation(true, sampled) == 0
    else:
        assert (sampled == torch.tensor([shift, 0])).all()


def test_distances_of_distributions_against_scipy():
    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = rng.integers(-5, 4, 30), rng.integers(-2, 9, (4, 20))
        got = [torch.from_numpy(v) for v in (a, b)]
        want = stats.wasserstein_distance(a, b.ravel())
        assert analysis.wasserstein(*got) == pytest.approx(want)
        shares = [np.array([(v == n).mean() for n in range(-5, 9)]) for v in (a, b)]
        want = np.abs(shares[0] - shares[1]).sum() / 2
        assert analysis.total_variation(*got) == pytest.approx(want)
        assert analysis.total_variation(*got[::-1]) == pytest.approx(want)
    near, far = torch.tensor([0, 1, 1]), torch.tensor([3, 4, 4])
    assert analysis.wasserstein(near, far) == pytest.approx(3)
    assert analysis.total_variation(near, far) == pytest.approx(1)
    shares = analysis.histogram(torch.tensor([-9, -2, 0, 0, 7]), -2, 2)
    assert shares.tolist() == [0.4, 0, 0.4, 0, 0.2]


# The prior's uncertainty


def test_auc_against_counted_pairs_and_scikit_learn():
    torch.manual_seed(0)
    for _ in range(5):
        scores = torch.randint(0, 6, (3, 20)).double()  # many ties
        positive = torch.rand(3, 20) < 0.3
        ones, zeros = scores[positive], scores[~positive]
        pairs = ones[:, None] - zeros
        want = ((pairs > 0).sum() + 0.5 * (pairs == 0).sum()) / pairs.numel()
        got = analysis.auc(scores, positive)
        assert got == pytest.approx(want.item())
        assert got == pytest.approx(roc_auc_score(positive.ravel(), scores.ravel()))
        assert analysis.auc(scores.exp(), positive) == pytest.approx(got)
        assert analysis.auc(-scores, positive) == pytest.approx(1 - got)


@pytest.mark.parametrize(
    "scores, positive, words",
    [
        ([1.0, 2.0], [True, True], "2 positives and 0 negatives"),
        ([1.0, 2.0], [False, False], "0 positives and 2 negatives"),
        ([1.0, math.nan], [True, False], "NaN"),
    ],
)
def test_auc_of_nothing(scores, positive, words):
    with pytest.raises(EvaluationError, match=words):
        analysis.auc(torch.tensor(scores), torch.tensor(positive))


def test_frames_after_bounces_are_those_that_motion_does_not_foresee(images):
    """Surprise, from places alone: the step differs from the one before it.

    A bounce itself can be foreseen, since it only cuts the step short at the edge.
    """
    data = MovingMNIST(images[:1], "test", 60, num_digits=1)
    clips = [data.clip_with_bounces(i) for i in range(60)]
    places = torch.stack([c["positions"][:, 0] for c in clips])
    bounces = torch.stack([c["bounces"] for c in clips])
    expected = (2 * places[:, 1:-1] - places[:, :-2]).clamp(0, 32)
    surprise = (places[:, 2:] != expected).any(-1).double()
    # Of frames 2..T; nothing is expected of frame 2.
    surprise = torch.cat([torch.zeros(60, 1), surprise], 1)
    assert analysis.bounce_auc(surprise, bounces) > 0.97
    for shift in (-1, 1):
        assert analysis.bounce_auc(surprise.roll(shift, 1), bounces) < 0.75
    # Frames before `first` do not count.
    misled = surprise.clone()
    misled[:, :4] = 9
    kept = analysis.bounce_auc(misled, bounces, first=6)
    assert kept == analysis.bounce_auc(surprise, bounces, first=6)
    assert analysis.bounce_auc(misled, bounces, first=5) < kept


def test_prior_statistics_against_single_steps(tiny, images):
    (svg,) = models(tiny, lp="learned").values()
    with torch.no_grad():  # so that another frame is another scale
        for weight in (*svg.encoder.parameters(), *svg.prior.parameters()):
            if weight.dim() == 1:
                continue
            weight.normal_(0, 0.3)
    clips = clips_of(MovingMNIST(images, "test", 6, num_digits=2), 5)
    got = analysis.prior_statistics(svg.train(), clips, batch_size=2)
    assert svg.training
    svg.eval()
    for b, clip in enumerate(clips):
        state = None
        for t in range(5):
            with torch.no_grad():
                h, _ = svg.encoder(clip[None, t : t + 1] / 255)
                z, state = svg.prior(h, state)
            sigma = z.stddev[0, 0].double()
            want = sigma.log().sum() + 1.5 * math.log(2 * math.pi * math.e)
            assert got.entropy[b, t].item() == pytest.approx(want.item(), abs=1e-4)
            assert got.scale[b, t].item() == pytest.approx(
                sigma.mean().item(), abs=1e-5
            )
    assert (got.scale.std(0) > 1e-3).all()
    # What is drawn for frame t is a function of the frames before it.
    later = clips.clone()
    later[:, 3:] = 0
    seen = analysis.prior_statistics(svg, later)
    torch.testing.assert_close(seen.entropy[:, :3], got.entropy[:, :3])
    assert not torch.allclose(seen.entropy[:, 3:], got.entropy[:, 3:])


def test_priors_that_know_nothing_of_bounces(tiny, images):
    both = models(tiny, fp="fixed", det="none")
    data = MovingMNIST(images, "test", 30, num_digits=1)
    clips = [data.clip_with_bounces(i) for i in range(4)]
    frames, bounces = (
        torch.stack([c[k] for c in clips]) for k in ("frames", "bounces")
    )
    found = analysis.prior_statistics(both["fp"], frames)
    want = torch.full((4, 29), 1.5 * math.log(2 * math.pi * math.e))
    torch.testing.assert_close(found.entropy, want)
    assert (found.scale == 1).all()
    assert analysis.bounce_auc(found.entropy, bounces) == pytest.approx(0.5)
    with pytest.raises(EvaluationError, match="has no prior"):
        analysis.prior_statistics(both["det"], frames)
    with pytest.raises(EvaluationError, match="clips of one frame"):
        analysis.prior_statistics(both["fp"], frames[:, :1])


# Drawing


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are written, by file name."""
    seen, write = {}, figures.write_figure

    def keep(figure, path):
        seen[path.name] = figure
        write(figure, path)

    monkeypatch.setattr(figures, "write_figure", keep)
    return seen


def test_prior_figure_marks_the_frames_after_bounces(drawn, tmp_path):
    scale = torch.rand(7, 9)
    bounces = torch.zeros(10, 2, dtype=torch.bool)
    bounces[2, 0] = bounces[5, 1] = bounces[9, 1] = True
    figures.draw_prior({"SVG-LP": scale}, bounces, tmp_path / "p.png")
    (axis,) = drawn["p.png"].axes
    curve, *marks = axis.lines
    assert list(curve.get_xdata()) == list(range(2, 11))
    np.testing.assert_allclose(curve.get_ydata(), scale.mean(0))
    # Frames 4 and 7, counted from 1, follow the bounces in frames 3 and 6.
    found = {mark.get_xdata()[0]: mark.get_color() for mark in marks}
    assert list(found) == [4, 7] and found[4] != found[7]


def test_curves_and_histograms_show_the_values(drawn, tmp_path):
    values, half = torch.rand(3), torch.full((3,), 0.1)
    panels = {"A": {"truth": (values, None)}, "B": {"x": (values + 1, half)}}
    figures.draw_curves(panels, 5, tmp_path / "c.png")
    for axis, want in zip(drawn["c.png"].axes, (values, values + 1), strict=True):
        (line,) = axis.lines
        assert list(line.get_xdata()) == [6, 7, 8]
        np.testing.assert_allclose(line.get_ydata(), want)
    moved = {"truth": torch.tensor([[1, 0], [1, -2], [4, 0], [3, 9]])}
    figures.draw_displacements(moved, tmp_path / "d.png")
    away, along = drawn["d.png"].axes
    bars = {round(b.get_x() + b.get_width() / 2): b.get_height() for b in away.patches}
    assert bars[1] == 0.5 and bars[4] == 0.25 and sum(bars.values()) == 1
    bars = {round(b.get_x() + b.get_width() / 2): b.get_height() for b in along.patches}
    assert bars[0] == 0.5 and bars[-2] == 0.25 and bars[6] == 0.25
    for name in drawn:
        assert np.asarray(Image.open(tmp_path / name)).std() > 10


# The example

SMALL = (
    "--bundled-digits --device cpu --clips 3 --num-samples 2 --horizon 3 --long 12 "
    "--sequences 6 --pictures 1"
).split()


@pytest.fixture
def checkpoints(tiny, tmp_path):
    """Flags of untrained models of every kind."""
    flags = {}
    for name, svg in models(tiny, LP="learned", FP="fixed", det="none").items():
        svg_pyro.save(svg, tmp_path / f"{name}.pt")
        flags[name] = ["--checkpoint", f"{name}={tmp_path / name}.pt"]
    return flags


@pytest.mark.slow
def test_all_figures(checkpoints, tmp_path, capsys):
    out = tmp_path / "out"
    flags = [flag for pair in checkpoints.values() for flag in pair]
    example.main(["all", *flags, *SMALL, "--out", str(out)])
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"figures in {out}" and not any("skipped" in s for s in said)
    written = {path.name for path in out.iterdir()}
    names = [
        f"{n}.{e}"
        for n in ("sharpness", "bounces", "prior", "curves", "recognition")
        for e in ("png", "pdf", "json")
    ]
    assert written == {*names, "rollouts_1.png", "rollouts_1.gif"}
    with Image.open(out / "rollouts_1.gif") as gif:
        assert gif.n_frames == 14 and gif.width > 4 * 128
    numbers = {p.stem: json.loads(p.read_text()) for p in out.glob("*.json")}
    assert numbers["prior"]["settings"]["n_past"] == 2
    assert numbers["prior"]["models"]["FP"]["prior"] == "fixed"
    assert list(numbers["prior"]["auc"]) == ["LP"]
    auc = numbers["prior"]["auc"]["LP"]["own"]["from frame 3"]
    assert f"LP {auc:.4f}" in next(s for s in said if s.startswith("prior: "))
    assert len(numbers["prior"]["synchronised_scale"]["LP"]) == 11
    distances = numbers["bounces"]["distances"]
    assert list(distances) == ["LP", "FP", "det", "halves of the truth"]
    assert 0 < distances["det"]["away"]["total_variation"] <= 1
    best = numbers["curves"]["best"]
    assert len(best["FP"]["ssim"]["per_step"]) == 3
    mean = np.mean(best["FP"]["psnr"]["per_step"])
    assert best["FP"]["psnr"]["mean"] == pytest.approx(mean)
    assert list(best) == ["LP", "FP", "det", "the process itself"]
    bound = best["the process itself"]["ssim"]["mean"]
    assert max(best[name]["ssim"]["mean"] for name in ("LP", "FP", "det")) < bound <= 1
    assert set(numbers["sharpness"]["per_step"]) == {"LP", "FP", "det", "truth"}


def test_figures_of_missing_checkpoints_are_skipped(checkpoints, tmp_path, capsys):
    out = tmp_path / "out"
    wanted = ["prior", "sharpness", "bounces", "prior"]
    flags = [*SMALL, "--out", str(out), "--num-digits", "2"]
    example.main([*wanted, *checkpoints["det"], *flags])
    assert capsys.readouterr().out.splitlines()[1:-1] == [
        "prior: skipped, needs a checkpoint with a learned prior",
        "sharpness: skipped, needs a stochastic and a deterministic checkpoint",
        "bounces: skipped, needs one digit in a clip (--num-digits 1)",
    ]
    assert not out.exists()


@pytest.mark.parametrize(
    "flags, words",
    [
        (["portrait", "LP"], "invalid choice: 'portrait'"),
        (["all"], "--checkpoint"),
        (["all", "--checkpoint", "LP.pt"], "--checkpoint LP.pt: give NAME=PATH"),
        (["all", "LP", "LP"], "each name once"),
        (["all", "--checkpoint", "a=nothing.pt"], "no checkpoint at nothing.pt"),
        (["all", "LP", "--checkpoint", "rgb=rgb.pt"], "all of grey frames of one size"),
        (["curves", "LP", "--protocol", "mine"], "invalid choice: 'mine'"),
        (["curves", "LP", "--horizon", "0"], "--horizon is 0; give 1 or more"),
        (["curves", "LP", "--n-past", "0"], "--n-past is 0; give 1 or more"),
        (["prior", "LP", "--long", "1"], "clips of one frame"),
        (["prior", "LP", "--seed", "-1"], "seed is -1"),
        (["prior", "LP", "--data-root", "nowhere"], "nowhere"),
    ],
    ids=lambda v: " ".join(v)[:40] if isinstance(v, list) else None,
)
def test_bad_input_ends_in_one_line(
    checkpoints, tiny, tmp_path, monkeypatch, capsys, flags, words
):
    monkeypatch.chdir(tmp_path)
    if "rgb=rgb.pt" in flags:
        svg_pyro.save(SVG(type(tiny)(**{**vars(tiny), "channels": 3})), "rgb.pt")
    flags = [f for flag in flags for f in checkpoints.get(flag, [flag])]
    small = [f for f in SMALL if f != "--bundled-digits" or "--data-root" not in flags]
    with pytest.raises(SystemExit) as stop:
        example.main([flags[0], *small, *flags[1:]])
    assert stop.value.code == 2
    (line,) = [s for s in capsys.readouterr().err.splitlines() if "%|" not in s]
    assert line.startswith("error: ") and words in line
