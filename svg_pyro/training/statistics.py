"""BatchNorm's running statistics, fitted to the weights as they are."""

from collections.abc import Iterator
from typing import Any

import torch
from pyro.infer import Trace_ELBO
from torch import nn

from svg_pyro.model.precision import autocast
from svg_pyro.model.svg import SVG
from svg_pyro.util.modes import seeded
from svg_pyro.util.tensors import to_float


def moving_statistics(svg: SVG) -> Iterator[tuple[str, torch.Tensor]]:
    """The names and tensors of BatchNorm's running statistics, in the model itself."""
    for name, layer in svg.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            for key, value in layer.named_buffers():
                yield f"{name}.{key}", value


def refit_statistics(
    svg: SVG, elbo: Trace_ELBO, clips: torch.Tensor, batch_size: int, precision: str
) -> None:
    """Set the statistics that BatchNorm uses in evaluation mode from training clips.

    In training all frames of a clip go through one call, so that a step moves the
    running statistics by a tenth, and they lag far behind the weights of a young model.
    Here they are the means over batches of what the present weights give; what they
    were before does not matter. Weights and the global random state are left alone.

    Parameters
    ----------
    svg : SVG
        The model, in training mode; without BatchNorm nothing is done, nor where
        ``batch_norm`` is "time": the first code's statistics are those of its steps.
    elbo : pyro.infer.ELBO
        Runs guide and model.
    clips : torch.Tensor
        Training clips, uint8, shape ``(B, T, C, H, W)``.
    batch_size : int
        Clips at a time, as in training.
    precision : str
        Of training, one of `svg_pyro.config.PRECISIONS`.
    """
    layers: list[Any] = [m for m in svg.modules() if isinstance(m, nn.BatchNorm2d)]
    if not layers or svg.config.batch_norm == "time":
        return
    device = next(svg.parameters()).device
    before = [(layer.momentum, layer.num_batches_tracked.clone()) for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
    try:
        with seeded(0, device), torch.no_grad(), autocast(device, precision):
            for batch in torch.split(clips, batch_size):
                elbo.loss(svg.model, svg.guide, to_float(batch, device))
    finally:
        for layer, (momentum, count) in zip(layers, before, strict=True):
            layer.momentum = momentum
            layer.num_batches_tracked.copy_(count)
