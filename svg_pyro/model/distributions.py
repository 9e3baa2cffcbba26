"""Distributions over z that neither PyTorch nor Pyro has, and the start of flows."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from pyro.nn import ConditionalAutoRegressiveNN
from torch import nn
from torch.distributions import constraints


def start_flat(network: Any, spread: float = 1e-3) -> None:
    """Let a Pyro network begin with outputs near 0, so that what it bends is as it was.

    Parameters
    ----------
    network : pyro.nn.DenseNN or pyro.nn.AutoRegressiveNN
        Of which the last layer is set.
    spread : float
        Standard deviation of its weights; at 0 all of them would get one gradient.
    """
    last = network.layers[-1]
    nn.init.normal_(last.weight, 0.0, spread)
    nn.init.zeros_(last.bias)


class AutoregressiveNormal(TorchDistribution):
    r"""A Gaussian for each dimension of z, given the dimensions before it.

    ::

        p(z) = prod_i Normal(z_i | m_i(z_{<i}, c), exp(s_i(z_{<i}, c)))

    which is a masked autoregressive flow of one layer (Papamakarios et al. 2017,
    arXiv 1705.07057). A density costs one pass of the network, a draw one for each
    dimension.

    Parameters
    ----------
    network : pyro.nn.ConditionalAutoRegressiveNN
        Gives m and s, each ``(*batch, z_dim)``.
    context : torch.Tensor
        c, shape ``(*batch, context_dim)``.
    batch_shape : torch.Size, optional
        To which the batch of `context` is broadcast.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        network: ConditionalAutoRegressiveNN,
        context: torch.Tensor,
        batch_shape: torch.Size | None = None,
    ) -> None:
        self.network, self.context = network, context
        shape = context.shape[:-1] if batch_shape is None else batch_shape
        event = torch.Size([network.input_dim])
        super().__init__(shape, event, validate_args=False)

    def expand(
        self,
        batch_shape: torch.Size | list[int] | tuple[int, ...],
        _instance: Any = None,
    ) -> AutoregressiveNormal:
        """The same distribution with a larger batch shape."""
        return AutoregressiveNormal(self.network, self.context, torch.Size(batch_shape))

    def rsample(
        self,
        sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size(),  # noqa: B008
    ) -> torch.Tensor:
        """Draw by one dimension after the other; differentiable."""
        shape = torch.Size(sample_shape) + self.batch_shape + self.event_shape
        noise = torch.randn(shape, dtype=self.context.dtype, device=self.context.device)
        z = torch.zeros_like(noise)
        order = self.network.permutation
        for place in range(len(order)):
            # Compared, not indexed: a list of Python numbers would have to be read
            # from the device.
            now = torch.arange(len(order), device=order.device) == order[place]
            mean, log_scale = self._parameters(z)
            z = torch.where(now, mean + log_scale.exp() * noise, z)
        return z

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Nats, shape ``(*samples, *batch)``."""
        mean, log_scale = self._parameters(value)
        normal = torch.distributions.Normal(mean, log_scale.exp(), validate_args=False)
        log_prob: torch.Tensor = normal.log_prob(value).sum(-1)
        return log_prob

    def _parameters(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shape = torch.broadcast_shapes(z.shape[:-1], self.context.shape[:-1])
        mean, log_scale = self.network(z.expand(*shape, -1), self.context)
        return mean, log_scale.clamp(-7, 3)
