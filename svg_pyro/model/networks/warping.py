"""Moving a frame's pixels along a flow, and blending several frames."""

import torch
from torch.nn import functional as F

# A decoder's outputs are small at first; flows are pixels, and masks are to decide.
FLOW_GAIN = 4.0
MASK_GAIN = 4.0


def warp(frames: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    r"""Frames whose pixels are taken from elsewhere in given ones.

    With cubic convolution (Keys 1981, a = -3/4), cut to [0, 1], and the nearest pixel
    of the edge beyond it::

        out(y, x) = frame(y + flow_y(y, x), x + flow_x(y, x))

    Bilinear interpolation blurs a little at every step: after 25 steps a digit had 0.16
    of the truth's sharpness, and has 0.90 with the cubic one and the same weights.

    Parameters
    ----------
    frames : torch.Tensor
        Shape ``(*batch, C, H, W)``, values in [0, 1].
    flow : torch.Tensor
        Displacements (y, x) in pixels, shape ``(*batch, 2, H, W)``; 0 copies.

    Returns
    -------
    torch.Tensor
        Shape ``(*batch, C, H, W)``.
    """
    moved: torch.Tensor = _sampled(frames, flow, "bicubic").clamp(0, 1)
    return moved


def compose(so_far: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """The flow of two moves as one: `so_far`, and then `flow`.

    ::

        both(y, x) = flow(y, x) + so_far((y, x) + flow(y, x))

    with bilinear interpolation.

    Parameters
    ----------
    so_far : torch.Tensor
        Displacements (y, x) in pixels, of a shape that expands to that of `flow`.
    flow : torch.Tensor
        Shape ``(*batch, 2, H, W)``.

    Returns
    -------
    torch.Tensor
        Shape ``(*batch, 2, H, W)``.
    """
    moved = _sampled(so_far.expand_as(flow), flow, "bilinear")
    return flow + moved


def _sampled(values: torch.Tensor, flow: torch.Tensor, mode: str) -> torch.Tensor:
    """``values((y, x) + flow(y, x))``, beyond the edge its nearest pixel."""
    height, width = values.shape[-2:]
    batch, flow = values.shape[:-3], flow.flatten(0, -4)
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    # grid_sample counts from -1 to 1 over the centres of the first and last pixels.
    y = (flow[:, 0] + rows) * (2 / (height - 1)) - 1
    x = (flow[:, 1] + columns) * (2 / (width - 1)) - 1
    sampled: torch.Tensor = F.grid_sample(
        values.flatten(0, -4),
        torch.stack([x, y], -1),
        mode=mode,
        padding_mode="border",
        align_corners=True,
    )
    whole: torch.Tensor = sampled.unflatten(0, batch)
    return whole


def enlarge(flow: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A coarse flow at the size of a frame, by bilinear interpolation.

    Parameters
    ----------
    flow : torch.Tensor
        Shape ``(*batch, 2, h, w)``, in a frame's pixels.
    size : tuple of int
        H and W.

    Returns
    -------
    torch.Tensor
        Shape ``(*batch, 2, H, W)``.
    """
    fine: torch.Tensor = F.interpolate(flow.flatten(0, -4), size, mode="bilinear")
    whole: torch.Tensor = fine.unflatten(0, flow.shape[:-3])
    return whole


def blend(
    new: torch.Tensor,
    moved: torch.Tensor,
    still: torch.Tensor,
    logits: torch.Tensor,
    *,
    change: bool = False,
) -> torch.Tensor:
    """A frame whose every pixel is a mean of two or three frames'.

    Parameters
    ----------
    new, moved, still : torch.Tensor
        Shapes that broadcast to ``(*batch, C, H, W)``.
    logits : torch.Tensor
        Shape ``(*batch, 2, H, W)``: of the shares of `still` and of `moved`, in the
        softmax over them and 0 for `new`. Or ``(*batch, 1, H, W)``, of `moved`
        beside `new` alone.
    change : bool
        Instead of being one of the three, `new` is a change of the mean of the two
        others: by ``2 new - 1`` times its share.

    Returns
    -------
    torch.Tensor
        Shape ``(*batch, C, H, W)``.
    """
    if logits.shape[-3] == 1:
        # Rounded, a mean of ones can be above 1, which no metric takes.
        return torch.lerp(new, moved, logits.sigmoid()).clamp(0, 1)
    stay, move = logits.split(1, -3)
    shares = torch.cat([stay, move, torch.zeros_like(move)], -3).softmax(-3)
    stay, move, fresh = shares.split(1, -3)
    if change:
        kept = (still * stay + moved * move) / (stay + move)
        changed: torch.Tensor = kept + fresh * (2 * new - 1)
        return changed.clamp(0, 1)
    mean: torch.Tensor = still * stay + moved * move + new * fresh
    return mean.clamp(0, 1)
