"""What the recurrent parts see of a frame: its features, an action, a latent."""

from typing import Any

import torch
from torch.nn import functional as F

from svg_pyro.config import SVGConfig
from svg_pyro.errors import FramesError


def join(*parts: torch.Tensor) -> torch.Tensor:
    """concat(h, a, z) along the last dimension; leading dimensions broadcast."""
    batch = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
    return torch.cat([part.expand(*batch, -1) for part in parts], -1)


def with_action(
    svg: Any, h: torch.Tensor, actions: torch.Tensor | None
) -> torch.Tensor:
    """concat(h_t, a_t), which prior and frame predictor see: a_t leads to x_{t+1}.

    Parameters
    ----------
    svg : SVG
        Whose statistics of actions are used.
    h : torch.Tensor
        Features, ``(*batch, n, g_dim)``.
    actions : torch.Tensor or None
        In the data's units, ``(*batch, n, A)``; None of a model without actions.

    Returns
    -------
    torch.Tensor
        ``(*batch, n, g_dim + A)``; `h` itself without actions.
    """
    if actions is None:
        return h
    return join(h, normalised(svg, actions))


def with_action_before(
    svg: Any, h: torch.Tensor, actions: torch.Tensor | None
) -> torch.Tensor:
    """concat(h_t, a_{t-1}) of t = 1..n, which the guide sees; a_0 is the mean action.

    Parameters
    ----------
    svg, h
        As of `with_action`.
    actions : torch.Tensor or None
        a_1..a_{n-1}, ``(*batch, n - 1, A)``, or more, which are left out.
    """
    if actions is None:
        return h
    before = normalised(svg, actions[..., : h.shape[-2] - 1, :])
    return join(h, F.pad(before, (0, 0, 1, 0)))


def normalised(svg: Any, actions: torch.Tensor) -> torch.Tensor:
    """Actions less the training set's mean, over its standard deviation."""
    scaled: torch.Tensor = (
        actions.to(svg.action_mean) - svg.action_mean
    ) / svg.action_std
    return scaled


def check_actions(
    config: SVGConfig,
    actions: torch.Tensor | None,
    frames: torch.Tensor,
    horizon: int,
    *,
    values: bool = True,
) -> None:
    """Refuse actions that do not go with frames.

    Parameters
    ----------
    config : SVGConfig
        Gives A.
    actions : torch.Tensor or None
        To be ``(B, T - 1 + horizon, A)``, floats; for one clip with a future also of K
        plans, ``(K, T - 1 + horizon, A)``. None of a model without actions.
    frames : torch.Tensor
        The clips, ``(B, T, C, H, W)``.
    horizon : int
        Frames to generate after them.
    values : bool
        Also look at the values, which on CUDA waits for the device.

    Raises
    ------
    FramesError
        When there are none though the model takes them, or the other way round; or
        their shape or type is another, or they are not finite.
    """
    batch, steps = len(frames), frames.shape[1] - 1 + horizon
    wanted = f"({batch}, {steps}, {config.action_dim})"
    if batch == 1 and horizon:
        wanted += f", of K plans (K, {steps}, {config.action_dim})"
    if actions is None:
        if config.action_dim:
            raise FramesError(f"the model takes actions and got none; give {wanted}")
        return
    if not config.action_dim:
        raise FramesError(
            "the model takes no actions (its action_dim is 0); leave them out, or "
            "train one with action_dim"
        )
    if not torch.is_tensor(actions) or not actions.is_floating_point():
        kind = actions.dtype if torch.is_tensor(actions) else type(actions).__name__
        raise FramesError(f"actions are {kind}; give a tensor of floats, {wanted}")
    shape = tuple(actions.shape)
    plans = batch == 1 and horizon > 0 and shape[0] > 0
    if shape[1:] != (steps, config.action_dim) or not (shape[0] == batch or plans):
        raise FramesError(
            f"actions are {shape}; give {wanted}: one for each step from a frame to "
            "the next"
        )
    if values and not actions.isfinite().all():
        raise FramesError("actions are not finite; mend or drop that clip")


def check_action(
    config: SVGConfig, action: torch.Tensor | None, batch: torch.Size
) -> None:
    """Refuse an action that no state can be led on by.

    Parameters
    ----------
    config : SVGConfig
        Gives A.
    action : torch.Tensor or None
        To be ``(*batch, A)``, or of leading dimensions that broadcast to it.
    batch : torch.Size
        Leading dimensions of the state.

    Raises
    ------
    FramesError
        When there is none though the model takes one, or the other way round; or its
        shape or type is another.
    """
    wanted = (*batch, config.action_dim)
    if action is None:
        if config.action_dim:
            raise FramesError(
                f"the model takes actions and got none; give action={wanted}, the one "
                "that leads to this frame"
            )
        return
    if not config.action_dim:
        raise FramesError(
            "the model takes no actions (its action_dim is 0); leave the action out"
        )
    fits = torch.is_tensor(action) and action.is_floating_point()
    try:
        fits = fits and torch.broadcast_shapes(action.shape, wanted) == wanted
    except RuntimeError:
        fits = False
    if not fits or action.shape[-1] != config.action_dim:
        given = tuple(action.shape) if torch.is_tensor(action) else type(action)
        raise FramesError(f"the action is {given}; give a tensor of floats {wanted}")
