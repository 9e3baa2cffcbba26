"""A mixture of Gaussians as prior: futures that fork."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import nn

from svg_pyro.config import SVGConfig
from svg_pyro.model.networks.base import init_weights
from svg_pyro.model.networks.maps import MapReader
from svg_pyro.model.networks.recurrent import Recurrent
from svg_pyro.model.priors.base import Prior
from svg_pyro.model.registry import register


# Over maps "mixture" is `MapMixturePrior`; the other name comes first,
# so that checkpoints of this class are found by it.
@register("prior", "mixture")
@register("prior", "mixture-vector")
class MixturePrior(Prior):
    r"""p(z_t | x_{1:t-1}) = sum_k w_k Normal(mu_k, sigma_k).

    Weights, means and scales come from an LSTM over h_{1:t-1}. Where a
    digit may leave an edge in several directions one Gaussian has to cover them all and
    what lies between. The KL to a mixture has no closed form: train it with
    ``elbo="trace"``.

    Parameters
    ----------
    config : SVGConfig
    components : int
        Gaussians in the mixture, 1 or more.
    """

    def __init__(self, config: SVGConfig, components: int = 5) -> None:
        super().__init__()
        self.components, self.z_dim = components, config.z_dim
        self.recurrent = Recurrent(
            config.input_size, config.rnn_size, config.prior_layers
        )
        self.logits = nn.Linear(config.rnn_size, components)
        self.locs = nn.Linear(config.rnn_size, components * config.z_dim)
        self.log_variances = nn.Linear(config.rnn_size, components * config.z_dim)
        for layer in (self.logits, self.locs, self.log_variances):
            init_weights(layer)
        # Components that start alike would stay alike: apart by about a standard
        # deviation of the fixed prior.
        nn.init.normal_(self.locs.bias)

    def forward(self, h: torch.Tensor, state: Any = None) -> tuple[Any, Any]:
        """See `Prior.forward`; the state is that of the LSTM."""
        x, state = self.recurrent(h, state)
        with torch.autocast(x.device.type, enabled=False):
            locs, log_variances = (
                layer(x).unflatten(-1, (self.components, self.z_dim))
                for layer in (self.locs, self.log_variances)
            )
            return _mixture(self.logits(x), locs, log_variances), state


@register("prior", "mixture-20")
def mixture_of_20(config: SVGConfig) -> MixturePrior:
    """A `MixturePrior` of 20 Gaussians.

    Parameters
    ----------
    config : SVGConfig
        As `MixturePrior` takes it.
    """
    return MixturePrior(config, components=20)


@register("prior", "mixture-maps")
class MapMixturePrior(MapReader, Prior):
    r"""`MixturePrior` from recurrent maps over h_{1:t-1}, which are maps themselves.

    One Gaussian has to cover an arm that goes on and an arm that turns, and what lies
    between: its samples tremble about the mean way. Here each has a component.

    Parameters
    ----------
    config : SVGConfig
        With ``dynamics="maps"``.
    frame_shape : tuple of int, optional
        ``(C, H, W)`` of a frame; by default the configuration's square.
    components : int
        Gaussians in the mixture, 1 or more.
    """

    def __init__(
        self,
        config: SVGConfig,
        frame_shape: tuple[int, int, int] | None = None,
        *,
        components: int = 5,
    ) -> None:
        size = components * (1 + 2 * config.z_dim)
        super().__init__(config, config.prior_layers, size, frame_shape)
        self.components = components
        # Components that start alike would stay alike.
        last: Any = self.read[-1]
        nn.init.normal_(last.bias, std=0.5)

    def forward(self, h: torch.Tensor, state: Any = None) -> tuple[Any, Any]:
        """See `Prior.forward`; the state is that of the maps."""
        read, state = self.vectors(h, state)
        with torch.autocast(read.device.type, enabled=False):
            logits, values = read.tensor_split([self.components], -1)
            locs, log_variances = values.unflatten(-1, (self.components, -1)).chunk(
                2, -1
            )
            return _mixture(logits, locs, log_variances), state


def _mixture(
    logits: torch.Tensor, locs: torch.Tensor, log_variances: torch.Tensor
) -> Any:  # Pyro's distributions have no types
    """Of diagonal Gaussians; shapes ``(*batch, components)`` and, twice, with z_dim."""
    parts = dist.Normal(locs, (0.5 * log_variances).exp()).to_event(1)
    return dist.MixtureSameFamily(dist.Categorical(logits=logits), parts)
