"""All that is learnt of one candidate, clip by clip: sums of a fixed size."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from svg_pyro.errors import EvaluationError, SVGError
from svg_pyro.evaluation.candidates import Candidate
from svg_pyro.evaluation.held_out import HeldOut
from svg_pyro.evaluation.sampling import latents_of, noisy_futures, sampled_futures
from svg_pyro.evaluation.settings import EvaluationSettings
from svg_pyro.evaluation.totals import ScoreTotals
from svg_pyro.metrics import Calibration, Curves, Fvd, Lpips
from svg_pyro.metrics.moments import Running
from svg_pyro.model.ensemble import spread_of
from svg_pyro.model.generation import Draw
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
    def update(self, frames: torch.Tensor, actions: torch.Tensor | None = None) -> None:
        """Score the next clips.

        Parameters
        ----------
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
        last = self.done + len(frames) - 1
        where = f"{self.candidate.name}, test clips {self.done} to {last}"
        try:
            self._score(frames, actions)
            few = max(0, self.settings.likelihood_clips - self.done)
            self._bound(frames[:few], None if actions is None else actions[:few])
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
        self.done = last + 1

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

    def _score(self, frames: torch.Tensor, actions: torch.Tensor | None) -> None:
        settings = self.settings
        context, truth = frames[:, : settings.n_past], frames[:, settings.n_past :]
        held = truth.new_empty(self._judged, *truth.shape)
        given = self.candidate, context, settings.sampling, self.done, actions
        noisy = None
        if self.calibration is not None and settings.intervals == "noisy":
            noisy = torch.empty_like(held)
            chunks = _held_with_noise(noisy_futures(*given), held, noisy)
        else:
            chunks = _held(sampled_futures(*given), held)
        curves = Curves(settings.protocols, self._distances)
        curves.update(truth, chunks)
        if self.calibration is not None:
            self.calibration.update(truth, held if noisy is None else noisy)
        if self.spread is not None:
            samples = held if noisy is None else noisy
            parts = spread_of(samples, self.candidate.members)
            both = torch.stack([parts.aleatoric, parts.epistemic], 1)
            self.spread.update(both.mean((-3, -2, -1)))
        if self.fvd is not None:
            self.fvd.update(frames, torch.cat([context, held[0]], 1))
        self.totals.add(curves)
        self._choose(curves)

    def _choose(self, curves: Curves) -> None:
        best, worst = (
            curves.curves(self.settings.protocols[0], "ssim", f"{kind}_sample").tolist()
            for kind in ("best", "worst")
        )
        for clip, chosen in enumerate(zip(best, worst, strict=True), self.done):
            if clip < self.settings.pictures:
                self.chosen[clip] = chosen

    def _bound(self, frames: torch.Tensor, actions: torch.Tensor | None) -> None:
        if not len(frames):
            return
        with latents_of(self.settings.seed, self.done, frames.device):
            bounded = self.candidate.likelihood(
                frames, max(self.settings.particles), actions=actions
            )
        if bounded is not None:
            self.held_out.update(bounded)


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
