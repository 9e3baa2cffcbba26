"""Several processes that work together, as ``torchrun`` starts them.

What they tell each other (settings, a request to stop, a loss that is not finite,
scores) goes by way of the CPU over gloo, so that no process waits for its device to say
it. Gradients do not: see `svg_pyro.training.averaging`. Without torchrun there is one
process, and every function here does the obvious at no cost.
"""

import contextlib
import datetime
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist

from svg_pyro.errors import ConfigError, ProcessError, SVGError

if TYPE_CHECKING:  # a PyTorch built without torch.distributed has none
    from torch.distributed.distributed_c10d import Store

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
# The others wait while the first process downloads a data set. That a process has
# ended is noticed at once whatever the limit, for its connections close.
_PATIENCE = datetime.timedelta(days=1)
# The first process, then the first one of each other machine, then all.
_TURNS = 3

T = TypeVar("T")


def joined() -> bool:
    """Whether this process is one of a group, perhaps of one."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """The number of this process, counted from 0; 0 is the one that writes."""
    return dist.get_rank() if joined() else 0


def ranks() -> int:
    """How many processes work together."""
    return dist.get_world_size() if joined() else 1


def local_rank() -> int:
    """The number of this process among those of its machine."""
    return int(os.environ.get("LOCAL_RANK", 0)) if joined() else 0


def start() -> None:
    """Join the processes that torchrun has started; do nothing without torchrun.

    From then on only the first process prints.

    Raises
    ------
    ProcessError
        If the others cannot be reached.
    """
    if joined() or not all(name in os.environ for name in _VARIABLES):
        return
    from torch.distributed.rendezvous import rendezvous

    with reporting_lost_processes():
        store, number, count = next(rendezvous("env://", timeout=_PATIENCE))
        dist.init_process_group(
            "gloo",
            timeout=_PATIENCE,
            store=_of_this_attempt(store),
            rank=number,
            world_size=count,
        )
    if rank() > 0:
        # Open for as long as the process prints.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _of_this_attempt(store: "Store") -> "Store":
    """`store`, without what processes of an earlier attempt have left in it.

    torchrun gives every attempt the same store. A process that comes first would find
    the address of one that was killed, and wait for it in vain. Machines count their
    attempts each for itself, so that several share the names as PyTorch has them.
    """
    if os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        return store
    from torch.distributed.distributed_c10d import PrefixStore

    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return PrefixStore(f"attempt {attempt}", store)


def launched() -> bool:
    """Whether torchrun has started this process."""
    return "TORCHELASTIC_RESTART_COUNT" in os.environ


def restarted() -> bool:
    """Whether torchrun has started the processes again, after one has failed."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") not in ("", "0")


def end() -> None:
    """Leave the group, when all have come so far."""
    if joined():
        with reporting_lost_processes():
            dist.barrier()
            dist.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """The device of this process: for CUDA, that of its number on its machine.

    Parameters
    ----------
    device : torch.device
        What was asked for.

    Returns
    -------
    torch.device
        `device`, numbered if it is CUDA's in a group.

    Raises
    ------
    ConfigError
        If the device has a number already, or the machine has too few.
    """
    if not joined() or device.type != "cuda":
        return device
    if device.index is not None:
        raise ConfigError(
            f"device {device} was chosen, but torchrun gives each process a device of "
            "its own; choose cuda",
            advice=("device",),
        )
    if local_rank() >= torch.cuda.device_count():
        raise ConfigError(
            f"process {local_rank()} of this machine has no CUDA device of its own; "
            f"give torchrun --nproc_per_node={torch.cuda.device_count()}"
        )
    device = torch.device("cuda", local_rank())
    torch.cuda.set_device(device)
    return device


def from_first(make: Callable[[], T]) -> T:
    """What ``make()`` gives in the first process, in all; only that one calls it."""
    if ranks() == 1:
        return make()
    box: list[Any] = [make() if rank() == 0 else None]
    with reporting_lost_processes():
        dist.broadcast_object_list(box, src=0)
    made: T = box[0]
    return made


def gathered(value: T) -> list[T]:
    """The processes' values in their order, in the first process; in others none.

    Parameters
    ----------
    value : Any
        Of this process; what pickle can take. Tensors are to be on the CPU.
    """
    if ranks() == 1:
        return [value]
    box: list[Any] | None = [None] * ranks() if rank() == 0 else None
    with reporting_lost_processes():
        dist.gather_object(value, box, dst=0)
    return box or []


def true_in_any(flag: bool) -> bool:
    """Whether `flag` is true in any process; all must ask."""
    return bool(highest(int(flag)))


def highest(number: int) -> int:
    """The highest of the processes' numbers; all must ask."""
    if ranks() == 1:
        return number
    value = torch.tensor([number])
    with reporting_lost_processes():
        dist.all_reduce(value, dist.ReduceOp.MAX)
    return int(value)


def mean(values: list[float]) -> list[float]:
    """The means over the processes of some floats; all must ask."""
    if ranks() == 1:
        return values
    total = torch.tensor(values, dtype=torch.float64)
    with reporting_lost_processes():
        dist.all_reduce(total)
    return [x / ranks() for x in total.tolist()]


def wait_turn() -> None:
    """Wait until those have made the data whose files this process will read.

    First comes the first process, alone; then the first one of each other machine,
    whose files may be others; then the rest. Each says `pass_turn` when it is done.
    """
    _barriers(_turn())


def pass_turn() -> None:
    """Let the next ones make or read the data; wait until all have begun to."""
    _barriers(_TURNS - 1 - _turn())


def _turn() -> int:
    return 0 if rank() == 0 else 1 if local_rank() == 0 else 2


def _barriers(count: int) -> None:
    if ranks() > 1:
        with reporting_lost_processes():
            for _ in range(count):
                dist.barrier()


@contextlib.contextmanager
def reporting_lost_processes() -> Iterator[None]:
    """Say in one line that another process has ended, where PyTorch says it in many.

    Raises
    ------
    ProcessError
        If what runs inside cannot reach another process.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, SVGError) or not _is_of_the_group(error):
            raise
        raise ProcessError(
            f"process {os.environ.get('RANK', '?')} has lost contact with the others; "
            "one has most likely ended: see what it says; resume from what was saved "
            "last",
            advice=("resume",),
        ) from error


def _is_of_the_group(error: RuntimeError) -> bool:
    if not dist.is_available():
        return False
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()
