"""Where things are in pictures of the pushing world, predicted ones as well.

Places are columns and rows in pixels of the 64x64 frame, as
`svg_pyro.data.simulated_push.renderer.project` gives them: the middle of the first
pixel is (0.5, 0.5).
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

# Least squares from the middle of what is black to the finger tips, 1,800 frames.
_MIDDLE = 32.0
_TIP = ((31.98, 0.9644, 0.0025), (35.03, 0.0022, 0.9779))
_FLAT, _RISE = 0.02, 0.08  # how much lighter than the blackest is black, and is not
_SPREAD = 4.0  # pixels: standard deviation of the window around the hand
_ROUNDS = 4
_REACH = 8.0  # pixels: standard deviation of how far a hand may go in a frame
_CHUNK = 512


def find_hand(frames: torch.Tensor) -> torch.Tensor:
    """The tips of the robot's fingers, by their black.

    The middle of the blackest spot, by a few steps of mean shift, moved by a fixed
    affine map to where `project` puts the recorded position of the end-effector: on
    600 frames apart from those of the fit 0.30 pixel off on average, 0.61 at the 95 %
    quantile; 0.5 on average once they are blurred by 0.7 pixel.

    Parameters
    ----------
    frames : torch.Tensor
        Camera "aux1", shape ``(..., 3, 64, 64)``, floats in [0, 1].

    Returns
    -------
    torch.Tensor
        Column and row in pixels, shape ``(..., 2)``.
    """
    flat = frames.reshape(-1, *frames.shape[-3:])
    found = torch.cat([_black_middle(part.amax(1)) for part in flat.split(_CHUNK)])
    return _tip(found).reshape(*frames.shape[:-3], 2)


def track_hand(frames: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """The tips of the robot's fingers in one frame after the other.

    As `find_hand`, but near to where they were the frame before: a hand that a model
    has blurred is not taken for a shadow elsewhere.

    Parameters
    ----------
    frames : torch.Tensor
        Shape ``(..., T, 3, 64, 64)``, floats in [0, 1].
    before : torch.Tensor
        Where `find_hand` found it in the frame before, ``(..., 2)``, or of a shape that
        broadcasts to it.

    Returns
    -------
    torch.Tensor
        Column and row in pixels, shape ``(..., T, 2)``.
    """
    batch, steps = frames.shape[:-4], frames.shape[-4]
    light = frames.amax(-3).flatten(0, -4).unbind(1)
    tip = before.new_tensor(_TIP)
    near = torch.linalg.solve(tip[:, 1:], (before - tip[:, 0])[..., None])[..., 0]
    near = (near + _MIDDLE).expand(*batch, 2).reshape(-1, 2)
    found = []
    for frame in light:
        near = _black_middle(frame, near)
        found.append(_tip(near))
    return torch.stack(found, 1).reshape(*batch, steps, 2)


def _tip(middle: torch.Tensor) -> torch.Tensor:
    tip = middle.new_tensor(_TIP)
    return tip[:, 0] + (middle - _MIDDLE) @ tip[:, 1:].T


def _black_middle(
    light: torch.Tensor, expected: torch.Tensor | None = None
) -> torch.Tensor:
    """Middle of the blackest spot of ``(N, H, W)``, shape ``(N, 2)``."""
    light = light.float()
    if expected is not None:
        # What is far away counts as lighter than it is, up to white.
        across = _window(light.shape[-1], expected[:, 0], _REACH)[:, None, :]
        down = _window(light.shape[-2], expected[:, 1], _REACH)[:, :, None]
        light = 1 - (1 - light) * across * down
    blackest = F.avg_pool2d(light[:, None], 3, 1).amin((1, 2, 3))[:, None, None]
    black = ((blackest + _RISE - light) / (_RISE - _FLAT)).clamp(0, 1)
    near = F.avg_pool2d(black[:, None], 7, 1, 3).flatten(1).argmax(1)
    wide = light.shape[-1]
    column, row = near % wide + 0.5, near // wide + 0.5
    for _ in range(_ROUNDS):
        across = _window(wide, column, _SPREAD)[:, None, :]
        down = _window(light.shape[-2], row, _SPREAD)[:, :, None]
        column, row, _ = _middle(black * across * down)
    return torch.stack([column, row], 1)


def _window(size: int, middle: torch.Tensor, spread: float) -> torch.Tensor:
    place = torch.arange(size, device=middle.device) + 0.5
    return torch.exp(-(((place - middle[:, None]) / spread) ** 2) / 2)


def _middle(
    weight: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean column, mean row and sum of weights ``(N, H, W)``; NaN where all are 0."""
    columns, rows = weight.sum(1), weight.sum(2)
    mass = columns.sum(1)
    wide = torch.arange(columns.shape[1], device=weight.device) + 0.5
    tall = torch.arange(rows.shape[1], device=weight.device) + 0.5
    return (columns @ wide) / mass, (rows @ tall) / mass, mass


