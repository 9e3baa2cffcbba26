"""The time from a shell to the first future of weights that ship."""

import statistics
import subprocess
import sys
import time

from svg_pyro.commands.benchmarks.tables import Row
from svg_pyro.model.pretrained import shipped

_FIRST_FUTURE = """
import torch, svg_pyro
svg = svg_pyro.load({name!r})
size = svg.config.image_size
context = torch.rand(1, svg.config.n_past, svg.config.channels, size, size)
steps, size = svg.config.n_past - 1 + 10, svg.config.action_dim
given = {{"actions": torch.zeros(1, steps, size)}} if size else {{}}
svg_pyro.Sampler(svg).predict(context, horizon=10, num_samples=1, **given)
"""


def first_futures(repeats: int) -> list[Row]:
    """Median seconds of a process that loads a model and samples one future.

    By the clock on the wall, Python's start and all imports included; one process
    before those that are counted has the files read from the disk.

    Parameters
    ----------
    repeats : int
        Processes that are counted.
    """
    rows = []
    for name in shipped():
        command = [sys.executable, "-c", _FIRST_FUTURE.format(name=name)]
        seconds = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            subprocess.run(command, check=True)
            seconds.append(time.perf_counter() - start)
        rows.append(
            {"one future of 10 frames": name, "s": statistics.median(seconds[1:])}
        )
    return rows
