"""The terms of an ELBO, in nats a frame, recorded while Pyro evaluates it."""

from typing import Any

import torch
from pyro.infer import Trace_ELBO
from pyro.poutine.messenger import Messenger

from svg_pyro.data.batches import in_parts
from svg_pyro.model.divergence import kl_at
from svg_pyro.model.svg import SVG
from svg_pyro.training.elbos import weighed
from svg_pyro.util.modes import evaluating, seeded


class ELBOTerms(Messenger):
    """Record -log p(x | z) and KL(q || p), per clip, of what runs inside.

    ::

        with ELBOTerms() as terms:
            loss = elbo.differentiable_loss(svg.model, svg.guide, frames)
        nll, kl = terms.per_frame()

    Works with any ELBO whose guide runs before its model; several particles are
    averaged. Masks and scales (``poutine.mask``, ``poutine.scale``) weigh the terms as
    they weigh the ELBO. Nothing is read back from the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self._posterior: Any = None
        self._nll: list[torch.Tensor] = []
        self._kl: list[torch.Tensor] = []

    def _pyro_post_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] == "x":
            self._nll.append(_per_frame(-msg["fn"].log_prob(msg["value"]), msg))
        elif msg["name"] == "z":
            if self._posterior is None:
                self._posterior = msg["fn"]
            else:
                kl = kl_at(self._posterior, msg["fn"], msg["value"])
                self._kl.append(_per_frame(kl, msg))
                self._posterior = None

    def per_frame(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Nats a frame of each clip.

        Returns
        -------
        nll, kl : torch.Tensor
            Shape ``(B,)``: means over the clip's T-1 scored frames (of those that are
            not masked) and over particles. -log p(x_t | z) is that of a whole frame,
            and can be negative since it is a density's.
        """
        nll = torch.stack(self._nll).mean(0)
        if not self._kl:
            return nll, torch.zeros_like(nll)
        return nll, torch.stack(self._kl).mean(0)


def _per_frame(term: torch.Tensor, msg: dict[str, Any]) -> torch.Tensor:
    """The mean over a clip's frames: (*particles, B, T-1) -> (B,)."""
    mask = msg["mask"]
    term = weighed(term.detach(), msg)
    if mask is None:
        clips = term.mean(-1)
    else:
        mask = torch.as_tensor(mask, device=term.device).expand(term.shape)
        clips = term.sum(-1) / mask.sum(-1).clamp_min(1)
    return clips.reshape(-1, clips.shape[-1]).mean(0)


def held_out_terms(
    svg: SVG,
    elbo: Trace_ELBO,
    clips: torch.Tensor,
    *,
    batch_size: int = 16,
    seed: int = 0,
    actions: torch.Tensor | None = None,
) -> tuple[float, float]:
    """-log p(x | z) and KL(q || p) on held-out clips, in nats a frame.

    The model runs in evaluation mode; the global random state is left alone.

    Parameters
    ----------
    svg : SVG
        The model.
    elbo : pyro.infer.ELBO
        Runs guide and model.
    clips : torch.Tensor
        uint8, shape ``(B, T, C, H, W)``.
    batch_size : int
        Clips at a time.
    seed : int
        Of the latents.
    actions : torch.Tensor, optional
        Of a model with actions, ``(B, T - 1, A)``.

    Returns
    -------
    nll, kl : float
        Means over the clips.
    """
    device = next(svg.parameters()).device
    nll, kl = [], []
    with seeded(seed, device), torch.no_grad(), evaluating(svg):
        for frames, given in in_parts(clips, actions, batch_size, device):
            with ELBOTerms() as terms:
                elbo.loss(svg.model, svg.guide, frames, **given)
            of_clips = terms.per_frame()
            nll.append(of_clips[0])
            kl.append(of_clips[1])
    return torch.cat(nll).mean().item(), torch.cat(kl).mean().item()
