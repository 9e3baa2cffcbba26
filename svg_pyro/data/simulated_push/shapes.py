"""The solids of the pushing world, as a ray meets them. All arrays are float32.

A shape is a solid in all frames of a clip: what moves is an array whose last axis
is the frame. `at` picks frames, so that one call works on many frames at once.
Each shape has `owner` (points of one owner cast no shadow on each other),
`colour`, `gloss`, `corners()` (points whose convex hull holds it, shape
``(3, F, K)``), `hit(origin, rays)` (distance along unit rays of shape
``(3, ...)``; `MISS` where there is none) and `normal(points)` for points of its
surface, ``(3, K)``.
"""

import abc
import copy
from typing import TypeVar

import numpy as np
import numpy.typing as npt

MISS = np.float32(1e9)
_CUBE = np.array(
    [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32
).T[:, None, :]  # (3, 1, 8)
_TINY = np.float32(1e-7)
_S = TypeVar("_S", bound="Shape")


def _moving(values: npt.ArrayLike) -> np.ndarray:
    """float32, shape ``(3, F)``, of one place or of one for each frame."""
    return np.asarray(values, np.float32).reshape(3, -1)


def _inverse(direction: np.ndarray) -> np.ndarray:
    """1 / direction, finite also where the ray runs along an axis."""
    return 1.0 / np.where(np.abs(direction) < _TINY, _TINY, direction)


class Shape(abc.ABC):
    """A solid in all frames of a clip; see the module for its parts."""

    colour: tuple[float, ...]
    owner: int
    gloss: float
    _centre: np.ndarray
    _per_frame: tuple[str, ...] = ("_centre",)

    @abc.abstractmethod
    def corners(self) -> np.ndarray:
        """Points whose convex hull holds the solid, shape ``(3, F, K)``."""

    @abc.abstractmethod
    def hit(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Distance to the solid along unit rays; `MISS` where there is none.

        Parameters
        ----------
        origin : numpy.ndarray
            Where the rays start, shape ``(3,)`` or that of `rays`.
        rays : numpy.ndarray
            Unit vectors, shape ``(3, ...)``.
        """

    @abc.abstractmethod
    def normal(self, points: np.ndarray) -> np.ndarray:
        """The outward unit vector at points of the surface, ``(3, K)``."""

    def at(self: _S, *index: slice | np.ndarray | None) -> _S:
        """The same solid in the frames that `index` picks of the last axis."""
        picked, where = copy.copy(self), (..., *index)
        for name in self._per_frame:
            setattr(picked, name, getattr(self, name)[where])
        return picked

    def _from_centre(self, points: np.ndarray) -> list[np.ndarray]:
        return [p - c for p, c in zip(points, self._centre, strict=True)]


class Box(Shape):
    """A box that stands on the floor, turned by `yaw` about the vertical."""

    gloss = 0.0
    _per_frame = ("_centre", "_cos", "_sin")

    def __init__(
        self,
        centre: npt.ArrayLike,
        half: npt.ArrayLike,
        yaw: npt.ArrayLike,
        colour: tuple[float, ...],
        owner: int,
    ) -> None:
        self._centre = _moving(centre)
        self._half = np.asarray(half, np.float32)
        yaw = np.broadcast_to(np.asarray(yaw, float), self._centre.shape[1:])
        self._cos, self._sin = (
            np.cos(yaw).astype(np.float32),
            np.sin(yaw).astype(np.float32),
        )
        self.colour, self.owner = colour, owner

    def _turned(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._cos * x + self._sin * y, self._cos * y - self._sin * x

    def corners(self) -> np.ndarray:
        """As `Shape.corners`."""
        x, y, z = _CUBE * self._half[:, None, None]
        cos, sin = self._cos[:, None], self._sin[:, None]
        turned = cos * x - sin * y, sin * x + cos * y, z + 0 * cos
        result: np.ndarray = np.stack(turned) + self._centre[..., None]
        return result

    def hit(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """As `Shape.hit`."""
        ox, oy, oz = self._from_centre(origin)
        starts = (*self._turned(ox, oy), oz)
        ways = (*self._turned(rays[0], rays[1]), rays[2])
        enter, leave = np.asarray(_TINY), np.asarray(MISS)
        for start, way, half in zip(starts, ways, self._half, strict=True):
            inverse = _inverse(way)
            middle, reach = -start * inverse, half * np.abs(inverse)
            enter = np.maximum(enter, middle - reach)
            leave = np.minimum(leave, middle + reach)
        return np.where(enter < leave, enter, MISS)

    def normal(self, points: np.ndarray) -> np.ndarray:
        """As `Shape.normal`."""
        x, y, z = self._from_centre(points)
        x, y = self._turned(x, y)
        place = np.stack([x, y, z]) / self._half[:, None]
        axis = np.abs(place).argmax(axis=0)
        local = np.where(np.arange(3)[:, None] == axis, np.sign(place), 0)
        x, y, z = local.astype(np.float32)
        return np.stack(
            [self._cos * x - self._sin * y, self._sin * x + self._cos * y, z]
        )


class Cylinder(Shape):
    """An upright cylinder."""

    gloss = 0.1

    def __init__(
        self,
        centre: npt.ArrayLike,
        radius: float,
        half_height: float,
        colour: tuple[float, ...],
        owner: int,
    ) -> None:
        self._centre = _moving(centre)
        self._radius, self._half = np.float32(radius), np.float32(half_height)
        self.colour, self.owner = colour, owner

    def corners(self) -> np.ndarray:
        """As `Shape.corners`."""
        half = np.stack([self._radius, self._radius, self._half])
        result: np.ndarray = _CUBE * half[:, None, None] + self._centre[..., None]
        return result

    def hit(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """As `Shape.hit`."""
        ox, oy, oz = self._from_centre(origin)
        dx, dy, dz = rays
        a = np.maximum(dx * dx + dy * dy, _TINY)
        b = ox * dx + oy * dy
        root = b * b - a * (ox * ox + oy * oy - self._radius**2)
        width = np.sqrt(np.maximum(root, 0))
        inverse = _inverse(dz)
        middle, reach = -oz * inverse, self._half * np.abs(inverse)
        enter = np.maximum(np.maximum((-b - width) / a, middle - reach), _TINY)
        leave = np.minimum((-b + width) / a, middle + reach)
        result: np.ndarray = np.where((root > 0) & (enter < leave), enter, MISS)
        return result

    def normal(self, points: np.ndarray) -> np.ndarray:
        """As `Shape.normal`."""
        x, y, z = self._from_centre(points)
        round_part = np.sqrt(x * x + y * y) / self._radius
        top = np.abs(z) / self._half > round_part
        side = 1 / np.maximum(round_part * self._radius, _TINY)
        return np.stack(
            [
                np.where(top, 0, x * side),
                np.where(top, 0, y * side),
                np.where(top, np.sign(z), 0),
            ]
        ).astype(np.float32)


class Capsule(Shape):
    """All points within `radius` of the segment from `start` to `end`.

    A ball is a capsule whose ends coincide.
    """

    _per_frame = ("_centre", "_way", "_length2")

    def __init__(
        self,
        start: npt.ArrayLike,
        end: npt.ArrayLike,
        radius: float,
        colour: tuple[float, ...],
        owner: int,
        *,
        gloss: float,
    ) -> None:
        self._centre = _moving(start)
        self._way = _moving(end) - self._centre
        self._length2 = (self._way**2).sum(axis=0)
        self._is_ball = not self._length2.any()
        self._radius = np.float32(radius)
        self.colour, self.owner, self.gloss = colour, owner, gloss

    def corners(self) -> np.ndarray:
        """As `Shape.corners`."""
        ball = _CUBE * self._radius + self._centre[..., None]
        return np.concatenate([ball, ball + self._way[..., None]], axis=-1)

    def hit(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """As `Shape.hit`."""
        start = self._from_centre(origin)
        near = self._ball_hit(start, rays)
        if self._is_ball:
            return near
        end = [s - w for s, w in zip(start, self._way, strict=True)]
        near = np.minimum(near, self._ball_hit(end, rays))
        result: np.ndarray = np.minimum(near, self._side_hit(start, rays))
        return result

    def _ball_hit(self, start: list[np.ndarray], rays: np.ndarray) -> np.ndarray:
        b = start[0] * rays[0] + start[1] * rays[1] + start[2] * rays[2]
        c = start[0] ** 2 + start[1] ** 2 + start[2] ** 2 - self._radius**2
        root = b * b - c
        far = -b - np.sqrt(np.maximum(root, 0))
        result: np.ndarray = np.where((root > 0) & (far > 0), far, MISS)
        return result

    def _side_hit(self, start: list[np.ndarray], rays: np.ndarray) -> np.ndarray:
        wx, wy, wz = self._way
        along = wx * rays[0] + wy * rays[1] + wz * rays[2]
        begun = wx * start[0] + wy * start[1] + wz * start[2]
        straight = start[0] * rays[0] + start[1] * rays[1] + start[2] * rays[2]
        size = start[0] ** 2 + start[1] ** 2 + start[2] ** 2 - self._radius**2
        a = np.maximum(self._length2 - along * along, _TINY)
        b = self._length2 * straight - begun * along
        c = self._length2 * size - begun * begun
        root = b * b - a * c
        far = (-b - np.sqrt(np.maximum(root, 0))) / a
        share = begun + far * along
        good = (root > 0) & (far > 0) & (share > 0) & (share < self._length2)
        result: np.ndarray = np.where(good, far, MISS)
        return result

    def normal(self, points: np.ndarray) -> np.ndarray:
        """As `Shape.normal`."""
        x, y, z = self._from_centre(points)
        wx, wy, wz = self._way
        share = (x * wx + y * wy + z * wz) / np.maximum(self._length2, _TINY)
        share = np.clip(share, 0, 1)
        out = np.stack([x - share * wx, y - share * wy, z - share * wz])
        result: np.ndarray = (out / self._radius).astype(np.float32)
        return result
