"""Checks of what a model is given: one line that names what is wrong and what to do."""

from collections.abc import Iterable

import numpy as np
import torch
from pyro.poutine.util import site_is_subsample

from svg_pyro.errors import ConfigError, FramesError
from svg_pyro.model.types import Distribution, Part, RecurrentState, Trace
from svg_pyro.util.checks import check_whole

MOST = 10**9  # frames or futures that one may ask for: sizes beyond overflow


def check_frames(
    frames: torch.Tensor,
    frame_shape: tuple[int, int, int],
    shortest: int,
    *,
    values: bool = True,
    like: Part | None = None,
) -> None:
    """Refuse what the model cannot take.

    Parameters
    ----------
    frames : torch.Tensor
        To be ``(B, T, C, H, W)``, floating point, in [0, 1].
    frame_shape : tuple of int
        ``(C, H, W)`` of the model.
    shortest : int
        Least T.
    values : bool
        Also look at the values, which on CUDA waits for the device.
    like : Part, optional
        The model's encoder, which the frames go into.

    Raises
    ------
    FramesError
        When the rank, the size, the type or (with `values`) the range is another, or
        they are of another precision or on another device than the encoder's weights.
    """
    if not torch.is_tensor(frames):
        raise FramesError(
            f"frames are a {type(frames).__name__}; give a torch tensor (B, T, C, H, W)"
        )
    if frames.dim() != 5:
        raise FramesError(
            f"frames have {frames.dim()} dimensions, shape {tuple(frames.shape)}; "
            "give (B, T, C, H, W), for one clip clip[None]"
        )
    batch, steps, *image = frames.shape
    if tuple(image) != tuple(frame_shape):
        raise FramesError(
            f"frames are {tuple(image)} (C, H, W), the model takes "
            f"{tuple(frame_shape)}; resize them, or build the model with this "
            "image_size and channels"
        )
    if batch < 1 or steps < shortest:
        raise FramesError(
            f"frames hold {batch} clips of {steps} frames; "
            f"at least 1 clip of {shortest} frames is needed"
        )
    if not frames.is_floating_point():
        raise FramesError(
            f"frames are {frames.dtype}; give floats in [0, 1], "
            "for uint8 frames.float() / 255"
        )
    if frames.layout != torch.strided:
        raise FramesError(f"frames are {frames.layout}; give frames.to_dense()")
    if like is not None:
        _check_like(frames, like)
    if values:
        check_values(frames.detach())


def _check_like(frames: torch.Tensor, encoder: Part) -> None:
    weight = next(encoder.parameters(), None)
    if weight is None:
        return
    here, there = frames.device, weight.device
    # "cuda" is any of them, for tensors without storage.
    apart = None not in (here.index, there.index) and here.index != there.index
    if here.type != there.type or apart:
        raise FramesError(
            f"frames are on {frames.device}, the model on {weight.device}; give "
            f'frames.to("{weight.device}")'
        )
    # Autocast takes all but doubles.
    cast = torch.is_autocast_enabled(weight.device.type)
    if frames.dtype != weight.dtype and (not cast or frames.dtype == torch.float64):
        raise FramesError(
            f"frames are {frames.dtype}, the model's weights {weight.dtype}; give "
            f"frames.to({weight.dtype})"
        )


def check_values(frames: torch.Tensor, real: torch.Tensor | None = None) -> None:
    """Refuse values that are not finite, or not in [0, 1].

    Parameters
    ----------
    frames : torch.Tensor
        Shape ``(B, T, C, H, W)``.
    real : torch.Tensor, optional
        bool, ``(B, T)``: the frames that are looked at.

    Raises
    ------
    FramesError
        When there is such a value.
    """
    if real is not None:
        frames = frames.where(real[..., None, None, None], 0)
    low, high = (v.item() for v in torch.aminmax(frames))
    # A NaN makes both NaN, so that it fails the comparison as well.
    if low >= 0 and high <= 1:
        return
    finite = frames.isfinite().flatten(2).all(2)
    if not finite.all():
        clip, frame = (~finite).nonzero()[0].tolist()
        raise FramesError(
            f"frames are not finite, first in clip {clip}, frame {frame}; "
            "mend or drop that clip"
        )
    raise FramesError(
        f"frames reach from {low:g} to {high:g}; scale them to [0, 1] "
        "(for 0..255 divide by 255)"
    )


