"""Features and states as maps, and warped frames: known answers and every contract."""

import dataclasses
import json

import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive
from support.futures import awake, contexts

import svg_pyro
from svg_pyro import SVG, ConfigError, Sampler, SVGConfig, save_pretrained
from svg_pyro.model import checkpoint
from svg_pyro.model.guides.filtering import FilteringMapGuide
from svg_pyro.model.networks import MapDecoder, MapEncoder, MapPredictor
from svg_pyro.model.networks.map_recurrence import MapRecurrent, scan
from svg_pyro.model.networks.warping import blend, warp
from svg_pyro.model.priors.learned import LearnedMapPrior

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture
def maps():
    """A grey model with maps, of a few thousand weights."""
    return SVGConfig(
        channels=1,
        width=4,
        z_dim=3,
        rnn_size=6,
        n_past=2,
        beta=1e-3,
        dynamics="maps",
        map_channels=5,
        warp=True,
    )


def slowly(keep, add, state):
    """The recurrence by the book, one step after the other."""
    states = []
    for t in range(add.shape[1]):
        state = keep[:, t] * state + add[:, t]
        states.append(state)
    return torch.stack(states, 1)


@pytest.mark.parametrize("steps", [1, 2, 7, 14])
def test_the_scan_and_its_gradients_equal_the_loop(steps):
    shape = 3, steps, 4, 4, 5
    given = torch.rand(shape), torch.randn(shape), torch.randn(3, 4, 4, 5)
    given = [x.double().requires_grad_() for x in given]
    weights = torch.randn(shape).double()
    results = []
    for run in (scan, slowly):
        states = run(*given)
        results.append((states, *torch.autograd.grad((weights * states).sum(), given)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)


def test_the_scans_gradient_is_that_of_finite_differences():
    given = torch.rand(2, 3, 2), torch.randn(2, 3, 2), torch.randn(2, 2)
    given = [x.double().requires_grad_() for x in given]
    assert torch.autograd.gradcheck(scan, given)


def test_maps_one_step_at_a_time_equal_the_sequence():
    network = MapRecurrent(4, 6, layers=2).double()
    x = torch.randn(2, 5, 4, 8, 6).double()
    out, state = network(x)
    parts, carried = [], None
    for t in range(5):
        part, carried = network(x[:, t : t + 1], carried)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), out, **CLOSE)
    torch.testing.assert_close(carried, state, **CLOSE)


def test_states_of_maps_are_expanded_and_indexed_exactly():
    network = MapRecurrent(4, 6, layers=2).double()
    _, state = network(torch.randn(3, 4, 4, 8, 8).double())
    after = torch.randn(5, 3, 2, 4, 8, 8).double()
    together, states = network(after, state)
    for sample in range(5):
        alone, one = network(after[sample], state)
        torch.testing.assert_close(together[sample], alone, **CLOSE)
        for ours, theirs in zip(states, one, strict=True):
            torch.testing.assert_close(ours[sample], theirs, **CLOSE)
    order = torch.tensor([2, 0, 0])
    resampled, _ = network(after[0][order], tuple(s[order] for s in state))
    torch.testing.assert_close(resampled, together[0][order], **CLOSE)


def test_warping_by_whole_pixels_moves_them_and_by_none_copies():
    x = torch.rand(2, 3, 9, 7).double()
    flow = torch.zeros(2, 2, 9, 7).double()
    torch.testing.assert_close(warp(x, flow), x, **CLOSE)
    flow[:, 0], flow[:, 1] = 2, -1
    moved = warp(x, flow)
    torch.testing.assert_close(moved[:, :, :-2, 1:], x[:, :, 2:, :-1], **CLOSE)
    # Beyond the edge its nearest pixel is taken.
    torch.testing.assert_close(moved[:, :, -1, 1:], x[:, :, -1, :-1], **CLOSE)


def keys(distance, a=-0.75):
    """The kernel of cubic convolution (Keys 1981)."""
    d = abs(distance)
    if d < 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def test_a_blend_of_white_is_no_whiter():
    """Shares that sum to 1 but for rounding gave 1.0000001, which metrics refuse."""
    white = torch.ones(50, 1, 64, 64)
    logits = 4 * torch.randn(50, 2, 64, 64)
    assert blend(white, white, white, logits).max() == 1
    assert blend(white, white, white, logits[:, :1]).max() == 1


def test_warping_between_pixels_is_cubic_convolution():
    x = torch.rand(1, 1, 9, 5).double()
    flow = torch.zeros(1, 2, 9, 5).double()
    flow[:, 0] = 0.3
    moved = warp(x, flow)
    for row in range(1, 7):
        want = sum(keys(k - 0.3) * x[..., row + k, :] for k in (-1, 0, 1, 2))
        torch.testing.assert_close(moved[..., row, :], want.clamp(0, 1), **CLOSE)
    assert moved.min() >= 0 and moved.max() <= 1


