"""Steps of training on a CUDA device that is not there, on PyTorch's fake tensors.

A program, as it spoils its process; it wants the stand-in of `support.cuda_stub`.
"""

import pyro
import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.overrides import TorchFunctionMode

from svg_pyro import SVG, SVGConfig, TrainingConfig
from svg_pyro.config import PRECISIONS
from svg_pyro.model import registry
from svg_pyro.training import own_means
from svg_pyro.training.elbos import ELBOS
from svg_pyro.training.optim import Schedule, make_adam
from svg_pyro.training.recompute import recomputed
from svg_pyro.training.step import LossAndGrads
from svg_pyro.training.svi import TorchSVI

CUDA = torch.device("cuda", 0)
SMALL = dict(width=2, g_dim=8, z_dim=2, rnn_size=4, n_past=2)
GREY = dict(SMALL, channels=1, beta=1e-3)
CASES = {name: (SVGConfig.preset(name, **SMALL), {}) for name in ("smmnist", "bair")}
CASES |= {
    str(changes): (SVGConfig(**{**GREY, **changes}), {})
    for changes in (
        {"backbone": "vgg"},
        {"prior": "flow"},
        {"prior": "none"},
        {"prior": "fixed"},
        {"guide": "smoothing"},
        {"dynamics": "maps", "warp": True, "pixel_skip": True},
        {"batch_norm": "time"},
        {"norm": "group"},
        {"action_dim": 2},
        *({"observation": name} for name in registry.names("observation")),
    )
}
CASES |= {
    str(changes): (SVGConfig(**GREY), changes)
    for changes in (
        {"accumulate": 2},
        {"checkpoint_activations": True},
        {"elbo": "mean-field"},
        {"clip_norm": 1.0},
        {"own_means": 0.5},
        *({"precision": name} for name in PRECISIONS),
    )
}


class NoWaiting(TorchFunctionMode):
    """Without numbers and tensors of the host that the device has to wait for."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        given = kwargs or {}
        made = function(*args, **given)
        if not isinstance(made, torch.Tensor) or made.device.type != "cuda":
            return made
        if function in (torch.tensor, torch.as_tensor, torch.scalar_tensor):
            assert isinstance(args[0], torch.Tensor), "a number is copied to the device"
        if function in (torch.Tensor.to, torch.Tensor.cuda):
            host = args[0].device.type == "cpu"
            assert not host or given.get("non_blocking"), "the host waits for a copy"
        return made


def some_replaced(frames, share, real):
    """For `own_means._replaced`, whose counts are of real numbers."""
    clips = [torch.empty(n, dtype=torch.long, device=CUDA) for n in (0, 0, 2, 0)]
    return torch.empty(frames.shape[:2], dtype=torch.bool, device=CUDA), clips


def one_step(config, training):
    with unset_fake_temporarily():
        svg = SVG(config)
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    svg._apply(lambda t: torch.empty(t.shape, dtype=t.dtype, device=CUDA))
    x = torch.rand(4, 4, config.channels, 64, 64, device=CUDA)
    given = {}
    if config.action_dim:
        given["actions"] = torch.rand(4, 3, config.action_dim, device=CUDA)
    adam = make_adam(svg.parameters(), training)
    elbo = ELBOS[training.elbo]()
    gradient = LossAndGrads(svg, elbo, training.accumulate, training.precision)
    svi = TorchSVI(svg.model, svg.guide, adam, loss=elbo.loss, loss_and_grads=gradient)
    schedule, seen = Schedule(adam, training), []
    layer = next(m for m in svg.encoder.modules() if isinstance(m, torch.nn.Conv2d))
    layer.register_full_backward_hook(lambda *args: seen.append(args[2][0].dtype))
    adam.zero_grad = lambda: None  # they are looked at
    with NoWaiting(), recomputed(svg, when=training.checkpoint_activations):
        if training.own_means:
            given["inputs"] = own_means.with_own_means(svg, x, 0.5, **given)
        loss = svi.step(x, **given)
        schedule.advance()
    assert loss.shape == () and loss.device == CUDA
    for name, weight in svg.named_parameters():
        assert weight.grad is not None and weight.grad.device == CUDA, name
        assert adam.state[weight]["exp_avg"].device == CUDA, name
    low = training.precision == "bf16"
    assert set(seen) == {torch.bfloat16 if low else torch.float32}, seen


def main():
    # PyTorch would initialise a device that it believes to be there, and without one
    # switches autocast off.
    torch.cuda.is_available = lambda: False
    torch.cuda.is_bf16_supported = lambda *_: True
    torch.cuda.amp.common.amp_definitely_not_available = lambda: False
    torch.backends.cudnn.enabled = False
    own_means._replaced = some_replaced
    pyro.enable_validation(False)
    for case, (config, changes) in CASES.items():
        with FakeTensorMode():
            one_step(config, TrainingConfig(**changes))
        print(case, flush=True)


if __name__ == "__main__":
    main()
