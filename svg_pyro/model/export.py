"""One step of generation as a program of tensors alone, for runtimes without Python."""

from __future__ import annotations

import warnings
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import nn

from svg_pyro.errors import ConfigError, FramesError
from svg_pyro.model.checked import check_model
from svg_pyro.model.checks import latents
from svg_pyro.model.decoding import decode
from svg_pyro.model.inputs import join, with_action
from svg_pyro.model.streaming import State
from svg_pyro.model.types import Part
from svg_pyro.util.modes import evaluating


def export_step(svg: Any, state: State) -> torch.export.ExportedProgram:
    r"""`SVG.step` of an imagined frame as a program of `torch.export`.

    With the memory m of the frames so far, and noise e in place of a random draw::

        z_t = mu(h_{1:t-1}) + sigma(h_{1:t-1}) e
        x_t, m = program(m, e),     m = frame, h, prior, predictor, skips

    Parameters
    ----------
    svg : SVG
        Its prior must be Gaussian, independent over the dimensions of z ("learned",
        "fixed", "two-scale"), or "none".
    state : State
        After two frames or more, for the shapes: the program takes as many clips. The
        first memory is `memory_of` this state.

    Returns
    -------
    torch.export.ExportedProgram
        Called, by its ``module()``, with the five parts of a memory and e, standard
        normal, ``(B, 1, z_dim)``, and in a model with actions a_{t-1},
        ``(B, 1, A)``; it gives the next memory, whose first part is the mean x_t,
        ``(B, 1, C, H, W)``.

    Raises
    ------
    ConfigError
        When `svg` is no model, the prior is of another kind, or the model's
        `warp_from` is "context".
    FramesError
        When the state has seen one frame only.

    Examples
    --------
    >>> config = svg_pyro.SVGConfig(channels=1, width=2, g_dim=8, rnn_size=12, z_dim=3)
    >>> svg, frames = svg_pyro.SVG(config), torch.rand(1, 2, 1, 64, 64)
    >>> state = svg.step(svg.start(frames[:, 0]), frames[:, 1])
    >>> program = export_step(svg, state)  # torch.export.save(program, "step.pt2")
    >>> memory, step = memory_of(state), program.module()
    >>> for _ in range(3):
    ...     memory = step(*memory, torch.randn(1, 1, 3))
    >>> memory[0].shape
    torch.Size([1, 1, 1, 64, 64])
    """
    check_model(svg)
    if svg.config.warp_from != "before":
        raise ConfigError(
            'a step whose warp_from is "context" is not exported; set it to "before"'
        )
    if state.time < 2:
        raise FramesError(
            "the state has seen one frame, and parts have no memory yet; step once"
        )
    noise = state.frame.new_zeros(*state.batch_shape, 1, svg.config.z_dim)
    given: tuple[Any, ...] = *memory_of(state), noise
    if svg.config.action_dim:
        given = *given, noise.new_zeros(*state.batch_shape, 1, svg.config.action_dim)
    # Checks of values are no part of a program; PyTorch's LSTM sets its weights again
    # in each call, which is no change of them.
    with (
        torch.no_grad(),
        evaluating(svg),
        pyro.validation_enabled(False),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message=".*were assigned during export")
        step = _Step(svg).eval()
        step(*given)  # what it refuses is said by itself, not by PyTorch's tracing
        return torch.export.export(step, given, strict=False)


def memory_of(state: State) -> tuple[Any, ...]:
    """The parts of a state from which frames are imagined; see `export_step`."""
    frame = state.frame.unsqueeze(-4)
    return frame, state.h, state.prior, state.predictor, state.future_skips


class _Step(nn.Module):
    """The parts of a model that imagine a frame.

    Parameters
    ----------
    svg : SVG
        The model.
    """

    def __init__(self, svg: Any) -> None:
        super().__init__()
        self.config = svg.config
        self.encoder: Part = svg.encoder
        self.decoder: Part = svg.decoder
        self.observation: Part = svg.observation
        self.prior: Part = svg.prior
        self.predictor: Part = svg.frame_predictor
        self.action_mean = getattr(svg, "action_mean", None)
        self.action_std = getattr(svg, "action_std", None)

    def forward(
        self,
        frame: torch.Tensor,
        h: torch.Tensor,
        prior: Any,
        predictor: Any,
        skips: list[torch.Tensor],
        noise: torch.Tensor,
        action: torch.Tensor | None = None,
    ) -> tuple[Any, ...]:
        """The next memory."""
        x = with_action(self, h, action)
        if self.prior is not None:
            z_dist, prior = latents("prior", self.prior(x, prior), self.config.z_dim)
            x = join(x, _drawn(z_dist, noise))
        g, predictor = self.predictor(x, predictor)
        decoded = decode(self.decoder, g, skips, frame)
        mean = self.observation.split(decoded)[0].to(frame.dtype)
        h, maps = self.encoder(mean)
        if self.config.last_frame_skip:
            skips = self.decoder.prepare(mean, maps)
        return mean, h, prior, predictor, skips


def _drawn(z_dist: Any, noise: torch.Tensor) -> torch.Tensor:
    base = getattr(z_dist, "base_dist", None)
    if not isinstance(base, dist.Normal) or not isinstance(z_dist, dist.Independent):
        raise ConfigError(
            "the prior is not an independent Gaussian, so that no noise of fixed size "
            "draws from it; export a model with another prior"
        )
    z: torch.Tensor = base.loc + base.scale * noise
    return z
