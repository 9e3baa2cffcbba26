"""The pass over a test set: all predictors on the same clips, resumable at any time."""

import dataclasses
import time
from pathlib import Path

import torch

from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation.scorer import Scorer
from svg_pyro.util.files import written_beside
from svg_pyro.util.interrupts import Interrupts
from svg_pyro.util.progress import progress
from svg_pyro.util.tensors import to_float

STATE = "state.pt"
_SECONDS = 30  # between saves


class Evaluation:
    """Score candidates on the first clips of a test set.

    Parameters
    ----------
    candidates : list of Candidate
    data : ClipDataset
        Clips of `settings.n_frames` frames.
    settings : EvaluationSettings
    out : str or Path
        Folder of the results; ``state.pt`` in it holds what a resumed run needs.
    device : torch.device
    lpips : Lpips, optional
    fvd_network : str or Path, optional
        See `Scorer`.
    source : str
        Words that name the test set, stored with the results.

    Raises
    ------
    EvaluationError
        The settings, the models and the clips do not fit each other.
    """

    def __init__(
        self, candidates, data, settings, out, device, lpips=None, fvd_network=None,
        source="",
    ):  # fmt: skip
        self.candidates, self.data, self.settings = candidates, data, settings
        self.out, self.device, self.source = Path(out), device, source
        self.clips = min(settings.clips, len(data))
        self._perceptual = {"lpips": lpips is not None, "fvd": fvd_network is not None}
        _check(candidates, data, settings, fvd_network is not None, self.clips)
        self.scorers = [
            Scorer(c, settings, lpips, fvd_network, device) for c in candidates
        ]

    @property
    def done(self):
        """Whether every clip has been scored by every candidate."""
        return all(s.done == self.clips for s in self.scorers)

    def resume(self):
        """Go on from the state in the folder.

        Raises
        ------
        EvaluationError
            There is none, it cannot be read, or it is of another evaluation.
        """
        path = self.out / STATE
        if not path.is_file():
            raise EvaluationError(f"no evaluation to resume at {path}")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            about, scorers = state["about"], state["scorers"]
        # A file of another kind can make the unpickler fail in any way.
        except Exception as error:
            raise EvaluationError(
                f"{path} is no readable evaluation; start anew in another folder"
            ) from error
        for key, value in self._about().items():
            if about.get(key) != value:
                raise EvaluationError(
                    f"{path} is of another evaluation: {key} was {about.get(key)!r}, "
                    f"now it is {value!r}; give the same, or another folder"
                )
        for scorer, stored in zip(self.scorers, scorers):
            scorer.load_state_dict(stored)

    def run(self):
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
        count = sum(self.clips - s.done for s in self.scorers)
        saved = time.monotonic()
        bar = progress(total=count, desc="evaluating", unit="clip")
        with Interrupts() as interrupts, bar:
            for frames, scorer in self._work():
                if interrupts.requested:
                    break
                bar.set_postfix_str(scorer.candidate.name, refresh=False)
                scorer.update(frames)
                bar.update(len(frames))
                if time.monotonic() - saved > _SECONDS:
                    self.save()
                    saved = time.monotonic()
        self.save()
        return self.done

    def save(self):
        """Write the state beside the results."""
        scorers = [s.state_dict() for s in self.scorers]
        with written_beside(self.out / STATE) as beside:
            torch.save({"about": self._about(), "scorers": scorers}, beside)

    def batch(self, first):
        """The clips from `first` on that are scored together, as floats."""
        last = min(first + self.settings.batch_size, self.clips)
        clips = torch.stack([self.data.clip(i) for i in range(first, last)])
        return to_float(clips, self.device)

    def _work(self):
        """Batches and the scorers that have not seen them."""
        for first in range(0, self.clips, self.settings.batch_size):
            waiting = [s for s in self.scorers if s.done <= first]
            if waiting:
                frames = self.batch(first)
                yield from ((frames, scorer) for scorer in waiting)

    def _about(self):
        """What must be the same when a run is resumed."""
        return {
            **dataclasses.asdict(self.settings),
            **self._perceptual,
            "source": self.source,
            "test set": len(self.data),
            "names": [c.name for c in self.candidates],
            "checkpoints": [c.sha256 for c in self.candidates],
        }


def _check(candidates, data, settings, fvd, clips):
    if data.n_frames != settings.n_frames:
        raise EvaluationError(
            f"clips of {data.n_frames} frames do not hold {settings.n_past} of context "
            f"and {settings.horizon} to predict; make clips of {settings.n_frames}"
        )
    if fvd and clips < 2:
        raise EvaluationError("FVD of 1 clip has no covariance; score at least 2")
    for candidate in candidates:
        if candidate.svg is None:
            continue
        svg = candidate.svg
        want, have = svg.frame_shape, (data.channels, data.image_size, data.image_size)
        if want != have:
            raise EvaluationError(
                f"{candidate.name} takes frames {want} (C, H, W), the data's are {have}; "
                "give data of the size and channels that it was trained on"
            )
        name = svg.names["observation"]
        if settings.intervals == "noisy" and svg.observation.needs_target:
            raise EvaluationError(
                f"{candidate.name} has observation {name!r}, whose noise is not known "
                "before the truth; give intervals of means"
            )
        if settings.intervals == "noisy" and svg.observation.extra_channels:
            raise EvaluationError(
                f"{candidate.name} has observation {name!r}, whose noise does not "
                "follow from the means alone; give intervals of means"
            )
