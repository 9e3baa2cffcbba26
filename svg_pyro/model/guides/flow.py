"""A guide that is not Gaussian: an inverse autoregressive flow."""

from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import transforms
from torch import nn

from svg_pyro.config import SVGConfig
from svg_pyro.errors import ConfigError
from svg_pyro.model.distributions import start_flat
from svg_pyro.model.guides.base import Guide
from svg_pyro.model.networks.base import init_weights
from svg_pyro.model.networks.recurrent import Recurrent
from svg_pyro.model.registry import register

_HIDDEN = 64


@register("guide", "flow")
class FlowGuide(Guide):
    r"""q(z_t | x_{1:t}): a Gaussian of an LSTM, bent by autoregressive flows.

    ::

        e ~ Normal(mu(s_t), sigma(s_t)),
        z_t^i = a_i(e^{<i}, s_t) e^i + b_i(e^{<i}, s_t)

    (IAF; Kingma et al. 2016, arXiv 1606.04934), twice, with the dimensions in opposite
    orders. A draw and its density cost one pass; the KL has no closed form: train it
    with ``elbo="trace"``.

    Parameters
    ----------
    config : SVGConfig
        Of z_dim 2 or more.

    Raises
    ------
    ConfigError
        If z_dim is 1: a flow over one dimension bends nothing.
    """

    def __init__(self, config: SVGConfig) -> None:
        super().__init__()
        if config.z_dim < 2:
            raise ConfigError(
                f"z_dim is {config.z_dim}; the guide 'flow' needs 2 or more dimensions"
            )
        size = config.rnn_size
        self.recurrent = Recurrent(config.input_size, size, config.posterior_layers)
        self.loc = nn.Linear(size, config.z_dim)
        self.log_variance = nn.Linear(size, config.z_dim)
        init_weights(self.loc)
        init_weights(self.log_variance)
        hidden = max(_HIDDEN, config.z_dim)
        self.flows: Any = nn.ModuleList(
            transforms.conditional_affine_autoregressive(config.z_dim, size, [hidden])
            for _ in range(2)
        )
        for flow in self.flows:
            start_flat(flow.nn)

    def forward(self, h: torch.Tensor, state: Any = None) -> tuple[Any, Any]:
        """See `Guide.forward`; the state is that of the LSTM."""
        x, state = self.recurrent(h, state)
        with torch.autocast(x.device.type, enabled=False):
            scale = (0.5 * self.log_variance(x)).exp()
            base = dist.Normal(self.loc(x), scale).to_event(1)
        bends = [flow.condition(x) for flow in self.flows]
        return dist.TransformedDistribution(base, bends), state
