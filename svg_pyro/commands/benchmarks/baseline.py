"""The yardstick: the paper's own procedure in plain PyTorch, for the benchmark alone.

As in the first code of Denton & Fergus (2018), every frame is encoded as an input and
again as a target, LSTM cells go step by step, the decoder convolves concat(d, skip) for
one frame at a time with BatchNorm's statistics of that step, five Adam optimisers move
five networks, and futures are generated sample by sample.
"""

import itertools

import torch
from torch import nn
from torch.nn import functional as F

from svg_pyro import SVGConfig


def _block(conv: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.LeakyReLU(0.2))


def _down(n_in: int, n_out: int) -> nn.Sequential:
    return _block(nn.Conv2d(n_in, n_out, 4, 2, 1), n_out)


def _up(n_in: int, n_out: int) -> nn.Sequential:
    return _block(nn.ConvTranspose2d(n_in, n_out, 4, 2, 1), n_out)


def _vgg(*channels: int) -> nn.Sequential:
    pairs = itertools.pairwise(channels)
    return nn.Sequential(*(_block(nn.Conv2d(a, b, 3, 1, 1), b) for a, b in pairs))


class Encoder(nn.Module):
    """h and the skips of one frame; 64x64 pixels."""

    def __init__(
        self, backbone: str, channels: int, g_dim: int, width: int = 64
    ) -> None:
        super().__init__()
        w = width
        self.pool = backbone == "vgg"
        if self.pool:
            stages = (
                _vgg(channels, w, w),
                _vgg(w, 2 * w, 2 * w),
                _vgg(2 * w, 4 * w, 4 * w, 4 * w),
                _vgg(4 * w, 8 * w, 8 * w, 8 * w),
            )
        else:
            stages = (
                _down(channels, w),
                _down(w, 2 * w),
                _down(2 * w, 4 * w),
                _down(4 * w, 8 * w),
            )
        self.stages = nn.ModuleList(stages)
        last = nn.Conv2d(8 * w, g_dim, 4)
        self.last = nn.Sequential(last, nn.BatchNorm2d(g_dim), nn.Tanh())

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Encode frames ``(B, C, 64, 64)``."""
        skips = []
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
            if self.pool:
                x = F.max_pool2d(x, 2)
        return self.last(x).flatten(1), skips


class Decoder(nn.Module):
    """One frame from g and the skips; 64x64 pixels."""

    def __init__(
        self, backbone: str, channels: int, g_dim: int, width: int = 64
    ) -> None:
        super().__init__()
        w = width
        self.enlarge = backbone == "vgg"
        self.first = _block(nn.ConvTranspose2d(g_dim, 8 * w, 4), 8 * w)
        stages: tuple[nn.Module, ...]
        if self.enlarge:
            stages = (
                _vgg(16 * w, 8 * w, 8 * w, 4 * w),
                _vgg(8 * w, 4 * w, 4 * w, 2 * w),
                _vgg(4 * w, 2 * w, w),
                _vgg(2 * w, w),
            )
            self.last = nn.ConvTranspose2d(w, channels, 3, 1, 1)
        else:
            stages = _up(16 * w, 4 * w), _up(8 * w, 2 * w), _up(4 * w, w), nn.Identity()
            self.last = nn.ConvTranspose2d(2 * w, channels, 4, 2, 1)
        self.stages = nn.ModuleList(stages)

    def forward(self, g: torch.Tensor, skips: list[torch.Tensor]) -> torch.Tensor:
        """Decode ``(B, g_dim)``; `skips` from the highest resolution on."""
        d = self.first(g[:, :, None, None])
        for stage, skip in zip(self.stages, reversed(skips), strict=True):
            if self.enlarge:
                d = F.interpolate(d, scale_factor=2)
            d = stage(torch.cat([d, skip], 1))
        frames: torch.Tensor = self.last(d).sigmoid()
        return frames


class LSTM(nn.Module):
    """An embedding and a stack of LSTM cells, one step at a time."""

    def __init__(self, n_in: int, n_hidden: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Linear(n_in, n_hidden)
        self.cells = nn.ModuleList(
            nn.LSTMCell(n_hidden, n_hidden) for _ in range(layers)
        )

    def start(self) -> None:
        """Forget the state."""
        self.states: list[tuple[torch.Tensor, torch.Tensor] | None]
        self.states = [None] * len(self.cells)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take one step."""
        x = self.embed(x)
        for i, cell in enumerate(self.cells):
            x, memory = cell(x, self.states[i])
            self.states[i] = x, memory
        return x


