"""Tensors from bytes."""

import torch


def to_float(
    frames: torch.Tensor, device: torch.device | str | None = None
) -> torch.Tensor:
    """Frames as a model takes them.

    Parameters
    ----------
    frames : torch.Tensor
        uint8, any shape, values 0 to 255.
    device : torch.device or str, optional
        Where the result lies; by default where `frames` does.

    Returns
    -------
    torch.Tensor
        float32, the shape of `frames`, values in [0, 1].
    """
    return frames.to(device, non_blocking=True).to(torch.float32).div_(255)
