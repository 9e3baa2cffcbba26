"""A prior, a guide and an observation model of one's own, for every command's --parts.

::

    python train_smmnist.py --parts parts_of_ones_own.py --prior memoryless \
        --guide two-frames --observation fixed-sigma
    python generate.py runs/smmnist/checkpoint.pt VIDEO --parts parts_of_ones_own.py
"""

import pyro.distributions as dist
import torch
from torch import nn

import svg_pyro
from svg_pyro import Guide, Observation, Prior, SVGConfig


@svg_pyro.register("prior", "memoryless")
class MemorylessPrior(Prior):
    """p(z_{t+1} given h_t): of the last frame alone, and so without a state."""

    def __init__(self, config: SVGConfig) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(config.input_size, config.rnn_size),
            nn.Tanh(),
            nn.Linear(config.rnn_size, 2 * config.z_dim),
        )

    def forward(
        self, h: torch.Tensor, state: None = None
    ) -> tuple[dist.TorchDistribution, None]:
        """See `svg_pyro.Prior`."""
        loc, log_scale = self.net(h).chunk(2, -1)
        return dist.Normal(loc, log_scale.clamp(-7, 3).exp()).to_event(1), state


@svg_pyro.register("guide", "two-frames")
class TwoFrameGuide(Guide):
    """q(z_t given h_{t-1} and h_t); its state is h_{t-1}."""

    def __init__(self, config: SVGConfig) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2 * config.input_size, config.rnn_size),
            nn.Tanh(),
            nn.Linear(config.rnn_size, 2 * config.z_dim),
        )

    def forward(
        self, h: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[dist.TorchDistribution, torch.Tensor]:
        """See `svg_pyro.Guide`."""
        first = torch.zeros_like(h[..., 0, :]) if state is None else state
        before = torch.cat([first.unsqueeze(-2), h[..., :-1, :]], -2)
        loc, log_scale = self.net(torch.cat([before, h], -1)).chunk(2, -1)
        normal = dist.Normal(loc, log_scale.clamp(-7, 3).exp()).to_event(1)
        return normal, h[..., -1, :]


@svg_pyro.register("observation", "fixed-sigma")
class FixedSigma(Observation):
    """Normal(mean, 0.1), whatever beta is."""

    def __init__(self, config: SVGConfig, frame_shape: tuple[int, int, int]) -> None:
        super().__init__()

    def forward(
        self,
        mean: torch.Tensor,
        extra: torch.Tensor,
        target: torch.Tensor | None = None,
    ) -> dist.TorchDistribution:
        """See `svg_pyro.Observation`."""
        return dist.Normal(mean, 0.1).to_event(3)
