"""bfloat16 convolutions: what stays in float32, and how near the results are."""

import dataclasses

import pytest
import torch

from svg_pyro import SVG, ConfigError, TrainingConfig
from svg_pyro.elbos import ELBOS
from svg_pyro.modules import autocast
from svg_pyro.stepping import LossAndGrads


def gradients(svg, precision, frames):
    torch.manual_seed(3)
    step = LossAndGrads(svg, ELBOS["mean-field"](), precision=precision)
    step(svg.model, svg.guide, frames)
    found = {name: p.grad.clone() for name, p in svg.named_parameters()}
    svg.zero_grad()
    return found, step.terms


@pytest.mark.parametrize("pixel_skip", [False, True])
def test_gradients_in_bfloat16_are_near_those_in_float32(tiny, device, pixel_skip):
    """Within 10 % of the norm, from the same draw; and they do differ."""
    torch.manual_seed(0)
    config = dataclasses.replace(tiny, norm="group", pixel_skip=pixel_skip)
    svg = SVG(config).to(device)
    frames = torch.rand(4, 5, 1, 64, 64, device=device)
    (exact, terms), (low, low_terms) = (
        gradients(svg, precision, frames) for precision in ("float32", "bf16")
    )
    distance = sum((exact[n] - low[n]).square().sum() for n in exact).sqrt()
    size = sum(g.square().sum() for g in exact.values()).sqrt()
    assert 0 < distance < 0.1 * size
    for ours, theirs in zip(low_terms, terms):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.05)


def test_convolutions_are_in_bfloat16_and_the_rest_is_not(tiny):
    svg, seen = SVG(tiny), {}

    def see(name):
        def hook(module, given, result):
            result = result[0] if isinstance(result, tuple) else result
            seen[name] = result.dtype

        return hook

    svg.encoder.stages[0][0].register_forward_hook(see("convolution"))
    svg.decoder.register_forward_hook(see("frame"))
    svg.prior.recurrent.lstm.register_forward_hook(see("LSTM"))
    with autocast(torch.device("cpu"), "bf16"):
        futures = svg.predict(torch.rand(1, 3, 1, 64, 64), 2, 2)
    assert seen == {
        "convolution": torch.bfloat16, "frame": torch.float32, "LSTM": torch.float32,
    }  # fmt: skip
    # Means near 1 are not rounded to multiples of 1/256.
    assert futures.dtype == torch.float32 and len(futures.unique()) > 100


def test_an_unknown_precision():
    with pytest.raises(ConfigError, match="precision is 'fp8'"):
        TrainingConfig(precision="fp8")
