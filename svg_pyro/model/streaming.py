"""A video frame by frame: what is seen is scored, what is not seen is imagined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch.utils._pytree import tree_map

from svg_pyro.config import SVGConfig
from svg_pyro.errors import FramesError
from svg_pyro.model.checks import check_count, check_frames, latents
from svg_pyro.model.decoding import Source, decode_next, source_of
from svg_pyro.model.divergence import closed_form_kl
from svg_pyro.model.inputs import check_action, join, with_action, with_action_before
from svg_pyro.model.skips import last_skip_frame
from svg_pyro.model.types import Distribution
from svg_pyro.util.modes import evaluating
from svg_pyro.util.words import shown


@dataclass(frozen=True, eq=False)
class State:
    """All that a model knows of the frames so far, of a size that does not grow.

    Every tensor has the leading dimensions ``(*batch,)``: those of the frames that were
    given, behind those that `expand` has added.

    Attributes
    ----------
    time : int
        Frames so far, counted from 1.
    frame : torch.Tensor
        The last one: as it was seen, or the mean of an imagined one;
        ``(*batch, C, H, W)``, values in [0, 1].
    nll : torch.Tensor or None
        -log p(x_t | x_{1:t-1}, z_{2:t}) of the last frame in nats, ``(*batch,)``: that
        of a draw z from the guide. None of the first frame and of imagined ones.
    kl : torch.Tensor or None
        KL(q(z_t | x_{1:t}) || p(z_t | x_{1:t-1})) in nats, ``(*batch,)``: in closed
        form where there is one, else estimated at the draw. None where `nll` is.
    log_weight : torch.Tensor or None
        log p(x_t | z_{2:t}, x_{1:t-1}) p(z_t | x_{1:t-1}) / q(z_t | x_{1:t}) at the
        draw in nats, ``(*batch,)``: of importance sampling. None where `nll` is.
    z : torch.Tensor or None
        The last latent, ``(*batch, z_dim)``.
    config : SVGConfig or None
        Of the model whose state it is.
    """

    time: int
    frame: torch.Tensor
    h: torch.Tensor
    prior: Any
    posterior: Any
    predictor: Any
    scored_skips: list[torch.Tensor]
    future_skips: list[torch.Tensor]
    newest_skips: list[torch.Tensor]
    source: Source
    nll: torch.Tensor | None = None
    kl: torch.Tensor | None = None
    log_weight: torch.Tensor | None = None
    z: torch.Tensor | None = None
    config: SVGConfig | None = None

    @property
    def batch_shape(self) -> torch.Size:
        """Leading dimensions of every tensor."""
        return self.frame.shape[:-3]

    @property
    def surprise(self) -> torch.Tensor | None:
        """The sum nll + kl in nats: in expectation a bound on -log p(x_t | x_{<t})."""
        return None if self.nll is None or self.kl is None else self.nll + self.kl

    def expand(self, num_samples: int) -> State:
        """As many states alike as `num_samples`, in a new first dimension, not copied.

        Raises
        ------
        FramesError
            When `num_samples` is below 1.
        """
        check_count("num_samples", num_samples)
        return self._each(lambda leaf: leaf.expand(num_samples, *leaf.shape))

    def __getitem__(self, index: Any) -> State:
        """The states at an index of the leading dimensions, as of a tensor.

        With states of shape (K, B), ``state[ancestors, torch.arange(B)]`` resamples
        each clip's K states by indices of shape (K, B).
        """
        return self._each(lambda leaf: leaf[index])

    def where(self, alive: torch.Tensor, other: State) -> State:
        """Of this state what `alive` marks, of `other` the rest.

        Parameters
        ----------
        alive : torch.Tensor
            bool, of the shape of the leading dimensions.
        other : State
            Of the same model and the same shapes.

        Raises
        ------
        FramesError
            When `other` is no state, of another model or of other leading dimensions,
            one of both has just imagined a frame, or `alive` is no such tensor.
        """
        _check_state(other, self.config)
        if other.batch_shape != self.batch_shape:
            raise FramesError(
                f"states of shape {tuple(self.batch_shape)} and "
                f"{tuple(other.batch_shape)} cannot be mixed; expand or index one"
            )

        if not torch.is_tensor(alive) or alive.dtype != torch.bool:
            raise FramesError("alive marks no states; give a tensor of bool")
        if alive.shape != self.batch_shape:
            raise FramesError(
                f"alive is {tuple(alive.shape)}, the states {tuple(self.batch_shape)}; "
                "mark each state"
            )

        def choose(mine: Any, theirs: Any) -> Any:
            if not torch.is_tensor(mine):
                return mine
            if not torch.is_tensor(theirs):
                raise FramesError(
                    "one state has just seen a frame and the other imagined one; "
                    "mix states that did the same"
                )
            here = alive.reshape(alive.shape + (1,) * (mine.dim() - alive.dim()))
            return torch.where(here, mine, theirs)

        parts = {
            f.name: tree_map(choose, getattr(self, f.name), getattr(other, f.name))
            for f in fields(self)
        }
        return State(**parts)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> State:
        def of(leaf: Any) -> Any:
            return change(leaf) if torch.is_tensor(leaf) else leaf

        parts = {f.name: tree_map(of, getattr(self, f.name)) for f in fields(self)}
        return State(**parts)


def start(svg: Any, frame: torch.Tensor) -> State:
    """The state after the first frame; see `SVG.start`."""
    frame = _checked(svg, frame)
    with torch.no_grad(), evaluating(svg):
        h, skips = svg.encoder(frame)
        posterior = None
        if svg.posterior is not None and svg.config.posterior_start == 1:
            first = h
            if svg.config.action_dim:
                none = h.new_empty(*h.shape[:-2], 0, svg.config.action_dim)
                first = with_action_before(svg, h, none)
            given = svg.posterior(first, None)
            posterior = latents("guide", given, svg.config.z_dim)[1]
        prepared = svg.decoder.prepare(frame, skips)
    return State(
        time=1,
        frame=frame.squeeze(-4),
        h=h,
        prior=None,
        posterior=posterior,
        predictor=None,
        scored_skips=prepared,
        future_skips=prepared,
        newest_skips=prepared,
        source=source_of(svg.config, frame.squeeze(-4)),
        config=svg.config,
    )


def step(
    svg: Any,
    state: State,
    frame: torch.Tensor | None = None,
    *,
    z: torch.Tensor | None = None,
    action: torch.Tensor | None = None,
) -> State:
    """The state one frame later; see `SVG.step`."""
    _check_state(state, svg.config)
    if z is not None:
        _check_latent(z, svg, state.batch_shape)
    check_action(svg.config, action, state.batch_shape)
    if action is not None:
        action = action.unsqueeze(-2)
    with torch.no_grad(), evaluating(svg):
        if frame is None:
            return _imagined(svg, state, z, action)
        frame = _checked(svg, frame)
        _check_batch(frame.shape[:-4], state.batch_shape)
        return _observed(svg, state, frame, z, action)


def _check_state(state: object, config: SVGConfig | None) -> None:
    """Refuse what is no state, or one of a model of another configuration."""
    if not isinstance(state, State):
        raise FramesError(
            f"the state is a {type(state).__name__}; give what start or step returned"
        )
    if state.config == config or state.config is None or config is None:
        return
    name = next(
        f.name
        for f in fields(config)
        if getattr(config, f.name) != getattr(state.config, f.name)
    )
    raise FramesError(
        f"the state is of another model, whose {name} is "
        f"{shown(getattr(state.config, name))}, here {shown(getattr(config, name))}; "
        "begin with start of this model"
    )


def _check_latent(z: object, svg: Any, batch: torch.Size) -> None:
    """Refuse a latent that is none of the model's, or not one for each state."""
    if svg.prior is None:
        raise FramesError("the model has no latents; leave z out")
    wanted = (*batch, svg.config.z_dim)
    if not torch.is_tensor(z) or not z.is_floating_point() or z.shape != wanted:
        given = tuple(z.shape) if torch.is_tensor(z) else f"a {type(z).__name__}"
        raise FramesError(f"z is {given}; give a tensor of floats {wanted}")


