"""Convolutions in their cheapest forms against ordinary ones, and folded networks."""

import copy
import dataclasses

import pytest
import torch
from pyro.infer import Trace_ELBO
from support.futures import with_backbone
from torch import nn
from torch.nn import functional as F

from svg_pyro import SVG
from svg_pyro.model.networks import Networks, convolutions, folded
from svg_pyro.model.networks.convolutions import (
    MapToVector,
    ShrinkingConv,
    SplitConv,
    SplitConvTranspose,
    VectorToMap,
    fold,
)
from svg_pyro.model.networks.winograd import StridedConv
from svg_pyro.model.precision import autocast, autocast_dtype
from svg_pyro.model.registry import names, registered

DOUBLE = dict(rtol=1e-10, atol=1e-12)


def halves(layer, d, s):
    return layer.main(d) + layer.skip(s)


def ordinary(layer, d, s):
    """`layer` as PyTorch has it, over the concatenation."""
    if isinstance(layer, SplitConv):
        x = torch.cat([F.interpolate(d, scale_factor=2), s], 1)
        return F.conv2d(x, layer.weight, layer.bias, padding=1)
    x = torch.cat([d, s], 1)
    return F.conv_transpose2d(x, layer.weight, layer.bias, 2, 1)


def agree(layer, inputs, ours, theirs):
    """Results and gradients, of inputs and of weights."""
    found = []
    for call in (ours, theirs):
        given = [x.clone().requires_grad_() for x in inputs]
        y = call(*given)
        weighted = (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum()
        wanted = [*given, layer.weight, layer.bias]
        found.append([y, *torch.autograd.grad(weighted, wanted)])
    for own, want in zip(*found, strict=True):
        torch.testing.assert_close(own, want, **DOUBLE)


@pytest.mark.parametrize("out", [1, 4, 7])
@pytest.mark.parametrize("kind", [SplitConv, SplitConvTranspose])
def test_halves_are_the_whole(kind, out):
    layer = kind(3, 5, out).double()
    side = 12 if kind is SplitConv else 6  # of the skip; d is 6 pixels wide
    inputs = torch.randn(2, 3, 6, 6).double(), torch.randn(2, 5, side, side).double()
    agree(
        layer,
        inputs,
        lambda d, s: halves(layer, d, s),
        lambda d, s: ordinary(layer, d, s),
    )


@pytest.mark.parametrize("before", [1, 3, 7])
def test_shrinking(before):
    layer = ShrinkingConv(before, 5).double()
    x = torch.randn(2, before, 10, 10).double()
    agree(layer, [x], layer, lambda x: F.conv2d(x, layer.weight, layer.bias, 2, 1))


def test_heads_are_matrix_products():
    layer = MapToVector(6, 5).double()
    x = torch.randn(3, 6, 4, 4).double()
    agree(layer, [x], layer, lambda x: F.conv2d(x, layer.weight, layer.bias))
    layer = VectorToMap(5, 6).double()
    g = torch.randn(3, 5, 1, 1).double()
    agree(layer, [g], layer, lambda g: F.conv_transpose2d(g, layer.weight, layer.bias))


def strided(x, weight, transposed):
    call = F.conv_transpose2d if transposed else F.conv2d
    return call(x, weight, None, 2, 1)


def maps_and_weight(transposed, small, dtype, channels=(5, 3)):
    """x and a weight for `StridedConv`, and a gradient of its result."""
    k, c = channels
    large = [2 * side for side in small]
    maps = torch.randn(2, k, *small), torch.randn(2, c, *large)
    x, gradient = maps if transposed else maps[::-1]
    x, gradient = fold(x.to(dtype)), gradient.to(dtype)
    return x.requires_grad_(), torch.randn(k, c, 4, 4).requires_grad_(), gradient


@pytest.mark.parametrize("small", [(2, 2), (4, 2), (6, 8)])
@pytest.mark.parametrize("transposed", [False, True])
def test_nine_products_are_sixteen(transposed, small):
    x, weight, gradient = maps_and_weight(transposed, small, torch.float64)
    weight = weight.detach().double().requires_grad_()
    ours = StridedConv.apply(x, weight, transposed)
    theirs = strided(x, weight, transposed)
    torch.testing.assert_close(ours, theirs, **DOUBLE)
    for own, want in zip(
        torch.autograd.grad(ours, (x, weight), gradient),
        torch.autograd.grad(theirs, (x, weight), gradient),
        strict=True,
    ):
        torch.testing.assert_close(own, want, **DOUBLE)
    frozen = StridedConv.apply(x.detach(), weight, transposed)
    torch.autograd.grad(frozen.sum(), weight)  # no gradient of x is asked for


@pytest.mark.parametrize("transposed", [False, True])
def test_rounding_of_nine_products_in_bfloat16(transposed):
    """Their sums are rounded too: 0.8 % of a result's size, sixteen products 0.3 %."""
    torch.manual_seed(0)
    x, weight, gradient = maps_and_weight(transposed, (8, 8), torch.bfloat16, (96, 48))
    exact = x.detach().double().requires_grad_(), weight.detach().double()
    exact = exact[0], exact[1].requires_grad_()
    y = strided(*exact, transposed)
    want = [y, *torch.autograd.grad(y, exact, gradient.double())]
    for limit, y in (
        (0.009, StridedConv.apply(x, weight, transposed)),
        (0.0035, strided(x, weight.bfloat16(), transposed)),
    ):
        found = [y, *torch.autograd.grad(y, (x, weight), gradient)]
        assert [f.dtype for f in found[1:]] == [torch.bfloat16, torch.float32]
        for own, exactly in zip(found, want, strict=True):
            error = (own - exactly).square().mean() / exactly.square().mean()
            assert error.sqrt() < limit


def test_a_second_gradient_of_nine_products_is_refused():
    x, weight, _ = maps_and_weight(False, (2, 2), torch.float32)
    y = StridedConv.apply(x, weight, False).square().sum()
    (of_x,) = torch.autograd.grad(y, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        of_x.sum().backward()


def test_nine_products_are_used_where_they_pay(monkeypatch):
    used, apply = [], StridedConv.apply
    monkeypatch.setattr(StridedConv, "apply", lambda *a: used.append(a[2]) or apply(*a))
    many, few = convolutions._MANY, convolutions._MANY - 1
    for k in (few, many):
        shrinking, enlarging = ShrinkingConv(8, k), SplitConvTranspose(k, 8, 9)
        small, large = fold(torch.randn(2, k, 4, 4)), fold(torch.randn(2, 8, 8, 8))
        for low, grad in ((True, True), (False, True), (True, False)):
            with autocast(torch.device("cpu"), "bf16"), torch.set_grad_enabled(grad):
                dtype = torch.bfloat16 if low else torch.float32
                shrinking(large.to(dtype)), enlarging.main(small.to(dtype))
        assert used == ([False, True] if k == many else [])


def test_fold_copies_at_most_once():
    x = torch.randn(2, 3, 4, 5, 6)
    y = fold(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(y, x.flatten(0, 1))
    again = y.unflatten(0, (2, 3))
    assert fold(again).data_ptr() == y.data_ptr()
    part = again.movedim(-3, -1)[:, :2].movedim(-1, -3)
    assert torch.equal(fold(part), x[:, :2].flatten(0, 1))


@pytest.mark.parametrize("backbone", names("backbone"))
def test_maps_and_their_gradients_have_their_channels_last(tiny, backbone):
    """Else oneDNN reorders them, and BatchNorm takes a path ten times as slow."""
    config = with_backbone(tiny, backbone, width=8)
    svg, wrong = SVG(config).train(), []

    def see(module, given, result):
        def check(x):
            is_map = x.dim() == 4  # the last layers of a prior see vectors
            if is_map and not x.is_contiguous(memory_format=torch.channels_last):
                wrong.append((module, tuple(x.shape), x.stride()))

        check(given[0])
        check(result)
        result.register_hook(check)

    seen = [m for m in svg.modules() if isinstance(m, (nn.BatchNorm2d, nn.LeakyReLU))]
    for module in seen:
        module.register_forward_hook(see)
    frames = torch.rand(2, 6, 1, 64, 64)
    Trace_ELBO().differentiable_loss(svg.model, svg.guide, frames).backward()
    assert len(seen) > 9 and not wrong


def lived_in(config):
    """Networks in float64 whose statistics and weights are not the first ones."""
    pair = [n.double() for n in registered("backbone", config.backbone)(config)]
    for network in pair:
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.5)
                layer.running_var.uniform_(0.5, 2)
                nn.init.normal_(layer.bias)
            elif isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(layer.bias)
                layer.weight.data *= 10
    return Networks(*pair)


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("backbone", names("backbone"))
def test_folded_networks_give_the_same_frames(tiny, backbone, size, norm):
    config = with_backbone(tiny, backbone, image_size=size, norm=norm)
    networks = lived_in(config)
    networks.encoder.eval(), networks.decoder.eval()
    before = copy.deepcopy(networks.decoder.state_dict())
    x = torch.rand(2, 1, size, size).double()
    g = torch.randn(3, 2, config.feature_size).double()
    found = []
    for pair in (networks, folded(networks)):
        with torch.no_grad():
            h, skips = pair.encoder(x)
            found.append((h, pair.decoder(g, pair.decoder.prepare(x, skips))))
    torch.testing.assert_close(*found, rtol=1e-8, atol=1e-10)
    assert found[0][1].std() > 0.05  # not all grey
    for name, value in networks.decoder.state_dict().items():
        assert torch.equal(value, before[name])


def test_folding_leaves_no_batch_norm_and_the_modes_alone(tiny):
    svg = SVG(dataclasses.replace(tiny, backbone="vgg")).train()
    networks = folded(svg, torch.bfloat16)
    layers = [*networks.encoder.modules(), *networks.decoder.modules()]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in layers)
    assert not any(layer.training for layer in layers)
    weights = [x for layer in layers for x in layer.parameters(recurse=False)]
    assert weights and all(
        x.dtype == torch.bfloat16 and not x.requires_grad for x in weights
    )
    assert all(layer.training for layer in svg.modules())
    assert all(x.dtype == torch.float32 and x.requires_grad for x in svg.parameters())


def test_the_precision_of_now():
    cpu = torch.device("cpu")
    assert autocast_dtype(cpu) is None
    with autocast(cpu, "bf16"):
        assert autocast_dtype(cpu) == torch.bfloat16
    with autocast(cpu, "float32"):
        assert autocast_dtype(cpu) is None


@pytest.mark.parametrize("backbone", names("backbone"))
def test_futures_in_bfloat16_are_near(tiny, backbone):
    svg = SVG(with_backbone(tiny, backbone)).eval()
    x = torch.rand(2, 3, 1, 64, 64)
    found = []
    for precision in ("float32", "bf16"):
        torch.manual_seed(2)
        with autocast(torch.device("cpu"), precision):
            found.append(svg.predict(x, 3, 2))
    assert 0 < (found[0] - found[1]).abs().max() < 0.02
