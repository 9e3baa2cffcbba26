"""What two gloo processes on this machine do for the tests of training in several."""

import contextlib
import dataclasses
import os
import signal
import socket
import sys
import time

import pyro
import pytest
import torch
import torch.multiprocessing as mp
from support.squares import Squares
from support.steady import frames_of, gradients, steady

from svg_pyro import (
    SVG,
    ConfigError,
    ProcessError,
    SVGConfig,
    TrainingConfig,
    TrainingError,
)
from svg_pyro.training.elbos import ELBOS
from svg_pyro.training.step import LossAndGrads, check_batch
from svg_pyro.training.trainer import Trainer
from svg_pyro.training.validation import Validation
from svg_pyro.util import distributed

RANKS = 2
TINY = SVGConfig(
    channels=1, width=4, g_dim=8, z_dim=3, rnn_size=12, n_past=2, beta=1e-3
)
SHORT = TrainingConfig(
    steps=6,
    batch_size=4,
    n_frames=5,
    lr=2e-3,
    lr_end=1e-4,
    clip_norm=50.0,
    log_every=2,
    validate_every=3,
    save_every=100,
)

GROUP_NORM = dataclasses.replace(TINY, norm="group")
# Of all clips together: 8 of 5 frames.
CASES = {
    "trace": (GROUP_NORM, "trace", 1),
    "mean-field, chunks": (GROUP_NORM, "mean-field", 2),
    "learned sigma": (
        dataclasses.replace(GROUP_NORM, observation="learned-sigma"),
        "trace",
        4,
    ),
    "vgg": (dataclasses.replace(GROUP_NORM, backbone="vgg"), "trace", 1),
}


def environment(port):
    """What keeps a group on this machine, whatever its network is like."""
    names = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    if sys.platform == "linux":
        names["GLOO_SOCKET_IFNAME"] = "lo"
    return names


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def in_two_processes(work, *arguments):
    """Run ``work(*arguments)`` in each of two processes that have joined.

    `work` must be a function of a module, and keep its results in files.
    """
    mp.spawn(_join, (free_port(), work, arguments), RANKS)


@contextlib.contextmanager
def a_group_of_one():
    """This process as torchrun --nproc_per_node=1 would start it."""
    with pytest.MonkeyPatch.context() as patch:
        names = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
        for name, value in (environment(free_port()) | names).items():
            patch.setenv(name, value)
        distributed.start()
        try:
            yield
        finally:
            distributed.end()


def _join(rank, port, work, arguments):
    os.environ.update(
        environment(port), RANK=str(rank), WORLD_SIZE=str(RANKS), LOCAL_RANK=str(rank)
    )
    torch.set_num_threads(1)
    distributed.start()
    work(*arguments)
    distributed.end()


def their_gradients(rank):
    result = {}
    for name, (config, elbo, chunks) in CASES.items():
        svg = steady(config)
        if rank == 1:  # the first process's weights must be taken
            with torch.no_grad():
                next(svg.parameters()).zero_()
        step = LossAndGrads(svg, ELBOS[elbo](), chunks)
        step(svg.model, svg.guide, frames_of(8)[rank::RANKS])
        result[name] = gradients(svg)
    return result


def their_cuda_gradients(out):
    rank = distributed.rank()
    svg = steady(GROUP_NORM).to(distributed.own_device(torch.device("cuda")))
    step = LossAndGrads(svg, ELBOS["trace"](), accumulate=2)
    frames = frames_of(8)[rank::RANKS]
    step(svg.model, svg.guide, frames.to(next(svg.parameters()).device))
    torch.save(gradients(svg), out / f"{rank}.pt")


class Seen(Squares):
    """Remember which clips were asked for, and when weights are to be spoiled."""

    def __init__(self):
        super().__init__(count=20)
        self.seen, self.spoil, self.spoil_at = [], None, None

    def clip(self, index, epoch=0):
        if self.spoil is not None and len(self.seen) == self.spoil_at:
            with torch.no_grad():
                next(self.spoil.decoder.parameters()).fill_(torch.nan)
        self.seen.append(index)
        return super().clip(index, epoch)