def _check_batch(given: torch.Size, batch: torch.Size) -> None:
    """Refuse a frame of other leading dimensions than the state's last ones."""
    last = batch[len(batch) - len(given) :]
    if len(given) > len(batch) or any(
        a not in (1, b) for a, b in zip(given, last, strict=True)
    ):
        raise FramesError(
            f"the frame is of {tuple(given)} clips, the state of {tuple(batch)}; give "
            "one frame of each clip, (*batch, C, H, W)"
        )


def _observed(
    svg: Any,
    state: State,
    frame: torch.Tensor,
    z: torch.Tensor | None,
    action: torch.Tensor | None,
) -> State:
    def wide(leaf: torch.Tensor) -> torch.Tensor:
        # One frame may be seen by many samples of the past.
        return leaf.expand(*state.batch_shape, *leaf.shape[frame.dim() - 4 :])

    h, skips = svg.encoder(frame)
    # A part without a state of its own would draw one latent for all samples.
    h = wide(h)
    seen = with_action(svg, state.h, action)
    prior, prior_state = _prior(svg, seen, state)
    posterior_state, kl, log_ratio = None, None, None
    if prior is not None:
        given = svg.posterior(with_action(svg, h, action), state.posterior)
        posterior, posterior_state = latents("guide", given, svg.config.z_dim)
        z = posterior.sample() if z is None else z.unsqueeze(-2)
        log_ratio, kl = _divergences(posterior, prior, z)
    g, predictor_state = svg.frame_predictor(_inputs(seen, z), state.predictor)
    decoded, mean, _ = decode_next(svg, g, state.scored_skips, _source(state))
    _, extra = svg.observation.split(decoded)
    likelihood = svg.observation(mean, extra, frame)
    nll = -likelihood.log_prob(frame).squeeze(-1)
    prepared = svg.decoder.prepare(frame, skips)
    config, time = svg.config, state.time + 1
    scored = config.last_frame_skip or time <= last_skip_frame(config, config.n_past)
    newest = config.last_frame_skip or config.skip_from == "context"
    prepared = [wide(p) for p in prepared]
    return replace(
        state,
        time=time,
        frame=wide(frame).squeeze(-4),
        h=h,
        prior=prior_state,
        posterior=posterior_state,
        predictor=predictor_state,
        scored_skips=prepared if scored else state.scored_skips,
        future_skips=prepared if newest else state.newest_skips,
        newest_skips=prepared,
        source=source_of(config, wide(frame).squeeze(-4)),
        nll=nll,
        kl=torch.zeros_like(nll) if kl is None else kl,
        log_weight=-nll if log_ratio is None else -nll - log_ratio,
        z=None if z is None else z.squeeze(-2),
    )


