"""The checkpoints that a run keeps: the newest, the best, and some before."""

import math
from pathlib import Path
from typing import Any

from svg_pyro.errors import CheckpointError
from svg_pyro.model import checkpoint
from svg_pyro.model.svg import SVG
from svg_pyro.util.files import copy_of


class KeptCheckpoints:
    """``checkpoint.pt``, ``best.pt``, and the last ones in ``checkpoints``.

    All are whole states, from which a run can be resumed; what is in two of them lies
    on the disk once, where the disk can do it.

    Parameters
    ----------
    out : Path
        The run's folder.
    last : int
        How many of the newest are kept. One is ``checkpoint.pt`` alone.

    Attributes
    ----------
    path, best_path : Path
        The newest one, and the one of the lowest held-out bound.
    best : float
        That bound, in nats a frame: the negative ELBO, nll + kl.
    """

    def __init__(self, out: Path, last: int) -> None:
        self.path, self.best_path = out / "checkpoint.pt", out / "best.pt"
        self._folder, self._last = out / "checkpoints", last
        self.best = math.inf

    def save(self, svg: SVG, state: dict[str, Any]) -> None:
        """Write the newest one.

        Parameters
        ----------
        svg : SVG
            The model.
        state : dict
            What the run needs to go on; its "step" is in a file's name.

        Raises
        ------
        CheckpointError
            If it cannot be written; the earlier one is unharmed.
        """
        checkpoint.save(svg, self.path, training={**state, "best_bound": self.best})
        if self._last > 1:
            self._copy(self._folder / f"step_{state['step']:07d}.pt")
            # By their age and not their step: a run may have gone back to an earlier.
            kept = sorted(self._folder.glob("step_*.pt"), key=_written)
            for path in kept[: -self._last]:
                path.unlink(missing_ok=True)

    def is_best(self, bound: float) -> bool:
        """Whether a bound is the lowest so far; it is noted."""
        if not bound < self.best:
            return False
        self.best = bound
        return True

    def keep_as_best(self) -> None:
        """Keep what was saved last; raises CheckpointError where the disk is full."""
        self._copy(self.best_path)

    def _copy(self, path: Path) -> None:
        try:
            copy_of(self.path, path)
        except OSError as error:
            raise CheckpointError(
                f"cannot write {path}: {error.strerror or error}; free space or choose "
                "another folder"
            ) from error


def _written(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.name
