"""A prior whose dimensions of z see one another."""

from typing import Any

import torch
from pyro.nn import ConditionalAutoRegressiveNN

from svg_pyro.config import SVGConfig
from svg_pyro.errors import ConfigError
from svg_pyro.model.distributions import AutoregressiveNormal, start_flat
from svg_pyro.model.networks.recurrent import Recurrent
from svg_pyro.model.priors.base import Prior
from svg_pyro.model.registry import register


@register("prior", "autoregressive")
class AutoregressivePrior(Prior):
    r"""p(z_t | x_{1:t-1}) = prod_i Normal(z_t^i | z_t^{<i}, s_t), s_t from an LSTM.

    See `svg_pyro.model.distributions.AutoregressiveNormal`. A draw costs z_dim passes
    of a small network. The KL has no closed form: train it with ``elbo="trace"``.

    Parameters
    ----------
    config : SVGConfig
        Of z_dim 2 or more.
    hidden : int
        Width of the masked network, at least z_dim.

    Raises
    ------
    ConfigError
        If z_dim is 1: there is nothing to condition on.
    """

    def __init__(self, config: SVGConfig, hidden: int = 64) -> None:
        super().__init__()
        if config.z_dim < 2:
            raise ConfigError(
                f"z_dim is {config.z_dim}; the prior 'autoregressive' needs 2 or more "
                "dimensions that see one another"
            )
        self.recurrent = Recurrent(
            config.input_size, config.rnn_size, config.prior_layers
        )
        self.network = ConditionalAutoRegressiveNN(
            config.z_dim,
            config.rnn_size,
            [max(hidden, config.z_dim)],
            permutation=torch.arange(config.z_dim),  # type: ignore[arg-type]  # of int64
        )
        start_flat(self.network, 1e-2)

    def forward(self, h: torch.Tensor, state: Any = None) -> tuple[Any, Any]:
        """See `Prior.forward`; the state is that of the LSTM."""
        x, state = self.recurrent(h, state)
        return AutoregressiveNormal(self.network, x), state
