"""Moving the last frame that was seen along all flows since: known answers."""

import dataclasses

import pytest
import torch
from pyro import poutine

from svg_pyro import SVG, Sampler, SVGConfig
from svg_pyro.errors import ConfigError
from svg_pyro.model.export import export_step
from svg_pyro.model.networks.warping import compose, warp
from svg_pyro.training.own_means import with_own_means

BEFORE = SVGConfig(
    channels=1, width=2, z_dim=2, rnn_size=4, map_channels=4, dynamics="maps", warp=True
)
CONTEXT = dataclasses.replace(BEFORE, warp_from="context")


def pair(seed=0):
    """A model that moves the frame before, and one of the same weights that does not.

    Flows of some pixels, and masks that let moved frames through.
    """
    torch.manual_seed(seed)
    before = SVG(BEFORE).double().eval()
    with torch.no_grad():
        before.decoder.flow.weight.mul_(20)
        before.decoder.stages[-1].join.bias[1] = 1.0
    context = SVG(CONTEXT).double().eval()
    context.load_state_dict(before.state_dict())
    return before, context


def flow_of(y, x, size=16):
    return torch.tensor([y, x]).double()[:, None, None].expand(2, size, size)[None]


def test_constant_flows_add():
    both = compose(flow_of(1, -2), flow_of(0.5, 3))
    torch.testing.assert_close(both, flow_of(1.5, 1))


def test_one_move_along_a_composed_flow_is_two_moves():
    """Of a ramp away from the edge, to a quarter of a pixel: interpolation errs."""
    torch.manual_seed(0)
    ramp = (torch.arange(32.0).double() / 31).expand(1, 1, 32, 32)
    first, second = (
        torch.nn.functional.interpolate(
            2 * torch.randn(1, 2, 4, 4).double(), (32, 32), mode="bilinear"
        )
        for _ in range(2)
    )
    inside = slice(8, -8)

    def error(once):
        twice = warp(warp(ramp, first), second)
        return (once - twice)[..., inside, inside].abs().max().item() * 31

    assert error(warp(ramp, compose(first, second))) < 0.25
    assert error(warp(ramp, compose(second, first))) > 0.5  # in the other order
    assert error(warp(ramp, first + second)) > 0.5


def test_the_first_frame_is_the_same_and_later_ones_are_sharper():
    before, context = pair()
    torch.manual_seed(1)
    frames = torch.rand(2, 2, 1, 64, 64).double()
    one = before.predict(frames, 6, 3, seed=2)
    two = context.predict(frames, 6, 3, seed=2)
    torch.testing.assert_close(one[:, :, 0], two[:, :, 0])
    assert not torch.allclose(one[:, :, 1], two[:, :, 1])
    roughness = [x[:, :, -1].diff(dim=-1).abs().mean() for x in (one, two)]
    assert roughness[1] > roughness[0]


def test_states_imagine_what_is_predicted():
    _, context = pair()
    torch.manual_seed(1)
    frames = torch.rand(2, 2, 1, 64, 64).double()
    latents = {f"z_{t}": torch.randn(2, 1, 2).double() for t in (3, 4, 5)}
    latents["z"] = torch.randn(2, 1, 2).double()
    with torch.no_grad():
        future = poutine.condition(context.model, data=latents)(frames, 3)
    state = context.step(
        context.start(frames[:, 0]), frames[:, 1], z=latents["z"][:, 0]
    )
    for t in (3, 4, 5):
        state = context.step(state, z=latents[f"z_{t}"][:, 0])
        torch.testing.assert_close(state.frame, future[:, t - 3])
    # A frame that is seen is the source from then on; states mix as before.
    seen = context.step(state, frames[:, 0])
    assert not seen.source.flow.any()
    torch.testing.assert_close(seen.source.frame, frames[:, 0])
    mixed = state.where(torch.tensor([True, False]), state[[1, 0]])
    torch.testing.assert_close(mixed.source.flow[1], state.source.flow[0])


def test_a_sampler_predicts_the_same():
    _, context = pair()
    frames = torch.rand(1, 2, 1, 64, 64).double()
    torch.testing.assert_close(
        context.predict(frames, 4, 3, seed=1),
        Sampler(context).predict(frames, 4, 3, seed=1),
    )


def test_teacher_forcing_and_scores_do_not_change():
    before, context = pair()
    frames = torch.rand(2, 4, 1, 64, 64).double()
    for svg in (before, context):
        torch.manual_seed(3)
        guide = poutine.trace(svg.guide).get_trace(frames)
        replayed = poutine.replay(svg.model, trace=guide)
        svg.score = poutine.trace(replayed).get_trace(frames).log_prob_sum()
    torch.testing.assert_close(before.score, context.score)


def test_a_chain_of_own_means_is_a_future():
    """All frames from the third on its own: what a future of two frames has."""
    _, context = pair()
    torch.manual_seed(1)
    frames = torch.rand(2, 6, 1, 64, 64).double()
    torch.manual_seed(4)
    mixed = with_own_means(context, frames, 1.0)
    torch.manual_seed(4)
    torch.rand(2, 6)  # which frames are its own
    with torch.no_grad():
        z = poutine.trace(context.guide).get_trace(frames).nodes["z"]["value"]
        latents = {f"z_{t}": z[:, t - 2 : t - 1] for t in (3, 4, 5)}
        latents["z"] = z[:, :1]
        conditioned = poutine.condition(context.model, data=latents)
        future = conditioned(frames[:, :2], 3)
    torch.testing.assert_close(mixed[:, 2:5], future)


def test_what_it_cannot_do_is_said():
    with pytest.raises(ConfigError, match="nothing is moved"):
        SVGConfig(warp_from="context")
    _, context = pair()
    state = context.start(torch.rand(1, 1, 64, 64).double())
    with pytest.raises(ConfigError, match="is not exported"):
        export_step(context, state)
