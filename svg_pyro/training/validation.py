"""Clips that a run is validated on, and what follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from svg_pyro.training.trainer import Trainer


@dataclass(frozen=True)
class Validation:
    """Held-out clips, and what follows when they have been scored.

    Attributes
    ----------
    clips : torch.Tensor
        uint8, shape ``(B, T, C, H, W)``.
    then : callable, optional
        Called as ``then(trainer)`` after each validation, for pictures.
    actions : torch.Tensor, optional
        Of a model with actions, ``(B, T - 1, A)``.
    preview : callable, optional
        Called as ``preview(trainer)`` after steps 50, 100 and 200, where no validation
        is due: a run that goes wrong shows it early.
    """

    clips: torch.Tensor
    then: Callable[[Trainer], object] | None = None
    actions: torch.Tensor | None = None
    preview: Callable[[Trainer], object] | None = None
