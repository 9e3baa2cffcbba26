"""States frame by frame against whole clips, samples and futures."""

from dataclasses import replace

import pyro
import pytest
import torch
from pyro import poutine

from svg_pyro import SVG, FramesError, SVGConfig

CONFIG = SVGConfig(
    channels=1, width=2, g_dim=5, z_dim=2, rnn_size=6, n_past=2, beta=1e-3
)
CHANGES = [
    {},
    {"prior": "fixed"},
    {"prior": "none"},
    {"prior": "two-scale"},
    {"prior": "mixture"},
    {"last_frame_skip": True},
    {"skip_from": "before_context", "n_past": 3},
    {"observation": "learned-sigma", "pixel_skip": True},
]


def model(**changes):
    torch.manual_seed(0)
    svg = SVG(replace(CONFIG, **changes)).double().eval()
    for p in svg.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return svg


def clip(steps=6, batch=3):
    torch.manual_seed(1)
    return torch.rand(batch, steps, 1, 64, 64, dtype=torch.float64)


def scored(svg, frames):
    """-log p(x_t) and KL of a whole clip, and its latents, from Pyro's traces."""
    with torch.no_grad():
        guide = poutine.trace(svg.guide).get_trace(frames)
        model = poutine.trace(poutine.replay(svg.model, trace=guide)).get_trace(frames)
    x = model.nodes["x"]
    nll = -x["fn"].log_prob(x["value"])
    if "z" not in model.nodes:
        return nll, torch.zeros_like(nll), None
    q, p, z = guide.nodes["z"]["fn"], model.nodes["z"]["fn"], guide.nodes["z"]["value"]
    try:
        kl = torch.distributions.kl_divergence(q, p)
    except NotImplementedError:
        kl = q.log_prob(z) - p.log_prob(z)
    return nll, kl, z


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_scores_frame_by_frame_are_those_of_the_clip(changes):
    svg, frames = model(**changes), clip()
    nll, kl, z = scored(svg, frames)
    state = svg.start(frames[:, 0])
    assert state.nll is None and state.surprise is None
    for t in range(1, frames.shape[1]):
        state = svg.step(state, frames[:, t], z=None if z is None else z[:, t - 1])
        assert torch.allclose(state.nll, nll[:, t - 1], rtol=1e-12, atol=0)
        assert torch.allclose(state.kl, kl[:, t - 1], rtol=1e-9, atol=1e-12)
    assert state.time == 6 and state.batch_shape == (3,)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_imagined_frames_are_those_of_predict(changes):
    svg, frames = model(**changes), clip(4)
    _nll, _kl, z = scored(svg, frames)
    state = svg.start(frames[:, 0])
    for t in range(1, 4):
        state = svg.step(state, frames[:, t], z=None if z is None else z[:, t - 1])
    drawn = {} if z is None else {"z": z}
    latents = torch.randn(3, 3, 2, dtype=torch.float64)
    if z is not None:
        drawn |= {f"z_{t}": latents[:, t - 5 : t - 4] for t in (5, 6, 7)}
    with torch.no_grad():
        futures = poutine.condition(svg.model, drawn)(frames, horizon=3)
    for t in range(3):
        state = svg.step(state, z=None if z is None else latents[:, t])
        assert torch.allclose(state.frame, futures[:, t], rtol=0, atol=1e-12)
        assert state.nll is None


def test_expanded_states_go_on_as_each_alone_and_are_resampled():
    svg, frames = model(), clip(4)
    state = svg.step(svg.start(frames[:, 0]), frames[:, 1])
    many = state.expand(5)
    assert many.batch_shape == (5, 3)
    z = torch.randn(5, 3, 2, dtype=torch.float64)
    after = svg.step(many, z=z)
    for k in range(5):
        alone = svg.step(state, z=z[k])
        assert torch.allclose(after.frame[k], alone.frame, rtol=0, atol=1e-12)
    ancestors = torch.randint(5, (7, 3))
    chosen = after[ancestors, torch.arange(3)]
    later = svg.step(chosen, z=z[:1].expand(7, -1, -1))
    for k in range(7):
        for b in range(3):
            one = after[int(ancestors[k, b])][b : b + 1]
            alone = svg.step(one, z=z[0, b : b + 1])
            assert torch.allclose(later.frame[k, b], alone.frame[0], rtol=0, atol=1e-12)


