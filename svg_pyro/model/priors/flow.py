"""A Gaussian bent by couplings as prior."""

from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import transforms
from torch import nn

from svg_pyro.config import SVGConfig
from svg_pyro.errors import ConfigError
from svg_pyro.model.distributions import start_flat
from svg_pyro.model.networks.base import init_weights
from svg_pyro.model.networks.recurrent import Recurrent
from svg_pyro.model.priors.base import Prior
from svg_pyro.model.registry import register

_HIDDEN = 64


@register("prior", "flow")
class FlowPrior(Prior):
    r"""p(z_t | x_{1:t-1}): a learned Gaussian, bent by couplings that see the features.

    ::

        e ~ Normal(mu(s_t), sigma(s_t)),   z_t = f_L o ... o f_1 (e; s_t, h_{t-1})

    with s_t the output of an LSTM over h_{1:t-1} and affine couplings f (RealNVP; Dinh
    et al. 2017, arXiv 1605.08803), between which the dimensions change places. On a
    standard normal instead of the Gaussian it fits far worse. The KL has no closed
    form: train it with ``elbo="trace"``.

    Parameters
    ----------
    config : SVGConfig
        Of z_dim 2 or more.
    couplings : int
        Affine couplings, an even number: each half of z is bent by the other.

    Raises
    ------
    ConfigError
        If z_dim is 1: a coupling needs two halves.
    """

    def __init__(self, config: SVGConfig, couplings: int = 4) -> None:
        super().__init__()
        if config.z_dim < 2:
            raise ConfigError(
                f"z_dim is {config.z_dim}; the prior 'flow' needs 2 or more, since its "
                "couplings bend one half of z by the other"
            )
        self.recurrent = Recurrent(
            config.input_size, config.rnn_size, config.prior_layers
        )
        self.loc = nn.Linear(config.rnn_size, config.z_dim)
        self.log_variance = nn.Linear(config.rnn_size, config.z_dim)
        init_weights(self.loc)
        init_weights(self.log_variance)
        context = config.rnn_size + config.input_size
        self.couplings: Any = nn.ModuleList(
            transforms.conditional_affine_coupling(config.z_dim, context, [_HIDDEN])
            for _ in range(couplings)
        )
        for coupling in self.couplings:
            start_flat(coupling.nn)
        places = torch.arange(config.z_dim).roll(config.z_dim // 2)
        self.register_buffer("places", places, persistent=False)

    def forward(self, h: torch.Tensor, state: Any = None) -> tuple[Any, Any]:
        """See `Prior.forward`; the state is that of the LSTM."""
        x, state = self.recurrent(h, state)
        with torch.autocast(x.device.type, enabled=False):
            scale = (0.5 * self.log_variance(x)).exp()
            base = dist.Normal(self.loc(x), scale).to_event(1)
            features = h.to(x.dtype).expand(*x.shape[:-1], -1)
            context = torch.cat([x, features], -1)
        bends: list[object] = []
        for coupling in self.couplings:
            bends += [coupling.condition(context), transforms.Permute(self.places)]
        return dist.TransformedDistribution(base, bends), state
