"""A prior with a fast and a slow memory."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import nn

from svg_pyro.config import SVGConfig
from svg_pyro.model.networks.base import init_weights
from svg_pyro.model.networks.recurrent import Recurrent
from svg_pyro.model.priors.base import Prior
from svg_pyro.model.registry import register


@register("prior", "two-scale")
class TwoScalePrior(Prior):
    r"""p(z_t | x_{1:t-1}) = Normal(mu, sigma) from two LSTMs of two time scales.

    The fast one runs over h_t, the slow one over their running mean ::

        m_t = m_{t-1} + (h_t - m_{t-1}) / span,   m_0 = 0,

    divided by its weight 1 - (1 - 1/span)^t, as Adam does.

    Parameters
    ----------
    config : SVGConfig
    span : float
        Frames that the slow memory averages over, more than 1.
    """

    def __init__(self, config: SVGConfig, span: float = 8.0) -> None:
        super().__init__()
        self.keep = 1 - 1 / span
        size, layers = config.rnn_size, config.prior_layers
        self.fast = Recurrent(config.input_size, size, layers)
        self.slow = Recurrent(config.input_size, size, layers)
        self.loc = nn.Linear(2 * size, config.z_dim)
        self.log_variance = nn.Linear(2 * size, config.z_dim)
        init_weights(self.loc)
        init_weights(self.log_variance)

    def forward(self, h: torch.Tensor, state: Any = None) -> tuple[Any, Any]:
        """See `Prior.forward`; the state: of both LSTMs, the mean and its weight."""
        fast_state, slow_state, mean, weight = state or (None, None, None, None)
        averages, mean, weight = self._averages(h, mean, weight)
        fast, fast_state = self.fast(h, fast_state)
        slow, slow_state = self.slow(averages, slow_state)
        with torch.autocast(h.device.type, enabled=False):
            x = torch.cat([fast, slow], -1)
            scale = (0.5 * self.log_variance(x)).exp()
            z = dist.Normal(self.loc(x), scale).to_event(1)
        return z, (fast_state, slow_state, mean, weight)

    def _averages(
        self, h: torch.Tensor, mean: torch.Tensor | None, weight: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Running means ``(*batch, n, g_dim)``; the last one and its weight."""
        if mean is None or weight is None:
            mean, weight = torch.zeros_like(h[..., 0, :]), h.new_zeros(())
            weight = weight.expand(mean.shape[:-1])
        steps = h.shape[-2]
        ages = torch.arange(steps, device=h.device)
        ages = ages[:, None] - ages
        # m_t = keep^t m_0 + sum_s keep^(t-s) (1 - keep) h_s, all frames in one product.
        decay = torch.where(ages >= 0, self.keep ** ages.clamp(min=0), 0)
        kept = self.keep ** torch.arange(1, steps + 1, device=h.device)
        kept, decay = kept.to(h.dtype), decay.to(h.dtype)
        means = (1 - self.keep) * (decay @ h) + kept[:, None] * mean[..., None, :]
        weights = 1 - kept * (1 - weight[..., None])
        return means / weights[..., None], means[..., -1, :], weights[..., -1]
