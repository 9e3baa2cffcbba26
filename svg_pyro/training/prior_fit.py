"""A prior for a model that is trained: fitted alone, to features that do not change."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import pyro.distributions as dist
import torch

from svg_pyro.config import SVGConfig
from svg_pyro.data.base import ClipDataset
from svg_pyro.data.batches import check_class, clips_of, in_parts
from svg_pyro.errors import ConfigError, DataError, SVGError, TrainingError
from svg_pyro.model.checked import check_model
from svg_pyro.model.checks import latents
from svg_pyro.model.divergence import kl_at, kl_bound
from svg_pyro.model.features import encode
from svg_pyro.model.inference import posterior_of
from svg_pyro.model.inputs import with_action
from svg_pyro.model.svg import SVG
from svg_pyro.model.transfer import take_what_fits
from svg_pyro.util.checks import check_whole
from svg_pyro.util.progress import progress

_AT_ONCE = 16  # clips that are encoded together


@dataclass(frozen=True)
class PriorFit:
    """How a prior is fitted.

    Attributes
    ----------
    steps : int
        Gradient steps, each on `batch_size` clips.
    batch_size : int
        Clips in a step.
    lr : float
        Adam's learning rate at the start; a cosine takes it to 0.
    clip_norm : float
        Largest norm of all gradients together.
    reads : int
        Times that every clip is read, of videos each time another part.
    seed : int
        Of the prior's weights and of the clips' order.

    Raises
    ------
    ConfigError
        When a number is out of range.
    """

    steps: int = 600
    batch_size: int = 32
    lr: float = 2e-3
    clip_norm: float = 50.0
    reads: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "reads"):
            check_whole(name, getattr(self, name), least=1, error=ConfigError)
        check_whole("seed", self.seed, least=0, error=ConfigError)
        for name in ("lr", "clip_norm"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ConfigError(f"{name} is {value}; give a number above 0")


@dataclass(frozen=True)
class _Seen:
    """What the prior sees of some clips, and what it is to foretell.

    h is ``(N, T - 1, g_dim + A)``; the Gaussians q(z_t | x_{1:t}) of t = 2..T have
    means and scales ``(N, T - 1, z_dim)``.
    """

    h: torch.Tensor
    loc: torch.Tensor
    scale: torch.Tensor


def with_other_prior(svg: SVG, prior: str, *, seed: int = 0) -> SVG:
    """The same model with a new prior, which is not trained.

    Parameters
    ----------
    svg : SVG
        Of parts that have names.
    prior : str
        The registered name of the new one.
    seed : int
        Of its weights.

    Raises
    ------
    ConfigError
        When `svg` is no model, either has no latents, no prior has the name, or it has
        nothing to learn.
    """
    check_model(svg)
    if "none" in (svg.config.prior, prior):
        raise ConfigError(
            "a model without latents has no prior to fit; choose a model and a prior "
            "other than 'none'"
        )
    config: SVGConfig = dataclasses.replace(svg.config, prior=prior)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        other = SVG(config)
    network: Any = other.prior
    _learned_by(other)
    own = {name: value.clone() for name, value in network.state_dict().items()}
    take_what_fits(other, svg)
    # Tensors of two priors may share names, and mean other things.
    network.load_state_dict(own)
    other.trained_on = svg.trained_on
    return other.to(next(svg.parameters()).device).eval()


def fit_prior(svg: SVG, clips: ClipDataset, fit: PriorFit | None = None) -> float:
    r"""Train the prior of a trained model alone.

    ::

        min over psi of  E KL(q(z_t | x_{1:t}) || p_psi(z_t | x_{1:t-1}))

    Encoder and guide stay, so that features are computed once and a step costs a small
    part of a training step. All other parts are left as they are, to the last bit.

    Parameters
    ----------
    svg : SVG
        Whose guide gives Gaussians, such as "filtering"; changed in place.
    clips : ClipDataset
        Training clips, as long as those of the training. The features
        of all that is read are kept, 4 (g_dim + A + 2 z_dim) bytes a frame.
    fit : PriorFit, optional
        How; by default `PriorFit()`.

    Returns
    -------
    float
        The mean KL of the last tenth of the steps, in nats a frame; of a mixture its
        bound (see `svg_pyro.model.divergence.kl_bound`).

    Raises
    ------
    DataError
        When `clips` is no data set, they are of other frames or actions than the
        model's, or one is not what the set promises.
    ConfigError
        When `svg` is no model, it has no latents, its prior nothing to learn, its guide
        gives no Gaussians, or the clips are of several lengths.
    TrainingError
        When the prior, or what it gives, is not finite any more.
    """
    fit = fit or PriorFit()
    check_model(svg)
    _check_clips(clips, svg)
    if svg.prior is None:
        raise ConfigError("a model without latents has no prior to fit")
    if clips.min_frames is not None:
        raise ConfigError(
            "the clips are of several lengths; fit a prior to clips of one, without "
            "min_frames",
            advice=("min_frames",),
        )
    parameters = _learned_by(svg)
    seen = _seen(svg, clips, fit.reads)
    optimiser = torch.optim.Adam(parameters, lr=fit.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, fit.steps)
    generator = torch.Generator().manual_seed(fit.seed)
    losses: list[torch.Tensor] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fit.seed)
        for _ in progress(range(fit.steps), desc="fitting the prior", unit="step"):
            chosen = torch.randint(len(seen.h), (fit.batch_size,), generator=generator)
            try:
                loss = _kl(svg, seen, chosen.to(seen.h.device))
            # Of a distribution whose parameters are not finite.
            except ValueError as error:
                if isinstance(error, SVGError):
                    raise
                raise _diverged(fit) from error
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, fit.clip_norm)
            optimiser.step()
            schedule.step()
            losses.append(loss.detach())
    svg.zero_grad()
    if not all(weight.isfinite().all() for weight in parameters):
        raise _diverged(fit)
    return torch.stack(losses[-max(1, fit.steps // 10) :]).mean().item()


def _check_clips(clips: ClipDataset, svg: SVG) -> None:
    check_class(clips)
    have = tuple(clips.frame_shape), clips.action_dim
    want = tuple(svg.frame_shape), svg.config.action_dim
    if have != want:
        raise DataError(
            f"the clips are of frames {have[0]} (C, H, W) and of {have[1]} numbers in "
            f"an action, the model is of {want[0]} and {want[1]}; give clips such as "
            "it was trained on"
        )


def _diverged(fit: PriorFit) -> TrainingError:
    return TrainingError(
        f"the prior is not finite any more at lr {fit.lr:g}; lower it", advice=("lr",)
    )


def _learned_by(svg: SVG) -> list[torch.nn.Parameter]:
    """What there is to fit in a model's prior."""
    network: Any = svg.prior
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    if not weights:
        raise ConfigError(
            f"the prior {svg.names['prior']!r} has nothing to learn; choose another one"
        )
    return weights


