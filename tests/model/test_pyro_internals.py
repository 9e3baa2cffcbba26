"""What breaks when Pyro changes: each private name, and what is done without it."""

import copy

import pyro
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.nn import PyroModule
from pyro.poutine import runtime

from svg_pyro import SVG
from svg_pyro.model import pyro_internals


def test_pyro_still_has_its_stack_of_handlers():
    """If not: the encoder runs twice in each step of training."""
    assert isinstance(runtime._PYRO_STACK, list)


def test_pyro_still_names_modules_by_a_private_attribute():
    """If not: a deep copy of a model trains the original's weights, or none."""

    class Root(PyroModule):
        pass

    root = Root("root")
    root.part = Root()
    pyro_internals.rename(root, "other")
    assert (root._pyro_name, root.part._pyro_name) == ("other", "other.part")


def test_pyro_still_keeps_a_context_by_a_private_attribute():
    """If not: a part that ran by itself cannot be put into a model."""
    part = PyroModule[torch.nn.Linear](2, 2)
    part(torch.zeros(1, 2))
    assert part._pyro_context.used
    assert not pyro_internals.released(part)._pyro_context.used


def test_without_the_stack_features_are_encoded_twice_and_losses_are_the_same(
    tiny, monkeypatch
):
    svg, frames = SVG(tiny).double().eval(), torch.rand(2, 4, 1, 64, 64).double()
    calls, losses = [], []
    svg.encoder.register_forward_hook(lambda *a: calls.append(1))
    for stack in (runtime._PYRO_STACK, None):
        if stack is None:
            monkeypatch.delattr(runtime, "_PYRO_STACK")
            assert list(pyro_internals.replayed_traces()) == []
            monkeypatch.undo()
            monkeypatch.setattr(pyro_internals, "replayed_traces", lambda: iter(()))
            monkeypatch.setattr("svg_pyro.model.features.replayed_traces", lambda: ())
        pyro.set_rng_seed(1)
        losses.append(Trace_ELBO().loss(svg.model, svg.guide, frames))
        calls.append("end")
    assert calls == [1, "end", 1, 1, "end"] and losses[0] == losses[1]


def test_a_copy_trains_its_own_weights(tiny):
    svg, frames = SVG(tiny), torch.rand(2, 3, 1, 64, 64)
    twin = copy.deepcopy(svg)
    before = copy.deepcopy(svg.state_dict())
    SVI(twin.model, twin.guide, pyro.optim.Adam({"lr": 1e-2}), Trace_ELBO()).step(
        frames
    )
    weights = dict(svg.named_parameters())
    assert all(torch.equal(p, before[name]) for name, p in weights.items())
    moved = [n for n, p in twin.named_parameters() if not torch.equal(p, before[n])]
    assert len(moved) == len(weights)