@dataclass(frozen=True)
class ColourFinder:
    r"""Where the thing of one colour is: the middle of what has its hue.

    With c a pixel's chromaticity, its colour over r + g + b, that of the ground b (the
    frame's median) and that of the thing t, a pixel is a mixture ::

        share = (c - b).(t - b) / |t - b|^2,    off = |c - b - share (t - b)|

    and weighs by its share above `floor`, by 1 - off / `reach`, and by r + g + b. So
    light and shade count little, another hue not at all, and a thing that a model has
    blurred into the ground is found where it is: blurred by 1.2 pixels, blocks are not
    seen in 6 % of frames, and found to 0.35 to 0.7 pixel in the median elsewhere.

    Attributes
    ----------
    colour : tuple of float
        Red, green and blue, 0 to 1.
    floor : float
        Share of the thing at which a pixel counts, 0 up to below 1.
    reach : float
        Distance of chromaticities at which another hue does not count any more.
    least : float
        Weight, in full pixels of the colour, below which the thing is not seen.

    Examples
    --------
    >>> frames = torch.full((1, 3, 64, 64), 0.5)
    >>> frames[0, :, 10:14, 20:26] = torch.tensor([0.1, 0.2, 0.9])[:, None, None]
    >>> ColourFinder((0.1, 0.2, 0.9))(frames).round()
    tensor([[23., 12.]])
    """

    colour: tuple[float, float, float]
    floor: float = 0.35
    reach: float = 0.09
    least: float = 1.0

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """Find it.

        Parameters
        ----------
        frames : torch.Tensor
            Shape ``(..., 3, H, W)``, floats in [0, 1].

        Returns
        -------
        torch.Tensor
            Column and row in pixels, shape ``(..., 2)``; NaN where it is not seen.
        """
        flat = frames.reshape(-1, *frames.shape[-3:])
        found = torch.cat([self._find(part.float()) for part in flat.split(_CHUNK)])
        return found.reshape(*frames.shape[:-3], 2)

    def _find(self, frames: torch.Tensor) -> torch.Tensor:
        total = frames.sum(1).clamp_min(1e-3)
        hue = frames / total[:, None]
        ground = hue.flatten(2).median(-1).values[:, :, None, None]
        colour = hue.new_tensor(self.colour)
        way = (colour / colour.sum())[:, None, None] - ground
        away = hue - ground
        share = (away * way).sum(1) / way.square().sum(1).clamp_min(1e-6)
        off = (away - share[:, None] * way).square().sum(1).sqrt()
        weight = ((share - self.floor) / (1 - self.floor)).clamp(0, 1)
        weight *= (1 - off / self.reach).clamp_min(0) * total
        column, row, mass = _middle(weight)
        found = torch.stack([column, row], 1)
        unseen = mass < self.least * sum(self.colour)
        return found.masked_fill(unseen[:, None], float("nan"))
