"""All that is learnt of one candidate, clip by clip: sums of a fixed size.

What a batch of clips says is found first, perhaps in another process, and taken into
the sums then, in the order of the clips: so the sums do not depend on who found it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from svg_pyro.errors import EvaluationError, SVGError
from svg_pyro.evaluation.candidates import Candidate
from svg_pyro.evaluation.held_out import HeldOut
from svg_pyro.evaluation.likelihood import Likelihood
from svg_pyro.evaluation.sampling import latents_of, noisy_futures, sampled_futures
from svg_pyro.evaluation.settings import EvaluationSettings
from svg_pyro.evaluation.totals import ScoreTotals
from svg_pyro.metrics import Calibration, Curves, Fvd, Lpips
from svg_pyro.metrics.calibration import JudgedClip, judged
from svg_pyro.metrics.moments import Running
from svg_pyro.model.draws import Draw
from svg_pyro.model.ensemble import spread_of
from svg_pyro.util.memory import is_exhausted


@dataclass(frozen=True)
class Perceptual:
    """Networks that compare videos, of those whose weights there are.

    Attributes
    ----------
    lpips : Lpips or None
        Compares frames.
    fvd_network : str or Path or None
        See `svg_pyro.metrics.Fvd`. As in SRVP, one sample of each clip is taken, with
        the context's true frames before it.
    """

    lpips: Lpips | None = None
    fvd_network: str | Path | None = None


@dataclass(frozen=True)
class Findings:
    """What a batch of clips says of a candidate; tensors are on the CPU.

    Attributes
    ----------
    first, clips : int
        The batch's first clip, and how many there are.
    curves : dict of str to torch.Tensor
        Of `Curves.state_dict`.
    judged : list of JudgedClip
        Empty where no samples are judged as a distribution.
    features : tuple of torch.Tensor or None
        See `Fvd.features`.
    spread : torch.Tensor or None
        Aleatoric and epistemic variance of an ensemble, ``(B, 2, T)``.
    likelihood : Likelihood or None
        None without a density, or where no clip's is to be bounded.
    """

    first: int
    clips: int
    curves: dict[str, torch.Tensor]
    judged: list[JudgedClip]
    features: tuple[torch.Tensor, torch.Tensor] | None
    spread: torch.Tensor | None
    likelihood: Likelihood | None


class Scorer:
    """Scores one candidate on a stream of test clips.

    Parameters
    ----------
    candidate : Candidate
        What predicts.
    settings : EvaluationSettings
        What is done.
    perceptual : Perceptual
        Networks that compare videos.
    device : torch.device
        Where the frames are.

    Attributes
    ----------
    done : int
        Clips that were scored.
    chosen : dict of int to tuple of int
        Best and worst sample of each clip that will be drawn, by the first protocol's
        SSIM.
    """

    def __init__(
        self,
        candidate: Candidate,
        settings: EvaluationSettings,
        *,
        perceptual: Perceptual,
        device: torch.device,
    ) -> None:
        self.candidate, self.settings = candidate, settings
        lpips, network = perceptual.lpips, perceptual.fvd_network
        self._distances = {} if lpips is None else {"lpips": lpips.against}
        self.done = 0
        self.chosen: dict[int, tuple[int, int]] = {}
        self.totals = ScoreTotals()
        self.held_out = HeldOut(settings.particles)
        count = candidate.count(settings.num_samples)
        self._judged = max(1, min(settings.calibration_samples, count))
        self.calibration = Calibration(settings.seed) if self._judged > 1 else None
        self.fvd = None if network is None else Fvd(network, device=device)
        if self.fvd is not None:
            self.fvd.check_length(settings.n_frames)
        members = candidate.members
        shared = members > 1 and self._judged >= 2 * members
        # Of each clip and predicted frame: aleatoric and epistemic variance.
        self.spread = Running() if shared else None

    @torch.no_grad()
    def find(
        self, first: int, frames: torch.Tensor, actions: torch.Tensor | None = None
    ) -> Findings:
        """Score clips; the sums stay as they are.

        Parameters
        ----------
        first : int
            The first clip's number in the test set.
        frames : torch.Tensor
            Context and truth, ``(B, T, C, H, W)``, floats in [0, 1].
        actions : torch.Tensor, optional
            ``(B, T - 1, A)``, where the data have them.

        Raises
        ------
        SVGError
            A prediction cannot be scored, or memory does not suffice; with the
            candidate and the clips in the message.
        """
        last = first + len(frames) - 1
        where = f"{self.candidate.name}, test clips {first} to {last}"
        try:
            return self._find(first, frames, actions)
        except SVGError as error:
            raise type(error)(f"{where}: {error}") from error
        except (RuntimeError, MemoryError) as error:
            if not is_exhausted(error):
                raise
            raise EvaluationError(
                f"{where}: out of memory; lower chunk_size (now "
                f"{self.settings.chunk_size}), batch_size ({self.settings.batch_size}) "
                f"or calibration_samples ({self.settings.calibration_samples})"
            ) from error

    def take(self, found: Findings) -> None:
        """Add what the next clips say to the sums.

        Parameters
        ----------
        found : Findings
            Of the clips from `done` on, by `find`, here or in another process.
        """
        self.totals.add(found.curves)
        if self.calibration is not None:
            self.calibration.take(found.judged)
        if self.fvd is not None and found.features is not None:
            self.fvd.take(*found.features)
        if self.spread is not None and found.spread is not None:
            self.spread.update(found.spread)
        if found.likelihood is not None:
            self.held_out.update(found.likelihood)
        self._choose(found)
        self.done = found.first + found.clips

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on: tensors, numbers and text."""
        parts: dict[str, Any] = {"totals": self.totals, "held_out": self.held_out}
        optional = {
            "calibration": self.calibration,
            "fvd": self.fvd,
            "spread": self.spread,
        }
        parts |= {k: v for k, v in optional.items() if v is not None}
        states = {k: v.state_dict() for k, v in parts.items()} if self.done else {}
        return {"done": self.done, "chosen": self.chosen, **states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.done, self.chosen = state["done"], dict(state["chosen"])
        for name in state.keys() - {"done", "chosen"}:
            getattr(self, name).load_state_dict(state[name])

    def _find(
        self, first: int, frames: torch.Tensor, actions: torch.Tensor | None
    ) -> Findings:
        settings = self.settings
        context, truth = frames[:, : settings.n_past], frames[:, settings.n_past :]
        held = truth.new_empty(self._judged, *truth.shape)
        given = self.candidate, context, settings.sampling, first, actions
        samples = held
        if self.calibration is not None and settings.intervals == "noisy":
            samples = torch.empty_like(held)
            chunks = _held_with_noise(noisy_futures(*given), held, samples)
        else:
            chunks = _held(sampled_futures(*given), held)
        curves = Curves(settings.protocols, self._distances)
        curves.update(truth, chunks)
        videos = frames, torch.cat([context, held[0]], 1)
        return Findings(
            first=first,
            clips=len(frames),
            curves=curves.state_dict(),
            judged=[] if self.calibration is None else judged(truth, samples),
            features=None if self.fvd is None else self.fvd.features(*videos),
            spread=None if self.spread is None else self._spread(samples),
            likelihood=self._bound(first, frames, actions),
        )

    def _spread(self, samples: torch.Tensor) -> torch.Tensor:
        parts = spread_of(samples, self.candidate.members)
        both = torch.stack([parts.aleatoric, parts.epistemic], 1)
        return both.mean((-3, -2, -1)).cpu()

    def _choose(self, found: Findings) -> None:
        protocol = self.settings.protocols[0]
        best, worst = (
            found.curves[f"{protocol}/ssim/{kind}_sample"].tolist()
            for kind in ("best", "worst")
        )
        for clip, chosen in enumerate(zip(best, worst, strict=True), found.first):
            if clip < self.settings.pictures:
                self.chosen[clip] = chosen

    def _bound(
        self, first: int, frames: torch.Tensor, actions: torch.Tensor | None
    ) -> Likelihood | None:
        """Importance weights of those clips whose likelihood is to be bounded."""
        few = max(0, self.settings.likelihood_clips - first)
        frames = frames[:few]
        if not len(frames):
            return None
        with latents_of(self.settings.seed, first, frames.device):
            found = self.candidate.likelihood(
                frames,
                max(self.settings.particles),
                actions=None if actions is None else actions[:few],
            )
        return None if found is None else found.cpu()


def _held_with_noise(
    draws: Iterable[Draw], room: torch.Tensor, noisy: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Pass means on, and keep the first ones, and the first frames around them."""
    done = 0
    for draw in draws:
        part = slice(done, done + len(draw.means))
        for kept, drawn in zip((room, noisy), draw, strict=True):
            kept[part].copy_(drawn[: len(kept[part])])
        done += len(draw.means)
        yield draw.means


def _held(chunks: Iterable[torch.Tensor], room: torch.Tensor) -> Iterator[torch.Tensor]:
    """Pass samples on, and keep the first ones in `room`."""
    done = 0
    for chunk in chunks:
        part = room[done : done + len(chunk)]
        part.copy_(chunk[: len(part)])
        done += len(chunk)
        yield chunk
