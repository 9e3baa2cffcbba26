"""The prior itself as guide: what the latents are worth without inference."""

from typing import Any

import torch

from svg_pyro.config import SVGConfig
from svg_pyro.model.guides.base import Guide
from svg_pyro.model.priors.base import Prior
from svg_pyro.model.registry import register


@register("guide", "prior")
class PriorGuide(Guide):
    r"""q(z_t | x_{1:T}) = p(z_t | x_{1:t-1}): the KL is 0.

    The bound becomes that of plain Monte Carlo ::

        L_K = E[ log 1/K sum_k p(x | z^k) ],   z^k ~ p

    It has no weights of its own; `SVG` tells it the prior.

    Parameters
    ----------
    config : SVGConfig, optional
        Gives the length of actions; without it there are none.
    """

    def __init__(self, config: SVGConfig | None = None) -> None:
        super().__init__()
        self.action_dim = 0 if config is None else config.action_dim
        # In a tuple, so that the prior's weights stay the prior's alone.
        self._prior: tuple[Prior, ...] = ()

    def follow(self, prior: Prior) -> None:
        """Take the distributions of `prior` from now on."""
        self._prior = (prior,)

    def forward(self, h: torch.Tensor, state: Any = None) -> tuple[Any, Any]:
        """See `Guide.forward`; the state: last features, and the prior's state.

        The prior sees (h_{t-1}, a_{t-1}) where a guide is given (h_t, a_{t-1}).
        """
        (prior,) = self._prior
        size = h.shape[-1] - self.action_dim
        if state is None:
            before, prior_state = None, None
        else:
            before, prior_state = state
        last = h[..., -1:, :]
        if before is None:
            # The first frame has no latent; only what it leaves behind is used.
            z, _ = prior(h, None)
            if h.shape[-2] > 1:
                seen = torch.cat([h[..., :-1, :size], h[..., 1:, size:]], -1)
                _, prior_state = prior(seen, None)
            return z, (last, prior_state)
        shape = torch.broadcast_shapes(before.shape[:-2], h.shape[:-2])
        before = before.expand(*shape, -1, -1)
        h = h.expand(*shape, -1, -1)
        features = torch.cat([before, h[..., :-1, :]], -2)[..., :size]
        z, prior_state = prior(torch.cat([features, h[..., size:]], -1), prior_state)
        return z, (last, prior_state)
