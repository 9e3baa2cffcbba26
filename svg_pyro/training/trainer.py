"""Training by SVI: a loop that shows what it does, stops cleanly and resumes exactly."""

import contextlib
import dataclasses
import time
from pathlib import Path

import pyro
import torch
from pyro.infer import SVI

from svg_pyro.data.batches import batches
from svg_pyro.errors import CheckpointError, DataError, SVGError, TrainingError
from svg_pyro.model import checkpoint
from svg_pyro.training import distributed, recompute
from svg_pyro.training.elbos import ELBOS
from svg_pyro.training.log import Records, TrainingLog, has_collapsed
from svg_pyro.training.optim import JointAdam
from svg_pyro.training.step import LossAndGrads, check_batch, latents_seed
from svg_pyro.training.terms import held_out_terms
from svg_pyro.util.interrupts import Interrupts
from svg_pyro.util.memory import is_exhausted
from svg_pyro.util.progress import progress
from svg_pyro.util.tensors import to_float


class Trainer:
    """One training run in a folder: ``checkpoint.pt`` and ``metrics.jsonl``.

    Where several processes have joined (`svg_pyro.training.distributed`), each has a Trainer
    and trains on its part of every batch; the first one alone writes and validates.

    Parameters
    ----------
    svg : SVG
        On the device it is to be trained on.
    data : ClipDataset
        Training clips.
    config : TrainingConfig
    out : str or Path
        The run's folder.
    validation : torch.Tensor, optional
        Held-out clips, uint8 ``(B, T, C, H, W)``.
    on_validation : callable, optional
        Called as ``on_validation(trainer)`` after each validation, for pictures.
    about : dict, optional
        What a checkpoint is to say of the data: numbers, text, lists of them.

    Attributes
    ----------
    step : int
        Steps done.
    rank, ranks : int
        The number of this process, counted from 0, and how many there are.
    """

    def __init__(
        self, svg, data, config, out, validation=None, on_validation=None, about=None
    ):
        if pyro.settings.get("module_local_params"):
            raise TrainingError(
                "Pyro's setting module_local_params is on, with which SVI cannot "
                "train modules; switch it off before the model is made"
            )
        _check_data(data, svg.config)
        check_batch(config)
        self.svg, self.data, self.config = svg, data, config
        self.out = Path(out)
        self.validation, self.on_validation = validation, on_validation
        self.about = about or {}
        self.device = next(svg.parameters()).device
        self.rank, self.ranks = distributed.rank(), distributed.ranks()
        self.optimiser = JointAdam(
            svg.parameters(), config.lr, config.lr_end, config.steps,
            config.clip_norm or None,
        )  # fmt: skip
        self._elbo = ELBOS[config.elbo]()
        self._gradient = LossAndGrads(
            svg, self._elbo, config.accumulate, config.precision
        )
        self.svi = SVI(
            svg.model, svg.guide, self.optimiser, self._elbo.loss, self._gradient
        )
        self._log = TrainingLog(self.log_path)
        self._records = Records()
        self._warned = False
        self._clock = time.monotonic()
        self.step = 0

    @property
    def checkpoint_path(self):
        return self.out / "checkpoint.pt"

    @property
    def log_path(self):
        return self.out / "metrics.jsonl"

    def run(self):
        """Train up to ``config.steps``.

        SIGINT and SIGTERM save a checkpoint and end the loop, in all processes after
        the same step; a second one ends the process at once.

        Returns
        -------
        bool
            Whether all steps were done (False after a signal).

        Raises
        ------
        TrainingError
            If the loss is not finite, memory is out, or another process has ended;
            the checkpoint keeps the last good state.
        CheckpointError
            If a checkpoint cannot be written; the earlier one is kept.
        """
        if self.step == 0:
            torch.manual_seed(self.config.seed)
            if self.rank == 0:
                self._log.begin()
        self.svg.train()
        steps = self.config.steps
        bar = progress(
            initial=self.step, total=steps, desc="training", unit="step",
            disable=self.rank > 0,
        )  # fmt: skip
        self._clock = time.monotonic()
        # Frames come from uint8, so they are in range: looking at them (and at each
        # distribution's parameters) would wait for the device at every step.
        with (
            Interrupts() as interrupts,
            bar,
            pyro.validation_enabled(False),
            self._explaining_errors(),
            recompute.recomputed(self.svg, self.config.checkpoint_activations),
            contextlib.closing(self._batches()) as read,
        ):
            while self.step < steps and not distributed.anywhere(interrupts.requested):
                self._one_step(*next(read))
                bar.update()
                self._at_intervals(bar)
            self._drain(bar)
            self.save()
        return self.step == steps

    def _batches(self):
        """The batches of the steps to come."""
        config = self.config
        return batches(
            self.data, config.batch_size, range(self.step, config.steps), config.seed,
            config.workers, self.rank, self.ranks, pin=self.device.type == "cuda",
        )  # fmt: skip

    def _one_step(self, frames, clips):
        if self.rank > 0:
            # The checkpoint holds the first process's random state alone.
            torch.manual_seed(latents_seed(self.config.seed, self.rank, self.step))
        self.svi.step(to_float(frames, self.device))
        self._records.add(self.step, clips, self._gradient.terms)
        self.step += 1

    @contextlib.contextmanager
    def _explaining_errors(self):
        try:
            with distributed.contact():
                yield
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, SVGError) or not is_exhausted(error):
                raise
            raise TrainingError(
                f"out of memory on {self.device} at step {self.step}; "
                f"{recompute.advice(self.config)}; {self._kept()}"
            ) from error

    def _at_intervals(self, bar):
        config = self.config

        def due(every):
            return self.step % every == 0 or self.step == config.steps

        if due(config.log_every):
            self._drain(bar)
        elif self.device.type == "cpu":
            # Reading a value costs nothing there, and a bad run stops at once.
            self._check_finite()
        if due(config.save_every):
            self.save()
        if self.validation is not None and due(config.validate_every):
            self._validate(bar)

    def _check_finite(self):
        """Raise in every process if the loss is not finite in any."""
        found = self._records.first_bad()
        if not distributed.anywhere(found is not None):
            return
        if found is None:
            raise TrainingError("the loss is not finite in another process; see there")
        step, clips, bad = found
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise TrainingError(
            f"the loss is not finite at step {step} ({self.data.name(bad[0])}{more} of "
            f"{len(clips)} clips); {self._kept()}; lower --lr, set --clip-norm, or "
            "look at the clip"
        )

    def _kept(self):
        if self.checkpoint_path.exists():
            return f"the last good state is {self.checkpoint_path}"
        return "no checkpoint had been saved"

    def _drain(self, bar):
        """Move what the steps since the last line recorded into the log."""
        if not self._records:
            return
        self._check_finite()
        nll, kl = distributed.mean(self._records.means())
        count = len(self._records) * self.config.batch_size * self.config.n_frames
        rate = count / (time.monotonic() - self._clock)
        self._records.clear()
        self._clock = time.monotonic()
        if self.rank > 0:
            return
        self._log.write(
            step=self.step, nll=nll, kl=kl, lr=self.optimiser.lr_now(),
            frames_per_second=rate,
        )  # fmt: skip
        bar.set_postfix_str(
            f"nll {nll:.4g}, kl {kl:.3g} nats/frame, {rate:.0f} frames/s"
        )
        self._warn_of_collapse(kl, bar)

    def _warn_of_collapse(self, kl, bar):
        if self.svg.prior is None or self._warned or not has_collapsed(kl, self.step):
            return
        self._warned = True
        bar.write(
            f"the KL has collapsed to {kl:.2g} nats a frame at step {self.step}: the "
            "latents are not used and all futures will be alike; lower --beta"
        )

    def _validate(self, bar):
        if self.rank > 0:
            return
        nll, kl = held_out_terms(self.svg, self._elbo, self.validation)
        self._log.write(step=self.step, validation_nll=nll, validation_kl=kl)
        bar.write(f"step {self.step}: held-out nll {nll:.5g}, kl {kl:.3g} nats a frame")
        if self.on_validation is not None:
            self.on_validation(self)
        self._clock = time.monotonic()

    def save(self):
        """Write the checkpoint, and everything that the run needs to go on.

        All processes must call it; the first one writes.
        """
        self._check_finite()
        if self.rank > 0:
            return
        cuda = self.device.type == "cuda"
        state = {
            "config": dataclasses.asdict(self.config),
            "data": self.about,
            "step": self.step,
            "optimiser": self.optimiser.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if cuda else None,
        }
        checkpoint.save(self.svg, self.checkpoint_path, training=state)

    def resume(self):
        """Take up the run that the folder's checkpoint holds.

        On CPU what follows is bit for bit what it would have been without a stop, if
        the number of processes is the same. With another number it sees the same
        clips in the same order, with other latents.

        Raises
        ------
        CheckpointError
            If there is no checkpoint, it is of another architecture or of a model
            that was saved without its training state.
        """
        # The folder may be on another machine than this process.
        content = distributed.from_first(lambda: checkpoint.read(self.checkpoint_path))
        state = content["training"]
        if state is None:
            raise CheckpointError(
                f"{self.checkpoint_path} holds a model but no training state; "
                "start a new run in another folder"
            )
        checkpoint.restore_weights(self.svg, content, self.checkpoint_path)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)
        if self.rank == 0:
            self._log.forget_after(self.step)


def _check_data(data, config):
    if len(data) == 0:
        raise DataError("the data set is empty: it holds no video to train on")
    for name in ("channels", "image_size"):
        have, want = getattr(data, name), getattr(config, name)
        if have != want:
            raise DataError(
                f"the data's {name} is {have}, the model's {want}; "
                f"build the model with {name}={have}"
            )
