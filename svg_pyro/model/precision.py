"""The precision in which convolutions and products are computed."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


@contextlib.contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """Run convolutions in a precision of `svg_pyro.config.PRECISIONS`.

    In "bf16" LSTMs, distributions and the likelihood stay in the weights' own one.

    Parameters
    ----------
    device : torch.device
        Where the work is done.
    precision : str
        "float32", "tf32" or "bf16".
    """
    low = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
    with tf32(device, precision == "tf32"), low:
        yield


@contextlib.contextmanager
def tf32(device: torch.device, allowed: bool) -> Iterator[None]:
    """Let NVIDIA's tensor cores round float32 inputs to 10 bits of fraction, or not.

    PyTorch's own default lets convolutions do so and other products not. What a program
    has set by PyTorch's newer ``fp32_precision`` is left as it is, since that cannot be
    mixed with the flags that all supported versions have.

    Parameters
    ----------
    device : torch.device
        Nothing is changed but on "cuda".
    allowed : bool
        Whether they may round.
    """
    backends: tuple[Any, Any] = torch.backends.cudnn, torch.backends.cuda.matmul
    try:
        before = [backend.allow_tf32 for backend in backends]
    except RuntimeError:
        before = None
    if device.type != "cuda" or before is None:
        yield
        return
    try:
        for backend in backends:
            backend.allow_tf32 = allowed
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """What `autocast` runs convolutions in on a device now; None in float32."""
    if torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return None
