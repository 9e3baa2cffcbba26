"""Modules' modes and random draws, and their names in Pyro's parameter store."""

import contextlib

import torch


@contextlib.contextmanager
def autocast(device, precision):
    """Run convolutions in a precision of `svg_pyro.config.PRECISIONS`.

    In "bf16" LSTMs, distributions and the likelihood stay in the weights' own one.
    """
    low = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
    with tf32(device, precision == "tf32"), low:
        yield


@contextlib.contextmanager
def tf32(device, allowed):
    """Let NVIDIA's tensor cores round float32 inputs to 10 bits of fraction, or not.

    PyTorch's own default lets convolutions do so and other products not. What a program
    has set by PyTorch's newer ``fp32_precision`` is left as it is, since that cannot be
    mixed with the flags that all supported versions have.
    """
    backends = torch.backends.cudnn, torch.backends.cuda.matmul
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
        for backend, value in zip(backends, before):
            backend.allow_tf32 = value


def autocast_dtype(device):
    """What `autocast` runs convolutions in on a device now; None in float32."""
    if torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return None
