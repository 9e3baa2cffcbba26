"""What a second process brings: training by torchrun's means, one thread each."""

import dataclasses
import os
import socket
import statistics
import time
from multiprocessing.queues import SimpleQueue

import torch
from torch import multiprocessing
from torch.multiprocessing.spawn import spawn

from svg_pyro import SVGConfig
from svg_pyro.commands.benchmarks.tables import Row
from svg_pyro.commands.benchmarks.workloads import DCGAN, Ours
from svg_pyro.util import distributed

BATCH = 8
STEPS = 4
CONFIG = dataclasses.replace(DCGAN, width=32)


def efficiency() -> list[Row]:
    """Rows of 1 and 2 processes with a batch each, and their share of the ideal."""
    seconds = {ranks: _seconds(ranks) for ranks in (1, 2)}
    return [
        {
            "processes": str(ranks),
            "frames/s": ranks * BATCH * 15 / taken,
            "% of the ideal": 100 * seconds[1] / taken,
        }
        for ranks, taken in seconds.items()
    ]


def _seconds(ranks: int) -> float:
    """Median seconds of a step that all processes take together."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    spawn(_work, (ranks, port, queue, CONFIG), nprocs=ranks)
    seconds: float = queue.get()
    return seconds


def _work(
    rank: int,
    ranks: int,
    port: int,
    queue: "SimpleQueue[float]",
    config: SVGConfig,
) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    distributed.start()
    ours = Ours(config, torch.device("cpu"))
    frames = torch.rand(BATCH, 15, 1, 64, 64)
    times = []
    for _ in range(STEPS + 1):
        start = time.perf_counter()
        ours.train_step(frames)
        times.append(time.perf_counter() - start)
    if rank == 0:
        queue.put(statistics.median(times[1:]))
    distributed.end()
