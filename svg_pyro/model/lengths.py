"""Clips of several lengths in one batch: which frames are real, and which padding.

Networks see the real frames alone, in a row, so that BatchNorm's statistics are theirs;
what is computed of them is put back to its place, with zeros in place of the padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from svg_pyro.errors import FramesError


@dataclass(frozen=True, eq=False)
class Places:
    """The real ones of n neighbouring frames of each of B clips.

    Attributes
    ----------
    mask : torch.Tensor
        bool, ``(B, n)``: which are real.
    index : torch.Tensor
        int64, ``(N,)``: their places in the clips' frames in a row.
    """

    mask: torch.Tensor
    index: torch.Tensor

    def take(self, x: torch.Tensor, event_dim: int) -> torch.Tensor:
        """The real ones in a row: ``(*, B, n, *event)`` to ``(*, N, *event)``."""
        row: torch.Tensor = x.flatten(-event_dim - 2, -event_dim - 1)
        return row.index_select(-event_dim - 1, self.index)

    def put(self, row: torch.Tensor, event_dim: int) -> torch.Tensor:
        """The inverse of `take`, with zeros in place of the padding."""
        dim = row.dim() - event_dim - 1
        shape = *row.shape[:dim], self.mask.numel(), *row.shape[dim + 1 :]
        padded = row.new_zeros(shape).index_copy(dim, self.index, row)
        whole: torch.Tensor = padded.unflatten(dim, self.mask.shape)
        return whole


@dataclass(frozen=True, eq=False)
class Lengths:
    """How many of a clip's frames are real: the first ones.

    Attributes
    ----------
    values : torch.Tensor
        int64, ``(B,)``, on the CPU, so that no device is waited for.
    steps : int
        Frames of the batch, padding included.
    device : torch.device
        Of the frames.
    """

    values: torch.Tensor
    steps: int
    device: torch.device

    @property
    def latents(self) -> torch.Tensor:
        """Latents of each clip, one less than frames; ``(B,)``, on the device."""
        return self._there(self.values - 1)

    def mask(self, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Which of frames `start` to `stop` are real; bool, ``(B, n)``, on the CPU."""
        return torch.arange(self.steps)[start:stop] < self.values[:, None]

    def places(self, start: int = 0, stop: int | None = None) -> Places:
        """The real ones of frames `start` to `stop`, counted from 0 as in a slice."""
        mask = self.mask(start, stop)
        index = mask.flatten().nonzero().squeeze(1)
        return Places(self._there(mask), self._there(index))

    def _there(self, values: torch.Tensor) -> torch.Tensor:
        return values.to(self.device, non_blocking=True)


def same_lengths(one: Lengths | None, other: Lengths | None) -> bool:
    """Whether both leave the same frames out."""
    if one is None or other is None:
        return one is other
    return torch.equal(one.values, other.values)


def lengths_of(
    lengths: Sequence[int] | torch.Tensor | None, frames: torch.Tensor
) -> Lengths | None:
    """Checked lengths of a batch of clips; None where all frames are real.

    Parameters
    ----------
    lengths : sequence of int or torch.Tensor, optional
        Of each clip, ``(B,)``.
    frames : torch.Tensor
        The clips, ``(B, T, C, H, W)``.

    Raises
    ------
    FramesError
        When they are no whole numbers, there is not one for each clip, or one is below
        2 (of a single frame nothing is scored) or above T.
    """
    if lengths is None:
        return None
    values = torch.as_tensor(lengths).detach().cpu()
    clips, steps = frames.shape[:2]
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise FramesError(f"lengths are {values.dtype}; give whole numbers")
    if tuple(values.shape) != (clips,):
        raise FramesError(
            f"lengths have shape {tuple(values.shape)}; give one for each of the "
            f"{clips} clips"
        )
    bad = ((values < 2) | (values > steps)).nonzero()
    if len(bad):
        clip = int(bad[0])
        raise FramesError(
            f"the length of clip {clip} is {int(values[clip])}; give 2 to {steps}, the "
            "frames of the batch"
        )
    return Lengths(values.long(), steps, frames.device)