def trainer(out, training=SHORT, **arguments):
    pyro.clear_param_store()
    torch.manual_seed(training.seed)
    made = Trainer(SVG(TINY), Seen(), training, out, **arguments)
    made.data.seen.clear()  # those of the statistics
    return made


def stop_at(run, step, number=signal.SIGTERM):
    at_intervals = run._at_intervals

    def stop(bar):
        if run.step == step:
            os.kill(os.getpid(), number)
        at_intervals(bar)

    run._at_intervals = stop


def their_words(rank, root):
    assert distributed.ranks() == RANKS
    assert distributed.from_first(lambda: {"of": rank}) == {"of": 0}
    assert distributed.true_in_any(rank == 1) and not distributed.true_in_any(False)
    assert distributed.mean([float(rank), 3.0]) == [0.5, 3.0]
    check_batch(TrainingConfig(batch_size=4, accumulate=2))
    with pytest.raises(ConfigError, match=r"2 processes with accumulate = 2.*of 4"):
        check_batch(TrainingConfig(batch_size=6, accumulate=2))
    for machines, local in (("one", str(rank)), ("two", "0")):
        os.environ["LOCAL_RANK"] = local
        place = root / f"{machines}.txt"
        distributed.wait_turn()
        if rank == 0:
            time.sleep(0.3)
            place.write_text("made")
        # Before its turn a process would not find the file.
        assert place.read_text() == "made"
        distributed.pass_turn()


def their_work(root):
    """What the tests of `runs` look at; each process writes to folders of its own."""
    rank = distributed.rank()
    their_words(rank, root)
    found = {"gradients": their_gradients(rank), **their_runs(rank, root)}
    if rank == 0:
        torch.save(found, root / "0.pt")
        os._exit(0)
    with pytest.raises(ProcessError) as error:
        distributed.true_in_any(True)
    torch.save({**found, "lost": str(error.value)}, root / "1.pt")
    os._exit(0)


def their_runs(rank, root):
    mine, found = root / str(rank), {}
    whole = trainer(
        mine / "whole", validation=Validation(torch.stack([Squares().clip(0)] * 2))
    )
    states, terms = [], []
    one_step, add = whole.svi.step, whole._reports.add
    whole.svi.step = lambda x, **options: (
        states.append(torch.get_rng_state()) or one_step(x, **options)
    )
    whole._reports.add = lambda *record: terms.append(record[-1]) or add(*record)
    found["done"] = whole.run()
    found["weights"] = whole.svg.state_dict()
    found |= {"clips": whole.data.seen, "states": states, "terms": terms}

    stopped = trainer(mine / "stopped")
    if rank == 1:
        stop_at(stopped, 3)
    found["stopped"] = stopped.run(), stopped.step
    torch.manual_seed(99)
    again = trainer(mine / "stopped")
    again.resume()
    found["again"] = again.run(), again.step
    found["weights again"] = again.svg.state_dict()

    other = trainer(root / "one" if rank == 0 else mine / "one")
    other.resume()
    found["other"] = other.step, other.run(), other.step
    found["clips of other"] = other.data.seen

    saving = dataclasses.replace(SHORT, save_every=1)
    bad = trainer(mine / "bad", saving)
    if rank == 1:
        bad.data.spoil, bad.data.spoil_at = bad.svg, 2 * 3
    try:
        bad.run()
    except TrainingError as error:
        found["bad"] = str(error), bad.step
    return found


def of_attempt(attempt, port, rank, wait, out):
    """Join in an attempt of torchrun's, whose store at `port` outlives attempts."""
    os.environ.update(
        environment(port),
        RANK=str(rank),
        WORLD_SIZE=str(RANKS),
        LOCAL_RANK=str(rank),
        GROUP_WORLD_SIZE="1",
        TORCHELASTIC_USE_AGENT_STORE="True",
        TORCHELASTIC_RESTART_COUNT=str(attempt),
    )
    time.sleep(wait)
    distributed.start()
    assert distributed.mean([float(rank)]) == [0.5]
    (out / f"{attempt} {rank}").touch()
    os._exit(0)  # as a process that is killed leaves: its address stays in the store
