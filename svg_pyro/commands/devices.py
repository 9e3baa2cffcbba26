"""The device that a command works on, and what its processor is no good for."""

import torch

from svg_pyro.errors import ConfigError
from svg_pyro.util import distributed
from svg_pyro.util.allocator import keep_freed_memory
from svg_pyro.util.words import one_line


def choose_device(name: str | None) -> torch.device:
    """The device to work on: `name`, else CUDA where there is one, else the CPU.

    Under torchrun each process gets a CUDA device of its own. For work on the CPU the
    process keeps its freed memory from then on.

    Parameters
    ----------
    name : str or None
        "cuda", "cpu", or one of several of a kind, as "cuda:1".

    Raises
    ------
    ConfigError
        If there is no such device, it is of a kind on which nothing was tried, or
        under torchrun there is none for this process.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(
            f"no device {one_line(name, 40)!r}; give cuda or cpu"
        ) from None
    if device.type not in ("cuda", "cpu"):
        raise ConfigError(
            f"device {name!r}: only cuda and cpu have been tried (scores need float64, "
            "which some others lack); give one of them"
        )
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device was found; give --device cpu")
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if (device.index or 0) >= count:
        raise ConfigError(f"no device {name}: there are {count}, counted from 0")
    if device.type == "cpu":
        keep_freed_memory()
    return distributed.own_device(device)


def warn_of_useless_precision(precision: str, device: torch.device) -> None:
    """Print a line where a precision wins nothing on a device.

    Parameters
    ----------
    precision : str
        One of `svg_pyro.config.PRECISIONS`.
    device : torch.device
        Where the work will be done.
    """
    if precision == "tf32" and device.type != "cuda":
        print(f"only NVIDIA's GPUs have TF32; {device.type} computes in float32")
    slow = torch.backends.cpu.get_cpu_capability() == "AVX2"
    if precision == "bf16" and device.type == "cpu" and slow:
        print(
            "this processor has no bfloat16 arithmetic and imitates it, many times "
            "slower than float32; leave --precision bf16 out"
        )
