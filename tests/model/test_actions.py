"""Actions: what a plan leads to, and the identities that hold with and without."""

import copy
import dataclasses

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive, Trace_ELBO

from svg_pyro import SVG, Sampler, SVGConfig
from svg_pyro.errors import FramesError
from svg_pyro.model.export import export_step, memory_of
from svg_pyro.model.smc import futures_to, log_evidence
from svg_pyro.training.own_means import with_own_means

A = 3
CONFIG = SVGConfig(
    channels=1, width=2, g_dim=6, z_dim=2, rnn_size=8, norm="group", action_dim=A
)
MAPS = dataclasses.replace(
    CONFIG, dynamics="maps", warp=True, rnn_size=4, map_channels=4
)
FORMS = {
    "vector": CONFIG,
    "maps": MAPS,
    "prior as guide": dataclasses.replace(CONFIG, guide="prior"),
    "smoothing, flow": dataclasses.replace(CONFIG, guide="smoothing", prior="flow"),
    "flow, mixture": dataclasses.replace(CONFIG, guide="flow", prior="mixture"),
    "two scales": dataclasses.replace(CONFIG, prior="two-scale"),
    "autoregressive": dataclasses.replace(CONFIG, prior="autoregressive"),
    "fixed": dataclasses.replace(CONFIG, prior="fixed"),
    "deterministic": dataclasses.replace(CONFIG, prior="none"),
    "first code": dataclasses.replace(CONFIG, posterior_start=2),
}


def model_of(config, seed=0):
    """A model in float64 whose weights are large enough to tell inputs apart."""
    torch.manual_seed(seed)
    svg = SVG(config).double().eval()
    with torch.no_grad():
        for weight in svg.parameters():
            weight.mul_(3)
        svg.action_mean.copy_(torch.tensor([0.5, -1.0, 0.0]))
        svg.action_std.copy_(torch.tensor([2.0, 0.5, 1.0]))
    return svg