def _divergences(
    posterior: Distribution, prior: Distribution, z: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The draw's log q(z) - log p(z), and the KL: in closed form if there is one."""
    log_ratio = (posterior.log_prob(z) - prior.log_prob(z)).squeeze(-1)
    closed = closed_form_kl(posterior, prior)
    return log_ratio, log_ratio if closed is None else closed.squeeze(-1)


def _imagined(
    svg: Any, state: State, z: torch.Tensor | None, action: torch.Tensor | None
) -> State:
    seen = with_action(svg, state.h, action)
    prior, prior_state = _prior(svg, seen, state)
    if prior is not None:
        z = prior.sample() if z is None else z.unsqueeze(-2)
    g, predictor_state = svg.frame_predictor(_inputs(seen, z), state.predictor)
    _, mean, source = decode_next(svg, g, state.future_skips, _source(state))
    h, skips = svg.encoder(mean)
    posterior_state = None
    if svg.posterior is not None:
        given = with_action(svg, h, action)
        posterior_state = svg.posterior(given, state.posterior)[1]
    later = {}
    if svg.config.last_frame_skip:
        prepared = svg.decoder.prepare(mean, skips)
        names = "scored_skips", "future_skips", "newest_skips"
        later = dict.fromkeys(names, prepared)
    return replace(
        state,
        time=state.time + 1,
        frame=mean.squeeze(-4),
        h=h,
        prior=prior_state,
        posterior=posterior_state,
        predictor=predictor_state,
        source=source.each(lambda leaf: leaf.squeeze(-4)),
        nll=None,
        kl=None,
        log_weight=None,
        z=None if z is None else z.squeeze(-2),
        **later,
    )


def _source(state: State) -> Source:
    """What is moved to make the next frame, with a dimension of time."""
    return state.source.each(lambda leaf: leaf.unsqueeze(-4))


def _prior(svg: Any, seen: torch.Tensor, state: State) -> tuple[Any, Any]:
    if svg.prior is None:
        return None, None
    given = svg.prior(seen, state.prior)
    prior: tuple[Any, Any] = latents("prior", given, svg.config.z_dim)
    return prior


def _inputs(h: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
    return h if z is None else join(h, z)


def _checked(svg: Any, frame: torch.Tensor) -> torch.Tensor:
    """`frame` ``(*batch, C, H, W)`` as ``(*batch, 1, C, H, W)``."""
    if not torch.is_tensor(frame) or frame.dim() < 4:
        raise FramesError(
            "give one frame of each clip as a tensor (B, C, H, W), for a single clip "
            "frame[None]"
        )
    flat = frame.flatten(0, -4).unsqueeze(1)
    check_frames(flat, svg.frame_shape, 1, like=svg.encoder)
    return frame.unsqueeze(-4)
