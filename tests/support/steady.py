"""Models whose gradients owe nothing to chance: equal from a batch and its parts."""

import pyro.distributions as dist
import torch

from svg_pyro import SVG, FilteringGuide


class SteadyNormal(dist.Normal):
    """A Gaussian whose draws are a function of its mean: the same in any chunk."""

    def rsample(self, sample_shape=()):
        return self.loc + self.scale * (7 * self.loc.detach()).cos()


class SteadyGuide(FilteringGuide):
    def forward(self, h, state=None):
        q, state = super().forward(h, state)
        q = q.base_dist
        return SteadyNormal(q.loc, q.scale).to_event(1), state


def steady(config):
    torch.manual_seed(1)
    return SVG(config, guide=SteadyGuide(config)).double().train()


def gradients(svg):
    return {name: p.grad.clone() for name, p in svg.named_parameters()}


def frames_of(batch, steps=5, channels=1):
    generator = torch.Generator().manual_seed(2)
    shape = batch, steps, channels, 64, 64
    return torch.rand(shape, generator=generator, dtype=torch.float64)
