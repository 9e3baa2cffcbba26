"""Futures of one model many times over: what depends on weights alone is done once."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from svg_pyro.config import check_precision
from svg_pyro.errors import ConfigError
from svg_pyro.model.batch_norm import generating
from svg_pyro.model.checked import check_model
from svg_pyro.model.draws import Draw, each_within
from svg_pyro.model.features import encode
from svg_pyro.model.forecaster import Forecaster
from svg_pyro.model.networks import Networks, folded
from svg_pyro.model.precision import autocast, autocast_dtype
from svg_pyro.model.svg import SVG
from svg_pyro.model.types import Part

_COMPILER = "torch._dynamo", "torch._inductor"


class Sampler(Forecaster):
    """Draws futures as `SVG.futures` and `SVG.predict` do, prepared once for all calls.

    For many calls with the same weights: a planner's, or a stream's.

    Parameters
    ----------
    svg : SVG
        The model. Its encoder and decoder are copied, their BatchNorms folded into
        convolutions.
    precision : str
        One of `svg_pyro.config.PRECISIONS`.
    compiled : bool
        Decode and encode by ``torch.compile(mode="reduce-overhead")``, which on NVIDIA
        GPUs replays CUDA graphs. The first call with another number of clips or samples
        takes much longer, and needs a C++ compiler; CPUs win up to 5 % by it.

    Raises
    ------
    ConfigError
        When `svg` is no model, or the precision is unknown.

    Examples
    --------
    >>> config = svg_pyro.SVGConfig(channels=1, width=4, g_dim=8, z_dim=3, rnn_size=12)
    >>> sampler = Sampler(SVG(config))
    >>> context = torch.rand(2, 2, 1, 64, 64)
    >>> sampler.predict(context, 3, 4).shape
    torch.Size([4, 2, 3, 1, 64, 64])
    """

    def __init__(
        self, svg: SVG, precision: str = "float32", *, compiled: bool = False
    ) -> None:
        check_model(svg)
        check_precision(precision)
        self._svg, self._precision, self._compiled = svg, precision, compiled
        self._device = next(svg.parameters()).device
        networks = Networks(svg.encoder, svg.decoder)
        if svg.config.generation_norm == "running":
            with self._autocast():
                networks = folded(svg, autocast_dtype(self._device))
        elif compiled:
            raise ConfigError(
                'generation_norm is "batch": such networks are not compiled; leave '
                "compiled out"
            )
        self._encoder = networks.encoder
        if compiled:
            networks = _compiled(networks, keep_skips=svg.config.last_frame_skip)
        self._generating = svg.with_networks(networks.encoder, networks.decoder)
        self._weights = _versions(svg)

    @property
    def svg(self) -> SVG:
        """The model that is sampled."""
        return self._svg

    def draws(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int = 1,
        *,
        chunk_size: int | None = None,
        noise: bool = False,
        seed: int | None = None,
        actions: torch.Tensor | None = None,
        grad: bool = False,
    ) -> Iterator[Draw]:
        """What `futures` gives, each with its means; see `SVG.futures`.

        Compiled, the last chunk is drawn in the size of the others and cut.

        Raises
        ------
        FramesError
            As `SVG.futures`.
        ConfigError
            As `SVG.futures`; when the weights have changed since, PyTorch cannot
            compile, or there are to be gradients, which the folded copies have not.
        """
        if grad:
            raise ConfigError(
                "a Sampler's folded copies have no gradients; draw from its model"
            )
        self._svg.check_request(context, horizon, num_samples, chunk_size, actions)
        self._svg.check_draws(noise=noise, seed=seed)
        if _versions(self._svg) != self._weights:
            raise ConfigError(
                "the weights have changed since this Sampler was made; make a new one"
            )
        batch = self._svg.config.generation_norm == "batch"
        mode = generating(self._svg) if batch else contextlib.nullcontext()
        with self._autocast(), torch.no_grad(), mode:
            features = encode(self._encoder, context, shared=True, actions=actions)
        draws = self._generating.draws_of(
            features,
            horizon,
            num_samples,
            chunk_size=chunk_size,
            even=self._compiled,
            noise=noise,
            seed=seed,
        )
        return each_within(draws, self._working)

    def _autocast(self) -> AbstractContextManager[None]:
        return autocast(self._device, self._precision)

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        """Our precision; and what the compiler says, in one line."""
        try:
            with self._autocast():
                yield
        except _CannotCompile as error:
            reason = " ".join(str(error).split("\n\n")[0].split())
            raise ConfigError(
                f"PyTorch cannot compile ({reason}); leave compiled out"
            ) from error


def _versions(svg: SVG) -> list[tuple[int, int | None]]:
    """What differs once a weight or a running statistic has been written or moved."""
    tensors = itertools.chain(svg.parameters(), svg.buffers())
    return [(t.data_ptr(), None if t.is_inference() else t._version) for t in tensors]


def _compiled(networks: Networks, *, keep_skips: bool) -> Networks:
    """`networks` whose forward passes are compiled; skips where they are needed."""

    def encode_frame(x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        h, skips = networks.encoder.forward(x)
        return h, skips if keep_skips else []

    # Not by calling the modules: Pyro's __call__ cannot be traced.
    decoder: Part = networks.decoder
    return Networks(
        _Compiled(encode_frame),
        _Compiled(
            decoder.forward,
            prepare=decoder.prepare,
            warps=getattr(decoder, "warps", False),
        ),
    )


class _Compiled(nn.Module):
    """A network that only generates: compiled, its weights elsewhere."""

    def __init__(
        self,
        forward: Callable[..., Any],
        *,
        prepare: Callable[..., Any] | None = None,
        warps: bool = False,
    ) -> None:
        super().__init__()
        self.training = False
        self.prepare, self.warps = prepare, warps
        self._run = torch.compile(forward, mode="reduce-overhead", dynamic=False)

    def forward(self, *given: Part) -> Part:
        # A replayed CUDA graph writes its results over those of the time before.
        torch.compiler.cudagraph_mark_step_begin()
        try:
            return tree_map(torch.clone, self._run(*given))
        except Exception as error:
            # No type is common to what PyTorch's compiler raises in all versions.
            if not type(error).__module__.startswith(_COMPILER):
                raise
            raise _CannotCompile(str(error)) from error


class _CannotCompile(Exception):
    """Of a type that Pyro does not make again with a page of shapes."""
