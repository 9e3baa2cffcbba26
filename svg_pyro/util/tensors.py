"""Tensors from bytes."""

import torch


def to_float(
    frames: torch.Tensor, device: torch.device | str | None = None
) -> torch.Tensor:
    """uint8 frames on `device` as float32 in [0, 1]."""
    return frames.to(device, non_blocking=True).to(torch.float32).div_(255)