def check_count(name: str, value: int, least: int = 1, most: int | None = None) -> None:
    """Refuse a count that is not a whole number of at least `least`.

    Parameters
    ----------
    name : str
        What is counted, for the message.
    value : int
        The count; NumPy's integers are whole numbers too.
    least : int
        The smallest that is allowed.
    most : int, optional
        The greatest.

    Raises
    ------
    FramesError
        When it is smaller or greater, or no whole number.
    """
    if isinstance(value, np.integer):
        value = int(value)
    check_whole(name, value, least=least, most=most, error=FramesError)


def check_conditioned(names: Iterable[str], seen: int, horizon: int) -> None:
    """Refuse to condition a latent by itself that is no site of its own.

    Parameters
    ----------
    names : iterable of str
        Sites whose values are given.
    seen : int
        Frames that are observed.
    horizon : int
        Frames that are generated after them.

    Raises
    ------
    FramesError
        When one is "z_{t}" of a frame that is observed, or beyond the horizon.
    """
    for name in names:
        if not (name.startswith("z_") and name[2:].isdecimal()):
            continue
        time = int(name[2:])
        if time <= seen:
            raise FramesError(
                f"{name} is of an observed frame: the latents of frames 2 to {seen} "
                'are the one site "z", (B, frames - 1, z_dim); condition that, or '
                f"observe only frames up to {time - 1}"
            )
        if time > seen + horizon:
            sites = f"z_{seen + 1} to z_{seen + horizon}" if horizon else "none"
            raise FramesError(
                f"{name} is no site; those of generated frames are {sites}: change "
                "the name or the horizon"
            )


def latents(
    kind: str, given: tuple[Distribution, RecurrentState], z_dim: int
) -> tuple[Distribution, RecurrentState]:
    """What a prior or a guide returned: a distribution of latents, and a state.

    Parameters
    ----------
    kind : str
        "prior" or "guide", for the message.
    given : tuple
        What its `forward` returned.
    z_dim : int
        Length of a latent.

    Raises
    ------
    ConfigError
        When it is no such pair, or of latents of another length.
    """
    if not (isinstance(given, tuple) and len(given) == 2):
        raise ConfigError(
            f"the {kind} returned a {type(given).__name__}; "
            "return a pair, (distribution of z, state)"
        )
    z_dist, state = given
    if tuple(z_dist.event_shape) != (z_dim,):
        raise ConfigError(
            f"the {kind} gives latents of event shape {tuple(z_dist.event_shape)}, the "
            f"model's are ({z_dim},); build both with the same z_dim"
        )
    return z_dist, state


def check_reparametrised(guide: Trace, model: Trace) -> None:
    """Refuse draws through which no gradient goes.

    Parameters
    ----------
    guide, model : pyro.poutine.Trace
        Of a future; the model is replayed against the guide.

    Raises
    ------
    ConfigError
        When a draw of either is not reparametrised.
    """
    drawn: dict[str, Trace] = dict.fromkeys(model.stochastic_nodes, model)
    # The model takes the guide's draws.
    drawn |= dict.fromkeys(guide.stochastic_nodes, guide)
    for name, trace in drawn.items():
        drawn_from = trace.nodes[name]["fn"]
        if not site_is_subsample(trace.nodes[name]) and not drawn_from.has_rsample:
            while hasattr(drawn_from, "base_dist"):
                drawn_from = drawn_from.base_dist
            raise ConfigError(
                f"{name} is drawn from a {type(drawn_from).__name__}, which is not "
                "reparametrised: no gradient goes through it; take another prior (of "
                "x_new: means, without noise), or leave grad out"
            )
