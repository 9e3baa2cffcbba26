"""Recurrence over feature maps, evaluated for all frames at once.

A state is a tuple of the layers' states, ``(*batch, layers, maps, h, w)``, and of the
last input, ``(*batch, in_maps, h, w)``, with the contract of
`svg_pyro.model.networks.recurrent`: it can be expanded, indexed and carried; None is
the zero state.
"""

from typing import Any

import torch
from pyro.nn import PyroModule
from torch import nn

from svg_pyro.model.networks.base import init_weights
from svg_pyro.model.networks.convolutions import fold

_KERNEL = 3

MapState = tuple[torch.Tensor, torch.Tensor]


class _Recurrence(torch.autograd.Function):
    """`scan` with its gradient, which is a recurrence backwards in time."""

    @staticmethod
    def forward(
        ctx: Any, keep: torch.Tensor, add: torch.Tensor, start: torch.Tensor
    ) -> torch.Tensor:
        states = torch.empty_like(add)
        state = start
        for t in range(add.shape[1]):
            state = torch.addcmul(add[:, t], keep[:, t], state, out=states[:, t])
        ctx.save_for_backward(keep, states, start)
        return states

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, ...]:
        keep, states, start = ctx.saved_tensors
        grad_add, grad_keep = torch.empty_like(states), torch.empty_like(states)
        later = torch.zeros_like(start)
        for t in range(states.shape[1] - 1, -1, -1):
            reached = torch.add(grad[:, t], later, out=grad_add[:, t])
            before = states[:, t - 1] if t else start
            torch.mul(reached, before, out=grad_keep[:, t])
            later = reached * keep[:, t]
        return grad_keep, grad_add, later


def scan(keep: torch.Tensor, add: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    r"""All states of a linear recurrence.

    ::

        s_t = keep_t * s_{t-1} + add_t,     t = 1..n,  s_0 = start

    Neither keep nor add depends on s, so that all convolutions are done beforehand, for
    all steps at once; what is left is one multiplication and addition a step, written
    in place.

    Parameters
    ----------
    keep, add : torch.Tensor
        Shape ``(N, n, ...)``.
    start : torch.Tensor
        s_0, shape ``(N, ...)``.

    Returns
    -------
    torch.Tensor
        s_1..s_n, shape ``(N, n, ...)``.
    """
    states: torch.Tensor = _Recurrence.apply(keep, add, start)
    return states


class MapRecurrent(PyroModule):
    r"""Stacked convolutional minimal GRUs (Martin & Cundy 2018 in one dimension).

    The first layer's input u_t is the given one at t and at t - 1 (0 before the first),
    so that motion is seen at once. In each layer, with a 3x3 convolution of the input
    alone::

        (a_t, b_t) = conv(u_t),   k_t = sigmoid(a_t),   c_t = tanh(b_t)
        s_t = (1 - k_t) s_{t-1} + k_t c_t
        out_t = s_t + W u_t                    (1x1 convolution)

    Since neither k_t nor c_t depends on s, all steps are evaluated at once by `scan`.

    Parameters
    ----------
    in_maps : int
        Channels of the input.
    maps : int
        Channels of every layer's state.
    layers : int
    """

    def __init__(self, in_maps: int, maps: int, layers: int) -> None:
        super().__init__()
        sizes = [2 * in_maps] + [maps] * (layers - 1)
        self.gates = nn.ModuleList(
            nn.Conv2d(n, 2 * maps, _KERNEL, padding=_KERNEL // 2) for n in sizes
        )
        self.shortcuts = nn.ModuleList(nn.Conv2d(n, maps, 1) for n in sizes)
        self.maps = maps
        init_weights(self)

    def forward(
        self, x: torch.Tensor, state: MapState | None = None
    ) -> tuple[torch.Tensor, MapState]:
        """Run over a sequence; a single step is a sequence of length 1.

        Parameters
        ----------
        x : torch.Tensor
            Shape ``(*batch, T, in_maps, h, w)``, T at least 1.
        state : tuple of torch.Tensor, optional
            From an earlier call; its leading dimensions broadcast with `x`'s.

        Returns
        -------
        out : torch.Tensor
            Shape ``(*batch, T, maps, h, w)``.
        state : tuple of torch.Tensor
            After the last step.
        """
        batch, size = x.shape[:-4], x.shape[-2:]
        if state is None:
            start = x.new_zeros(*batch, len(self.gates), self.maps, *size)
            before = torch.zeros_like(x[..., 0, :, :, :])
        else:
            start, before = state
            batch = torch.broadcast_shapes(batch, start.shape[:-4])
            start = start.expand(*batch, *start.shape[-4:])
            before = before.expand(*batch, *before.shape[-3:])
        steps = x.shape[-4]
        x = x.expand(*batch, *x.shape[-4:])
        newest = x[..., -1, :, :, :]
        earlier = torch.cat([before.unsqueeze(-4), x[..., :-1, :, :, :]], -4)
        x = fold(torch.cat([x, earlier], -3))
        last = []
        for layer, (gates, shortcut) in enumerate(
            zip(self.gates, self.shortcuts, strict=True)
        ):
            # Channels last in memory; scanned as ``(N, T, h, w, maps)``.
            gate, candidate = gates(x).movedim(1, -1).chunk(2, -1)
            keep = torch.sigmoid(-gate)
            add = torch.sigmoid(gate) * torch.tanh(candidate)
            first = start.select(-4, layer).movedim(-3, -1)
            states = scan(
                keep.unflatten(0, (-1, steps)),
                add.unflatten(0, (-1, steps)),
                first.flatten(0, -4),
            )
            last.append(states[:, -1].movedim(-1, -3).unflatten(0, batch))
            x = states.flatten(0, 1).movedim(-1, 1) + shortcut(x)
        return x.unflatten(0, (*batch, steps)), (torch.stack(last, -4), newest)


class VectorAsMaps(nn.Linear):
    """A vector spread over maps: ``(*batch, size)`` to ``(*batch, maps, h, w)``."""

    def __init__(self, size: int, maps: int, area: tuple[int, int]) -> None:
        super().__init__(size, maps * area[0] * area[1])
        self.shape = (maps, *area)

    def forward(self, vector: torch.Tensor) -> torch.Tensor:
        """Spread a vector."""
        maps: torch.Tensor = super().forward(vector).unflatten(-1, self.shape)
        return maps


class _FlattenAsItLies(nn.Module):
    """``(N, C, h, w)`` as ``(N, h * w * C)``: channels last, as it is in memory."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Flatten all but the first dimension."""
        return x.movedim(1, -1).flatten(1)


class MapsAsVector(nn.Sequential):
    """Maps read as a vector: ``(N, maps, h, w)`` to ``(N, size)``.

    A 1x1 convolution to a few maps, and a hidden layer over all their pixels.
    """

    _FEW, _HIDDEN = 8, 128

    def __init__(self, maps: int, area: tuple[int, int], size: int) -> None:
        super().__init__(
            nn.Conv2d(maps, self._FEW, 1),
            nn.LeakyReLU(0.2),
            _FlattenAsItLies(),
            nn.Linear(self._FEW * area[0] * area[1], self._HIDDEN),
            nn.LeakyReLU(0.2),
            nn.Linear(self._HIDDEN, size),
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next(self.parameters()).dtype
