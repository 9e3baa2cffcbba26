"""What a second process brings: training by torchrun's means, one thread each."""

import dataclasses
import os
import socket
import statistics
import time

import torch
from torch import multiprocessing

from benchmarks.workloads import DCGAN, Ours
from svg_pyro.training import distributed

_BATCH = 8
_STEPS = 4


def efficiency():
    """Rows of 1 and 2 processes with a batch each, and their share of the ideal."""
    seconds = {ranks: _seconds(ranks) for ranks in (1, 2)}
    return [
        {
            "processes": str(ranks),
            "frames/s": ranks * _BATCH * 15 / taken,
            "% of the ideal": 100 * seconds[1] / taken,
        }
        for ranks, taken in seconds.items()
    ]


def _seconds(ranks):
    """Median seconds of a step that all processes take together."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    multiprocessing.spawn(_work, (ranks, port, queue), nprocs=ranks)
    return queue.get()


def _work(rank, ranks, port, queue):
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    distributed.start()
    ours = Ours(dataclasses.replace(DCGAN, width=32), torch.device("cpu"))
    frames = torch.rand(_BATCH, 15, 1, 64, 64)
    times = []
    for _ in range(_STEPS + 1):
        start = time.perf_counter()
        ours.train_step(frames)
        times.append(time.perf_counter() - start)
    if rank == 0:
        queue.put(statistics.median(times[1:]))
    distributed.end()
