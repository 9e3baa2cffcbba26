"""The terms of an ELBO, recorded while Pyro evaluates it."""

import pyro.distributions as dist
import torch
from pyro.poutine.messenger import Messenger


class ELBOTerms(Messenger):
    """Record -log p(x | z) and KL(q || p), per clip, of what runs inside.

    ::

        with ELBOTerms() as terms:
            loss = elbo.differentiable_loss(svg.model, svg.guide, frames)
        nll, kl = terms.per_frame()

    Works with any ELBO whose guide runs before its model; several particles are
    averaged. Nothing is read back from the device.
    """

    def __init__(self):
        super().__init__()
        self._posterior = None
        self._nll = []
        self._kl = []

    def _pyro_post_sample(self, msg):
        if msg["name"] == "x":
            self._nll.append(-msg["fn"].log_prob(msg["value"]).detach())
        elif msg["name"] == "z":
            if self._posterior is None:
                self._posterior = msg["fn"]
            else:
                kl = _kl(self._posterior, msg["fn"], msg["value"])
                self._kl.append(kl.detach())
                self._posterior = None

    def per_frame(self):
        """Nats a frame of each clip.

        Returns
        -------
        nll, kl : torch.Tensor
            Shape ``(B,)``: means over the clip's T-1 scored frames (and over
            particles). -log p(x_t | z) is that of a whole frame, and can be
            negative since it is a density's.
        """
        nll = torch.stack([_over_frames(term) for term in self._nll]).mean(0)
        if not self._kl:
            return nll, torch.zeros_like(nll)
        return nll, torch.stack([_over_frames(term) for term in self._kl]).mean(0)


def _over_frames(term):
    """(*particles, B, T-1) -> (B,)."""
    term = term.mean(-1)
    return term.reshape(-1, term.shape[-1]).mean(0)


def _kl(posterior, prior, z):
    """The closed form where there is one, else its one-sample estimate."""
    try:
        return dist.kl.kl_divergence(posterior, prior)
    except NotImplementedError:
        return posterior.log_prob(z) - prior.log_prob(z)
