"""What training steps recorded, and the log that it is written to."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from svg_pyro.util.files import written_beside
from svg_pyro.util.log_lines import parse_line
from svg_pyro.util.optional import need


class Record(NamedTuple):
    """A step and the terms of its loss, still on the device.

    Attributes
    ----------
    step : int
        Counted from 0.
    clips : list of int
        Indices of its clips.
    nll, kl : torch.Tensor
        Of each clip, ``(B,)``, nats a frame.
    """

    step: int
    clips: list[int]
    nll: torch.Tensor
    kl: torch.Tensor


class Records:
    """The steps since the last line of the log."""

    def __init__(self) -> None:
        self._steps: list[Record] = []

    def __len__(self) -> int:
        return len(self._steps)

    def add(
        self, step: int, clips: list[int], terms: tuple[torch.Tensor, torch.Tensor]
    ) -> None:
        """Keep a step's terms.

        Parameters
        ----------
        step : int
            Counted from 0.
        clips : list of int
            Indices of the clips.
        terms : tuple of torch.Tensor
            nll and kl of each clip, ``(B,)``, nats a frame.
        """
        self._steps.append(Record(step, clips, *terms))

    def means(self) -> list[float]:
        """The means of nll and of kl over steps and clips, nats a frame."""
        terms = ([r.nll for r in self._steps], [r.kl for r in self._steps])
        return [torch.stack([x.mean() for x in each]).mean().item() for each in terms]

    def first_not_finite(self) -> Record | None:
        """The first step whose loss is not finite, or None."""
        if not self._steps:
            return None
        totals = torch.stack([(r.nll + r.kl).sum() for r in self._steps])
        good = totals.isfinite()
        if good.all():
            return None
        return self._steps[int((~good).nonzero()[0])]

    def clear(self) -> None:
        """Forget the steps: they are in the log."""
        self._steps.clear()


class Tracker(Protocol):
    """What gets each line of the log besides the file."""

    def write(self, step: int, values: dict[str, float]) -> None:
        """Take the numbers of a report.

        Parameters
        ----------
        step : int
            Steps done.
        values : dict of str to float
            Names ("nll", "validation_kl", ...) to numbers.
        """

    def close(self) -> None:
        """Write what is still held back."""


class TensorBoard:
    """TensorBoard's event files, in the folder ``tensorboard`` of the run.

    Parameters
    ----------
    out : Path
        The run's folder.

    Raises
    ------
    DataError
        When the package tensorboard is not installed.
    """

    def __init__(self, out: Path) -> None:
        module = need(
            "torch.utils.tensorboard", "tensorboard", "writing TensorBoard's files"
        )
        self._make: Callable[..., Any] = module.SummaryWriter
        self._folder = out / "tensorboard"
        self._writer: Any = None

    def write(self, step: int, values: dict[str, float]) -> None:
        """See `Tracker.write`; what an earlier run wrote of later steps is purged."""
        if self._writer is None:
            self._writer = self._make(str(self._folder), purge_step=step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """See `Tracker.close`."""
        if self._writer is not None:
            self._writer.close()


class WandB:
    """A run of Weights & Biases, of the folder's name; it goes on after a resume.

    Parameters
    ----------
    out : Path
        The run's folder.

    Raises
    ------
    DataError
        When the package wandb is not installed.
    """

    def __init__(self, out: Path) -> None:
        wandb = need("wandb", "wandb", "reporting to Weights & Biases")
        self._run = wandb.init(
            project="svg_pyro", name=out.name, dir=str(out), resume="allow"
        )

    def write(self, step: int, values: dict[str, float]) -> None:
        """See `Tracker.write`."""
        self._run.log(values, step=step)

    def close(self) -> None:
        """See `Tracker.close`."""
        self._run.finish()


TRACKERS: dict[str, Callable[[Path], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
}


class TrainingLog:
    """``metrics.jsonl``: a line of JSON for each report.

    Parameters
    ----------
    path : Path
        The file.
    trackers : sequence of Tracker
        What gets the same numbers.
    """

    def __init__(self, path: Path, trackers: Sequence[Tracker] = ()) -> None:
        self.path, self._trackers = path, trackers

    def begin(self) -> None:
        """Make the folder and an empty log."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("")

    def write(self, **values: float) -> None:
        """Add a line.

        Parameters
        ----------
        **values
            Numbers, `step` among them.
        """
        with open(self.path, "a", encoding="utf-8") as log:
            log.write(json.dumps(values) + "\n")
        numbers = {name: value for name, value in values.items() if name != "step"}
        for tracker in self._trackers:
            tracker.write(int(values["step"]), numbers)

    def close(self) -> None:
        """Let the trackers write what they hold back."""
        for tracker in self._trackers:
            tracker.close()

    def forget_after(self, step: int) -> None:
        """Drop the lines of later steps than `step`: they will be done again.

        What is not of this log, as a note of the user, is kept. A line cut short by a
        kill goes.
        """
        if not self.path.exists():
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            del lines[-1]
        with written_beside(self.path) as beside:
            beside.write_bytes(b"".join(x for x in lines if not _is_after(x, step)))


def _is_after(line: bytes, step: int) -> bool:
    """Whether a line of the log is of a later step."""
    values = parse_line(line)
    return values is not None and values["step"] > step