def clips_of(batch=2, steps=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    frames = torch.rand(
        batch, steps, 1, 64, 64, dtype=torch.float64, generator=generator
    )
    actions = torch.randn(batch, steps - 1, A, generator=generator)
    return frames, actions


def scores(svg, frames, actions):
    """log p(x | z) and log p(z) of each frame under the guide's latents."""
    torch.manual_seed(5)
    guide = poutine.trace(svg.guide).get_trace(frames, actions=actions)
    replayed = poutine.replay(svg.model, trace=guide)
    trace = poutine.trace(replayed).get_trace(frames, actions=actions)
    x = trace.nodes["x"]
    found = {"x": x["fn"].log_prob(x["value"])}
    if "z" in trace.nodes:
        z = trace.nodes["z"]
        found |= {"p": z["fn"].log_prob(z["value"])}
        found |= {"q": guide.nodes["z"]["fn"].log_prob(z["value"]), "z": z["value"]}
    return found


@pytest.mark.parametrize("form", FORMS)
def test_every_form_sees_the_actions_and_trains(form):
    svg = model_of(FORMS[form])
    frames, actions = clips_of()
    loss = Trace_ELBO().differentiable_loss(
        svg.model, svg.guide, frames, actions=actions
    )
    loss.backward()
    before = scores(svg, frames, actions)["x"]
    after = scores(svg, frames, actions + 1)["x"]
    assert loss.isfinite() and not torch.allclose(before, after)


@pytest.mark.parametrize("form", FORMS)
def test_later_actions_leave_earlier_frames_alone(form):
    svg, (frames, actions) = model_of(FORMS[form]), clips_of()
    other = actions.clone()
    other[:, 2:] += 1.0  # lead to frames 4 and 5
    with torch.no_grad():
        one, two = scores(svg, frames, actions), scores(svg, frames, other)
    # The guide that smooths looks ahead, by the draw that it makes.
    if form != "smoothing, flow":
        for name in one:
            torch.testing.assert_close(one[name][:, :2], two[name][:, :2])
    assert not torch.allclose(one["x"][:, 2:], two["x"][:, 2:])
    futures = [
        svg.predict(frames[:, :2], 3, 2, seed=3, actions=a) for a in (actions, other)
    ]
    torch.testing.assert_close(futures[0][:, :, 0], futures[1][:, :, 0])
    assert not torch.allclose(futures[0][:, :, 1:], futures[1][:, :, 1:])


@pytest.mark.parametrize("form", ["vector", "maps", "prior as guide", "deterministic"])
def test_step_by_step_equals_teacher_forced(form):
    svg, (frames, actions) = model_of(FORMS[form]), clips_of()
    with torch.no_grad():
        whole = scores(svg, frames, actions)
    state = svg.start(frames[:, 0])
    for t in range(1, frames.shape[1]):
        z = whole["z"][:, t - 1] if "z" in whole else None
        state = svg.step(state, frames[:, t], z=z, action=actions[:, t - 1])
        torch.testing.assert_close(-state.nll, whole["x"][:, t - 1])
        if "z" in whole:
            ratio = whole["p"][:, t - 1] - whole["q"][:, t - 1]
            torch.testing.assert_close(state.log_weight, -state.nll + ratio)


@pytest.mark.parametrize("form", ["vector", "maps"])
def test_imagined_frames_equal_those_of_predict(form):
    svg, (frames, actions) = model_of(FORMS[form]), clips_of()
    context = frames[:, :2]
    torch.manual_seed(0)
    latents = {f"z_{t}": torch.randn(2, 1, 2).double() for t in (3, 4, 5)}
    latents["z"] = torch.randn(2, 1, 2).double()
    conditioned = poutine.condition(svg.model, data=latents)
    with torch.no_grad():
        future = conditioned(context, 3, actions=actions)
    state = svg.start(context[:, 0])
    state = svg.step(state, context[:, 1], z=latents["z"][:, 0], action=actions[:, 0])
    for t in (3, 4, 5):
        z = latents[f"z_{t}"][:, 0]
        state = svg.step(state, z=z, action=actions[:, t - 2])
        torch.testing.assert_close(state.frame, future[:, t - 3])


@pytest.mark.parametrize("form", ["vector", "maps", "deterministic"])
@pytest.mark.parametrize("seen", [1, 2])
def test_plans_of_one_clip_equal_a_call_for_each(form, seen):
    svg = model_of(FORMS[form])
    frames, _ = clips_of(1)
    plans = torch.randn(4, seen + 2, A)
    context = frames[:, :seen]
    latents = {f"z_{t}": torch.randn(4, 1, 2).double() for t in range(seen + 1, 6)}
    if seen > 1:
        latents["z"] = torch.randn(4, seen - 1, 2).double()
    if svg.prior is None:
        latents = {}
    names = [f"z_{t}" for t in range(seen + 1, seen + 4)] + ["z"]
    latents = {k: v for k, v in latents.items() if k in names}
    with torch.no_grad():
        together = poutine.condition(svg.model, data=latents)(context, 3, actions=plans)
        for k in range(4):
            own = {name: value[k : k + 1] for name, value in latents.items()}
            alone = poutine.condition(svg.model, data=own)(
                context, 3, actions=plans[k : k + 1]
            )
            torch.testing.assert_close(together[k : k + 1], alone)


def test_plans_come_in_every_shape_of_futures():
    svg = model_of(MAPS).float()
    frames, plans = clips_of(1)[0].float(), torch.randn(6, 4, A)
    context = frames[:, :2]
    futures = svg.predict(context, 3, 5, seed=1, actions=plans)
    assert futures.shape == (5, 6, 3, 1, 64, 64)
    folded = Sampler(svg).predict(context, 3, 5, seed=1, actions=plans)
    torch.testing.assert_close(futures, folded)
    draw = Predictive(svg.model, guide=svg.guide, num_samples=5)
    drawn = draw(context, horizon=3, noise=True, actions=plans)
    assert drawn["x_future"].shape == (5, 6, 3, 1, 64, 64)
    assert drawn["x_new"].shape == (5, 6, 3, 1, 64, 64)


def test_the_context_is_encoded_once_for_all_plans():
    svg = model_of(CONFIG)
    seen = []
    svg.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    svg.predict(clips_of(1)[0][:, :2], 1, 2, actions=torch.randn(7, 2, A))
    assert seen == [(1, 2, 1, 64, 64)]


@pytest.mark.parametrize("form", ["vector", "maps"])
def test_without_weights_for_actions_it_is_the_model_without_actions(form):
    config = FORMS[form]
    svg, plain = model_of(config), SVG(dataclasses.replace(config, action_dim=0))
    plain = plain.double().eval()
    theirs = plain.state_dict()
    with torch.no_grad():
        for name, weight in svg.named_parameters():
            if name in theirs and theirs[name].shape == weight.shape:
                theirs[name].copy_(weight)
        if form == "vector":
            size = config.feature_size
            for name in ("prior", "posterior", "frame_predictor"):
                weight = getattr(svg, name).recurrent.embed.weight
                weight[:, size : size + A] = 0
                kept = torch.cat([weight[:, :size], weight[:, size + A :]], 1)
                theirs[f"{name}.recurrent.embed.weight"].copy_(kept)
        else:
            _without_action_maps(svg, theirs)
    plain.load_state_dict(theirs)
    frames, actions = clips_of()
    with torch.no_grad():
        torch.manual_seed(5)
        one = scores(svg, frames, actions)
        two = scores(plain, frames, None)
    for name in one:
        torch.testing.assert_close(one[name], two[name])


def _without_action_maps(svg, theirs):
    """Take the actions' maps out of prior and guide, and a out of the predictor's."""
    spread = svg.frame_predictor.z_maps
    spread.weight[:, :A] = 0
    theirs["frame_predictor.z_maps.weight"].copy_(spread.weight[:, A:])
    channels = svg.config.map_channels
    for name in ("prior", "posterior"):
        part = getattr(svg, name)
        part.action_maps.weight.zero_()
        part.action_maps.bias.zero_()
        for kind in ("gates", "shortcuts"):
            weight = getattr(part.recurrent, kind)[0].weight
            now, before = weight.chunk(2, 1)
            kept = torch.cat([now[:, :channels], before[:, :channels]], 1)
            theirs[f"{name}.recurrent.{kind}.0.weight"].copy_(kept)


def test_units_of_actions_do_not_matter_once_they_are_normalised():
    svg, (frames, actions) = model_of(CONFIG), clips_of()
    other = copy.deepcopy(svg)
    other.action_mean.mul_(100).add_(7)
    other.action_std.mul_(100)
    with torch.no_grad():
        one = scores(svg, frames, actions)
        two = scores(other, frames, actions.double() * 100 + 7)
    for name in one:
        torch.testing.assert_close(one[name], two[name])


def test_own_means_and_reconstructions_see_the_actions():
    svg, (frames, actions) = model_of(MAPS), clips_of()
    for call in (
        lambda a: with_own_means(svg, frames, 1.0, a),
        lambda a: svg.reconstruct(frames, actions=a),
        lambda a: svg.reconstruct(frames, context=2, actions=a),
    ):
        results = []
        for given in (actions, actions, actions + 1):
            torch.manual_seed(2)
            results.append(call(given))
        assert torch.equal(results[0], results[1])
        assert not torch.allclose(results[0], results[2])


def test_filters_take_actions():
    svg, (frames, actions) = model_of(CONFIG), clips_of()
    evidence = []
    for given in (actions, actions + 1):
        torch.manual_seed(0)
        evidence.append(log_evidence(svg, frames, 4, actions=given))
    assert not torch.allclose(*evidence)
    guided = futures_to(svg, frames[:, :2], frames[:, 4], 3, 4, actions=actions)
    assert guided.frames.shape == (4, 2, 3, 1, 64, 64)


@pytest.mark.slow
def test_an_exported_step_takes_an_action():
    svg, (frames, actions) = model_of(CONFIG), clips_of()
    state = svg.step(svg.start(frames[:, 0]), frames[:, 1], action=actions[:, 0])
    program = export_step(svg, state).module()
    noise = torch.zeros(2, 1, 2).double()
    mean, *_ = program(*memory_of(state), noise, actions[:, 1:2].double())
    prior = svg.prior(
        torch.cat(
            [state.h, ((actions[:, 1:2] - svg.action_mean) / svg.action_std)], -1
        ),
        state.prior,
    )[0]
    after = svg.step(state, z=prior.mean[:, 0], action=actions[:, 1])
    torch.testing.assert_close(mean[:, 0], after.frame)


@pytest.mark.parametrize(
    "actions, words",
    [
        (None, "takes actions and got none; give .2, 4, 3."),
        (torch.zeros(2, 3, A), r"actions are \(2, 3, 3\); give \(2, 4, 3\)"),
        (torch.zeros(1, 4, A), r"actions are \(1, 4, 3\); give \(2, 4, 3\)"),
        (torch.zeros(2, 4, A + 1), r"actions are \(2, 4, 4\); give \(2, 4, 3\)"),
        (torch.zeros(2, 4, A, dtype=torch.int64), "actions are torch.int64"),
        (torch.full((2, 4, A), float("nan")), "actions are not finite"),
        ([0.0], "actions are list; give a tensor"),
    ],
)
def test_actions_that_do_not_fit_are_refused_in_one_line(actions, words):
    svg = model_of(CONFIG)
    with pytest.raises(FramesError, match=words) as caught:
        svg.predict(clips_of()[0][:, :2], 3, 2, actions=actions)
    assert "\n" not in str(caught.value)


def test_a_model_without_actions_refuses_them():
    svg = SVG(dataclasses.replace(CONFIG, action_dim=0))
    frames, actions = clips_of()
    with pytest.raises(FramesError, match="takes no actions"):
        svg.predict(frames[:, :2].float(), 3, actions=actions)
    state = svg.start(frames[:, 0].float())
    with pytest.raises(FramesError, match="takes no actions"):
        svg.step(state, action=actions[:, 0])


def test_a_step_needs_an_action_that_fits():
    svg, (frames, actions) = model_of(CONFIG), clips_of()
    state = svg.start(frames[:, 0])
    for wrong in (None, actions, actions[:, 0, :2]):
        with pytest.raises(FramesError, match="action"):
            svg.step(state, frames[:, 1], action=wrong)
    many = svg.step(state.expand(3), action=actions[None, :, 0].expand(3, -1, -1))
    assert many.frame.shape == (3, 2, 1, 64, 64)


def test_pyro_draws_the_same_program_with_actions():
    svg = model_of(CONFIG)
    frames, actions = clips_of()
    pyro.clear_param_store()
    trace = poutine.trace(svg.model).get_trace(frames, actions=actions)
    trace.compute_log_prob()
    assert trace.nodes["x"]["log_prob"].shape == (2, 4)
