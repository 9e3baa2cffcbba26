"""The pass over a test set: all candidates on the same clips, resumable at any time.

Where several processes have joined (`svg_pyro.util.distributed`), each scores other
batches of clips, and the first one takes in what all have found, in the clips' order:
its sums, and what is saved, are those of one process to the last digit.
"""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from svg_pyro.data.base import ClipDataset
from svg_pyro.data.batches import clips_of
from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation.candidates import Candidate
from svg_pyro.evaluation.scorer import Perceptual, Scorer
from svg_pyro.evaluation.settings import EvaluationSettings
from svg_pyro.util import distributed
from svg_pyro.util.archives import verify_file
from svg_pyro.util.files import written_beside
from svg_pyro.util.interrupts import LAUNCHER_PATIENCE, Interrupts
from svg_pyro.util.progress import progress
from svg_pyro.util.tensors import to_float
from svg_pyro.util.words import one_line, why_unreadable

STATE = "state.pt"
_SECONDS = 30  # between saves
# The first clip's number, frames and actions.
_Batch = tuple[int, torch.Tensor, torch.Tensor | None]
# What evaluations did before they stored it.
_EARLIER = {"precision": "float32", "compile": False}


@dataclass(frozen=True)
class TestSet:
    """Clips, and words that name them.

    Attributes
    ----------
    data : ClipDataset
        The clips.
    words : str
        Where they are from; stored with the results.
    """

    data: ClipDataset
    words: str = ""

    __test__ = False  # of pytest: no class of tests


