"""Encoder features, computed once for the guide and the model replayed against it.

Both need them. The guide leaves them in its own trace (in the ``infer`` of its site
z); a model that an ELBO replays against that trace finds them there. They live and
die with the trace, so that they can be neither stale nor leaked, and any Pyro ELBO
works unchanged. Where there is no such trace, they are simply computed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import nn

from svg_pyro.model.lengths import Lengths, same_lengths
from svg_pyro.model.pyro_internals import replayed_traces

KEY = "svg_features"

T = TypeVar("T")


def _version(frames: torch.Tensor) -> int | None:
    """What changes when a tensor is written to; None where PyTorch does not count."""
    return None if frames.is_inference() else frames._version


@dataclass(frozen=True, eq=False)
class Features:
    """What the encoder says of a batch of clips.

    Attributes
    ----------
    frames : torch.Tensor
        The clips, shape ``(B, T, C, H, W)``, values in [0, 1].
    h : torch.Tensor
        Features of `inputs`, shape ``(B, T, g_dim)``: what the predictor sees.
    skips : list of torch.Tensor
        Feature maps from fine to coarse, each ``(B, T, channels, h, w)``.
    encoder : torch.nn.Module
        The encoder that computed them.
    shared : dict or None
        What `once` keeps, for features of which many samples are drawn.
    inputs : torch.Tensor
        What the predictor sees in place of `frames`, and a decoder moves; of the same
        shape, and most often the same tensor.
    true_h : torch.Tensor
        Features of `frames`: what prior and guide see.
    lengths : Lengths or None
        Which frames are real, where clips are padded; features of others are 0.
    actions : torch.Tensor or None
        Those that lead from each frame to the next, in the data's units, those of a
        future behind them: ``(B, T - 1 + horizon, A)``; of one clip also those of K
        plans, ``(K, ...)``.
    """

    frames: torch.Tensor
    h: torch.Tensor
    skips: list[torch.Tensor]
    encoder: nn.Module
    shared: dict[str, Any] | None = None
    inputs: torch.Tensor = None  # type: ignore[assignment]  # set from frames
    true_h: torch.Tensor = None  # type: ignore[assignment]  # set from h
    lengths: Lengths | None = None
    actions: torch.Tensor | None = None
    version: int | None = field(init=False)
    training: bool = field(init=False)
    grad: bool = field(init=False)

    def __post_init__(self) -> None:
        if self.inputs is None:
            object.__setattr__(self, "inputs", self.frames)
            object.__setattr__(self, "true_h", self.h)
        object.__setattr__(self, "version", _version(self.frames))
        object.__setattr__(self, "training", self.encoder.training)
        object.__setattr__(self, "grad", torch.is_grad_enabled())

    @property
    def clips(self) -> int:
        """B, or the K of several plans of one clip."""
        return clips_of(self.h, self.actions)

    def actions_from(self, start: int, stop: int | None = None) -> torch.Tensor | None:
        """Of `actions` those that lead on from frames start..stop-1, counted from 0."""
        return None if self.actions is None else self.actions[:, start:stop]

    def are_of(
        self,
        frames: torch.Tensor,
        encoder: nn.Module,
        inputs: torch.Tensor | None = None,
        lengths: Lengths | None = None,
        actions: torch.Tensor | None = None,
    ) -> bool:
        """Whether `encode` with these arguments would now give the same."""
        return (
            self.frames is frames
            and self.inputs is (frames if inputs is None else inputs)
            and same_lengths(self.lengths, lengths)
            and self.actions is actions
            and self.encoder is encoder
            and self.version == _version(frames)
            and self.training == encoder.training
            and self.grad == torch.is_grad_enabled()
        )

    def once(self, name: str, make: Callable[[], T]) -> T:
        """``make()``; of shared features that of the first call, for all samples."""
        if self.shared is None:
            return make()
        if name not in self.shared:
            self.shared[name] = make()
        kept: T = self.shared[name]
        return kept


def clips_of(frames: torch.Tensor, actions: torch.Tensor | None) -> int:
    """How many futures a batch has for each sample: of each clip, or of each plan.

    Parameters
    ----------
    frames : torch.Tensor
        Shape ``(B, ...)``.
    actions : torch.Tensor or None
        Shape ``(B, ...)``, or ``(K, ...)`` where B is 1.
    """
    return len(frames) if actions is None else max(len(frames), len(actions))


def encode(
    encoder: nn.Module,
    frames: torch.Tensor,
    *,
    shared: bool = False,
    inputs: torch.Tensor | None = None,
    lengths: Lengths | None = None,
    actions: torch.Tensor | None = None,
) -> Features:
    """Encode a batch of clips: one call of the encoder for all frames.

    Parameters
    ----------
    encoder : torch.nn.Module
        See `svg_pyro.model.networks.Encoder`.
    frames : torch.Tensor
        Shape ``(B, T, C, H, W)``, values in [0, 1].
    shared : bool
        Whether all that follows from the features is computed once as well: only for
        weights that do not change meanwhile.
    inputs : torch.Tensor, optional
        See `Features`; encoded in the same call.
    lengths : Lengths, optional
        Of padded clips; the encoder is given real frames alone.
    actions : torch.Tensor, optional
        See `Features`; kept beside what is encoded.
    """
    keep: dict[str, Any] | None = {} if shared else None
    if lengths is not None:
        return replace(
            _encode_real(encoder, frames, keep, inputs, lengths), actions=actions
        )
    if inputs is None:
        h, skips = encoder(frames)
        return Features(frames, h, skips, encoder, keep, actions=actions)
    steps = frames.shape[1]
    h, skips = encoder(torch.cat([frames, inputs], 1))
    skips = [skip[:, :steps] for skip in skips]
    true_h, h = h[:, :steps], h[:, steps:]
    return Features(
        frames,
        h,
        skips,
        encoder,
        keep,
        inputs=inputs,
        true_h=true_h,
        actions=actions,
    )


def _encode_real(
    encoder: nn.Module,
    frames: torch.Tensor,
    keep: dict[str, Any] | None,
    inputs: torch.Tensor | None,
    lengths: Lengths,
) -> Features:
    places = lengths.places()
    rows = [places.take(x, 3) for x in (frames, inputs) if x is not None]
    h, skips = encoder(torch.cat(rows) if inputs is not None else rows[0])
    count = len(places.index)
    skips = [places.put(skip[:count], 3) for skip in skips]
    true_h = places.put(h[:count], 1)
    if inputs is None:
        return Features(frames, true_h, skips, encoder, keep, lengths=lengths)
    return Features(
        frames,
        places.put(h[count:], 1),
        skips,
        encoder,
        keep,
        inputs=inputs,
        true_h=true_h,
        lengths=lengths,
    )


def replayed(
    encoder: nn.Module,
    frames: torch.Tensor,
    inputs: torch.Tensor | None = None,
    lengths: Lengths | None = None,
    actions: torch.Tensor | None = None,
) -> Features | None:
    """The features left by the guide whose trace is being replayed, or None."""
    for trace in replayed_traces():
        for node in trace.nodes.values():
            features = (node.get("infer") or {}).get(KEY)
            if isinstance(features, Features) and features.are_of(
                frames, encoder, inputs, lengths, actions
            ):
                return features
    return None
