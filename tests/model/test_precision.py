"""Precisions: what stays in float32, how near the results are, and TF32's flags."""

import dataclasses
import subprocess
import sys

import pytest
import torch

from svg_pyro import SVG, ConfigError, TrainingConfig
from svg_pyro.commands.devices import warn_of_useless_precision
from svg_pyro.model.precision import autocast, tf32
from svg_pyro.training import step as stepping
from svg_pyro.training.elbos import ELBOS
from svg_pyro.training.step import LossAndGrads

CUDA = torch.device("cuda")  # whose flags can be set where there is none


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
    for ours, theirs in zip(low_terms, terms, strict=True):
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
        "convolution": torch.bfloat16,
        "frame": torch.float32,
        "LSTM": torch.float32,
    }
    # Means near 1 are not rounded to multiples of 1/256.
    assert futures.dtype == torch.float32 and len(futures.unique()) > 100


def flags():
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


def set_flags(convolutions, products):
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.backends.cuda.matmul.allow_tf32 = products


@pytest.fixture
def default_flags():
    before = flags()
    yield
    set_flags(*before)


@pytest.mark.parametrize("before", [(True, False), (False, True)])
def test_tf32_is_as_the_precision_says_and_as_it_was_afterwards(before, default_flags):
    set_flags(*before)
    for allowed in (True, False):
        with pytest.raises(KeyError), tf32(CUDA, allowed):
            assert flags() == (allowed, allowed)
            raise KeyError
        assert flags() == before
        with tf32(torch.device("cpu"), allowed):
            assert flags() == before


def test_tf32_is_set_in_both_passes_of_a_step(tiny, monkeypatch):
    """Backward passes run outside autocast, but not outside the flags."""
    seen, svg = [], SVG(tiny)
    monkeypatch.setattr(stepping, "tf32", lambda device, allowed: tf32(CUDA, allowed))
    for precision in ("tf32", "float32"):
        step = LossAndGrads(svg, ELBOS["mean-field"](), precision=precision)
        weight = svg.prior.loc.weight
        hooks = [
            svg.prior.register_forward_hook(lambda *a: seen.append(flags())),
            weight.register_hook(lambda g: seen.append(flags())),
        ]
        step(svg.model, svg.guide, torch.rand(2, 4, 1, 64, 64))
        for hook in hooks:
            hook.remove()
    assert set(seen[: len(seen) // 2]) == {(True, True)}
    assert set(seen[len(seen) // 2 :]) == {(False, False)}


@pytest.mark.slow
def test_tf32_set_in_pytorchs_other_way_is_left_alone():
    """In a process of its own: PyTorch cannot go back to the flags afterwards."""
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("this PyTorch has only the flags")
    code = (
        "import torch; from svg_pyro.model.precision import tf32\n"
        "torch.backends.cuda.matmul.fp32_precision = 'tf32'\n"
        "with tf32(torch.device('cuda'), False):\n"
        "    assert torch.backends.cuda.matmul.fp32_precision == 'tf32'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "precision, device, said",
    [
        ("tf32", "cpu", "only NVIDIA's GPUs have TF32"),
        ("tf32", "cuda", ""),
        ("float32", "cpu", ""),
    ],
)
def test_a_precision_that_wins_nothing_is_named(precision, device, said, capsys):
    warn_of_useless_precision(precision, torch.device(device))
    out = capsys.readouterr().out
    assert out.startswith(said) and bool(out) == bool(said)


def test_an_unknown_precision():
    with pytest.raises(ConfigError, match="precision is 'fp8'"):
        TrainingConfig(precision="fp8")