class Evaluation:
    """Score candidates on the first clips of a test set.

    Parameters
    ----------
    candidates : sequence of Candidate
        What is scored, each with a name of its own.
    test_set : TestSet
        Clips of `settings.n_frames` frames.
    settings : EvaluationSettings
        What is done.
    out : str or Path
        Folder of the results; ``state.pt`` in it holds what a resumed run needs.
    device : torch.device
        Where the candidates are, and frames are put.
    perceptual : Perceptual, optional
        Networks that compare videos; by default none.

    Raises
    ------
    EvaluationError
        The settings, the models and the clips do not fit each other.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        test_set: TestSet,
        settings: EvaluationSettings,
        *,
        out: str | Path,
        device: torch.device,
        perceptual: Perceptual | None = None,
    ) -> None:
        self.candidates, self.settings = list(candidates), settings
        self.data, self.source = test_set.data, test_set.words
        self.out, self.device = Path(out), device
        self.clips = min(settings.clips, len(self.data))
        self.perceptual = perceptual or Perceptual()
        self._check()
        self.scorers = [
            Scorer(c, settings, perceptual=self.perceptual, device=device)
            for c in candidates
        ]

    @property
    def done(self) -> bool:
        """Whether every clip has been scored by every candidate."""
        return all(s.done == self.clips for s in self.scorers)

    def resume(self) -> None:
        """Go on from the state in the folder.

        Raises
        ------
        EvaluationError
            There is none, it cannot be read, or it is of another evaluation.
        """
        state = distributed.from_first(self._read)
        for scorer, sums in zip(self.scorers, state, strict=True):
            scorer.load_state_dict(sums)

    def _read(self) -> list[dict[str, Any]]:
        """The scorers' sums in the folder, once they are of this evaluation."""
        path = self.out / STATE
        if not path.is_file():
            raise EvaluationError(f"no evaluation to resume at {path}")
        try:
            verify_file(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
            about, scorers = state["about"], state["scorers"]
        # A file of another kind can make the unpickler fail in any way.
        except Exception as error:
            raise EvaluationError(
                f"{path} is no readable evaluation ({why_unreadable(error)}); start "
                "again in another folder"
            ) from error
        for key, value in self._about().items():
            stored = about.get(key, _EARLIER.get(key))
            if stored != value:
                raise EvaluationError(
                    f"{path} is of another evaluation: {key} was "
                    f"{one_line(repr(stored))}, now it is {one_line(repr(value))}; "
                    "give the same, or another folder"
                )
        return list(scorers)

    def run(self) -> bool:
        """Score what is not yet scored.

        Returns
        -------
        bool
            False if SIGINT or SIGTERM asked to stop; `resume` goes on.

        Raises
        ------
        SVGError
            A prediction cannot be scored.
        """
        ranks = distributed.ranks()
        count = sum(self.clips - s.done for s in self.scorers)
        saved = time.monotonic()
        bar = progress(
            total=count,
            desc="evaluating",
            unit="clip",
            disable=distributed.rank() > 0,
        )
        with Interrupts(LAUNCHER_PATIENCE if ranks > 1 else 0.0) as interrupts, bar:
            for scorer, last, own in self._work():
                if distributed.true_in_any(interrupts.requested):
                    break
                bar.set_postfix_str(scorer.candidate.name, refresh=False)
                before = scorer.done
                mine = None if own is None else scorer.find(*own)
                for found in distributed.gathered(mine):
                    if found is not None:
                        scorer.take(found)
                scorer.done = last  # in every process
                bar.update(last - before)
                if time.monotonic() - saved > _SECONDS:
                    self.save()
                    saved = time.monotonic()
        self.save()
        return self.done

    def save(self) -> None:
        """Write the state beside the results; the first process does."""
        if distributed.rank() > 0:
            return
        scorers = [s.state_dict() for s in self.scorers]
        with written_beside(self.out / STATE) as beside:
            torch.save({"about": self._about(), "scorers": scorers}, beside)

    def batch(self, first: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The clips from `first` on that are scored together, as floats; actions."""
        last = min(first + self.settings.batch_size, self.clips)
        clips = clips_of(self.data, range(first, last))
        actions = None if clips.actions is None else clips.actions.to(self.device)
        return to_float(clips.frames, self.device), actions

    def _work(self) -> Iterator[tuple[Scorer, int, _Batch | None]]:
        """Scorers, the clip that they will have come to, and this process's batch.

        Each process has one of as many batches as there are processes; none where
        there is none left for it, or the scorer has seen it before an interruption.
        """
        size = self.settings.batch_size
        step = size * distributed.ranks()
        begin = min(s.done for s in self.scorers)
        for first in range(begin, self.clips, step):
            own, last = first + size * distributed.rank(), min(first + step, self.clips)
            waiting = [s for s in self.scorers if s.done < last]
            unseen = [s for s in waiting if s.done <= own < self.clips]
            batch = (own, *self.batch(own)) if unseen else None
            for scorer in waiting:
                yield scorer, last, batch if scorer in unseen else None

    def _about(self) -> dict[str, Any]:
        """What must be the same when a run is resumed."""
        return {
            **dataclasses.asdict(self.settings),
            "lpips": self.perceptual.lpips is not None,
            "fvd": self.perceptual.fvd_network is not None,
            "source": self.source,
            "test set": len(self.data),
            "names": [c.name for c in self.candidates],
            "checkpoints": [c.sha256 for c in self.candidates],
        }

    def _check(self) -> None:
        settings, data = self.settings, self.data
        if data.n_frames != settings.n_frames:
            raise EvaluationError(
                f"clips of {data.n_frames} frames do not hold {settings.n_past} of "
                f"context and {settings.horizon} to predict; make clips of "
                f"{settings.n_frames}"
            )
        if self.perceptual.fvd_network is not None and self.clips < 2:
            raise EvaluationError("FVD of 1 clip has no covariance; score at least 2")
        given = data.frame_shape
        for candidate in self.candidates:
            taken = candidate.frame_shape
            if taken not in (None, given):
                raise EvaluationError(
                    f"{candidate.name} takes frames {taken} (C, H, W), the data's "
                    f"are {given}; give data of the size and channels that it was "
                    "trained on"
                )
            needed = 0 if candidate.config is None else candidate.config.action_dim
            if needed and needed != data.action_dim:
                raise EvaluationError(
                    f"{candidate.name} takes actions of length {needed}, the data's "
                    f"are of length {data.action_dim}; give data with its actions"
                )
            judged = settings.intervals == "noisy" and candidate.stochastic
            if judged and not candidate.has_noise:
                raise EvaluationError(
                    f"the observation noise of {candidate.name} is not known before "
                    "the truth; give intervals of means"
                )
