"""Training by SVI: a loop that stops cleanly and resumes exactly."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyro
import torch

from svg_pyro.config import TrainingConfig
from svg_pyro.data.base import ClipDataset
from svg_pyro.data.read_ahead import batches, leave_imported_script
from svg_pyro.errors import SVGError, TrainingError
from svg_pyro.model import checkpoint, restoring
from svg_pyro.model.precision import autocast
from svg_pyro.model.svg import SVG
from svg_pyro.training import recompute
from svg_pyro.training.checks import (
    check_data,
    check_weights,
    out_of_memory,
    report_clip_length,
)
from svg_pyro.training.elbos import ELBOS
from svg_pyro.training.kept import KeptCheckpoints
from svg_pyro.training.kl_warmup import kl_weight_at
from svg_pyro.training.log import Tracker, TrainingLog
from svg_pyro.training.optim import Schedule, make_adam
from svg_pyro.training.own_means import share_at, with_own_means
from svg_pyro.training.reports import Reports
from svg_pyro.training.state import check_state, explaining_damage, state_of, take_up
from svg_pyro.training.statistics import FittedStatistics, fit_actions
from svg_pyro.training.step import LossAndGrads, check_batch, latents_seed
from svg_pyro.training.svi import TorchSVI
from svg_pyro.training.terms import held_out_terms
from svg_pyro.training.validation import Validation
from svg_pyro.util import distributed
from svg_pyro.util.interrupts import LAUNCHER_PATIENCE, Interrupts
from svg_pyro.util.locks import FolderLock
from svg_pyro.util.memory import is_exhausted
from svg_pyro.util.progress import progress
from svg_pyro.util.tensors import to_float

_PREVIEWS = (50, 100, 200)  # steps
# What the processes ask each other for at every step.
_GO_ON, _SAVE, _LEAVE = 0, 1, 2


class Trainer:
    """One training run in a folder: its checkpoints and ``metrics.jsonl``.

    ``checkpoint.pt`` is the newest, ``best.pt`` the one of the lowest held-out bound;
    `keep_last` of the configuration keeps earlier ones. One process at a time trains
    in a folder.

    Where several processes have joined (`svg_pyro.util.distributed`), each has a
    Trainer and trains on its part of every batch; the first one alone writes and
    validates.

    Parameters
    ----------
    svg : SVG
        On the device it is to be trained on.
    data : ClipDataset
        Training clips.
    config : TrainingConfig
        How to train.
    out : str or Path
        The run's folder.
    validation : Validation, optional
        Held-out clips, scored every ``config.validate_every`` steps.
    about : dict, optional
        What a checkpoint is to say of the data: numbers, text, lists of them.
    trackers : sequence of Tracker
        Get each line of the log too; closed when `run` ends.

    Attributes
    ----------
    svi : TorchSVI
        What each step calls, of ``svg.model`` and ``svg.guide``.
    optimiser : Schedule
        Adam and its learning rate.
    step : int
        Steps done.
    rank, ranks : int
        The number of this process, counted from 0, and how many there are.

    Raises
    ------
    TrainingError
        If Pyro's setting module_local_params is on.
    DataError
        If there are no clips, or they are of other frames than the model's.
    ConfigError
        If `svg` is no model, or a batch cannot be cut into equal chunks.
    """

    def __init__(
        self,
        svg: SVG,
        data: ClipDataset,
        config: TrainingConfig,
        out: str | Path,
        *,
        validation: Validation | None = None,
        about: Mapping[str, Any] | None = None,
        trackers: Sequence[Tracker] = (),
    ) -> None:
        if pyro.settings.get("module_local_params"):
            raise TrainingError(
                "Pyro's setting module_local_params is on, with which SVI cannot "
                "train modules; switch it off before the model is made"
            )
        check_data(data, svg)
        check_batch(config)
        report_clip_length(data, config)
        if config.workers:
            leave_imported_script()
        self.svg, self.data, self.config = svg, data, config
        self.out, self.about = Path(out), dict(about or {})
        self.validation = validation
        self.device = next(svg.parameters()).device
        self.rank, self.ranks = distributed.rank(), distributed.ranks()
        adam = make_adam(svg.parameters(), config)
        self.optimiser = Schedule(adam, config)
        self._elbo = ELBOS[config.elbo]()
        self._gradient = LossAndGrads(
            svg, self._elbo, config.accumulate, config.precision
        )
        self.svi = TorchSVI(
            svg.model,
            svg.guide,
            adam,
            loss=self._elbo.loss,
            loss_and_grads=self._gradient,
        )
        self._log = TrainingLog(self.log_path, trackers)
        self._kept = KeptCheckpoints(self.out, config.keep_last)
        self._reports = Reports(self._log, config, self.checkpoint_path)
        self._statistics = FittedStatistics(svg, self._elbo, config)
        if self.rank == 0:
            self._statistics.take_clips(data)
        if svg.config.action_dim and not svg.knows_actions:
            fit_actions(svg, data, config.seed)
        self.step = 0

    @property
    def checkpoint_path(self) -> Path:
        """The run's checkpoint, which is there after the first `save`."""
        return self._kept.path

    @property
    def log_path(self) -> Path:
        """The run's log, a line of JSON for each report."""
        return self.out / "metrics.jsonl"

    def run(self) -> bool:
        """Train up to ``config.steps``.

        SIGINT, SIGTERM and SIGHUP save a checkpoint and end the loop, in all processes
        after the same step; a second one ends the process at once. SIGUSR1 saves, and
        the loop goes on.

        Returns
        -------
        bool
            Whether all steps were done (False after a signal).

        Raises
        ------
        TrainingError
            If the loss is not finite, memory is out, another process has ended, or
            another run writes to the folder; the checkpoint keeps the last good state.
        DataError
            If a clip cannot be read, or a process that reads ahead dies.
        CheckpointError
            If a checkpoint cannot be written; the earlier one is unharmed.
        """
        lock = FolderLock(self.out)
        if self.rank == 0 and not lock.acquire():
            raise TrainingError(
                f"{self.out} is in use: another run writes to it; choose another "
                "folder, or wait until that has ended",
                advice=("out",),
            )
        try:
            return self._run()
        finally:
            lock.release()

    def _run(self) -> bool:
        if self.step == 0:
            torch.manual_seed(self.config.seed)
            if self.rank == 0:
                self._log.begin()
        self.svg.train()
        steps = self.config.steps
        bar = progress(
            initial=self.step,
            total=steps,
            desc="training",
            unit="step",
            disable=self.rank > 0,
        )
        self._reports.start_clock()
        # Frames come from uint8, so they are in range: looking at them (and at each
        # distribution's parameters) would wait for the device at every step.
        with (
            Interrupts(LAUNCHER_PATIENCE if self.ranks > 1 else 0.0) as interrupts,
            bar,
            pyro.validation_enabled(False),
            self._explaining_errors(),
            recompute.recomputed(self.svg, when=self.config.checkpoint_activations),
            contextlib.closing(self._log),
            contextlib.closing(self._batches()) as batches_to_come,
        ):
            while self.step < steps:
                asked = distributed.highest(_asked_by(interrupts))
                if asked == _LEAVE:
                    break
                if asked == _SAVE:
                    self.save()
                self._one_step(*next(batches_to_come))
                bar.update()
                self._at_intervals(bar)
            self._report(bar)
            self.save()
        return self.step == steps

    def _batches(self) -> Any:
        """The batches of the steps to come."""
        config = self.config
        return batches(
            self.data,
            config.batch_size,
            range(self.step, config.steps),
            seed=config.seed,
            workers=config.workers,
            rank=self.rank,
            ranks=self.ranks,
            pin=self.device.type == "cuda",
        )

    def _one_step(
        self,
        frames: torch.Tensor,
        clips: list[int],
        actions: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Train on a batch; its loss in nats a frame, on the device."""
        if self.rank > 0:
            # The checkpoint holds the first process's random state alone.
            torch.manual_seed(latents_seed(self.config.seed, self.rank, self.step))
        self._statistics.undo()
        frames = to_float(frames, self.device)
        given: dict[str, Any] = {}
        if actions is not None:
            given["actions"] = actions.to(self.device, non_blocking=True)
        if lengths is not None:
            given["lengths"] = lengths  # looked at on the host alone
        share = share_at(self.config, self.step)
        if share > 0:
            with autocast(self.device, self.config.precision):
                given["inputs"] = with_own_means(self.svg, frames, share, **given)
        weight = kl_weight_at(self.config, self.step)
        loss = self.svi.step(frames, kl_weight=weight, **given)
        self.optimiser.advance()
        nll, kl = self._gradient.terms
        self._reports.add(self.step, clips, (nll, kl))
        self.step += 1
        return loss

    @contextlib.contextmanager
    def _explaining_errors(self) -> Iterator[None]:
        try:
            with distributed.reporting_lost_processes():
                yield
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, SVGError) or not is_exhausted(error):
                raise
            raise out_of_memory(
                self.config, self.device, self.step, self.checkpoint_path
            ) from error

    def _at_intervals(self, bar: Any) -> None:
        config = self.config

        def due(every: int) -> bool:
            return self.step % every == 0 or self.step == config.steps

        if due(config.log_every):
            self._report(bar)
        elif self.device.type == "cpu":
            # Reading a value costs nothing there, and a bad run stops at once.
            self._reports.check_finite(self.data)
        if due(config.save_every):
            self.save()
        if due(config.validate_every):
            self._validate(bar)
        elif self.step in _PREVIEWS:
            self._preview()

    def _report(self, bar: Any) -> None:
        words = self._reports.write(self.step, self.optimiser.lr(), self.data)
        if words is not None:
            bar.set_postfix_str(words)

    def _validate(self, bar: Any) -> None:
        if self.validation is None or self.rank > 0:
            return
        self._statistics.refit(self.step)
        held_out = self.validation
        nll, kl = held_out_terms(
            self.svg, self._elbo, held_out.clips, actions=held_out.actions
        )
        self._log.write(step=self.step, validation_nll=nll, validation_kl=kl)
        bar.write(f"step {self.step}: held-out nll {nll:.5g}, kl {kl:.3g} nats a frame")
        if self._kept.is_best(nll + kl):
            self._write()
            self._kept.keep_as_best()
        if self.validation.then is not None:
            self.validation.then(self)
        self._reports.start_clock()

    def _preview(self) -> None:
        if self.validation is None or self.validation.preview is None or self.rank > 0:
            return
        self._statistics.refit(self.step)
        self.validation.preview(self)
        self._reports.start_clock()

    def save(self) -> None:
        """Write the checkpoint, and everything that the run needs to go on.

        All processes must call it; the first one writes.

        Raises
        ------
        TrainingError
            If a weight, or the loss of a step since the last report, is not finite.
        CheckpointError
            If the file cannot be written; the earlier one is unharmed.
        """
        self._reports.check_finite(self.data)
        if self.rank > 0:
            return
        self._write()

    def _write(self) -> None:
        check_weights(self.svg, self.step, self.checkpoint_path)
        self._statistics.refit(self.step)
        state = {
            "config": dataclasses.asdict(self.config),
            "data": self.about,
            "step": self.step,
            **state_of(self.optimiser, self._statistics, self.device),
        }
        self._kept.save(self.svg, state)

    def resume(self) -> None:
        """Take up the run that the folder's checkpoint holds.

        On CPU what follows is bit for bit what it would have been without a stop, if
        the number of processes is the same. With another number it sees the same
        clips in the same order, with other latents.

        Raises
        ------
        CheckpointError
            If there is no checkpoint, it is of another architecture or of a model
            that was saved without its training state, or that state is damaged.
        """
        # The folder may be on another machine than this process.
        content = distributed.from_first(lambda: checkpoint.read(self.checkpoint_path))
        state = check_state(content, self.checkpoint_path)
        restoring.restore_weights(self.svg, content, self.checkpoint_path)
        with explaining_damage(self.checkpoint_path):
            take_up(state, self.svg, self.optimiser, self._statistics)
        self.step = state["step"]
        self._kept.best = state.get("best_bound", math.inf)
        if self.rank == 0:
            self._log.forget_after(self.step)


def _asked_by(interrupts: Interrupts) -> int:
    if interrupts.requested:
        return _LEAVE
    return _SAVE if interrupts.take_save() else _GO_ON