class Gaussian(nn.Module):
    """Mean and log variance of z, step by step."""

    def __init__(self, n_in: int, z_dim: int, n_hidden: int) -> None:
        super().__init__()
        self.lstm = LSTM(n_in, n_hidden, 1)
        self.loc = nn.Linear(n_hidden, z_dim)
        self.log_variance = nn.Linear(n_hidden, z_dim)

    def start(self) -> None:
        """Forget the state."""
        self.lstm.start()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Take one step: a draw, the mean, and the log variance."""
        h = self.lstm(x)
        loc, log_variance = self.loc(h), self.log_variance(h)
        z = loc + torch.randn_like(loc) * (0.5 * log_variance).exp()
        return z, loc, log_variance


class PaperLoop:
    """The five networks, their optimisers, and the loops over time.

    Parameters
    ----------
    config : SVGConfig
        Of 64x64 pixels.
    lr : float
        Adam's learning rate.
    """

    def __init__(self, config: SVGConfig, lr: float = 2e-3) -> None:
        g, z, n = config.g_dim, config.z_dim, config.rnn_size
        self.config = config
        shape = config.backbone, config.channels, g, config.width
        self.encoder, self.decoder = Encoder(*shape), Decoder(*shape)
        self.predictor = LSTM(g + z, n, 2)
        self.out = nn.Sequential(nn.Linear(n, g), nn.Tanh())
        self.posterior, self.prior = Gaussian(g, z, n), Gaussian(g, z, n)
        predictor = nn.ModuleList([self.predictor, self.out])
        self.networks = (
            self.encoder,
            self.decoder,
            predictor,
            self.posterior,
            self.prior,
        )
        self.optimisers = [torch.optim.Adam(n.parameters(), lr) for n in self.networks]

    def _start(self) -> None:
        for lstm in (self.predictor, self.posterior, self.prior):
            lstm.start()

    def train_step(self, x: torch.Tensor) -> None:
        """Take one step on a batch ``(B, T, C, H, W)`` of floats."""
        for network in self.networks:
            network.train().zero_grad()
        self._start()
        frames, n_past = x.unbind(1), self.config.n_past
        mse = kl = torch.zeros((), device=x.device)
        for t in range(1, len(frames)):
            h, skips_now = self.encoder(frames[t - 1])
            target, _ = self.encoder(frames[t])
            if t <= n_past:
                skips = skips_now
            z, loc, log_variance = self.posterior(target)
            _, loc_p, log_variance_p = self.prior(h)
            g = self.out(self.predictor(torch.cat([h, z], 1)))
            mse = mse + F.mse_loss(self.decoder(g, skips), frames[t])
            distance = (log_variance.exp() + (loc - loc_p) ** 2) / log_variance_p.exp()
            kl = kl + 0.5 * (log_variance_p - log_variance + distance - 1).sum() / len(
                x
            )
        (mse + self.config.beta * kl).backward()
        for optimiser in self.optimisers:
            optimiser.step()

    @torch.no_grad()
    def generate(
        self, context: torch.Tensor, horizon: int, num_samples: int
    ) -> torch.Tensor:
        """Futures ``(S, B, horizon, C, H, W)``, one sample after the other."""
        for network in self.networks:
            network.eval()
        return torch.stack([self._future(context, horizon) for _ in range(num_samples)])

    def _future(self, context: torch.Tensor, horizon: int) -> torch.Tensor:
        self._start()
        frames, n_past, future = context.unbind(1), context.shape[1], []
        x = frames[0]
        for t in range(1, n_past + horizon):
            h, skips_now = self.encoder(x)
            if t <= n_past:
                skips = skips_now
            if t < n_past:
                z, *_ = self.posterior(self.encoder(frames[t])[0])
                self.prior(h)
                self.predictor(torch.cat([h, z], 1))
                x = frames[t]
            else:
                z, *_ = self.prior(h)
                g = self.out(self.predictor(torch.cat([h, z], 1)))
                x = self.decoder(g, skips)
                future.append(x)
        return torch.stack(future, 1)
