"""Training by SVI: a loop that shows what it does, stops cleanly and resumes exactly."""

import contextlib
import dataclasses
import json
import math
import time
from pathlib import Path

import pyro
import torch
from pyro.infer import SVI

from svg_pyro import checkpoint
from svg_pyro.data.base import to_float
from svg_pyro.data.batches import batches
from svg_pyro.elbos import ELBOS
from svg_pyro.errors import CheckpointError, DataError, TrainingError
from svg_pyro.files import written_beside
from svg_pyro.interrupts import Interrupts
from svg_pyro.optim import JointAdam
from svg_pyro.progress import progress
from svg_pyro.terms import ELBOTerms, held_out_terms

# Below this the latents say nothing, and every sampled future is the same.
COLLAPSED_KL = 0.05
# Steps that the latents are given to be taken up.
COLLAPSE_STEPS = 500


class Trainer:
    """One training run in a folder: ``checkpoint.pt`` and ``metrics.jsonl``.

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

    Attributes
    ----------
    step : int
        Steps done.
    """

    def __init__(self, svg, data, config, out, validation=None, on_validation=None):
        if pyro.settings.get("module_local_params"):
            raise TrainingError(
                "Pyro's setting module_local_params is on, with which SVI cannot "
                "train modules; switch it off before the model is made"
            )
        _check_data(data, svg.config)
        self.svg, self.data, self.config = svg, data, config
        self.out = Path(out)
        self.validation, self.on_validation = validation, on_validation
        self.device = next(svg.parameters()).device
        self.optimiser = JointAdam(
            svg.parameters(), config.lr, config.lr_end, config.steps,
            config.clip_norm or None,
        )  # fmt: skip
        elbo = ELBOS[config.elbo]()
        self.svi = SVI(
            svg.model, svg.guide, self.optimiser, elbo.loss, self._loss_and_grads
        )
        self._elbo = elbo
        self._pending = []
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

        SIGINT and SIGTERM save a checkpoint and end the loop; a second one ends the
        process at once.

        Returns
        -------
        bool
            Whether all steps were done (False after a signal).

        Raises
        ------
        TrainingError
            If the loss is not finite; the checkpoint keeps the last good state.
        CheckpointError
            If a checkpoint cannot be written; the earlier one is kept.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        if self.step == 0:
            self.log_path.write_text("")
            torch.manual_seed(self.config.seed)
        self.svg.train()
        steps = self.config.steps
        bar = progress(initial=self.step, total=steps, desc="training", unit="step")
        self._clock = time.monotonic()
        # Frames come from uint8, so they are in range: looking at them (and at each
        # distribution's parameters) would wait for the device at every step.
        with Interrupts() as interrupts, bar, pyro.validation_enabled(False):
            with contextlib.closing(self._batches()) as read:
                while self.step < steps and not interrupts.requested:
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
            config.workers, pin=self.device.type == "cuda",
        )  # fmt: skip

    def _one_step(self, frames, clips):
        with ELBOTerms() as terms:
            self.svi.step(to_float(frames, self.device))
        self._pending.append((self.step, clips, terms.per_frame()))
        self.step += 1

    def _loss_and_grads(self, model, guide, frames):
        loss = self._elbo.differentiable_loss(model, guide, frames)
        # In nats a frame, so that clip_norm does not depend on the batch.
        (loss / (frames.shape[0] * (frames.shape[1] - 1))).backward()
        # SVI would read a tensor back, and wait for the device; the loop logs the
        # recorded terms instead.
        return math.nan

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
        if not self._pending:
            return
        totals = torch.stack(
            [nll.sum() + kl.sum() for _, _, (nll, kl) in self._pending]
        )
        good = totals.isfinite()
        if good.all():
            return
        step, clips, (nll, kl) = self._pending[int((~good).nonzero()[0])]
        bad = (~(nll + kl).isfinite()).nonzero().flatten().tolist()
        names = self.data.name(clips[bad[0]])
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        kept = (
            f"the last good state is {self.checkpoint_path}"
            if self.checkpoint_path.exists()
            else "no checkpoint had been saved"
        )
        raise TrainingError(
            f"the loss is not finite at step {step} ({names}{more} of {len(clips)} "
            f"clips); {kept}; lower --lr, set --clip-norm, or look at the clip"
        )

    def _drain(self, bar):
        """Move what the steps since the last line recorded into the log."""
        if not self._pending:
            return
        self._check_finite()
        nll = (
            torch.stack([nll.mean() for _, _, (nll, _) in self._pending]).mean().item()
        )
        kl = torch.stack([kl.mean() for _, _, (_, kl) in self._pending]).mean().item()
        seconds = time.monotonic() - self._clock
        count = len(self._pending) * self.config.batch_size * self.config.n_frames
        self._log(
            step=self.step, nll=nll, kl=kl, lr=self.optimiser.lr_now(),
            frames_per_second=count / seconds,
        )  # fmt: skip
        bar.set_postfix_str(
            f"nll {nll:.4g}, kl {kl:.3g} nats/frame, {count / seconds:.0f} frames/s"
        )
        self._warn_of_collapse(kl, bar)
        self._pending.clear()
        self._clock = time.monotonic()

    def _warn_of_collapse(self, kl, bar):
        if self.svg.prior is None or self._warned or kl >= COLLAPSED_KL:
            return
        if self.step < COLLAPSE_STEPS:
            return
        self._warned = True
        bar.write(
            f"the KL has collapsed to {kl:.2g} nats a frame at step {self.step}: the "
            "latents are not used and all futures will be alike; lower --beta"
        )

    def _validate(self, bar):
        nll, kl = held_out_terms(self.svg, self._elbo, self.validation)
        self._log(step=self.step, validation_nll=nll, validation_kl=kl)
        bar.write(f"step {self.step}: held-out nll {nll:.5g}, kl {kl:.3g} nats a frame")
        if self.on_validation is not None:
            self.on_validation(self)
        self._clock = time.monotonic()

    def _log(self, **values):
        with open(self.log_path, "a") as log:
            log.write(json.dumps(values) + "\n")

    def save(self):
        """Write the checkpoint, and everything that the run needs to go on."""
        self._check_finite()
        cuda = self.device.type == "cuda"
        state = {
            "config": dataclasses.asdict(self.config),
            "step": self.step,
            "optimiser": self.optimiser.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if cuda else None,
        }
        checkpoint.save(self.svg, self.checkpoint_path, training=state)

    def resume(self):
        """Take up the run that the folder's checkpoint holds.

        On CPU what follows is bit for bit what it would have been without a stop.

        Raises
        ------
        CheckpointError
            If there is no checkpoint, it is of another architecture or of a model
            that was saved without its training state.
        """
        content = checkpoint.read(self.checkpoint_path)
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
        self._forget_later_lines()

    def _forget_later_lines(self):
        """Drop what the log says of steps after the checkpoint: they are done again."""
        if not self.log_path.exists():
            return
        lines = self.log_path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if _step_of(line) <= self.step]
        with written_beside(self.log_path) as beside:
            beside.write_text("".join(kept))


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


def _step_of(line):
    """The step of a line of the log; a line cut short by a kill belongs to none."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):
        return math.inf
