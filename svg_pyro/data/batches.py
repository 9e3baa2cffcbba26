"""From data sets to batches: which clips a training step sees, and who reads them."""

import atexit
import functools
import os
import signal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from svg_pyro.errors import ConfigError, DataError, SVGError


def batch_of(dataset, batch_size, step, seed=0, rank=0, ranks=1):
    """The batch that training step `step` sees: a function of its arguments alone.

    Every epoch visits the videos once, in an order drawn from ``(seed, epoch)``. A
    batch may hold the end of one epoch and the start of the next; of a set smaller
    than a batch it holds several epochs, each of which may cut other windows.

    Parameters
    ----------
    dataset : ClipDataset
    batch_size : int
        Clips of all ranks together, a multiple of `ranks`.
    step : int
        Training step, counted from 0.
    seed : int
    rank, ranks : int
        Of the processes that train together, each gets the clips `rank`,
        ``rank + ranks``, ... of the batch: no two get the same.

    Returns
    -------
    frames : torch.Tensor
        uint8, shape ``(batch_size // ranks, T, C, H, W)``.
    indices : list of int
        The videos, in the order of the batch.

    Raises
    ------
    DataError
        The data set is empty.
    ConfigError
        The batch cannot be shared equally.
    """
    if len(dataset) == 0:
        raise DataError("the data set is empty: it holds no video to train on")
    if batch_size % ranks:
        raise ConfigError(
            f"a batch of {batch_size} clips cannot be shared by {ranks} processes; "
            f"make --batch-size a multiple of {ranks}"
        )
    positions = range(step * batch_size + rank, (step + 1) * batch_size, ranks)
    places = [divmod(position, len(dataset)) for position in positions]
    drawn = [
        (epoch, _order(len(dataset), seed, epoch)[place]) for epoch, place in places
    ]
    clips = [dataset.clip(index, epoch) for epoch, index in drawn]
    return torch.stack(clips), [index for _, index in drawn]


@functools.lru_cache(maxsize=4)
def _order(count, seed, epoch):
    """The order in which an epoch visits the videos."""
    return np.random.default_rng([seed, epoch]).permutation(count).tolist()


class _Steps(Dataset):
    """Whole batches, numbered by the step that sees them."""

    def __init__(self, dataset, batch_size, seed, rank, ranks):
        self.arguments = dataset, batch_size
        self.options = {"seed": seed, "rank": rank, "ranks": ranks}

    def __getitem__(self, step):
        dataset, batch_size = self.arguments
        try:
            return batch_of(dataset, batch_size, step, **self.options)
        except SVGError as error:
            return error  # raised by a worker, it would come as a page of text


def batches(dataset, batch_size, steps, seed=0, workers=0, rank=0, ranks=1, pin=False):
    """The batches of some training steps in their order, read ahead by processes.

    What is read does not depend on `workers`.

    Parameters
    ----------
    dataset, batch_size, seed, rank, ranks
        As in `batch_of`.
    steps : range
        The training steps, counted from 0.
    workers : int
        Processes that read ahead; 0 reads when a batch is asked for. More than 0
        need the script to be guarded by ``if __name__ == "__main__":``.
    pin : bool
        Put the frames into page-locked memory, from which copies to CUDA devices
        need not be waited for.

    Yields
    ------
    tuple
        As `batch_of` returns.

    Raises
    ------
    ConfigError, DataError
        As `batch_of`; also if a worker dies.
    """
    if workers < 0:
        raise ConfigError(f"workers is {workers}; give 0 or more")
    # "spawn" is safe whatever threads the caller has started.
    ahead = {"multiprocessing_context": "spawn", "worker_init_fn": _prepare_worker}
    loader = DataLoader(
        _Steps(dataset, batch_size, seed, rank, ranks), batch_size=None, sampler=steps,
        num_workers=workers, pin_memory=pin,
        # Its own, or it would take numbers from the global random state.
        generator=torch.Generator(), **(ahead if workers else {}),
    )  # fmt: skip
    try:
        for batch in loader:
            if isinstance(batch, SVGError):
                raise batch
            yield batch
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            "a process that reads clips ahead has died, most likely for want of "
            "memory; lower --workers"
        ) from error


def _prepare_worker(_):
    # Ctrl-C, and torchrun's SIGTERM, reach the workers too, but it is the training loop
    # that answers them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Python ends a daemon thread by unwinding it: where that meets PyTorch's frames in
    # the thread that sends the batches, the process would abort with a message.
    atexit.register(os._exit, 0)
