"""Several processes that train together, as ``torchrun`` starts them.

PyTorch's DistributedDataParallel averages their gradients. All else that they tell
each other (settings, a request to stop, a loss that is not finite) goes by way of the
CPU over gloo, so that no process waits for its device to say it. Without torchrun
there is one process, and every function here does the obvious at no cost.
"""

import contextlib
import datetime
import os
import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from svg_pyro.errors import ConfigError, SVGError, TrainingError

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
# The others wait while the first process downloads a data set. That a process has
# ended is noticed at once whatever the limit, for its connections close.
_PATIENCE = datetime.timedelta(days=1)
# The first process, then the first one of each other machine, then all.
_TURNS = 3


def joined():
    """Whether this process is one of a group, perhaps of one."""
    return dist.is_available() and dist.is_initialized()


def rank():
    """The number of this process, counted from 0; 0 is the one that writes."""
    return dist.get_rank() if joined() else 0


def ranks():
    """How many processes train together."""
    return dist.get_world_size() if joined() else 1


def local_rank():
    """The number of this process among those of its machine."""
    return int(os.environ.get("LOCAL_RANK", 0)) if joined() else 0


def start():
    """Join the processes that torchrun has started; do nothing without torchrun.

    From then on only the first process prints.

    Raises
    ------
    TrainingError
        The others cannot be reached.
    """
    if joined() or not all(name in os.environ for name in _VARIABLES):
        return
    with contact():
        dist.init_process_group("gloo", timeout=_PATIENCE)
    if rank() > 0:
        sys.stdout = open(os.devnull, "w")


def end():
    """Leave the group, when all have come so far."""
    if joined():
        with contact():
            dist.barrier()
            dist.destroy_process_group()


def own_device(device):
    """The device of this process: for CUDA, that of its number on its machine.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    torch.device

    Raises
    ------
    ConfigError
        The device has a number already, or the machine has too few.
    """
    if not joined() or device.type != "cuda":
        return device
    if device.index is not None:
        raise ConfigError(
            f"--device {device} under torchrun, which gives each process a device of "
            "its own; give --device cuda"
        )
    if local_rank() >= torch.cuda.device_count():
        raise ConfigError(
            f"process {local_rank()} of this machine has no CUDA device of its own; "
            f"give torchrun --nproc_per_node={torch.cuda.device_count()}"
        )
    device = torch.device("cuda", local_rank())
    torch.cuda.set_device(device)
    return device


def averaging_gradients(module, device):
    """`module`, whose backward pass averages the gradients over the processes.

    Their parameters become the first process's, and before each forward pass their
    buffers (BatchNorm's statistics) too. Without a group it is `module` itself.

    Parameters
    ----------
    module : torch.nn.Module
        With its parameters on `device`.
    device : torch.device
    """
    if not joined():
        return module
    if device.type == "cuda":
        group = dist.new_group(backend="nccl")
        return DistributedDataParallel(module, device_ids=[device], process_group=group)
    return DistributedDataParallel(module)


def without_averaging(module):
    """A context in which backward passes of such a module only add to its gradients."""
    if isinstance(module, DistributedDataParallel):
        return module.no_sync()
    return contextlib.nullcontext()


def from_first(make):
    """What ``make()`` gives in the first process, in all; only that one calls it."""
    if ranks() == 1:
        return make()
    box = [make() if rank() == 0 else None]
    with contact():
        dist.broadcast_object_list(box, src=0)
    return box[0]


def anywhere(flag):
    """Whether `flag` is true in any process."""
    if ranks() == 1:
        return flag
    value = torch.tensor([int(flag)])
    with contact():
        dist.all_reduce(value, dist.ReduceOp.MAX)
    return bool(value)


def mean(values):
    """The means over the processes of some floats."""
    if ranks() == 1:
        return values
    total = torch.tensor(values, dtype=torch.float64)
    with contact():
        dist.all_reduce(total)
    return (total / ranks()).tolist()


def wait_turn():
    """Wait until those have made the data whose files this process will read.

    First comes the first process, alone; then the first one of each other machine,
    whose files may be others; then the rest. Each says `pass_turn` when it is done.
    """
    _barriers(_turn())


def pass_turn():
    """Let the next ones make or read the data; wait until all have begun to."""
    _barriers(_TURNS - 1 - _turn())


def _turn():
    return 0 if rank() == 0 else 1 if local_rank() == 0 else 2


def _barriers(count):
    if ranks() > 1:
        with contact():
            for _ in range(count):
                dist.barrier()


@contextlib.contextmanager
def contact():
    """Say in one line that another process has ended, where PyTorch says it in many.

    Raises
    ------
    TrainingError
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, SVGError) or not _is_of_the_group(error):
            raise
        raise TrainingError(
            f"process {os.environ.get('RANK', '?')} has lost contact with the others; "
            "one has most likely ended: see what it says; --resume goes on from the "
            "last checkpoint"
        ) from error


def _is_of_the_group(error):
    if not dist.is_available():
        return False
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()
