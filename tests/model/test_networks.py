"""Encoders, decoders and recurrent networks against layer-by-layer oracles."""

import dataclasses

import pytest
import torch
from support.futures import with_backbone
from support.paper_loop import Loop, decode

from svg_pyro import SVG, SVGConfig
from svg_pyro.errors import ConfigError
from svg_pyro.model.networks import Recurrent
from svg_pyro.model.networks.base import normalisation
from svg_pyro.model.networks.warping import blend
from svg_pyro.model.registry import names, registered

ALL = [
    {"backbone": backbone, "image_size": size, "channels": channels, "norm": norm}
    for backbone in names("backbone")
    for size, channels, norm in ((64, 1, "batch"), (64, 3, "group"), (128, 3, "batch"))
]


def build(config, changes):
    name = changes.get("backbone", config.backbone)
    config = with_backbone(config, name, **changes)
    encoder, decoder = (
        network.double().eval()
        for network in registered("backbone", config.backbone)(config)
    )
    return config, encoder, decoder


@pytest.mark.parametrize("changes", ALL, ids=str)
def test_split_decoder_equals_the_concatenated_one(tiny, changes):
    config, encoder, decoder = build(tiny, changes)
    side = config.image_size
    x = torch.rand(3, config.channels, side, side).double()
    _h, skips = encoder(x)
    g = torch.randn(3, config.feature_size).double()
    mean = decoder(g, decoder.prepare(x, skips))
    assert mean.shape == x.shape
    torch.testing.assert_close(mean, decode(decoder, g, skips), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("changes", ALL, ids=str)
def test_gradients_of_the_split_decoder(tiny, changes):
    config, encoder, decoder = build(tiny, changes)
    x = torch.rand(2, config.channels, config.image_size, config.image_size).double()
    g = torch.randn(2, config.feature_size).double()
    with torch.no_grad():
        skips = encoder(x)[1]
    grads = []
    for mean in (decoder(g, decoder.prepare(x, skips)), decode(decoder, g, skips)):
        grads.append(
            torch.autograd.grad(mean.square().sum(), list(decoder.parameters()))
        )
    for split, whole in zip(*grads, strict=True):
        torch.testing.assert_close(split, whole, rtol=1e-8, atol=1e-10)


def test_samples_broadcast_over_the_skips_of_one_context(tiny):
    config, encoder, decoder = build(tiny, {"pixel_skip": True})
    x = torch.rand(2, 1, 64, 64).double()
    prepared = decoder.prepare(x, encoder(x)[1])
    g = torch.randn(5, 2, config.g_dim).double()
    together = decoder(g, prepared)
    apart = torch.stack([decoder(each, prepared) for each in g])
    torch.testing.assert_close(together, apart, rtol=1e-10, atol=1e-12)


def test_leading_dimensions_of_the_encoder_are_free(tiny):
    _, encoder, _ = build(tiny, {})
    x = torch.rand(2, 3, 4, 1, 64, 64).double()
    h, skips = encoder(x)
    flat, flat_skips = encoder(x.flatten(0, 2))
    torch.testing.assert_close(h.flatten(0, 2), flat, rtol=1e-10, atol=1e-12)
    for skip, want in zip(skips, flat_skips, strict=True):
        torch.testing.assert_close(skip.flatten(0, 2), want, rtol=1e-10, atol=1e-12)


def test_pixel_skip_blends_with_the_skip_frame_by_a_mask(tiny):
    config, encoder, decoder = build(tiny, {"pixel_skip": True})
    x = torch.rand(2, 1, 64, 64).double()
    skips = encoder(x)[1]
    g = torch.randn(2, config.feature_size).double()
    drawn, mask = decode(decoder, g, skips).split([1, 1], 1)
    mean = decoder(g, decoder.prepare(x, skips))
    torch.testing.assert_close(mean, mask * x + (1 - mask) * drawn)


CHANGES = (
    {"backbone": "dcgan"},
    {"backbone": "vgg"},
    {"backbone": "dcgan", "warp": True},
    {"dynamics": "maps", "warp": True},
    {"dynamics": "maps", "warp": True, "observation": "per-pixel"},
    {"backbone": "dcgan", "observation": "logistic"},
)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_fresh_model_that_decodes_changes_repeats_the_last_frame(tiny, changes):
    torch.manual_seed(1)
    given = {"pixel_skip": True, "decodes": "change", **changes}
    svg = SVG(dataclasses.replace(tiny, **given)).eval()
    x = torch.rand(2, 3, svg.config.channels, 64, 64)
    futures = svg.predict(x, 4, 3, seed=0)
    torch.testing.assert_close(futures, x[:, -1:].expand_as(futures), rtol=0, atol=1e-5)


@pytest.mark.parametrize("changes", CHANGES[:4], ids=str)
def test_a_decoded_change_is_added_to_what_is_kept(tiny, changes):
    given = {"pixel_skip": True, "decodes": "change", **changes}
    config = dataclasses.replace(tiny, **given)
    torch.manual_seed(2)
    svg = SVG(config).double().eval()
    decoder = svg.decoder
    torch.nn.init.normal_(next(reversed(list(decoder.stages.parameters()))), std=1.0)
    x = torch.rand(2, 1, 64, 64).double()
    g = torch.randn(2, config.feature_size).double()
    previous = torch.rand_like(x) if decoder.warps else None
    prepared = decoder.prepare(x, svg.encoder(x)[1])
    changed = decoder(g, prepared, previous)
    decoder.decodes_changes = False
    blended = decoder(g, prepared, previous)
    if not decoder.warps:
        drawn, mask = decode(decoder, g, svg.encoder(x)[1]).split([1, 1], 1)
        torch.testing.assert_close(
            changed, (x + (1 - mask) * (2 * drawn - 1)).clamp(0, 1)
        )
    assert (changed - blended).abs().max() > 0.01


def test_a_blend_with_a_change_pixel_by_pixel():
    torch.manual_seed(3)
    new, moved, still = torch.rand(3, 2, 3, 4, 4).double()
    logits = torch.randn(2, 2, 4, 4).double()
    shares = torch.cat([logits, torch.zeros(2, 1, 4, 4)], 1).softmax(1)
    stay, move, fresh = (share[:, None] for share in shares.unbind(1))
    kept = (stay * still + move * moved) / (1 - fresh)
    want = (kept + fresh * (2 * new - 1)).clamp(0, 1)
    torch.testing.assert_close(blend(new, moved, still, logits, change=True), want)


def test_a_change_needs_a_frame_to_change(tiny):
    with pytest.raises(ConfigError, match="decodes is 'change', and pixel_skip False"):
        dataclasses.replace(tiny, decodes="change")


@pytest.mark.parametrize(
    "name, want",
    [
        ("smmnist", [(64, 32), (128, 16), (256, 8), (512, 4)]),
        ("bair", [(64, 64), (128, 32), (256, 16), (512, 8)]),
    ],
)
def test_feature_maps_of_the_papers_backbones(name, want):
    config = SVGConfig.preset(name)
    encoder = registered("backbone", config.backbone)(config)[0].eval()
    with torch.no_grad():
        h, skips = encoder(torch.rand(1, config.channels, 64, 64))
    assert [tuple(s.shape[1:3]) for s in skips] == want
    assert h.shape == (1, 128)


@pytest.mark.parametrize("channels", [3, 8, 24, 96, 128, 512])
def test_group_norm_divides_the_channels(channels):
    x = torch.randn(2, channels, 4, 4)
    y = normalisation("group", channels)(x)
    assert y.mean().abs() < 1e-5 and abs(y.std(correction=0) - 1) < 1e-3


def test_recurrent_equals_cells_step_by_step():
    network = Recurrent(5, 7, layers=2).double()
    x = torch.randn(3, 6, 5).double()
    out, state = network(x)
    loop = Loop(network, 3)
    want = torch.stack([loop.step(x[:, t]) for t in range(6)], 1)
    torch.testing.assert_close(out, want, rtol=1e-10, atol=1e-12)
    assert state[0].shape == state[1].shape == (3, 2, 7)
    for layer, (h, c) in enumerate(loop.states):
        torch.testing.assert_close(state[0][:, layer], h, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(state[1][:, layer], c, rtol=1e-10, atol=1e-12)


def test_recurrent_goes_on_from_a_state_and_broadcasts_it():
    network = Recurrent(5, 7, layers=2).double()
    x = torch.randn(3, 6, 5).double()
    whole, _ = network(x)
    _, state = network(x[:, :4])
    rest, _ = network(x[:, 4:].expand(2, 3, 2, 5), state)
    torch.testing.assert_close(
        rest, whole[:, 4:].expand(2, 3, 2, 7), rtol=1e-10, atol=1e-12
    )
    # A state can be indexed: clips in another order.
    order = torch.tensor([2, 0, 1])
    again, _ = network(x[order, 4:], tuple(s[order] for s in state))
    torch.testing.assert_close(again, whole[order, 4:], rtol=1e-10, atol=1e-12)
