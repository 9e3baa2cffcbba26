"""A training step: its seed, and its gradient over chunks and processes."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from pyro.infer import Trace_ELBO
from torch import nn

from svg_pyro.config import TrainingConfig
from svg_pyro.errors import ConfigError, TrainingError
from svg_pyro.model.precision import autocast, tf32
from svg_pyro.model.svg import SVG
from svg_pyro.training.averaging import averaging_gradients, without_averaging
from svg_pyro.training.kl_warmup import WeightedLatents
from svg_pyro.training.terms import ELBOTerms
from svg_pyro.util import distributed
from svg_pyro.util.seeds import seed_of


class _Objective(nn.Module):
    """-ELBO in nats, as a module: DistributedDataParallel acts on forward passes."""

    def __init__(self, svg: SVG, elbo: Trace_ELBO, precision: str) -> None:
        super().__init__()
        self.svg, self.elbo, self.precision = svg, elbo, precision

    def forward(
        self,
        frames: torch.Tensor,
        inputs: torch.Tensor | None,
        lengths: torch.Tensor | None,
        actions: torch.Tensor | None,
        kl_weight: float,
    ) -> Any:
        given = {"inputs": inputs, "lengths": lengths, "actions": actions}
        given = {k: v for k, v in given.items() if v is not None}
        weighed = nullcontext() if kl_weight == 1 else WeightedLatents(kl_weight)
        with autocast(frames.device, self.precision), weighed:
            return self.elbo.differentiable_loss(
                self.svg.model, self.svg.guide, frames, **given
            )


class LossAndGrads:
    r"""What ``SVI(loss_and_grads=...)`` calls, in bounded memory and many processes.

    With `accumulate` chunks in each of R processes, of B clips in all, it adds ::

        1/R sum_r  sum_chunks  grad( -ELBO(chunk) / (B/R (T-1)) )

    to the gradients: those of -ELBO in nats a frame over all B clips. That is what one
    process gives for the whole batch from the same latents, but for what depends on
    all clips of a forward pass: BatchNorm's statistics and the observation model
    "optimal-sigma" are those of each chunk.

    Parameters
    ----------
    svg : SVG
        The model.
    elbo : pyro.infer.ELBO
        With a `differentiable_loss`.
    accumulate : int
        Chunks of this process's part of a batch, which must be a multiple of it.
    precision : str
        Of `svg_pyro.config.PRECISIONS`, see `svg_pyro.model.precision.autocast`.

    Attributes
    ----------
    terms : tuple of torch.Tensor
        `ELBOTerms.per_frame` of the last call: nll and kl, ``(B/R,)``, nats a frame.
        Empty before the first one.
    """

    def __init__(
        self,
        svg: SVG,
        elbo: Trace_ELBO,
        accumulate: int = 1,
        precision: str = "float32",
    ) -> None:
        device = next(svg.parameters()).device
        self._svg = svg
        self._objective = averaging_gradients(_Objective(svg, elbo, precision), device)
        self._accumulate, self._precision = accumulate, precision
        self.terms: tuple[torch.Tensor, ...] = ()

    def __call__(
        self,
        model: Callable[..., Any],
        guide: Callable[..., Any],
        frames: torch.Tensor,
        inputs: torch.Tensor | None = None,
        lengths: Sequence[int] | torch.Tensor | None = None,
        actions: torch.Tensor | None = None,
        kl_weight: float = 1.0,
    ) -> torch.Tensor:
        """Add to the gradients.

        Parameters
        ----------
        model, guide : callable
            The SVG's own, as SVI passes them.
        frames : torch.Tensor
            This process's part of a batch, ``(B/R, T, C, H, W)``, floats in [0, 1].
        inputs : torch.Tensor, optional
            What the predictor sees in their place; see
            `svg_pyro.training.own_means`.
        lengths : sequence of int or torch.Tensor, optional
            Of padded clips, ``(B/R,)``; see `SVG.model`. The gradient is that of -ELBO
            in nats a real frame, over all B clips.
        actions : torch.Tensor, optional
            Of a model with actions, ``(B/R, T-1, A)``; see `SVG.model`.
        kl_weight : float
            Of the KL beside the likelihood, above 0; see `svg_pyro.training.kl_warmup`.

        Returns
        -------
        torch.Tensor
            -ELBO of these frames, its KL weighed, a scalar in nats a frame, on their
            device.

        Raises
        ------
        TrainingError
            In the first call, among several processes, if it does not use a weight.
        """
        scored: float = frames.shape[0] * (frames.shape[1] - 1)
        if lengths is not None:
            lengths = torch.as_tensor(lengths)
            scored = _mean_over_processes(int(lengths.sum()) - len(lengths))
        chunks = frames.chunk(self._accumulate)
        given = (
            [None] * len(chunks) if x is None else x.chunk(len(chunks))
            for x in (inputs, lengths, actions)
        )
        *first, last = zip(chunks, *given, strict=True)
        # Gradients are exchanged once a step, with those of the last chunk.
        with without_averaging(self._objective):
            parts = [self._add(scored, kl_weight, *chunk) for chunk in first]
        parts.append(self._add(scored, kl_weight, *last))
        if not self.terms:
            self._check_used()
        losses, nll, kl = zip(*parts, strict=True)
        self.terms = torch.cat(nll), torch.cat(kl)
        return torch.stack(losses).sum()

    def _check_used(self) -> None:
        """Refuse, among several processes, weights that a step does not use.

        DistributedDataParallel would wait for their gradients, and fail a step later.
        """
        if not distributed.joined():
            return
        weights = self._svg.named_parameters()
        idle = [name for name, p in weights if p.requires_grad and p.grad is None]
        if idle:
            raise TrainingError(
                f"no step of training uses {idle[0]} ({len(idle)} such weights); with "
                "several processes each must be used: leave it out of the model, or "
                "set requires_grad to False"
            )

    def _add(
        self,
        scored: float,
        kl_weight: float,
        chunk: torch.Tensor,
        *given: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A chunk's share of the loss, and its clips' nll and kl."""
        with tf32(chunk.device, self._precision == "tf32"):
            with ELBOTerms() as terms:
                loss = self._objective(chunk, *given, kl_weight)
            # In nats a frame, so that clip_norm does not depend on the batch.
            loss = loss / scored
            loss.backward()
        nll, kl = terms.per_frame()
        return loss.detach(), nll, kl / kl_weight


def _mean_over_processes(count: int) -> float:
    """So that gradients, averaged over processes, are those of all clips' frames."""
    return distributed.mean([count])[0] if distributed.joined() else count


def check_batch(config: TrainingConfig) -> None:
    """Raise ConfigError if a batch cannot be cut into equal chunks.

    Parameters
    ----------
    config : TrainingConfig
        Its `batch_size` and `accumulate`.

    Raises
    ------
    ConfigError
        If processes times chunks do not divide the batch.
    """
    ranks = distributed.ranks()
    if config.batch_size % (ranks * config.accumulate):
        shares = f"{ranks} processes with " if ranks > 1 else ""
        raise ConfigError(
            f"a batch_size of {config.batch_size} cannot be cut equally for {shares}"
            f"accumulate = {config.accumulate}; make it a multiple of "
            f"{ranks * config.accumulate}",
            advice=("batch_size", "accumulate"),
        )


def latents_seed(seed: int, rank: int, step: int) -> int:
    """The seed of a step's latents in a process other than the first one.

    A function of its arguments alone, so that it need not be in the checkpoint.

    Parameters
    ----------
    seed : int
        Of the run.
    rank, step : int
        Of the process and of the step, counted from 0.
    """
    return seed_of(seed, rank, step)
