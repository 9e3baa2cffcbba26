"""The work that is timed: the paper's settings, ours beside the baseline's."""

from dataclasses import dataclass

import pyro
import torch
from pyro.infer import SVI, Trace_ELBO
from torch.nn import functional as F

from svg_pyro import SVG, SVGConfig, TrainingConfig
from svg_pyro.commands.benchmarks.baseline import PaperLoop
from svg_pyro.model.features import encode
from svg_pyro.model.precision import autocast
from svg_pyro.model.skips import skips_of_targets
from svg_pyro.training.elbos import ELBOS
from svg_pyro.training.optim import make_adam
from svg_pyro.training.step import LossAndGrads
from svg_pyro.training.svi import TorchSVI


@dataclass(frozen=True)
class Work:
    """One row: a model, and the shape of what it is given.

    Attributes
    ----------
    name : str
        In tables.
    config : SVGConfig
        Of the model.
    batch : int
        Clips.
    future : int
        Frames after the context.
    """

    name: str
    config: SVGConfig
    batch: int
    future: int

    def frames(self, device: torch.device) -> torch.Tensor:
        """A batch of clips, context and future, of uniform noise."""
        c = self.config
        shape = (
            self.batch,
            c.n_past + self.future,
            c.channels,
            c.image_size,
            c.image_size,
        )
        generator = torch.Generator().manual_seed(0)
        return torch.rand(shape, generator=generator).to(device)


DCGAN = SVGConfig.preset("smmnist")
VGG = SVGConfig.preset("bair")
TRAIN = (Work("DCGAN 64", DCGAN, 16, 10), Work("VGG 64", VGG, 4, 10))
GENERATE = (Work("DCGAN 64", DCGAN, 16, 25), Work("VGG 64", VGG, 8, 28))


class Ours:
    """The Pyro program, trained as `svg_pyro.training.trainer.Trainer` does it."""

    def __init__(
        self,
        config: SVGConfig,
        device: torch.device,
        *,
        accumulate: int = 1,
        precision: str = "float32",
        seed: int = 0,
    ) -> None:
        self.device, self.precision = device, precision
        torch.manual_seed(seed)
        self.svg = SVG(config).to(device)
        elbo = ELBOS["mean-field"]()
        self.svi = TorchSVI(
            self.svg.model,
            self.svg.guide,
            make_adam(self.svg.parameters(), TrainingConfig(lr=2e-3)),
            loss=elbo.loss,
            loss_and_grads=LossAndGrads(self.svg, elbo, accumulate, precision),
        )

    def train_step(self, frames: torch.Tensor) -> None:
        """Take one step on a batch ``(B, T, C, H, W)`` of floats."""
        self.svg.train()
        with pyro.validation_enabled(False):
            self.svi.step(frames)

    def generate(
        self, context: torch.Tensor, horizon: int, num_samples: int
    ) -> torch.Tensor:
        """Futures ``(S, B, horizon, C, H, W)`` of a context."""
        with pyro.validation_enabled(False), autocast(self.device, self.precision):
            return self.svg.predict(context, horizon, num_samples)


class Plain(Ours):
    """The same networks and mathematics, vectorised, without Pyro."""

    def train_step(self, frames: torch.Tensor) -> None:
        """Take one step on a batch ``(B, T, C, H, W)`` of floats."""
        svg = self.svg.train()
        config, steps = svg.config, frames.shape[1] - 1
        features = encode(svg.encoder, frames)
        h = features.h
        assert svg.prior is not None  # a model with latents is timed
        prior, _ = svg.prior(h[:, :-1])
        _, state = svg.posterior(h[:, :1])
        posterior, _ = svg.posterior(h[:, 1:], state)
        g, _ = svg.frame_predictor(torch.cat([h[:, :-1], posterior.rsample()], -1))
        mean = svg.decoder(g, skips_of_targets(svg.decoder, features, config))
        kl = torch.distributions.kl_divergence(posterior, prior).sum()
        nll = F.mse_loss(mean, frames[:, 1:], reduction="sum")
        loss = nll / (2 * config.noise_scale**2) + kl
        svg.zero_grad()
        (loss / (len(frames) * steps)).backward()
        self.svi.optim.step()


class ReadmesLoop:
    """What the README tells those to write who train in a loop of their own."""

    def __init__(self, config: SVGConfig, device: torch.device) -> None:
        torch.manual_seed(0)
        self.svg = SVG(config).to(device).train()
        # Made by pyro.optim when it is imported.
        adam = pyro.optim.Adam({"lr": 2e-3, "fused": True})  # type: ignore[attr-defined]
        self.svi = SVI(self.svg.model, self.svg.guide, adam, Trace_ELBO())

    def train_step(self, frames: torch.Tensor) -> None:
        """Take one step on a batch ``(B, T, C, H, W)`` of floats."""
        self.svi.step(frames)


def baseline(config: SVGConfig, device: torch.device) -> PaperLoop:
    """The paper's loop with its networks on `device`."""
    torch.manual_seed(0)
    loop = PaperLoop(config)
    for network in loop.networks:
        network.to(device)
    return loop
