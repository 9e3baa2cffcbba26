"""Batches of training steps, read ahead by processes of their own."""

import atexit
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from svg_pyro.data.base import ClipDataset
from svg_pyro.data.batches import Batch, batch_of
from svg_pyro.errors import ConfigError, DataError, SVGError
from svg_pyro.util.checks import check_whole

# Status of a process that would begin the script's work again.
_UNGUARDED = 87


class _Steps(Dataset[Batch | SVGError]):
    """Whole batches, numbered by the step that sees them."""

    def __init__(
        self, dataset: ClipDataset, batch_size: int, options: dict[str, int]
    ) -> None:
        self._dataset, self._batch_size, self._options = dataset, batch_size, options

    def __getitem__(self, step: int) -> Batch | SVGError:
        try:
            return batch_of(self._dataset, self._batch_size, step, **self._options)
        except SVGError as error:
            return error  # raised by a worker, it would come as a page of text


def batches(
    dataset: ClipDataset,
    batch_size: int,
    steps: range,
    *,
    seed: int = 0,
    workers: int = 0,
    rank: int = 0,
    ranks: int = 1,
    pin: bool = False,
) -> Iterator[Batch]:
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
    Batch
        As `batch_of` returns.

    Raises
    ------
    ConfigError
        `batch_size` is no multiple of `ranks`, or `workers` is negative.
    DataError
        The data set is empty, a clip cannot be read or is not what `ClipDataset`
        promises, or a worker dies.
    """
    check_whole("workers", workers, least=0, error=ConfigError)
    # "spawn" is safe whatever threads the caller has started.
    if workers:
        leave_imported_script()
    options = {"seed": seed, "rank": rank, "ranks": ranks}
    loader: DataLoader[Batch | SVGError] = DataLoader(
        _Steps(dataset, batch_size, options),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        pin_memory=pin,
        # Its own, or it would take numbers from the global random state.
        generator=torch.Generator(),
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_prepare_worker if workers else None,
    )
    with _undisturbed_by_children():
        read_ahead = iter(loader)
    try:
        for batch in read_ahead:
            if isinstance(batch, SVGError):
                raise batch
            yield batch
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(_why_dead(read_ahead)) from error
    finally:
        # Not left to the last reference: an error on its way holds one, and a program
        # that ends would wait for processes that heed no signal.
        getattr(read_ahead, "_shutdown_workers", _nothing)()


def _nothing() -> None:
    pass


@contextlib.contextmanager
def _undisturbed_by_children() -> Iterator[None]:
    """Take back the handler by which PyTorch raises wherever the program just is.

    A dead worker is noticed all the same, within seconds, when a batch is asked for.
    """
    child = getattr(signal, "SIGCHLD", None)
    if child is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(child)
    try:
        yield
    finally:
        signal.signal(child, signal.SIG_DFL if before is None else before)


def leave_imported_script() -> None:
    """End a process that reads ahead, where its import of the script comes to here.

    A script that does not guard its work by ``if __name__ == "__main__":`` would begin
    it again in each of them, and fail at length.
    """
    # Set while a process imports the script of the one that has started it.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(_UNGUARDED)


def _why_dead(read_ahead: object) -> str:
    codes = [getattr(w, "exitcode", None) for w in getattr(read_ahead, "_workers", [])]
    if _UNGUARDED in codes:
        return (
            "the script begins its work again in each process that reads clips ahead; "
            'put it under if __name__ == "__main__":, or ask for no workers'
        )
    if any(code is not None and code > 0 for code in codes):
        return (
            "a process that reads clips ahead could not begin; the data set's class "
            "must be importable, from a file and not from a notebook: ask for no "
            "workers, or move it"
        )
    return (
        "a process that reads clips ahead has died, most likely for want of "
        "memory; ask for fewer workers"
    )


def _prepare_worker(_: int) -> None:
    # Ctrl-C, and torchrun's SIGTERM, reach the workers too, but it is the training loop
    # that answers them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Python ends a daemon thread by unwinding it: where that meets PyTorch's frames in
    # the thread that sends the batches, the process would abort with a message.
    atexit.register(os._exit, 0)
