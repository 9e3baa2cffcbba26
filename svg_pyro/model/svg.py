"""SVG: the model p(x, z) and the guide q(z given x), side by side."""

import contextlib

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.infer.util import is_validation_enabled
from pyro.nn import PyroModule, pyro_method
from torch import nn

from svg_pyro.errors import ConfigError
from svg_pyro.model.checks import check_count, check_frames
from svg_pyro.model.features import KEY, encode, replayed
from svg_pyro.model.guides import FilteringGuide
from svg_pyro.model.networks import BACKBONES, FramePredictor, folded
from svg_pyro.model.precision import autocast_dtype
from svg_pyro.model.priors import PRIORS
from svg_pyro.model.rollout import drawn_chunks, gathered, join, roll_out
from svg_pyro.model.root_names import rename, root_name
from svg_pyro.model.skips import skips_of_targets
from svg_pyro.util.modes import evaluating


class SVG(PyroModule):
    r"""Stochastic video generation as a Pyro program (Denton & Fergus 2018).

    With h_t = Enc(x_t) and g_t = LSTM(h_{1:t-1}, z_{2:t})::

        p(x, z) = prod_t p(z_t | x_{1:t-1}) Normal(x_t | Dec(g_t, skips), sigma)
        q(z | x) = prod_t q(z_t | x_{1:t}),                       t = 2..T

    Parameters
    ----------
    config : SVGConfig
    prior : torch.nn.Module, optional
        Instead of the one that ``config.prior`` names; see `svg_pyro.model.priors.Prior`.
    guide : torch.nn.Module, optional
        Instead of `FilteringGuide`; see `svg_pyro.model.guides.Guide`. It becomes the
        attribute `posterior`; the method `guide` is the Pyro program around it.

    Notes
    -----
    Frames are counted from 1. Every instance has a root name of its own in Pyro's
    parameter store, so that several can be trained in one process.
    """

    def __init__(self, config, prior=None, guide=None):
        super().__init__(root_name())
        self.config = config
        make_encoder, make_decoder = BACKBONES[config.backbone]
        self.encoder = make_encoder(config)
        self.decoder = make_decoder(config)
        stochastic = prior is not None or config.prior != "none"
        self.frame_predictor = FramePredictor(config, config.z_dim if stochastic else 0)
        self.prior = self.posterior = None
        if stochastic:
            self.prior = PRIORS[config.prior](config) if prior is None else prior
            self.posterior = FilteringGuide(config) if guide is None else guide
        if config.sigma == "learned":
            start = torch.tensor(config.noise_scale).log()
            self.log_sigma = nn.Parameter(start)

    @pyro_method
    def model(self, frames, horizon=0, score=None):
        r"""p(x_{2:T}, z_{2:T} | x_1) and, with a horizon, the futures after x_T.

        Teacher-forced on what is observed::

            z_t ~ p(z_t | h_{1:t-1})                 site "z",  plates batch, time
            x_t ~ Normal(Dec(g_t, skips), sigma)     site "x",  plates batch, frames

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
        """
        score = horizon == 0 if score is None else score
        self._check(frames, horizon, 2 if score else 1)
        with evaluating(self) if horizon else contextlib.nullcontext():
            features = replayed(self, frames) or encode(self, frames)
            return self._model(features, horizon, score)

    @pyro_method
    def guide(self, frames, horizon=0, score=None):
        r"""q(z_{2:T} | x_{1:T}): the approximate posterior of what is observed.

        ::

            z_t ~ q(z_t | h_{1:t})                   site "z",  plates batch, time

        Parameters
        ----------
        frames, horizon, score
            As in `model`. The future's latents are left to the prior.
        """
        self._check(frames, horizon, 2 if horizon == 0 or score else 1)
        if self.posterior is None or frames.shape[1] < 2:
            return
        with evaluating(self) if horizon else contextlib.nullcontext():
            self._guide(encode(self, frames))

    @pyro_method
    def predict(self, context, horizon, num_samples=1, chunk_size=None):
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
        """
        chunks = self.futures(context, horizon, num_samples, chunk_size)
        return gathered(chunks, context, horizon, num_samples)

    def futures(self, context, horizon, num_samples=1, chunk_size=None):
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
        """
        self.check_request(context, horizon, num_samples, chunk_size)
        with torch.no_grad(), evaluating(self):
            # For a single frame the copy costs more than it saves.
            networks = self
            if horizon > 1:
                networks = folded(self, autocast_dtype(context.device))
            features = encode(networks, context, shared=True)
        return drawn_chunks(self, features, horizon, num_samples, chunk_size)

    def check_request(self, context, horizon, num_samples, chunk_size):
        """Raise FramesError unless `futures` can be drawn with these arguments."""
        check_count("horizon", horizon)
        check_count("num_samples", num_samples)
        if chunk_size is not None:
            check_count("chunk_size", chunk_size)
        self._check(context, horizon, 1)

    @pyro_method
    def sample_traces(self, features, num_samples=None, horizon=0, score=True):
        """Traces of the guide, and of the model under its latents, in evaluation mode.

        Parameters
        ----------
        features : Features
            Of a batch of clips.
        num_samples : int, optional
            Size of a plate "samples" at dim -3; without it there is no such plate.
        horizon, score
            As in `model`.
        """
        plate = contextlib.nullcontext()
        if num_samples is not None:
            plate = pyro.plate("samples", num_samples, dim=-3)
        with torch.no_grad(), evaluating(self), poutine.block(), plate:
            guide = poutine.trace(self._guide).get_trace(features)
            replay = poutine.replay(self._model, trace=guide)
            return guide, poutine.trace(replay).get_trace(features, horizon, score)

    @pyro_method
    def reconstruct(self, frames):
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
        """
        self._check(frames, 0, 2)
        with torch.no_grad(), evaluating(self):
            features = encode(self, frames)
        return self.sample_traces(features)[1].nodes["x"]["fn"].mean

    def _guide(self, features):
        if self.posterior is None or features.h.shape[1] < 2:
            return
        batch, steps = features.h.shape[0], features.h.shape[1] - 1

        def infer():
            _, state = self.posterior(features.h[:, :1])
            return self.posterior(features.h[:, 1:], state)[0]

        posterior = features.once("posterior", infer)
        with pyro.plate("batch", batch, dim=-2), pyro.plate("time", steps, dim=-1):
            pyro.sample("z", posterior, infer={KEY: features})

    def _model(self, features, horizon, score):
        batch, steps = features.h.shape[0], features.h.shape[1] - 1
        states = None, None
        with pyro.plate("batch", batch, dim=-2):
            if steps:
                g, states = self._teacher_forced(features)
                if score:
                    skips = features.once(
                        "skips", lambda: skips_of_targets(self.config, features)
                    )
                    mean = features.networks.decoder(g, skips)
                    self._observe(mean, features.frames[:, 1:])
            if horizon:
                return roll_out(self, features, states, horizon)

    def _teacher_forced(self, features):
        """g_2..g_T and the states after frame T-1, from h_1..h_{T-1}."""
        h = features.h[:, :-1]
        if self.prior is None:
            g, state = self.frame_predictor(h)
            return g, (None, state)
        prior, prior_state = features.once("prior", lambda: self.prior(h))
        with pyro.plate("time", h.shape[1], dim=-1):
            z = pyro.sample("z", prior)
        g, state = self.frame_predictor(join(h, z))
        return g, (prior_state, state)

    def _observe(self, mean, target):
        # In the frames' own precision: a likelihood in bfloat16 would be useless.
        mean = mean.to(target.dtype)
        if self.config.sigma == "learned":
            sigma = self.log_sigma.exp()
        elif self.config.sigma == "optimal":
            # The maximum over sigma has no gradient in sigma: detaching is exact.
            # Half a grey level is the least that 8-bit video can mean.
            error = (mean.detach() - target).square().mean()
            sigma = error.sqrt().clamp_min(0.5 / 255)
        else:
            sigma = self.config.noise_scale
        # Not z's plate: x_t depends on all of z_{2:t}, so that per-time weights
        # of a shared plate would be wrong.
        with pyro.plate("frames", target.shape[1], dim=-1):
            pyro.sample("x", dist.Normal(mean, sigma).to_event(3), obs=target)

    def _check(self, frames, horizon, shortest):
        check_count("horizon", horizon, least=0)
        if torch.is_grad_enabled() and not all(
            p.is_contiguous() for p in self.parameters()
        ):
            raise ConfigError(
                "weights are not contiguous: Pyro's parameter store would train copies "
                "of them; call svg.to(memory_format=torch.contiguous_format)"
            )
        # Looking at values waits for the device, as Pyro's own validation does.
        check_frames(frames, self.config, shortest, values=is_validation_enabled())

    def __setstate__(self, state):
        # A copy that kept its root name would read the original's parameters in
        # the store, and train nothing.
        super().__setstate__(state)
        rename(self, root_name())
