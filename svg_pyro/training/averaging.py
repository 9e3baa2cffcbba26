"""Gradients that several processes average: PyTorch's DistributedDataParallel."""

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from svg_pyro.util.distributed import joined


def averaging_gradients(module: nn.Module, device: torch.device) -> nn.Module:
    """`module`, whose backward pass averages the gradients over the processes.

    Their parameters become the first process's, and before each forward pass their
    buffers (BatchNorm's statistics) too. Without a group it is `module` itself.

    Parameters
    ----------
    module : torch.nn.Module
        With its parameters on `device`.
    device : torch.device
        Of this process.

    Returns
    -------
    torch.nn.Module
        Called as `module` is.
    """
    if not joined():
        return module
    if device.type == "cuda":
        group = dist.new_group(backend="nccl")
        return DistributedDataParallel(module, device_ids=[device], process_group=group)
    return DistributedDataParallel(module)


def without_averaging(module: nn.Module) -> AbstractContextManager[Any]:
    """A context in which backward passes of such a module only add to its gradients."""
    if isinstance(module, DistributedDataParallel):
        return module.no_sync()
    return contextlib.nullcontext()