def test_one_frame_is_seen_by_many_samples():
    svg, frames = model(), clip(4)
    many = svg.step(svg.step(svg.start(frames[:, 0]), frames[:, 1]).expand(4))
    z = torch.randn(4, 3, 2, dtype=torch.float64)
    seen = svg.step(many, frames[:, 3], z=z)
    assert seen.nll.shape == seen.kl.shape == (4, 3)
    for k in range(4):
        alone = svg.step(many[k], frames[:, 3], z=z[k])
        assert torch.allclose(seen.nll[k], alone.nll, rtol=1e-12, atol=0)
        assert torch.allclose(seen.kl[k], alone.kl, rtol=1e-9, atol=1e-12)
    assert svg.step(seen).frame.shape == (4, 3, 1, 64, 64)


def test_where_takes_each_from_its_own_state():
    svg, frames = model(), clip(4)
    first = svg.step(svg.start(frames[:, 0]), frames[:, 1])
    other = svg.step(svg.start(frames[:, 2]), frames[:, 3])
    alive = torch.tensor([True, False, True])
    mixed = first.where(alive, other)
    z = torch.randn(3, 2, dtype=torch.float64)
    frames = [svg.step(s, z=z).frame for s in (mixed, first, other)]
    for b, from_first in enumerate(alive.tolist()):
        assert torch.equal(frames[0][b], frames[1 if from_first else 2][b])


def test_a_missing_frame_is_imagined_and_what_follows_is_scored():
    svg, frames = model(), clip(5)
    state = svg.step(svg.start(frames[:, 0]), frames[:, 1])
    state = svg.step(svg.step(state), frames[:, 3])
    assert state.time == 4 and state.nll.isfinite().all() and state.kl.isfinite().all()


def test_draws_follow_the_seed_and_leave_training_alone():
    svg, frames = model(), clip(3)
    svg.train()
    state = svg.start(frames[:, 0])
    values = []
    for _ in range(2):
        pyro.set_rng_seed(3)
        values.append(svg.step(svg.step(state, frames[:, 1])).frame)
    assert torch.equal(*values) and svg.training
    assert not values[0].requires_grad


def test_bad_frames_and_states_are_one_line():
    svg, frames = model(), clip(3)
    state = svg.start(frames[:, 0])
    for bad in (frames[0, 0], frames[:, 0, :, :32], frames[:, 0] * 255):
        with pytest.raises(FramesError) as caught:
            svg.step(state, bad)
        assert "\n" not in str(caught.value)
    with pytest.raises(FramesError, match=r"frame is of \(2,\) clips, .* of \(3,\)"):
        svg.step(state, frames[:2, 0])
    with pytest.raises(FramesError, match=r"frame is of \(2, 3\) clips"):
        svg.step(state, frames[:, :2].transpose(0, 1))
    with pytest.raises(FramesError, match="the state is a Tensor"):
        svg.step(frames[:, 0], state)
    with pytest.raises(FramesError, match="num_samples is 0"):
        state.expand(0)
    with pytest.raises(FramesError, match="cannot be mixed"):
        state.where(torch.ones(3, dtype=torch.bool), state.expand(2))
    seen = svg.step(state, frames[:, 1])
    with pytest.raises(FramesError, match="imagined"):
        seen.where(torch.ones(3, dtype=torch.bool), svg.step(state))


@pytest.mark.parametrize("changes", [{"width": 3}, {"prior": "fixed"}, {"n_past": 3}])
def test_a_state_of_another_model_is_refused_also_where_its_shapes_fit(changes):
    frames, (name,) = clip(2), changes
    state = model(**changes).start(frames[:, 0])
    words = f"of another model, whose {name} is {changes[name]!r}, here "
    for frame in (None, frames[:, 1]):
        with pytest.raises(FramesError, match=words):
            model().step(state, frame)
    with pytest.raises(FramesError, match=f"of another model, whose {name} is"):
        state.where(torch.ones(3, dtype=torch.bool), model().start(frames[:, 0]))


@pytest.mark.parametrize(
    "z", [torch.zeros(3, 7), torch.zeros(2, 2), torch.zeros(3, 2).long(), [1.0, 2.0]]
)
def test_a_latent_that_is_none_of_the_model_s_is_one_line(z):
    frames = clip(2)
    state = model().start(frames[:, 0])
    for frame in (None, frames[:, 1]):
        with pytest.raises(FramesError, match=r"^z is .*tensor of floats \(3, 2\)$"):
            model().step(state, frame, z=z)
    without = model(prior="none")
    with pytest.raises(FramesError, match="has no latents; leave z out"):
        without.step(without.start(frames[:, 0]), z=torch.zeros(3, 2))


@pytest.mark.parametrize("alive", [None, torch.ones(3), torch.ones(2).bool()])
def test_marks_that_are_none_of_the_states_are_one_line(alive):
    state = model().start(clip(1)[:, 0])
    with pytest.raises(FramesError, match=r"^alive "):
        state.where(alive, state)
    with pytest.raises(FramesError, match=r"^the state is a NoneType"):
        state.where(torch.ones(3).bool(), None)
