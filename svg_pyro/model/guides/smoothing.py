"""A guide that looks ahead."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import nn

from svg_pyro.config import SVGConfig
from svg_pyro.model.guides.base import Guide
from svg_pyro.model.networks.base import init_weights
from svg_pyro.model.networks.recurrent import Recurrent
from svg_pyro.model.registry import register


@register("guide", "smoothing")
class SmoothingGuide(Guide):
    r"""q(z_t | x_{1:T}) = Normal(mu, sigma) from an LSTM forwards and one backwards.

    The true posterior of z_t depends on later frames too, since x_t depends on all of
    z_{2:t}. The backward LSTM starts at the last frame of each call; given a clip frame
    by frame this guide therefore filters.

    Parameters
    ----------
    config : SVGConfig
    """

    smooths = True

    def __init__(self, config: SVGConfig) -> None:
        super().__init__()
        size, layers = config.rnn_size, config.posterior_layers
        self.forwards = Recurrent(config.input_size, size, layers)
        self.backwards = Recurrent(config.input_size, size, layers)
        self.loc = nn.Linear(2 * size, config.z_dim)
        self.log_variance = nn.Linear(2 * size, config.z_dim)
        init_weights(self.loc)
        init_weights(self.log_variance)

    def forward(
        self,
        h: torch.Tensor,
        state: Any = None,
        lengths: torch.Tensor | None = None,
    ) -> tuple[Any, Any]:
        """See `Guide.forward`; the state is that of the forward LSTM."""
        past, state = self.forwards(h, state)
        if lengths is None:
            future = self.backwards(h.flip(-2))[0].flip(-2)
        else:
            order = _reversed(lengths, h.shape[-2])
            backwards = self.backwards(_in_order(h, order))[0]
            future = _in_order(backwards, order)
        with torch.autocast(h.device.type, enabled=False):
            future = future.expand(*past.shape[:-1], -1)
            x = torch.cat([past, future], -1)
            scale = (0.5 * self.log_variance(x)).exp()
            return dist.Normal(self.loc(x), scale).to_event(1), state


def _reversed(lengths: torch.Tensor, steps: int) -> torch.Tensor:
    """Each clip's frames from the last real one to the first, then its padding."""
    times = torch.arange(steps, device=lengths.device)
    back = lengths[:, None] - 1 - times
    return torch.where(back >= 0, back, times)


def _in_order(x: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Frames of ``(*, B, n, size)`` in an order ``(B, n)`` of each clip's own."""
    return x.gather(-2, order[..., None].expand(x.shape))
