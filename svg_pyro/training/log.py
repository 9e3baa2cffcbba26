"""What training steps recorded, and the log that it is written to."""

import json
import math

import torch

from svg_pyro.util.files import written_beside

# Below this the latents say nothing, and every sampled future is the same.
COLLAPSED_KL = 0.05
# Steps that the latents are given to be taken up.
COLLAPSE_STEPS = 500


class Records:
    """The terms of the steps since the last line of the log, still on the device."""

    def __init__(self):
        self._steps = []

    def __len__(self):
        return len(self._steps)

    def add(self, step, clips, terms):
        """Keep a step's terms.

        Parameters
        ----------
        step : int
        clips : list of int
            Indices of the clips.
        terms : tuple of torch.Tensor
            nll and kl of each clip, ``(B,)``, nats a frame.
        """
        self._steps.append((step, clips, terms))

    def means(self):
        """nll and kl in nats a frame, as floats."""
        terms = [terms for _, _, terms in self._steps]
        return [
            torch.stack([x.mean() for x in each]).mean().item() for each in zip(*terms)
        ]

    def first_bad(self):
        """The first step whose loss is not finite, or None.

        Returns
        -------
        step : int
        clips, bad : list of int
            Its clips' indices, and those of them that are not finite.
        """
        if not self._steps:
            return None
        totals = torch.stack([(nll + kl).sum() for _, _, (nll, kl) in self._steps])
        good = totals.isfinite()
        if good.all():
            return None
        step, clips, (nll, kl) = self._steps[int((~good).nonzero()[0])]
        finite = (nll + kl).isfinite().tolist()
        return step, clips, [clip for clip, fine in zip(clips, finite) if not fine]

    def clear(self):
        self._steps.clear()


class TrainingLog:
    """``metrics.jsonl``: a line of JSON for each report.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path):
        self.path = path

    def begin(self):
        """Make the folder and an empty log."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("")

    def write(self, **values):
        """Add a line; `values` has the `step`."""
        with open(self.path, "a") as log:
            log.write(json.dumps(values) + "\n")

    def forget_after(self, step):
        """Drop what is said of later steps: they will be done again."""
        if not self.path.exists():
            return
        lines = self.path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if _step_of(line) <= step]
        with written_beside(self.path) as beside:
            beside.write_text("".join(kept))


def has_collapsed(kl, step):
    """Whether a KL, in nats a frame, is so small after so many steps as to be told."""
    return kl < COLLAPSED_KL and step >= COLLAPSE_STEPS


def _step_of(line):
    """The step of a line of the log; a line cut short by a kill belongs to none."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):
        return math.inf