def test_a_warped_frame_moves_the_frame_before(maps):
    """With masks that always move, and a flow of one row, the mean is x_{t-1} moved."""
    svg = SVG(maps).double()
    with torch.no_grad():
        last = svg.decoder.stages[-1].join
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.0, 50.0]))
        svg.decoder.flow.weight.zero_()
        svg.decoder.flow.bias.copy_(torch.tensor([0.25, 0.0]))  # four pixels to one
    frames = torch.rand(2, 4, 1, 64, 64).double()
    means = svg.reconstruct(frames)
    torch.testing.assert_close(
        means[..., :-1, :], frames[:, :-1, :, 1:, :], rtol=0, atol=1e-12
    )
    future = svg.predict(frames, 3, 2)
    for t in range(3):
        torch.testing.assert_close(
            future[:, :, t, :, : 63 - t, :],
            frames[:, -1, :, t + 1 :, :].expand(2, -1, -1, -1, -1),
            rtol=0,
            atol=1e-12,
        )


def alive(maps, **changes):
    return awake(maps, **changes).eval()


def drawn(predict, *arguments, **options):
    torch.manual_seed(7)
    return predict(*arguments, **options)


VARIANTS = [
    {},
    {"pixel_skip": True},
    {"warp": False, "pixel_skip": True},
    {"last_frame_skip": True},
    {"prior": "none"},
    {"prior": "fixed"},
    {"dynamics": "vector", "g_dim": 8},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_a_sampler_draws_the_same_futures(maps, changes):
    svg, x = alive(maps, **changes), contexts()
    want = drawn(svg.predict, x, 3, 4, chunk_size=2)
    ours = drawn(Sampler(svg).predict, x, 3, 4, chunk_size=2)
    torch.testing.assert_close(ours, want, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_a_future_is_the_program_stepped_by_hand(maps, changes):
    svg, x = alive(maps, **changes), contexts()
    horizon = 3
    predictive = Predictive(svg.model, guide=svg.guide, num_samples=2, parallel=True)
    with torch.no_grad():
        sites = predictive(x, horizon=horizon)
        want = torch.stack([by_hand(svg, x, sites, s, horizon) for s in range(2)])
    ours = sites["x_future"].expand_as(want)
    torch.testing.assert_close(ours, want, rtol=1e-9, atol=1e-10)


def by_hand(svg, x, sites, sample, horizon):
    """The same future from frames alone: the whole clip is encoded at every step."""
    decoder, frames, means = svg.decoder, x, []
    names = ["z"] + [f"z_{t}" for t in range(4, 4 + horizon)]
    for t in range(horizon):
        h, skips = svg.encoder(frames)
        if svg.prior is not None:
            z = [sites[n][sample].expand(2, -1, -1) for n in names[: t + 2]]
            h = torch.cat([h, torch.cat(z, 1)], -1)
        g = svg.frame_predictor(h)[0][:, -1:]
        last = slice(-1, None) if svg.config.last_frame_skip else slice(2, 3)
        prepared = decoder.prepare(frames[:, last], [s[:, last] for s in skips])
        given = (frames[:, -1:],) if decoder.warps else ()
        means.append(decoder(g, prepared, *given))
        frames = torch.cat([frames, means[-1]], 1)
    return torch.cat(means, 1)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_compiled_sampler_gives_the_decoder_the_frame_before(
    maps, monkeypatch, compiled
):
    monkeypatch.setattr(torch, "compile", lambda forward, **options: forward)
    svg, x = alive(maps), contexts()
    want = drawn(svg.predict, x, 3, 2)
    ours = drawn(Sampler(svg, compiled=compiled).predict, x, 3, 2)
    torch.testing.assert_close(ours, want, rtol=1e-9, atol=1e-10)


def test_inputs_are_what_the_predictor_sees_and_no_one_else(maps):
    """x_{t-1} of the inputs moves; prior, guide and likelihood keep the true frames."""
    svg = alive(maps)
    frames = torch.rand(2, 5, 1, 64, 64).double()
    inputs = frames.clone()
    inputs[:, 2] = torch.rand(2, 1, 64, 64)

    def traces(**given):
        torch.manual_seed(3)
        guide = poutine.trace(svg.guide).get_trace(frames, **given)
        model = poutine.trace(poutine.replay(svg.model, trace=guide))
        return guide, model.get_trace(frames, **given)

    plain, same, mixed = traces(), traces(inputs=frames.clone()), traces(inputs=inputs)
    for name in ("z", "x"):
        for part in (0, 1) if name == "z" else (1,):
            a, b = plain[part].nodes[name]["fn"], same[part].nodes[name]["fn"]
            torch.testing.assert_close(a.mean, b.mean, **CLOSE)
    torch.testing.assert_close(
        plain[0].nodes["z"]["value"], mixed[0].nodes["z"]["value"], **CLOSE
    )
    assert torch.equal(mixed[1].nodes["x"]["value"], frames[:, 1:])
    z, x = (
        (plain[1].nodes[site]["fn"].mean - mixed[1].nodes[site]["fn"].mean).abs()
        for site in ("z", "x")
    )
    assert z.max() < 1e-12
    by_step = x.flatten(2).amax((0, 2))
    # Entry t is that of frame t + 2, which sees frames up to t + 1.
    assert torch.all(by_step[:2] < 1e-12) and torch.all(by_step[2:] > 1e-9)


@pytest.mark.parametrize("size, side", [(32, 8), (64, 8), (96, 12), (128, 8), (256, 8)])
def test_sizes(maps, size, side):
    config = dataclasses.replace(maps, image_size=size, pixel_skip=True)
    assert config.map_shape() == (5, side, side)
    svg, x = SVG(config), torch.rand(1, 3, 1, size, size)
    assert svg.predict(x, 2, 2).shape == (2, 1, 2, 1, size, size)
    assert torch.isfinite(svg.reconstruct(x)).all()


def test_frames_that_are_not_square(maps):
    shape = 1, 48, 64
    svg = SVG(
        maps,
        backbone=(MapEncoder(maps, shape), MapDecoder(maps, frame_shape=shape)),
        predictor=MapPredictor(maps, maps.z_dim, shape),
        prior=LearnedMapPrior(maps, shape),
        guide=FilteringMapGuide(maps, shape),
    )
    assert maps.map_shape(shape) == (5, 12, 16)
    x = torch.rand(2, 3, *shape)
    assert svg.predict(x, 2, 3).shape == (3, 2, 2, *shape)
    assert Sampler(svg).predict(x, 2, 3).shape == (3, 2, 2, *shape)


@pytest.mark.parametrize("size", [8, 15, 33, 68])
def test_sizes_that_cannot_be_halved_are_refused_in_one_line(maps, size):
    with pytest.raises(ConfigError, match=f"{size}x{size} pixels.* multiples of"):
        SVG(dataclasses.replace(maps, image_size=size))


@pytest.mark.parametrize(
    "changes",
    [
        {"dynamics": "vector", "prior": "learned-maps"},
        {"dynamics": "vector", "prior": "mixture-maps"},
        {"dynamics": "vector", "guide": "filtering-maps"},
        {"dynamics": "vector", "backbone": "maps"},
        {"backbone": "vgg"},
    ],
)
def test_parts_over_maps_and_over_vectors_are_not_mixed(maps, changes):
    with pytest.raises(ConfigError, match="dynamics"):
        SVG(dataclasses.replace(maps, **changes))


@pytest.mark.parametrize("prior", ["mixture-vector", "mixture-20", "two-scale", "flow"])
def test_priors_over_vectors_read_maps_as_vectors(maps, prior):
    svg = SVG(dataclasses.replace(maps, prior=prior))
    assert svg.predict(torch.rand(1, 3, 1, 64, 64), 2, 2).shape[2] == 2


def test_a_stream_gives_the_decoder_the_frame_before(maps):
    svg, x = alive(maps), contexts(steps=4)
    torch.manual_seed(5)
    state = svg.start(x[:, 0])
    z = []
    for t in range(1, 4):
        state = svg.step(state, x[:, t])
        z.append(state.z)
    with torch.no_grad():
        h, skips = svg.encoder(x)
        g = svg.frame_predictor(torch.cat([h[:, :3], torch.stack(z, 1)], -1))[0]
        # x_4 takes the skips of frame n_past = 2.
        prepared = svg.decoder.prepare(x[:, 1:2], [s[:, 1:2] for s in skips])
        mean = svg.decoder(g[:, 2:], prepared, x[:, 2:3])
        nll = -svg.observation(mean, mean[..., :0, :, :], x[:, 3:]).log_prob(x[:, 3:])
    torch.testing.assert_close(state.nll, nll[:, 0], rtol=1e-9, atol=1e-9)


def test_a_checkpoint_of_maps_is_read_back(maps, tmp_path):
    svg, x = SVG(maps).eval(), torch.rand(1, 3, 1, 64, 64)
    checkpoint.save(svg, tmp_path / "maps.pt")
    again = checkpoint.load(tmp_path / "maps.pt")
    assert torch.equal(drawn(again.predict, x, 2, 2), drawn(svg.predict, x, 2, 2))


def test_a_mixture_over_maps_reads_them_as_maps(maps):
    svg = SVG(dataclasses.replace(maps, prior="mixture"))
    assert type(svg.prior).__name__ == "MapMixturePrior"
    assert svg.predict(torch.rand(1, 3, 1, 64, 64), 2, 2).shape[2] == 2


@pytest.mark.parametrize("kind", ["checkpoint", "folder"])
def test_a_mixture_over_maps_from_before_it_read_them_as_maps(maps, kind, tmp_path):
    before, path = (
        SVG(dataclasses.replace(maps, prior="mixture-vector")),
        tmp_path / "m",
    )
    if kind == "checkpoint":
        checkpoint.save(before, path)
        content = torch.load(path, weights_only=True)
        content["config"]["prior"] = "mixture"
        torch.save(content, path)
    else:
        save_pretrained(before, path)
        file = path / "config.json"
        content = json.loads(file.read_text())
        del content["sha256"]["config"]
        content["config"]["prior"] = content["parts"]["prior"] = "mixture"
        file.write_text(json.dumps(content))
    again = svg_pyro.load(path)
    assert type(again.prior).__name__ == "MixturePrior"
    assert torch.equal(again.prior.locs.weight, before.prior.locs.weight)
