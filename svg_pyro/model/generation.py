"""What is drawn from a model: futures in bounded memory, and reconstructions."""

from collections.abc import Iterator

import torch

from svg_pyro.errors import FramesError
from svg_pyro.model.batch_norm import generating
from svg_pyro.model.checked import Checked
from svg_pyro.model.checks import (
    check_count,
    check_reparametrised,
)
from svg_pyro.model.draws import Draw, drawn_from, usual_chunk
from svg_pyro.model.features import Features, encode
from svg_pyro.model.fed_back import fed_back
from svg_pyro.model.forecaster import Forecaster
from svg_pyro.model.networks import folded
from svg_pyro.model.precision import autocast_dtype
from svg_pyro.model.types import Part, Trace


class Generative(Checked, Forecaster):
    """A model of clips from whose traces futures can be drawn.

    Attributes
    ----------
    frame_shape : tuple of int
        ``(C, H, W)`` of the frames it takes.
    encoder, decoder : torch.nn.Module
        See `svg_pyro.model.networks`.
    prior : torch.nn.Module or None
        None where all futures of a clip are the same.
    """

    decoder: Part
    prior: Part | None

    def sample_traces(
        self,
        features: Features,
        num_samples: int | None = None,
        horizon: int = 0,
        *,
        score: bool = True,
        noise: bool = False,
        grad: bool = False,
    ) -> tuple[Trace, Trace]:
        """Traces of the guide, and of the model under its latents, in evaluation mode.

        Parameters
        ----------
        features : Features
            Of a batch of clips.
        num_samples : int, optional
            Size of a plate "samples" at dim -3; without it there is no such plate.
        horizon : int
            Frames to generate after the clips.
        score : bool
            Whether the frames of the clips are scored, as the site "x".
        noise : bool
            Whether there is a site "x_new", of frames around the future's means.
        grad : bool
            Whether values keep what gradients need.

        Returns
        -------
        guide, model : pyro.poutine.Trace
        """
        raise NotImplementedError

    def draws(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int = 1,
        *,
        chunk_size: int | None = None,
        noise: bool = False,
        seed: int | None = None,
        actions: torch.Tensor | None = None,
        grad: bool = False,
    ) -> Iterator[Draw]:
        """What `futures` gives, each with its means; see there."""
        self.check_request(context, horizon, num_samples, chunk_size, actions)
        self.check_draws(noise=noise, seed=seed)
        model = self
        with torch.set_grad_enabled(grad), generating(self):
            # For a single frame the copy costs more than it saves, and it has no
            # gradients.
            running = self.config.generation_norm == "running"
            if horizon > 1 and running and not grad:
                networks = folded(self, autocast_dtype(context.device))
                model = self.with_networks(networks.encoder, networks.decoder)
            features = encode(model.encoder, context, shared=True, actions=actions)
        return model.draws_of(
            features,
            horizon,
            num_samples,
            chunk_size=chunk_size,
            noise=noise,
            seed=seed,
            grad=grad,
        )

    def draws_of(
        self,
        features: Features,
        horizon: int,
        num_samples: int,
        *,
        chunk_size: int | None = None,
        even: bool = False,
        noise: bool = False,
        seed: int | None = None,
        grad: bool = False,
    ) -> Iterator[Draw]:
        """The chunks of `draws`, from the context's features.

        Parameters
        ----------
        features : Features
            Of the context, shared.
        horizon, num_samples, chunk_size, noise, seed, grad
            As in `futures`, checked.
        even : bool
            Draw all chunks in one size, and cut the last one.
        """
        clips, draw = features.clips, None
        if chunk_size is None:
            chunk_size = usual_chunk(clips)
        for number, start in enumerate(range(0, num_samples, chunk_size)):
            count = min(chunk_size, num_samples - start)
            drawn = min(chunk_size, num_samples) if even else count
            # A predictor without latents has one future.
            if draw is None or noise or self.prior is not None:
                draw = None  # before the next one is drawn
                with drawn_from(seed, number, features.h.device):
                    draw = self._draw(features, drawn, horizon, noise=noise, grad=grad)
            shape = drawn, clips, horizon, *self.frame_shape
            yield Draw(*(part.expand(shape)[:count] for part in draw))

    def _draw(
        self,
        features: Features,
        count: int,
        horizon: int,
        *,
        noise: bool,
        grad: bool,
    ) -> Draw:
        guide, model = self.sample_traces(
            features, count, horizon, score=False, noise=noise, grad=grad
        )
        if grad:
            check_reparametrised(guide, model)
        means = model.nodes["_RETURN"]["value"]
        if not noise:
            return Draw(means, means)
        frames = model.nodes["x_new"]["value"]
        # A density on the real line knows no edges of grey; levels are within them.
        return Draw(
            means, frames.clamp(0, 1) if self.observation.is_density else frames
        )

    def reconstruct(
        self,
        frames: torch.Tensor,
        *,
        context: int | None = None,
        actions: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Decoder means under the approximate posterior of the clips themselves.

        Parameters
        ----------
        frames : torch.Tensor
            Shape ``(B, T, C, H, W)``, floats in [0, 1], T at least 2.
        context : int, optional
            n, from 1 to T - 1, for the rows of the first code's films: frames 2..n are
            the given ones; each later one follows from the model's own mean of the
            frame before it, with the skip connections of prediction, and from the
            mean of q(z_t | x_{1:t}). By default each frame follows from the true ones
            before it, with latents drawn once.
        actions : torch.Tensor, optional
            Of a model with actions, ``(B, T - 1, A)``.

        Returns
        -------
        torch.Tensor
            Means of frames 2..T, shape ``(B, T-1, C, H, W)``.

        Raises
        ------
        FramesError
            When the frames, n or the actions are not what is said above.
        ConfigError
            With a context, when the guide has no mean in closed form.
        """
        self.check(frames, 0, 2, actions=actions)
        if context is not None:
            check_count("context", context)
            if context >= frames.shape[1]:
                raise FramesError(
                    f"context is {context}, of clips of {frames.shape[1]} frames; give "
                    "fewer frames than a clip has"
                )
            return fed_back(self, frames, context, actions)
        with torch.no_grad(), generating(self):
            features = encode(self.encoder, frames, actions=actions)
            model = self.sample_traces(features)[1]
        mean: torch.Tensor = model.nodes["x"]["fn"].mean
        return mean