def _seen(svg: SVG, clips: ClipDataset, reads: int) -> _Seen:
    """Features and posteriors of every clip, with statistics that do not move."""
    device = next(svg.parameters()).device
    rows: dict[str, list[torch.Tensor]] = {"h": [], "loc": [], "scale": []}
    svg.eval()
    parts = [
        (epoch, range(first, min(first + _AT_ONCE, len(clips))))
        for epoch in range(reads)
        for first in range(0, len(clips), _AT_ONCE)
    ]
    for epoch, numbers in progress(parts, desc="encoding", unit="batch"):
        batch = clips_of(clips, numbers, epoch)
        for frames, given in in_parts(batch.frames, batch.actions, _AT_ONCE, device):
            with torch.no_grad():
                features = encode(svg.encoder, frames, actions=given.get("actions"))
                normal: Any = getattr(posterior_of(svg, features), "base_dist", None)
                if not isinstance(normal, dist.Normal):
                    raise ConfigError(
                        f"the guide {svg.names['guide']!r} gives no Gaussians, to "
                        "which alone a prior can be fitted; train both together"
                    )
                h = with_action(svg, features.h[:, :-1], features.actions)
            rows["h"].append(h)
            rows["loc"].append(normal.loc)
            rows["scale"].append(normal.scale)
    return _Seen(**{name: torch.cat(parts) for name, parts in rows.items()})


def _kl(svg: SVG, seen: _Seen, chosen: torch.Tensor) -> torch.Tensor:
    """The mean KL a frame of clips, in nats: by formula, its bound, or at a draw."""
    posterior = dist.Normal(seen.loc[chosen], seen.scale[chosen]).to_event(1)
    network: Any = svg.prior
    prior = latents("prior", network(seen.h[chosen]), svg.config.z_dim)[0]
    kl = kl_bound(posterior, prior)
    if kl is None:
        kl = kl_at(posterior, prior, posterior.rsample())
    return kl.mean()
