"""What training steps recorded since the last line of the log, made into the next."""

import time
from pathlib import Path

import torch

from svg_pyro.config import TrainingConfig
from svg_pyro.data.base import ClipDataset
from svg_pyro.training.checks import check_finite
from svg_pyro.training.log import Records, TrainingLog
from svg_pyro.util import distributed


class Reports:
    """Loss and speed of the steps, means of which go into a log.

    Parameters
    ----------
    log : TrainingLog
        Gets the lines, of the first process.
    config : TrainingConfig
        Of the run.
    checkpoint : Path
        Of the run, for the message where a loss is not finite.
    """

    def __init__(
        self, log: TrainingLog, config: TrainingConfig, checkpoint: Path
    ) -> None:
        self._log, self._config, self._checkpoint = log, config, checkpoint
        self._records = Records()
        self._clock = time.monotonic()

    def start_clock(self) -> None:
        """Measure the speed from now on: what took time before was no step."""
        self._clock = time.monotonic()

    def add(
        self, step: int, clips: list[int], terms: tuple[torch.Tensor, torch.Tensor]
    ) -> None:
        """Keep what a step recorded; see `Records.add`."""
        self._records.add(step, clips, terms)

    def check_finite(self, data: ClipDataset) -> None:
        """Raise if the loss of a step since the last line is not finite.

        All processes must call it.

        Parameters
        ----------
        data : ClipDataset
            Names the clips of such a step.

        Raises
        ------
        TrainingError
            If one is not.
        """
        check_finite(self._records, data, self._checkpoint)

    def write(self, step: int, lr: float, data: ClipDataset) -> str | None:
        """Move what was recorded into the log.

        All processes must call it; the first one writes.

        Parameters
        ----------
        step : int
            Steps done.
        lr : float
            The learning rate by now.
        data : ClipDataset
            As in `check_finite`.

        Returns
        -------
        str or None
            The same in words, in the first process; None where nothing was recorded.

        Raises
        ------
        TrainingError
            If the loss of a step is not finite.
        """
        if not self._records:
            return None
        self.check_finite(data)
        nll, kl = distributed.mean(self._records.means())
        config = self._config
        count = len(self._records) * config.batch_size * data.n_frames
        rate = count / (time.monotonic() - self._clock)
        self._records.clear()
        self.start_clock()
        if distributed.rank() > 0:
            return None
        self._log.write(step=step, nll=nll, kl=kl, lr=lr, frames_per_second=rate)
        return f"nll {nll:.4g}, kl {kl:.3g} nats/frame, {rate:.0f} frames/s"
