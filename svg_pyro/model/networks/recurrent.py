"""Recurrent networks whose state is explicit: given, returned, never kept.

A state is a tuple of tensors ``(*batch, layers, rnn_size)``. Its leading dimensions
are those of the sequences, so it can be expanded (samples of one context), indexed
(resampling) or carried from one call to the next; None is the zero state.
"""

import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import nn

from svg_pyro.config import SVGConfig
from svg_pyro.model.networks.base import init_weights
from svg_pyro.model.types import Distribution, RecurrentState


class Recurrent(PyroModule):
    """A linear embedding followed by a stack of LSTM layers.

    Parameters
    ----------
    in_size : int
        Length of the input at each step.
    rnn_size : int
        Width of the embedding and of every layer.
    layers : int
        Stacked LSTM layers.
    """

    def __init__(self, in_size: int, rnn_size: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Linear(in_size, rnn_size)
        self.lstm = nn.LSTM(rnn_size, rnn_size, layers, batch_first=True)
        init_weights(self)

    def forward(
        self, x: torch.Tensor, state: tuple[torch.Tensor, ...] | None = None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Run over a sequence; a single step is a sequence of length 1.

        Parameters
        ----------
        x : torch.Tensor
            Shape ``(*batch, T, in_size)``, T at least 1.
        state : tuple of torch.Tensor, optional
            From an earlier call; its leading dimensions broadcast with `x`'s.

        Returns
        -------
        out : torch.Tensor
            Shape ``(*batch, T, rnn_size)``.
        state : tuple of torch.Tensor
            After the last step.
        """
        batch = x.shape[:-2]
        if state is not None:
            batch = torch.broadcast_shapes(batch, state[0].shape[:-2])
            state = tuple(
                s.expand(*batch, *s.shape[-2:])
                .flatten(0, -3)
                .transpose(0, 1)
                # cuDNN wants (layers, N, rnn_size) in one piece.
                .contiguous()
                for s in state
            )
        x = x.expand(*batch, *x.shape[-2:]).flatten(0, -3)
        # Recurrence in low precision drifts; autocast stays with the convolutions.
        with torch.autocast(x.device.type, enabled=False):
            out, state = self.lstm(self.embed(x.to(self.embed.weight.dtype)), state)
        state = tuple(s.transpose(0, 1).unflatten(0, batch) for s in state)
        return out.unflatten(0, batch), state


class FramePredictor(PyroModule):
    """g_t from an LSTM over (h_{t-1}, a_{t-1}, z_t): the deterministic part of SVG.

    Parameters
    ----------
    config : SVGConfig
        Gives the length of features, the width and the layers of the LSTM.
    z_dim : int
        Length of the latent vector; 0 for the deterministic predictor.
    """

    def __init__(self, config: SVGConfig, z_dim: int) -> None:
        super().__init__()
        in_size = config.input_size + z_dim
        self.recurrent = Recurrent(in_size, config.rnn_size, config.predictor_layers)
        self.out = nn.Linear(config.rnn_size, config.feature_size)
        init_weights(self.out)

    def forward(
        self, x: torch.Tensor, state: tuple[torch.Tensor, ...] | None = None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Features ``(*batch, T, g_dim)`` in [-1, 1]; see `Recurrent.forward`."""
        x, state = self.recurrent(x, state)
        with torch.autocast(x.device.type, enabled=False):
            return self.out(x).tanh(), state


class GaussianLSTM(PyroModule):
    """A diagonal Gaussian over z from an LSTM over features (and actions).

    Parameters
    ----------
    config : SVGConfig
        Gives the lengths of features and latents, and the width of the LSTM.
    layers : int
        Stacked LSTM layers.
    """

    def __init__(self, config: SVGConfig, layers: int) -> None:
        super().__init__()
        self.recurrent = Recurrent(config.input_size, config.rnn_size, layers)
        self.loc = nn.Linear(config.rnn_size, config.z_dim)
        self.log_variance = nn.Linear(config.rnn_size, config.z_dim)
        init_weights(self.loc)
        init_weights(self.log_variance)

    def forward(
        self, h: torch.Tensor, state: RecurrentState = None
    ) -> tuple[Distribution, RecurrentState]:
        """Run over features; the contract of `svg_pyro.model.priors.Prior`."""
        x, state = self.recurrent(h, state)
        with torch.autocast(x.device.type, enabled=False):
            scale = (0.5 * self.log_variance(x)).exp()
            return dist.Normal(self.loc(x), scale).to_event(1), state
