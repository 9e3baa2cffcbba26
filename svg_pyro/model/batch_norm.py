"""BatchNorm with statistics of each time by itself, as the first code's loop has them.

The first code (github.com/edenton/svg) calls encoder and decoder once for each time,
so that BatchNorm sees the B frames of that time alone. Here all frames still go through
one call; the times stand beside the channels while they are normalised.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from svg_pyro.errors import ConfigError, FramesError
from svg_pyro.model.types import Part
from svg_pyro.util.modes import evaluating

# How often the running statistics move by each of so many times; None: not at all.
Counts = Callable[[int], Sequence[int]]


@contextlib.contextmanager
def generating(svg: Part) -> Iterator[None]:
    """Evaluation mode; with ``generation_norm="batch"`` but for BatchNorm.

    That then takes the statistics of a call's clips, of each sample and time by itself,
    and its running statistics stay as they are.

    Parameters
    ----------
    svg : SVG
        The model, left in the mode it had.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(evaluating(svg))
        if svg.config.generation_norm == "batch":
            stack.enter_context(_by_time(svg))
        yield


@contextlib.contextmanager
def training_statistics(svg: Part, *, once: bool = False) -> Iterator[None]:
    """BatchNorm as ``SVGConfig.batch_norm`` says, where the model is in training mode.

    By time, running statistics move as often as the first code calls the networks: the
    encoder sees x_1, x_2, x_2, x_3, x_3, ..., x_T, each but the first and the last as
    target and as input (SVG-FP encodes each once), the decoder makes x_2, ..., x_T.

    Parameters
    ----------
    svg : SVG
        The model.
    once : bool
        Every frame is encoded but once: inputs are other frames than targets.
    """
    if svg.config.batch_norm == "frames" or not svg.encoder.training:
        yield
        return
    twice = not once and svg.prior is not None and svg.names["prior"] != "fixed"
    with _by_time(svg, _twice if twice else _once, _once):
        yield


def _once(times: int) -> list[int]:
    return [1] * times


def _twice(times: int) -> list[int]:
    return [1] if times == 1 else [1, *[2] * (times - 2), 1]


@contextlib.contextmanager
def _by_time(
    svg: Part, encoded: Counts | None = None, decoded: Counts | None = None
) -> Iterator[None]:
    encode, decode = svg.encoder.forward, svg.decoder.forward

    def encode_by_time(x: torch.Tensor) -> Any:
        with _grouped(svg.encoder, x.shape[:-3], encoded):
            return encode(x)

    def decode_by_time(g: torch.Tensor, *given: Any) -> Any:
        with _grouped(svg.decoder, g.shape[:-1], decoded):
            return decode(g, *given)

    with _forward(svg.encoder, encode_by_time), _forward(svg.decoder, decode_by_time):
        yield


@contextlib.contextmanager
def _grouped(
    network: nn.Module, shape: torch.Size, counts: Counts | None
) -> Iterator[None]:
    """Normalise by group what is folded from the leading dimensions `shape`."""
    with contextlib.ExitStack() as stack:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and (module.training or not counts):
                normalise = functools.partial(_normalised, module, shape, counts)
                stack.enter_context(_forward(module, normalise))
        yield


@contextlib.contextmanager
def _forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Give a module another `forward` for the time of a block."""
    before = vars(module).get("forward")
    vars(module)["forward"] = forward
    try:
        yield
    finally:
        if before is None:
            del vars(module)["forward"]
        else:
            vars(module)["forward"] = before


def _normalised(
    norm: nn.BatchNorm2d, shape: torch.Size, counts: Counts | None, x: torch.Tensor
) -> torch.Tensor:
    """`x` ``(N, C, h, w)``, N folded from ``(*samples, B, T)``: over B, h and w."""
    clips, times = shape[-2:]
    if len(x) != shape.numel():
        raise ConfigError(
            f"BatchNorm met {len(x)} maps of {shape.numel()} frames; networks that "
            "fold frames in another way cannot be normalised by time: leave batch_norm "
            'at "frames" and generation_norm at "running"'
        )
    if clips < 2:
        raise FramesError(
            "there is one clip, and BatchNorm's statistics are to be those of a "
            "call's clips; give 2 or more, or set batch_norm and generation_norm to "
            '"frames" and "running"'
        )
    maps = x.unflatten(0, (-1, clips, times)).movedim(1, 0)
    groups = maps.shape[1] * times
    mean = var = None
    if counts is not None and norm.running_mean is not None:
        mean = norm.running_mean.new_zeros(groups * x.shape[1])
        var = torch.ones_like(mean)
    weight, bias = (None if p is None else p.repeat(groups) for p in _affine(norm))
    maps = F.batch_norm(
        maps.flatten(1, 3),
        mean,
        var,
        weight,
        bias,
        training=True,
        momentum=1.0,  # what it writes are the statistics themselves
        eps=norm.eps,
    )
    if counts is not None and mean is not None and var is not None:
        each = list(counts(times)) * (groups // times)
        _move(norm, mean.view(groups, -1), var.view(groups, -1), each)
    y: torch.Tensor = maps.unflatten(1, (-1, times, x.shape[1]))
    y = y.movedim(0, 1).flatten(0, 2)
    return y.contiguous(memory_format=torch.channels_last)


def _affine(norm: nn.BatchNorm2d) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    return norm.weight, norm.bias


@torch.no_grad()
def _move(
    norm: nn.BatchNorm2d, means: torch.Tensor, variances: torch.Tensor, each: list[int]
) -> None:
    """Move the running statistics as calls in this order would, unbiased variances."""
    running: Any = norm
    for mean, variance, count in zip(means, variances, each, strict=True):
        for _ in range(count):
            running.num_batches_tracked.add_(1)
            share = norm.momentum
            if share is None:
                share = 1 / float(running.num_batches_tracked)
            running.running_mean.lerp_(mean, share)
            running.running_var.lerp_(variance, share)
