"""A Sampler draws what SVG.predict draws; compiled, and from replayed buffers."""

import pytest
import torch
from support.futures import awake, contexts
from torch.utils._pytree import tree_map

from svg_pyro import SVG, ConfigError, FramesError, Sampler
from svg_pyro.model.precision import autocast

NEAR = dict(rtol=1e-9, atol=1e-10)


def drawn(predict, *arguments, **options):
    torch.manual_seed(7)
    return predict(*arguments, **options)


@pytest.fixture
def replaying(monkeypatch):
    """torch.compile as a CUDA graph has it: results lie in buffers that are reused."""
    shapes = []

    def compiled(forward, **options):
        assert options == {"mode": "reduce-overhead", "dynamic": False}
        buffers = {}

        def replay(*given):
            key = str(tree_map(lambda x: x.shape, given))
            result = forward(*given)
            if key not in buffers:
                shapes.append(key)
                buffers[key] = tree_map(torch.clone, result)
            tree_map(lambda old, new: old.copy_(new), buffers[key], result)
            return buffers[key]

        return replay

    monkeypatch.setattr(torch, "compile", compiled)
    return shapes


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("changes", [{}, {"last_frame_skip": True}, {"prior": "none"}])
def test_the_same_futures(tiny, changes, horizon):
    svg = awake(tiny, **changes)
    sampler, x = Sampler(svg), contexts()
    for _ in range(2):
        ours = drawn(sampler.predict, x, horizon, 5, chunk_size=2)
        want = drawn(svg.predict, x, horizon, 5, chunk_size=2)
        torch.testing.assert_close(ours, want, **NEAR)
    assert [len(c) for c in sampler.futures(x, 2, 5, chunk_size=2)] == [2, 2, 1]
    assert all(m.training for m in svg.modules())


@pytest.mark.parametrize("changes", [{}, {"last_frame_skip": True}, {"prior": "none"}])
def test_replayed_buffers_are_copied(tiny, changes, replaying):
    svg, x = awake(tiny, **changes), contexts()
    ours = drawn(Sampler(svg, compiled=True).predict, x, 4, 4, chunk_size=2)
    torch.testing.assert_close(ours, drawn(svg.predict, x, 4, 4, chunk_size=2), **NEAR)


def test_a_smaller_last_chunk_is_not_compiled_anew(tiny, replaying):
    svg, x = awake(tiny), contexts()
    sampler = Sampler(svg, compiled=True)
    sizes = [len(c) for c in sampler.futures(x, 3, 5, chunk_size=2)]
    assert sizes == [2, 2, 1] and len(replaying) == 2  # the decoder's, the encoder's
    whole = drawn(sampler.predict, x, 3, 6, chunk_size=2)
    assert torch.equal(drawn(sampler.predict, x, 3, 5, chunk_size=2), whole[:5])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_compiled_futures_agree(tiny, precision):
    svg = awake(tiny).float()
    x = contexts().float()
    with autocast(torch.device("cpu"), precision):
        want = drawn(svg.predict, x, 3, 2)
    sampler = Sampler(svg, precision, compiled=True)
    found = drawn(sampler.predict, x, 3, 2)
    # A sum in another order, fed back twice; bfloat16 has 3 digits.
    limit = 1e-4 if precision == "float32" else 0.03
    assert (found - want).abs().max() < limit


def test_precision_is_its_own_and_leaves_the_callers(tiny):
    svg, x = SVG(tiny), torch.rand(2, 3, 1, 64, 64)
    with autocast(torch.device("cpu"), "bf16"):
        low = drawn(svg.predict, x, 3, 2)
        exact = drawn(Sampler(svg).predict, x, 3, 2)
    chunks = Sampler(svg, "bf16").futures(x, 3, 2, chunk_size=1)
    torch.manual_seed(7)
    for i, chunk in enumerate(chunks):
        assert not torch.is_autocast_enabled("cpu")
        if i == 0:
            first = chunk
    assert torch.equal(exact, drawn(svg.predict, x, 3, 2))
    assert not torch.equal(exact, low)
    assert torch.equal(first, drawn(Sampler(svg, "bf16").predict, x, 3, 1))


@pytest.mark.parametrize("of", ["a weight", "a running mean", "another device"])
def test_changed_weights_are_noticed(tiny, of):
    svg, x = SVG(tiny), torch.rand(1, 2, 1, 64, 64)
    sampler = Sampler(svg)
    sampler.predict(x, 2)
    if of == "a weight":
        with torch.no_grad():
            svg.prior.loc.bias.add_(1)
    elif of == "a running mean":
        svg.train().encoder(x)
    else:
        svg.double().float()
    with pytest.raises(ConfigError, match="make a new one"):
        sampler.predict(x, 2)


def test_bad_input(tiny):
    svg, x = SVG(tiny), torch.rand(1, 2, 1, 64, 64)
    with pytest.raises(ConfigError, match="precision is 'fp8'"):
        Sampler(svg, "fp8")
    sampler = Sampler(svg)
    for arguments in ((x, 0), (x, 2, 0), (x[0], 2), (x * 300, 2)):
        with pytest.raises(FramesError):
            sampler.futures(*arguments)
    with pytest.raises(FramesError, match="chunk_size is 0"):
        sampler.futures(x, 2, chunk_size=0)


def test_where_pytorch_cannot_compile(tiny, monkeypatch):
    """In one line, whatever its type is called in this version."""

    class Failed(RuntimeError):
        __module__ = "torch._dynamo.exc"

        def __init__(self, backend, reason):  # Pyro cannot make it again from one
            super().__init__(f"{backend} raised: {reason}")

    def broken(*given):
        raise Failed("inductor", "no C++ compiler\n\nYou can suppress this")

    monkeypatch.setattr(torch, "compile", lambda *a, **k: broken)
    sampler = Sampler(SVG(tiny), compiled=True)
    with pytest.raises(
        ConfigError, match=r"compile \(inductor raised: no C\+\+ compiler\); leave"
    ) as error:
        sampler.predict(torch.rand(1, 2, 1, 64, 64), 2)
    assert "\n" not in str(error.value)
