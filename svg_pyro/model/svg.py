"""SVG: the model p(x, z) and the guide q(z given x), side by side."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.infer.util import is_validation_enabled
from pyro.nn import PyroModule, pyro_method
from torch import nn

from svg_pyro.config import SVGConfig
from svg_pyro.errors import ConfigError
from svg_pyro.model import streaming
from svg_pyro.model.checks import check_count, check_frames, latents
from svg_pyro.model.features import KEY, Features, encode, replayed
from svg_pyro.model.guides import PriorGuide
from svg_pyro.model.networks import folded
from svg_pyro.model.parts import make_parts
from svg_pyro.model.precision import autocast_dtype
from svg_pyro.model.pyro_internals import rename, root_name
from svg_pyro.model.rollout import gathered, join, roll_out
from svg_pyro.model.skips import skips_of_targets
from svg_pyro.model.streaming import State
from svg_pyro.util.modes import evaluating

_FRAMES_A_STEP = 256  # of all samples and clips together, where no chunk size is given


class SVG(PyroModule):
    r"""Stochastic video generation as a Pyro program (Denton & Fergus 2018).

    With h_t = Enc(x_t) and g_t = LSTM(h_{1:t-1}, z_{2:t})::

        p(x, z) = prod_t p(z_t | x_{1:t-1}) p(x_t | Dec(g_t, skips))
        q(z | x) = prod_t q(z_t | x_{1:t}),                       t = 2..T

    Parameters
    ----------
    config : SVGConfig
        Sizes, and the names of the parts that are not given.
    prior : torch.nn.Module, optional
        Instead of the one that ``config.prior`` names; see `svg_pyro.model.priors.Prior`.
    guide : torch.nn.Module, optional
        Instead of ``config.guide``; see `svg_pyro.model.guides.Guide`. It becomes the
        attribute `posterior`; the method `guide` is the Pyro program around it.
    observation : torch.nn.Module, optional
        Instead of ``config.observation``; see `svg_pyro.model.observations.Observation`.
    backbone : tuple of torch.nn.Module, optional
        An encoder and a decoder instead of those that ``config.backbone`` names; see
        `svg_pyro.model.networks.Encoder`. They may be of any size of frames.
    predictor : torch.nn.Module, optional
        Gives g_t; instead of `svg_pyro.model.networks.FramePredictor`.

    Attributes
    ----------
    frame_shape : tuple of int
        ``(C, H, W)`` of the frames it takes.
    names : dict of str to str
        Of "prior", "guide", "observation" and "backbone" the registered name, or the
        class of the object that was given.

    Raises
    ------
    ConfigError
        When a name is not registered, the backbone cannot do the image size, or a
        part that is given does not fit.

    Notes
    -----
    Frames are counted from 1. Every instance has a root name of its own in Pyro's
    parameter store, so that several can be trained in one process.
    """

    def __init__(
        self,
        config: SVGConfig,
        *,
        prior: nn.Module | None = None,
        guide: nn.Module | None = None,
        observation: nn.Module | None = None,
        backbone: tuple[nn.Module, nn.Module] | None = None,
        predictor: nn.Module | None = None,
    ) -> None:
        super().__init__(root_name())
        parts = make_parts(
            config,
            prior=prior,
            guide=guide,
            observation=observation,
            backbone=backbone,
            predictor=predictor,
        )
        self.config = config
        self.names = parts.names
        self.frame_shape = parts.frame_shape
        # The first, so that stored optimisers find its weights where they were.
        self.observation = parts.observation
        self.encoder = parts.encoder
        self.decoder = parts.decoder
        self.frame_predictor = parts.predictor
        self.prior = parts.prior
        self.posterior = parts.guide
        if isinstance(self.posterior, PriorGuide):
            self.posterior.follow(self.prior)

    @pyro_method
    def model(
        self, frames: torch.Tensor, horizon: int = 0, *, score: bool | None = None
    ) -> torch.Tensor | None:
        r"""p(x_{2:T}, z_{2:T} | x_1) and, with a horizon, the futures after x_T.

        Teacher-forced on what is observed::

            z_t ~ p(z_t | h_{1:t-1})                 site "z",  plates batch, time
            x_t ~ p(x_t | Dec(g_t, skips))           site "x",  plates batch, frames

        and then step by step, with the means x_t fed back::

            z_t ~ p(z_t | h_{1:t-1})                 sites "z_{t}", t = T+1..T+horizon
            x_t = Dec(g_t, skips of x_T)             site "x_future"

        The networks run in evaluation mode when a future is asked for.

        Parameters
        ----------
        frames : torch.Tensor
            Shape ``(B, T, C, H, W)``, floats in [0, 1].
        horizon : int
            Frames to generate after the given ones, which then are the context.
        score : bool, optional
            Whether the site x is there; by default only if `horizon` is 0, since
            decoding the context is most of the cost of a short future.

        Returns
        -------
        torch.Tensor or None
            The future's means, ``(*samples, B, horizon, C, H, W)``.

        Raises
        ------
        FramesError
            When the frames, or the horizon, are not what is said above.
        """
        score = horizon == 0 if score is None else score
        self._check(frames, horizon, 2 if score else 1)
        with evaluating(self) if horizon else contextlib.nullcontext():
            features = replayed(self.encoder, frames) or encode(self.encoder, frames)
            return self._model(features, horizon, score=score)

    @pyro_method
    def guide(
        self, frames: torch.Tensor, horizon: int = 0, *, score: bool | None = None
    ) -> None:
        r"""q(z_{2:T} | x_{1:T}): the approximate posterior of what is observed.

        ::

            z_t ~ q(z_t | h_{1:t})                   site "z",  plates batch, time

        Parameters
        ----------
        frames, horizon, score
            As in `model`. The future's latents are left to the prior.

        Raises
        ------
        FramesError
            As `model`.
        """
        self._check(frames, horizon, 2 if horizon == 0 or score else 1)
        if self.posterior is None or frames.shape[1] < 2:
            return
        with evaluating(self) if horizon else contextlib.nullcontext():
            self._guide(encode(self.encoder, frames))

    def start(self, frame: torch.Tensor) -> State:
        """The state after the first frame of a video.

        Parameters
        ----------
        frame : torch.Tensor
            x_1 of each clip, ``(*batch, C, H, W)``, values in [0, 1].

        Raises
        ------
        FramesError
            When it is no such tensor.
        """
        return streaming.start(self, frame)

    def step(
        self,
        state: State,
        frame: torch.Tensor | None = None,
        *,
        z: torch.Tensor | None = None,
    ) -> State:
        """The state one frame later: of one that is seen, or of one that is imagined.

        A frame that is seen is scored (`State.nll`, `State.kl`) as `model` and `guide`
        score it in a whole clip; without a frame the mean of the next one is drawn,
        as `predict` does. Networks run in evaluation mode, without gradients.

        Parameters
        ----------
        state : State
            From `start` or `step`.
        frame : torch.Tensor, optional
            The next frame of each clip, ``(*batch, C, H, W)``, values in [0, 1].
        z : torch.Tensor, optional
            The latent to take, ``(*batch, z_dim)``, in place of a draw from the guide
            or, for an imagined frame, from the prior.

        Raises
        ------
        FramesError
            When the frame is no such tensor.
        """
        return streaming.step(self, state, frame, z=z)

    def _guide(self, features: Features) -> None:
        if self.posterior is None or features.h.shape[1] < 2:
            return
        batch, steps = features.h.shape[0], features.h.shape[1] - 1

        def infer() -> Any:
            _, state = self.posterior(features.h[:, :1])
            given = self.posterior(features.h[:, 1:], state)
            return latents("guide", given, self.config.z_dim)[0]

        posterior = features.once("posterior", infer)
        with pyro.plate("batch", batch, dim=-2), pyro.plate("time", steps, dim=-1):
            pyro.sample("z", posterior, infer={KEY: features})

    def _model(
        self, features: Features, horizon: int, *, score: bool
    ) -> torch.Tensor | None:
        batch, steps = features.h.shape[0], features.h.shape[1] - 1
        states = None, None
        with pyro.plate("batch", batch, dim=-2):
            if steps:
                g, states = self._teacher_forced(features)
                if score:
                    self._observe(features, g)
            return roll_out(self, features, states, horizon) if horizon else None

    def _teacher_forced(self, features: Features) -> tuple[torch.Tensor, Any]:
        """g_2..g_T and the states after frame T-1, from h_1..h_{T-1}."""
        h = features.h[:, :-1]
        if self.prior is None:
            g, state = self.frame_predictor(h)
            return g, (None, state)
        prior, prior_state = features.once(
            "prior", lambda: latents("prior", self.prior(h), self.config.z_dim)
        )
        with pyro.plate("time", h.shape[1], dim=-1):
            z = pyro.sample("z", prior)
        g, state = self.frame_predictor(join(h, z))
        return g, (prior_state, state)

    def _observe(self, features: Features, g: torch.Tensor) -> None:
        """x_2..x_T, scored under what the decoder makes of g_2..g_T."""
        target = features.frames[:, 1:]
        skips = features.once(
            "skips", lambda: skips_of_targets(self.decoder, features, self.config)
        )
        # In the frames' own precision: a likelihood in bfloat16 would be useless.
        decoded = self.decoder(g, skips).to(target.dtype)
        x_dist = self.observation(*self.observation.split(decoded), target)
        # Not z's plate: x_t depends on all of z_{2:t}, so that per-time weights
        # of a shared plate would be wrong.
        with pyro.plate("frames", target.shape[1], dim=-1):
            pyro.sample("x", x_dist, obs=target)

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
        self._check(context, horizon, 1)

    @pyro_method
    def sample_traces(
        self,
        features: Features,
        num_samples: int | None = None,
        horizon: int = 0,
        *,
        score: bool = True,
    ) -> tuple[Any, Any]:
        """Traces of the guide, and of the model under its latents, in evaluation mode.

        Parameters
        ----------
        features : Features
            Of a batch of clips.
        num_samples : int, optional
            Size of a plate "samples" at dim -3; without it there is no such plate.
        horizon, score
            As in `model`.

        Returns
        -------
        guide, model : pyro.poutine.Trace
        """
        plate = contextlib.nullcontext()
        if num_samples is not None:
            plate = pyro.plate("samples", num_samples, dim=-3)
        with torch.no_grad(), evaluating(self), poutine.block(), plate:
            guide = poutine.trace(self._guide).get_trace(features)
            replay = poutine.replay(self._model, trace=guide)
            return guide, poutine.trace(replay).get_trace(
                features, horizon, score=score
            )

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
        self._check(frames, 0, 2)
        with torch.no_grad(), evaluating(self):
            features = encode(self.encoder, frames)
        mean: torch.Tensor = self.sample_traces(features)[1].nodes["x"]["fn"].mean
        return mean

    def with_networks(self, encoder: nn.Module, decoder: nn.Module) -> "SVG":
        """A model that has another encoder and decoder, and shares all other parts.

        Parameters
        ----------
        encoder, decoder : torch.nn.Module
            Of the same frames, features and skips: folded or compiled copies.
        """
        other = SVG.__new__(SVG)
        # Not by `copy`, which would give the shared parts another root name.
        other.__dict__.update(self.__dict__)
        modules = {**self._modules, "encoder": encoder, "decoder": decoder}
        other.__dict__["_modules"] = modules
        return other

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As of any module; also the weights of checkpoints whose field is `sigma`."""
        weights = dict(state_dict)
        if "log_sigma" in weights:
            weights["observation.log_sigma"] = weights.pop("log_sigma")
        for name, value in self.observation.named_buffers(prefix="observation"):
            weights.setdefault(name, value)
        return super().load_state_dict(weights, strict=strict, assign=assign)

    def _check(self, frames: torch.Tensor, horizon: int, shortest: int) -> None:
        check_count("horizon", horizon, least=0)
        if torch.is_grad_enabled() and not all(
            p.is_contiguous() for p in self.parameters()
        ):
            raise ConfigError(
                "weights are not contiguous: Pyro's parameter store would train copies "
                "of them; call svg.to(memory_format=torch.contiguous_format)"
            )
        # Looking at values waits for the device, as Pyro's own validation does.
        check_frames(frames, self.frame_shape, shortest, values=is_validation_enabled())

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A copy that kept its root name would read the original's parameters in
        # the store, and train nothing.
        super().__setstate__(state)
        rename(self, root_name())
