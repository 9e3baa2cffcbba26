"""Training in little memory: activations computed twice."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from svg_pyro.model.svg import SVG


@contextlib.contextmanager
def recomputed(svg: SVG, *, when: bool = True) -> Iterator[None]:
    """Let training keep only what the encoder's and the decoder's stages are given.

    What happens inside a stage is computed again in the backward pass. Gradients are
    the same, and so are BatchNorm's statistics. Nothing is sampled in a stage.

    Parameters
    ----------
    svg : SVG
        The model that is trained.
    when : bool
        False does nothing.
    """
    stages = [*svg.encoder.stages, *svg.decoder.stages] if when else []
    for stage in stages:
        stage.forward = functools.partial(
            checkpoint,
            stage.forward,
            use_reentrant=False,
            preserve_rng_state=False,
            context_fn=functools.partial(_contexts, stage),
        )
    try:
        yield
    finally:
        for stage in stages:
            del stage.forward


def _contexts(stage: nn.Module) -> tuple[Any, Any]:
    """Those of a forward pass and of its repetition."""
    return contextlib.nullcontext(), _SpareBuffers(stage)


class _SpareBuffers:
    """Give a module copies of its buffers: the second pass must not be counted.

    Layers that had another `forward` in the first pass (`svg_pyro.model.batch_norm`)
    have it in the second one too.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._originals: list[tuple[nn.Module, str, torch.Tensor]] = []
        self._forwards = [
            (layer, vars(layer)["forward"])
            for layer in module.modules()
            if layer is not module and "forward" in vars(layer)
        ]

    def __enter__(self) -> None:
        for layer, forward in self._forwards:
            vars(layer)["forward"] = forward
        for module in self._module.modules():
            for name, buffer in module.named_buffers(recurse=False):
                self._originals.append((module, name, buffer))
                setattr(module, name, buffer.clone())

    def __exit__(self, *exception: object) -> None:
        for layer, _ in self._forwards:
            vars(layer).pop("forward", None)
        for module, name, buffer in self._originals:
            setattr(module, name, buffer)
        self._originals.clear()
