"""What futures are drawn from: a model, one that is prepared for it, or several."""

from collections.abc import Iterator

import torch

from svg_pyro.model.draws import Draw, gathered
from svg_pyro.model.features import clips_of


class Forecaster:
    """Gives futures of a context, all at once or a few at a time, from its `draws`."""

    def predict(
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
    ) -> torch.Tensor:
        """Sampled futures: what ``Predictive(model, guide)`` gives, in bounded memory.

        Parameters
        ----------
        context, horizon, num_samples, chunk_size, noise, seed, actions, grad
            As in `futures`.

        Returns
        -------
        torch.Tensor
            Means, or frames with noise, in [0, 1]; shape
            ``(num_samples, B, horizon, C, H, W)``, on the context's device.

        Raises
        ------
        FramesError, ConfigError
            As `futures`.

        Examples
        --------
        >>> config = svg_pyro.SVGConfig(channels=1, width=4, g_dim=8, rnn_size=12)
        >>> svg = svg_pyro.SVG(config)
        >>> context = torch.rand(2, 2, 1, 64, 64)
        >>> frames = svg.predict(context, 3, 20, noise=True, seed=1)
        >>> means = svg.predict(context, 3, 20, seed=1)  # of the same latents
        >>> low, high = frames.quantile(torch.tensor([0.05, 0.95]), 0)
        >>> low.shape
        torch.Size([2, 3, 1, 64, 64])
        """
        chunks = self.futures(
            context,
            horizon,
            num_samples,
            chunk_size=chunk_size,
            noise=noise,
            seed=seed,
            actions=actions,
            grad=grad,
        )
        clips = clips_of(context, actions)
        return gathered(chunks, context, horizon, (num_samples, clips))

    def futures(
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
    ) -> Iterator[torch.Tensor]:
        """Sampled futures, a few at a time.

        The context is encoded once for all samples. Each call of a model copies and
        folds its networks; a `Sampler` does so once for many calls.

        A sample is made of means, as in the paper. Intervals over samples hold the
        truth as often as they say only with `noise`: then frames are drawn from the
        observation model around the means, which alone are fed back. Where that is
        a density on the real line they are cut to [0, 1].

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
        noise : bool
            Draw frames, instead of their means.
        seed : int, optional
            Of 0 or more: makes the samples a function of it and of `chunk_size`, and
            leaves the global random state alone, from which they are drawn without it.
        actions : torch.Tensor, optional
            Of a model with actions, in the data's units, ``(B, n - 1 + horizon, A)``:
            row i leads from frame i to the next. For one clip also K plans,
            ``(K, n - 1 + horizon, A)``: then K takes the place of B below, and the
            clip is encoded once.
        grad : bool
            Keep what gradients need: of the frames by the context, the actions and the
            weights, at fixed random numbers, as planning by gradient wants. Without it
            nothing is kept, whatever PyTorch's own mode.

        Returns
        -------
        iterator of torch.Tensor
            Means or frames, in [0, 1], shapes ``(chunk_size, B, horizon, C, H, W)``
            (the last one may be shorter). A chunk is drawn when it is asked for.

        Raises
        ------
        FramesError
            When the context or the actions are not what is said above, or a number is
            below 1, or the seed below 0.
        ConfigError
            When there is to be noise, and the observation model does not know any yet;
            or there are to be gradients, and what is drawn is not reparametrised, or is
            of a `Sampler`; or a Sampler's weights have changed since, or PyTorch cannot
            compile them.
        """
        draws = self.draws(
            context,
            horizon,
            num_samples,
            chunk_size=chunk_size,
            noise=noise,
            seed=seed,
            actions=actions,
            grad=grad,
        )
        return (draw.frames for draw in draws)

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
        raise NotImplementedError
