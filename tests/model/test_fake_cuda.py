"""CUDA without a GPU: PyTorch's fake tensors say they are on one, and hold no values.

What reads a value raises, as it would make a program wait for a real device; what mixes
devices raises too. For whole steps of training see training/test_fake_cuda.py. Compiled
samplers run up to where code for the device is made: that asks the device what it can.
"""

import contextlib

import pyro
import pytest
import torch
from pyro.infer import Predictive
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorMode,
    unset_fake_temporarily,
)

from svg_pyro import SVG, Sampler, SVGConfig
from svg_pyro.config import PRECISIONS
from svg_pyro.model import registry
from svg_pyro.model.precision import autocast
from svg_pyro.training.elbos import ELBOS

CUDA = torch.device("cuda")
SMALL = dict(width=2, g_dim=8, z_dim=2, rnn_size=4, n_past=2)
PRESETS = ("smmnist", "kth", "bair")
BUILT_IN = [
    {"prior": name}
    for name in ("fixed", "none", *registry.names("prior"))
    if name not in ("learned-maps", "mixture-maps")
]
BUILT_IN += [
    {"guide": name} for name in registry.names("guide") if name != "filtering-maps"
]
BUILT_IN += [{"observation": name} for name in registry.names("observation")]
BUILT_IN += [
    {"dynamics": "maps"},
    {"dynamics": "maps", "prior": "mixture"},
    {"dynamics": "maps", "warp": True, "pixel_skip": True},
    {"pixel_skip": True},
    {"last_frame_skip": True},
    {"batch_norm": "time", "generation_norm": "batch", "posterior_start": 2},
    {"context_latents": "mean"},
    {"norm": "group"},
    {"image_size": 128},
]


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "enabled", False)
    pyro.enable_validation(False)
    with FakeTensorMode() as mode:
        # As copied by itself, a tensor would be of another mode, and lose its device.
        kind = type(torch.empty(1))

        def copied(tensor, memo):
            return memo.setdefault(id(tensor), tensor.detach().clone())

        monkeypatch.setattr(kind, "__deepcopy__", copied, raising=False)
        yield mode


@contextlib.contextmanager
def as_if_there(monkeypatch):
    """PyTorch switches autocast off where it finds no CUDA."""
    with monkeypatch.context() as patch:
        there = torch.cuda.amp.common
        patch.setattr(there, "amp_definitely_not_available", lambda: False)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
        yield


def made(config):
    """Built on the CPU, as programs do, and then moved."""
    with unset_fake_temporarily():
        svg = SVG(config)
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        return svg._apply(lambda t: torch.empty(t.shape, dtype=t.dtype, device=CUDA))
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)


def cast(module, dtype):
    """``module.to(dtype)``, which cannot swap fake tensors."""
    for name, weight in module._parameters.items():
        module._parameters[name] = torch.nn.Parameter(weight.to(dtype), False)
    return module


def frames_for(config, T=4):
    size = config.image_size
    return torch.rand(2, T, config.channels, size, size, device=CUDA)


def check_all(svg, precision="float32"):
    x = frames_for(svg.config)
    shape = x.shape[2:]
    elbo = ELBOS["trace"]()
    with autocast(CUDA, precision):
        loss = elbo.differentiable_loss(svg.model, svg.guide, x)
    assert loss.shape == () and loss.device.type == "cuda"
    futures = svg.predict(x[:, :2], 2, 3)
    assert futures.shape == (3, 2, 2, *shape) and futures.device.type == "cuda"
    draw = Predictive(svg.model, guide=svg.guide, num_samples=3)
    drawn = draw(x[:, :2], horizon=2)["x_future"]
    assert drawn.shape[0] == 3 and drawn.device.type == "cuda"
    if svg.config.observation == "optimal-sigma":
        return  # outside a loss it reads whether its sigma is known yet
    again = svg.reconstruct(x)
    assert again.shape == (2, 3, *shape) and again.device.type == "cuda"


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.slow
def test_presets(fake, name):
    check_all(made(SVGConfig.preset(name, **SMALL)))


@pytest.mark.parametrize("changes", BUILT_IN, ids=str)
@pytest.mark.slow
def test_priors_guides_observations_and_dynamics(fake, changes):
    if changes.get("prior") == "none":
        changes = {**changes, "guide": "filtering"}
    config = SVGConfig(**{"channels": 1, "beta": 1e-3, **SMALL, **changes})
    check_all(made(config))


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_precisions(fake, precision, monkeypatch):
    config = SVGConfig(channels=1, beta=1e-3, **SMALL)
    svg = made(config)
    seen = []
    convolution = next(m for m in svg.modules() if isinstance(m, torch.nn.Conv2d))
    convolution.register_forward_hook(lambda *args: seen.append(args[2].dtype))
    with as_if_there(monkeypatch):
        check_all(svg, precision)
        monkeypatch.setattr(torch.nn.Module, "to", cast)
        sampler = Sampler(svg, precision)
        futures = sampler.predict(frames_for(config)[:, :2], 2, 3)
        assert futures.dtype == torch.float32 and futures.device.type == "cuda"
    assert (torch.bfloat16 in seen) == (precision == "bf16")


@pytest.mark.slow
# Said by PyTorch once a process, of its own tracing.
@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
@pytest.mark.parametrize("changes", [{}, {"last_frame_skip": True}], ids=str)
def test_compiled_samplers(fake, monkeypatch, changes):
    svg = made(SVGConfig(channels=1, beta=1e-3, **SMALL, **changes))
    compiler, modes = torch.compile, []

    def traced(function, *, mode, dynamic):
        modes.append(mode)
        return compiler(function, backend="aot_eager", dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", traced)
    futures = Sampler(svg, compiled=True).predict(frames_for(svg.config)[:, :2], 2, 3)
    assert futures.shape == (3, 2, 2, 1, 64, 64) and futures.device.type == "cuda"
    assert modes == ["reduce-overhead"] * 2


def test_a_read_of_a_value_raises(fake):
    with pytest.raises(DataDependentOutputException):
        frames_for(SVGConfig(channels=1, **SMALL)).sum().item()
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(2, device=CUDA) + torch.ones(2)
