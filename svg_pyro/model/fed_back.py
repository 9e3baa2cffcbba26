"""Reconstructions in which the model is fed its own frames."""

import torch
from pyro import poutine

from svg_pyro.model.batch_norm import generating
from svg_pyro.model.features import Features, encode
from svg_pyro.model.inference import mean_of, posterior_of
from svg_pyro.model.types import Part


def fed_back(
    svg: Part, frames: torch.Tensor, context: int, actions: torch.Tensor | None = None
) -> torch.Tensor:
    """The first code's rows; see `Generative.reconstruct`.

    Parameters
    ----------
    svg : SVG
        The model.
    frames : torch.Tensor
        Shape ``(B, T, C, H, W)``, floats in [0, 1], checked.
    context : int
        n, from 1 to T - 1.
    actions : torch.Tensor, optional
        Shape ``(B, T - 1, A)``, checked.

    Returns
    -------
    torch.Tensor
        x_2..x_n, and the means of frames n+1..T; ``(B, T-1, C, H, W)``.
    """
    steps = frames.shape[1]
    with torch.no_grad(), generating(svg):
        features = encode(svg.encoder, frames, actions=actions)
        latents = {}
        if svg.posterior is not None:
            z = mean_of(svg, posterior_of(svg, features))
            for t in range(context + 1, steps + 1):
                latents[f"z_{t}"] = z[:, t - 2 : t - 1]
            if context > 1:
                latents["z"] = z[:, : context - 1]
        seen = Features(
            frames[:, :context],
            features.h[:, :context],
            [skip[:, :context] for skip in features.skips],
            features.encoder,
            actions=actions,
        )
        with poutine.block(), poutine.condition(data=latents):
            future = svg._model(seen, steps - context, score=False)
    return torch.cat([frames[:, 1:context], future], 1)
