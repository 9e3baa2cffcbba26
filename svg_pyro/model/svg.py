"""SVG: the model p(x, z) and the guide q(z given x), side by side."""

import contextlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.nn import pyro_method
from torch import nn

from svg_pyro.config import SVGConfig
from svg_pyro.errors import ConfigError
from svg_pyro.model import streaming
from svg_pyro.model.batch_norm import generating, training_statistics
from svg_pyro.model.checks import check_conditioned
from svg_pyro.model.features import KEY, Features, encode, replayed
from svg_pyro.model.generation import Generative
from svg_pyro.model.guides import PriorGuide
from svg_pyro.model.inference import mean_of, posterior_of
from svg_pyro.model.observed import observe, teacher_forced, without_padding
from svg_pyro.model.parts import make_parts
from svg_pyro.model.pyro_internals import conditioned_sites
from svg_pyro.model.rollout import roll_out
from svg_pyro.model.root import program
from svg_pyro.model.streaming import State
from svg_pyro.model.types import Distribution, Part, Trace
from svg_pyro.util.modes import evaluating

# Of each clip, ``(B,)``; None where all frames are real.
Lengths: TypeAlias = Sequence[int] | torch.Tensor | None


class SVG(Generative):
    r"""Stochastic video generation as a Pyro program (Denton & Fergus 2018).

    With h_t = Enc(x_t) and g_t = LSTM(h_{1:t-1}, z_{2:t})::

        p(x, z) = prod_t p(z_t | x_{1:t-1}) p(x_t | Dec(g_t, skips))
        q(z | x) = prod_t q(z_t | x_{1:t}),                       t = 2..T

    With actions (``action_dim`` above 0), of which a_t leads from x_t to x_{t+1}, g_t
    and the prior of z_t depend on a_{1:t-1} too, and so does the guide's z_t.

    Parameters
    ----------
    config : SVGConfig
        Sizes, and the names of the parts that are not given.
    prior : torch.nn.Module, optional
        Instead of ``config.prior``; see `svg_pyro.model.priors.Prior`.
    guide : torch.nn.Module, optional
        Instead of ``config.guide``; see `svg_pyro.model.guides.Guide`. It becomes the
        attribute `posterior`; the method `guide` is the Pyro program around it.
    observation : torch.nn.Module, optional
        Instead of ``config.observation``; see
        `svg_pyro.model.observations.Observation`.
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
    trained_on : dict of str to Any
        What a checkpoint says of the data: "kind", and settings and preprocessing such
        as "fit" and "stride", which generation is to share. Empty of a new model.
    action_mean, action_std : torch.Tensor
        Of a model with actions, ``(action_dim,)``: what actions are normalised by, in
        the data's units. 0 and 1 until a training sets those of its clips.

    Raises
    ------
    ConfigError
        When a name is not registered, the backbone cannot do the image size, or a
        part that is given does not fit.

    Examples
    --------
    >>> config = SVGConfig(channels=1, width=4, g_dim=8, z_dim=3, rnn_size=12)
    >>> svg = SVG(config, prior=svg_pyro.FixedPrior(config))
    >>> frames = torch.rand(2, 5, 1, 64, 64)
    >>> loss = pyro.infer.Trace_ELBO()(svg.model, svg.guide)
    >>> loss(frames).backward()  # parameters: loss.parameters()
    >>> svg.predict(frames[:, :2], horizon=3, num_samples=4).shape
    torch.Size([4, 2, 3, 1, 64, 64])

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
        super().__init__()
        parts = make_parts(
            config,
            prior=prior,
            guide=guide,
            observation=observation,
            backbone=backbone,
            predictor=predictor,
        )
        self.config = config
        if config.action_dim:
            self.register_buffer("action_mean", torch.zeros(config.action_dim))
            self.register_buffer("action_std", torch.ones(config.action_dim))
        self.names = parts.names
        self.trained_on: dict[str, Any] = {}
        self.frame_shape = parts.frame_shape
        # The first, so that stored optimisers find its weights where they were.
        self.observation = parts.observation
        self.encoder = parts.encoder
        self.decoder = parts.decoder
        self.frame_predictor = parts.predictor
        self.prior = parts.prior
        self.posterior = parts.guide
        if isinstance(self.posterior, PriorGuide):
            if config.posterior_start == 2:
                raise ConfigError(
                    'posterior_start is 2; the guide "prior" needs the first frame: '
                    "give 1, or another guide"
                )
            self.posterior.follow(self.prior)

    @program
    def model(
        self,
        frames: torch.Tensor,
        horizon: int = 0,
        *,
        score: bool | None = None,
        noise: bool = False,
        inputs: torch.Tensor | None = None,
        lengths: Lengths = None,
        actions: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        r"""p(x_{2:T}, z_{2:T} | x_1) and, with a horizon, the futures after x_T.

        Teacher-forced on what is observed::

            z_t ~ p(z_t | h_{1:t-1})                 site "z",  plates batch, time
            x_t ~ p(x_t | Dec(g_t, skips))           site "x",  plates batch, frames

        and then step by step, with the means x_t fed back::

            z_t ~ p(z_t | h_{1:t-1})                 sites "z_{t}", t = T+1..T+horizon
            x_t = Dec(g_t, skips of x_T)             site "x_future"
            x_t + noise ~ p(x_t | Dec(...))          site "x_new", plates batch, future

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
        noise : bool
            Whether the site x_new is there: frames drawn from the observation model
            around the future's means. They are not fed back, and, under a density of
            the real line, not cut to [0, 1].
        inputs : torch.Tensor, optional
            Frames that the predictor sees, and the decoder moves, in place of `frames`,
            of the same shape; see `svg_pyro.training.own_means`.
        lengths : sequence of int or torch.Tensor, optional
            How many of each clip's frames are real, ``(B,)``, from 2 to T: the rest is
            padding, of any values. Everything is then what it is for each clip cut to
            its length; only for clips that are scored.
        actions : torch.Tensor, optional
            Of a model with actions, in the data's units, ``(B, T - 1 + horizon, A)``:
            row i leads from frame i to the next. K plans for one clip, ``(K, ...)``,
            give K futures of it; then B in what is returned is K.

        Returns
        -------
        torch.Tensor or None
            The future's means, ``(*samples, B, horizon, C, H, W)``.

        Raises
        ------
        FramesError
            When the frames, the horizon, the lengths or the actions are not what is
            said above; or a latent of an observed frame is conditioned as if it were a
            site.
        ConfigError
            When there is to be noise, and the observation model does not know any yet.

        Examples
        --------
        >>> svg = SVG(SVGConfig(channels=1, width=4, g_dim=8, z_dim=3, rnn_size=12))
        >>> draw = pyro.infer.Predictive(svg.model, guide=svg.guide, num_samples=4)
        >>> futures = draw(torch.rand(2, 5, 1, 64, 64), horizon=3, noise=True)
        >>> futures["x_new"].shape
        torch.Size([4, 2, 3, 1, 64, 64])
        """
        score = horizon == 0 if score is None else score
        real = self.check(frames, horizon, 2 if score else 1, lengths, actions)
        counted = training_statistics(self, once=inputs is not None)
        with generating(self) if horizon else counted:
            given = frames, inputs, real, actions
            features = replayed(self.encoder, *given) or encode(
                self.encoder, frames, inputs=inputs, lengths=real, actions=actions
            )
            return self._model(features, horizon, score=score, noise=noise)

    def forward(
        self,
        frames: torch.Tensor,
        horizon: int = 0,
        *,
        score: bool | None = None,
        noise: bool = False,
        lengths: Lengths = None,
        actions: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """See `model`."""
        future: torch.Tensor | None = self.model(
            frames,
            horizon,
            score=score,
            noise=noise,
            lengths=lengths,
            actions=actions,
        )
        return future

    @program
    def guide(
        self,
        frames: torch.Tensor,
        horizon: int = 0,
        *,
        score: bool | None = None,
        noise: bool = False,
        inputs: torch.Tensor | None = None,
        lengths: Lengths = None,
        actions: torch.Tensor | None = None,
    ) -> None:
        r"""q(z_{2:T} | x_{1:T}): the approximate posterior of what is observed.

        ::

            z_t ~ q(z_t | h_{1:t})                   site "z",  plates batch, time

        Parameters
        ----------
        frames, horizon, score, noise, inputs, lengths, actions
            As in `model`. The future's latents and frames are left to the model.

        Raises
        ------
        FramesError
            As `model`.
        """
        shortest = 2 if horizon == 0 or score else 1
        real = self.check(frames, horizon, shortest, lengths, actions)
        if self.posterior is None or frames.shape[1] < 2:
            return
        counted = training_statistics(self, once=inputs is not None)
        with generating(self) if horizon else counted:
            features = encode(
                self.encoder, frames, inputs=inputs, lengths=real, actions=actions
            )
            self._guide(features, means=self._takes_means(horizon, score))

    @property
    def knows_actions(self) -> bool:
        """Whether the statistics of a training set's actions have been set."""
        centred = bool((self.action_mean == 0).all())
        return not (centred and bool((self.action_std == 1).all()))

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
        action: torch.Tensor | None = None,
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
        action : torch.Tensor, optional
            Of a model with actions: the one that leads to this frame,
            ``(*batch, A)``, in the data's units.

        Raises
        ------
        FramesError
            When the state is of another model, or the frame, the latent or the action
            is no such tensor.
        """
        return streaming.step(self, state, frame, z=z, action=action)

    def _takes_means(self, horizon: int, score: bool | None) -> bool:
        """Whether the context's latents are means: not where they are scored."""
        return horizon > 0 and not score and self.config.context_latents == "mean"

    def _guide(self, features: Features, *, means: bool = False) -> None:
        if self.posterior is None or features.h.shape[1] < 2:
            return
        batch, steps = features.clips, features.h.shape[1] - 1

        def infer() -> Distribution:
            posterior = posterior_of(self, features)
            if means:
                return dist.Delta(mean_of(self, posterior), event_dim=1)
            return posterior

        name = "posterior mean" if means else "posterior"
        posterior = features.once(name, infer)
        with pyro.plate("batch", batch, dim=-2), pyro.plate("time", steps, dim=-1):
            kept: Part = {KEY: features}
            with without_padding(features):
                pyro.sample("z", posterior, infer=kept)

    def _model(
        self, features: Features, horizon: int, *, score: bool, noise: bool = False
    ) -> torch.Tensor | None:
        batch, steps = features.clips, features.h.shape[1] - 1
        check_conditioned(conditioned_sites(), steps + 1, horizon)
        states = None, None
        with pyro.plate("batch", batch, dim=-2):
            if steps:
                g, states = teacher_forced(self, features)
                if score:
                    observe(self, features, g)
            if not horizon:
                return None
            return roll_out(self, features, states, horizon, noise=noise)

    @pyro_method
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
        """See `Generative.sample_traces`."""
        plate: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        if num_samples is not None:
            plate = pyro.plate("samples", num_samples, dim=-3)
        mode = generating if horizon else evaluating
        means = self._takes_means(horizon, score)
        with torch.set_grad_enabled(grad), mode(self), poutine.block(), plate:
            guide = poutine.trace(self._guide).get_trace(features, means=means)
            replay = poutine.replay(self._model, trace=guide)
            return guide, poutine.trace(replay).get_trace(
                features, horizon, score=score, noise=noise
            )
