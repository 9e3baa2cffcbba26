"""What is fitted, not learnt: BatchNorm's running statistics, the actions' scale."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pyro.infer import Trace_ELBO
from torch import nn

from svg_pyro.config import TrainingConfig
from svg_pyro.data.base import ClipDataset
from svg_pyro.data.batches import Batch, batch_of, in_parts
from svg_pyro.model.precision import autocast
from svg_pyro.model.svg import SVG
from svg_pyro.util import distributed
from svg_pyro.util.modes import seeded

_ACTION_CLIPS = 1000
# Training clips from which BatchNorm's statistics are fitted.
_STATISTICS_CLIPS = 32


def fit_actions(svg: SVG, data: ClipDataset, seed: int = 0) -> None:
    """Set what actions are normalised by: mean and standard deviation of the data's.

    A value that never changes is only centred.

    Parameters
    ----------
    svg : SVG
        With an `action_dim` above 0.
    data : ClipDataset
        Training clips; at most 1,000 of them are looked at.
    seed : int
        Draws which.
    """
    count = min(len(data), _ACTION_CLIPS)
    chosen = np.random.default_rng(seed).permutation(len(data))[:count].tolist()
    rows = torch.cat([data.actions(i) for i in chosen]).double()
    std = rows.std(0, correction=0)
    svg.action_mean.copy_(rows.mean(0))
    svg.action_std.copy_(torch.where(std > 0, std, torch.ones_like(std)))


def moving_statistics(svg: SVG) -> Iterator[tuple[str, torch.Tensor]]:
    """The names and tensors of BatchNorm's running statistics, in the model itself."""
    for name, layer in svg.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            for key, value in layer.named_buffers():
                yield f"{name}.{key}", value


def refit_statistics(
    svg: SVG, elbo: Trace_ELBO, clips: Batch, batch_size: int, precision: str
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
    clips : Batch
        Training clips.
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
            for frames, given in in_parts(
                clips.frames, clips.actions, batch_size, device, lengths=clips.lengths
            ):
                elbo.loss(svg.model, svg.guide, frames, **given)
    finally:
        for layer, (momentum, count) in zip(layers, before, strict=True):
            layer.momentum = momentum
            layer.num_batches_tracked.copy_(count)


class FittedStatistics:
    """What evaluation mode uses of BatchNorm during a run: refitted, and put back.

    Parameters
    ----------
    svg : SVG
        The model.
    elbo : pyro.infer.ELBO
        Runs guide and model.
    config : TrainingConfig
        Of the run.

    Attributes
    ----------
    clips : Batch or None
        Training clips; without them nothing is refitted.
    moving : dict of str to torch.Tensor, or None
        The statistics of the steps themselves, while refitted ones are in the model.
    """

    def __init__(self, svg: SVG, elbo: Trace_ELBO, config: TrainingConfig) -> None:
        self._svg, self._elbo, self._config = svg, elbo, config
        self._ranks, self._step = distributed.ranks(), -1
        self.clips: Batch | None = None
        self.moving: dict[str, torch.Tensor] | None = None

    def take_clips(self, data: ClipDataset) -> None:
        """Take some of the training clips to refit from.

        Parameters
        ----------
        data : ClipDataset
            The training clips; those of its first batch are taken.
        """
        self.clips = batch_of(data, _STATISTICS_CLIPS, 0, self._config.seed)

    def refit(self, step: int) -> None:
        """Let what evaluation mode uses fit the weights, once for each step.

        Parameters
        ----------
        step : int
            Steps done.
        """
        if self.clips is None or self._step == step:
            return
        config, mode = self._config, self._svg.training
        size = max(1, config.batch_size // (self._ranks * config.accumulate))
        self._svg.train()
        if self.moving is None:
            self.moving = {k: v.clone() for k, v in moving_statistics(self._svg)}
        refit_statistics(self._svg, self._elbo, self.clips, size, config.precision)
        self._svg.train(mode)
        self._step = step

    def undo(self) -> None:
        """Undo a refit: a step's own means must not depend on when a run is saved."""
        if self.moving is not None:
            for name, value in moving_statistics(self._svg):
                value.copy_(self.moving[name])
            self.moving = None
