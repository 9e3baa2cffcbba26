"""What is drawn from a model: futures in bounded memory, and reconstructions."""

from collections.abc import Iterator

import torch
from pyro.infer.util import is_validation_enabled

from svg_pyro.model.checks import check_count, check_frames
from svg_pyro.model.features import Features, encode
from svg_pyro.model.networks import folded
from svg_pyro.model.precision import autocast_dtype
from svg_pyro.model.root import Root
from svg_pyro.model.types import Part, Trace
from svg_pyro.util.modes import evaluating

_FRAMES_A_STEP = 256  # of all samples and clips together, where no chunk size is given


class Generative(Root):
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

    frame_shape: tuple[int, int, int]
    encoder: Part
    decoder: Part
    prior: Part | None

    def sample_traces(
        self,
        features: Features,
        num_samples: int | None = None,
        horizon: int = 0,
        *,
        score: bool = True,
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

        Returns
        -------
        guide, model : pyro.poutine.Trace
        """
        raise NotImplementedError

    def predict(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int = 1,
        *,
        chunk_size: int | None = None,
    ) -> torch.Tensor:
        """Sampled futures: what ``Predictive(model, guide)`` gives, in bounded memory.

        Parameters
        ----------
        context, horizon, num_samples, chunk_size
            As in `futures`.

        Returns
        -------
        torch.Tensor
            Means, shape ``(num_samples, B, horizon, C, H, W)``, on the context's
            device.

        Raises
        ------
        FramesError
            As `futures`.
        """
        chunks = self.futures(context, horizon, num_samples, chunk_size=chunk_size)
        return gathered(chunks, context, horizon, num_samples)

    def futures(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int = 1,
        *,
        chunk_size: int | None = None,
    ) -> Iterator[torch.Tensor]:
        """Sampled futures, a few at a time.

        The context is encoded once for all samples. Each call copies and folds the
        networks; a `Sampler` does so once for many calls.

        Parameters
        ----------
        context : torch.Tensor
            Shape ``(B, n, C, H, W)``, floats in [0, 1], n at least 1.
        horizon : int
            Frames to generate.
        num_samples : int
            Futures of each clip.
        chunk_size : int, optional
            Samples held at a time; by default so many that a step has 256 frames.

        Returns
        -------
        iterator of torch.Tensor
            Means, shapes ``(chunk_size, B, horizon, C, H, W)`` (the last one may be
            shorter). A chunk is drawn when it is asked for.

        Raises
        ------
        FramesError
            When the context is not what is said above, or a number is below 1.
        """
        self.check_request(context, horizon, num_samples, chunk_size)
        generating = self
        with torch.no_grad(), evaluating(self):
            # For a single frame the copy costs more than it saves.
            if horizon > 1:
                networks = folded(self, autocast_dtype(context.device))
                generating = self.with_networks(networks.encoder, networks.decoder)
            features = encode(generating.encoder, context, shared=True)
        return generating.futures_of(
            features, horizon, num_samples, chunk_size=chunk_size
        )

    def futures_of(
        self,
        features: Features,
        horizon: int,
        num_samples: int,
        *,
        chunk_size: int | None = None,
        even: bool = False,
    ) -> Iterator[torch.Tensor]:
        """The chunks of `futures`, from the context's features.

        Parameters
        ----------
        features : Features
            Of the context, shared.
        horizon, num_samples, chunk_size
            As in `futures`, checked.
        even : bool
            Draw all chunks in one size, and cut the last one.
        """
        clips, future = len(features.frames), None
        if chunk_size is None:
            chunk_size = max(1, _FRAMES_A_STEP // clips)
        for start in range(0, num_samples, chunk_size):
            count = min(chunk_size, num_samples - start)
            drawn = min(chunk_size, num_samples) if even else count
            # A predictor without latents has one future.
            if future is None or self.prior is not None:
                future = None  # before the next one is drawn
                _, model = self.sample_traces(features, drawn, horizon, score=False)
                future = model.nodes["_RETURN"]["value"]
                del model
            yield future.expand(drawn, clips, horizon, *self.frame_shape)[:count]

    def check_request(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int,
        chunk_size: int | None,
    ) -> None:
        """Raise FramesError unless `futures` can be drawn with these arguments."""
        check_count("horizon", horizon)
        check_count("num_samples", num_samples)
        if chunk_size is not None:
            check_count("chunk_size", chunk_size)
        self.check(context, horizon, 1)

    def reconstruct(self, frames: torch.Tensor) -> torch.Tensor:
        """Decoder means under one sample of the approximate posterior.

        Parameters
        ----------
        frames : torch.Tensor
            Shape ``(B, T, C, H, W)``, floats in [0, 1], T at least 2.

        Returns
        -------
        torch.Tensor
            Means of frames 2..T, shape ``(B, T-1, C, H, W)``.

        Raises
        ------
        FramesError
            When the frames are not what is said above.
        """
        self.check(frames, 0, 2)
        with torch.no_grad(), evaluating(self):
            features = encode(self.encoder, frames)
        mean: torch.Tensor = self.sample_traces(features)[1].nodes["x"]["fn"].mean
        return mean

    def check(self, frames: torch.Tensor, horizon: int, shortest: int) -> None:
        """Refuse what the model cannot take.

        Parameters
        ----------
        frames : torch.Tensor
            To be ``(B, T, C, H, W)``, floats in [0, 1].
        horizon : int
            Frames to generate, 0 or more.
        shortest : int
            Least T.

        Raises
        ------
        FramesError
            When the frames or the horizon are not what is said above.
        ConfigError
            As `check_contiguous`.
        """
        check_count("horizon", horizon, least=0)
        self.check_contiguous()
        # Looking at values waits for the device, as Pyro's own validation does.
        check_frames(frames, self.frame_shape, shortest, values=is_validation_enabled())


def gathered(
    chunks: Iterator[torch.Tensor],
    context: torch.Tensor,
    horizon: int,
    num_samples: int,
) -> torch.Tensor:
    """All chunks of samples in one tensor, ``(num_samples, B, horizon, C, H, W)``."""
    shape = num_samples, len(context), horizon, *context.shape[2:]
    means, start = context.new_empty(shape), 0
    for chunk in chunks:
        means[start : start + len(chunk)] = chunk
        start += len(chunk)
    return means
