"""Gradients through futures: those of finite differences, where they are asked for."""

import dataclasses

import pytest
import torch

from svg_pyro import SVG, ConfigError, Ensemble, Sampler, SVGConfig

CONFIG = SVGConfig(
    channels=1, width=2, g_dim=6, z_dim=2, rnn_size=8, norm="group", action_dim=2
)
MAPS = dataclasses.replace(CONFIG, dynamics="maps", rnn_size=3, map_channels=3)
CONTEXT, HORIZON, SAMPLES = 3, 3, 2


def model_of(config):
    torch.manual_seed(4)
    svg = SVG(config).double().eval()
    with torch.no_grad():
        for weight in svg.parameters():
            weight.mul_(2)
    return svg


def score(svg, frames, actions, target, **options):
    """What a planner makes small: the distance of the last frame from a goal."""
    futures = svg.predict(
        frames, HORIZON, SAMPLES, seed=2, actions=actions, grad=True, **options
    )
    return (futures[:, :, -1] - target).square().mean()


@pytest.fixture
def given():
    torch.manual_seed(1)
    frames = 0.1 + 0.8 * torch.rand(1, CONTEXT, 1, 64, 64, dtype=torch.float64)
    actions = torch.randn(1, CONTEXT - 1 + HORIZON, 2, dtype=torch.float64)
    target = torch.rand(1, 64, 64, dtype=torch.float64)
    return frames, actions, target


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        MAPS,
        dataclasses.replace(MAPS, warp=True),
        dataclasses.replace(CONFIG, prior="flow", guide="smoothing"),
        dataclasses.replace(CONFIG, last_frame_skip=True, context_latents="mean"),
    ],
    ids=["vector", "maps", "warp", "flow", "last frame"],
)
def test_gradients_are_those_of_finite_differences(config, given):
    svg = model_of(config)
    frames, actions, target = given
    frames.requires_grad_(), actions.requires_grad_()
    weight = svg.frame_predictor.out.weight if config.dynamics == "maps" else None
    inputs = [frames, actions] + ([] if weight is None else [weight])
    gradients = torch.autograd.grad(score(svg, frames, actions, target), inputs)
    torch.manual_seed(8)
    for tensor, gradient in zip(inputs, gradients, strict=True):
        assert gradient.norm() > 0
        along = torch.randn_like(tensor)
        # Activations have kinks: a step so small that it hardly crosses any.
        step = 1e-6
        with torch.no_grad():
            values = []
            for sign in (1, -1):
                tensor.add_(sign * step * along)
                values.append(score(svg, frames, actions, target).item())
                tensor.sub_(sign * step * along)
        found = (gradient * along).sum().item()
        assert found == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)


def test_a_plan_is_improved_by_its_gradient(given):
    svg = model_of(MAPS)
    frames, actions, target = given
    plans = actions.repeat(3, 1, 1).requires_grad_()
    before = score(svg, frames, plans, target)
    (gradient,) = torch.autograd.grad(before, plans)
    with torch.no_grad():
        after = score(svg, frames, plans - 0.01 * gradient / gradient.norm(), target)
    assert after < before


def test_without_being_asked_for_nothing_is_kept(given):
    svg = model_of(CONFIG)
    frames, actions, _ = given
    frames.requires_grad_()
    means = svg.predict(frames, HORIZON, SAMPLES, seed=2, actions=actions)
    assert not means.requires_grad
    kept = svg.predict(frames, HORIZON, SAMPLES, seed=2, actions=actions, grad=True)
    assert kept.requires_grad
    torch.testing.assert_close(kept, means)
    # Noise is reparametrised too, where it is Gaussian.
    noisy = svg.predict(
        frames, HORIZON, SAMPLES, seed=2, actions=actions, grad=True, noise=True
    )
    assert noisy.requires_grad


@pytest.mark.parametrize(
    "changes, noise, words",
    [
        ({"prior": "mixture"}, False, "z_4 is drawn from a Mixture"),
        ({"observation": "logistic"}, True, "x_new is drawn from a DiscretisedLog"),
    ],
)
def test_draws_without_gradients_are_refused(given, changes, noise, words):
    svg = model_of(dataclasses.replace(CONFIG, **changes))
    frames, actions, _ = given
    with pytest.raises(ConfigError, match=words):
        svg.predict(frames, HORIZON, 1, actions=actions, grad=True, noise=noise)


def test_an_ensemble_has_its_members_gradients(given):
    """Of one sample each, as the members' own futures of the same draws."""
    frames, actions, _ = given
    actions.requires_grad_()
    members = [model_of(CONFIG), model_of(dataclasses.replace(CONFIG, prior="fixed"))]
    ensemble = Ensemble(members)

    def slope(futures):
        return torch.autograd.grad(futures.square().sum(), actions)[0]

    options = {"actions": actions, "grad": True}
    torch.manual_seed(5)
    whole = slope(ensemble.predict(frames, HORIZON, 2, **options))
    torch.manual_seed(5)
    parts = [slope(member.predict(frames, HORIZON, 1, **options)) for member in members]
    assert all(part.abs().max() > 0 for part in parts)
    torch.testing.assert_close(whole, sum(parts))


def test_a_sampler_says_that_it_has_no_gradients(given):
    frames, actions, _ = given
    with pytest.raises(ConfigError, match="no gradients; draw from its model"):
        Sampler(model_of(CONFIG)).predict(frames, HORIZON, actions=actions, grad=True)
