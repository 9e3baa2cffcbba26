"""The solids of the pushing world, as a ray meets them. All arrays are float32.

A shape is a solid in all frames of a clip: what moves is an array whose last axis
is the frame. `at` picks frames, so that one call works on many frames at once.
Each shape has `owner` (points of one owner cast no shadow on each other),
`colour`, `gloss`, `corners()` (points whose convex hull holds it, shape
``(3, F, K)``), `hit(origin, rays)` (distance along unit rays of shape
``(3, ...)``; `MISS` where there is none) and `normal(points)` for points of its
surface, ``(3, K)``.
"""

import copy

import numpy as np

MISS = np.float32(1e9)
_CUBE = np.array(
    [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32
).T[:, None, :]  # (3, 1, 8)
_TINY = np.float32(1e-7)


def _moving(values):
    """float32, shape ``(3, F)``, of one place or of one for each frame."""
    return np.asarray(values, np.float32).reshape(3, -1)


def _inverse(direction):
    """1 / direction, finite also where the ray runs along an axis."""
    return 1 / np.where(np.abs(direction) < _TINY, _TINY, direction)


class _Shape:
    _per_frame = ("_centre",)

    def at(self, *index):
        """The same solid in the frames that `index` picks (it indexes the last axis)."""
        picked = copy.copy(self)
        for name in self._per_frame:
            setattr(picked, name, getattr(self, name)[(..., *index)])
        return picked

    def _from_centre(self, points):
        return [p - c for p, c in zip(points, self._centre)]


class Box(_Shape):
    """A box that stands on the floor, turned by `yaw` about the vertical."""

    gloss = 0.0
    _per_frame = ("_centre", "_cos", "_sin")

    def __init__(self, centre, half, yaw, colour, owner):
        self._centre = _moving(centre)
        self._half = np.asarray(half, np.float32)
        yaw = np.broadcast_to(np.asarray(yaw, float), self._centre.shape[1:])
        self._cos, self._sin = (
            np.cos(yaw).astype(np.float32),
            np.sin(yaw).astype(np.float32),
        )
        self.colour, self.owner = colour, owner

    def _turned(self, x, y):
        return self._cos * x + self._sin * y, self._cos * y - self._sin * x

    def corners(self):
        x, y, z = _CUBE * self._half[:, None, None]
        cos, sin = self._cos[:, None], self._sin[:, None]
        turned = cos * x - sin * y, sin * x + cos * y, z + 0 * cos
        return np.stack(turned) + self._centre[..., None]

    def hit(self, origin, rays):
        ox, oy, oz = self._from_centre(origin)
        starts = (*self._turned(ox, oy), oz)
        ways = (*self._turned(rays[0], rays[1]), rays[2])
        enter, leave = _TINY, MISS
        for start, way, half in zip(starts, ways, self._half):
            inverse = _inverse(way)
            middle, reach = -start * inverse, half * np.abs(inverse)
            enter = np.maximum(enter, middle - reach)
            leave = np.minimum(leave, middle + reach)
        return np.where(enter < leave, enter, MISS)

    def normal(self, points):
        x, y, z = self._from_centre(points)
        x, y = self._turned(x, y)
        place = np.stack([x, y, z]) / self._half[:, None]
        axis = np.abs(place).argmax(axis=0)
        local = np.where(np.arange(3)[:, None] == axis, np.sign(place), 0)
        x, y, z = local.astype(np.float32)
        return np.stack(
            [self._cos * x - self._sin * y, self._sin * x + self._cos * y, z]
        )


class Cylinder(_Shape):
    """An upright cylinder."""

    gloss = 0.1

    def __init__(self, centre, radius, half_height, colour, owner):
        self._centre = _moving(centre)
        self._radius, self._half = np.float32(radius), np.float32(half_height)
        self.colour, self.owner = colour, owner

    def corners(self):
        half = np.stack([self._radius, self._radius, self._half])
        return _CUBE * half[:, None, None] + self._centre[..., None]

    def hit(self, origin, rays):
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
        return np.where((root > 0) & (enter < leave), enter, MISS)

    def normal(self, points):
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


class Capsule(_Shape):
    """All points within `radius` of the segment from `start` to `end`.

    A ball is a capsule whose ends coincide.
    """

    _per_frame = ("_centre", "_way", "_length2")

    def __init__(self, start, end, radius, colour, owner, gloss):
        self._centre = _moving(start)
        self._way = _moving(end) - self._centre
        self._length2 = (self._way**2).sum(axis=0)
        self._is_ball = not self._length2.any()
        self._radius = np.float32(radius)
        self.colour, self.owner, self.gloss = colour, owner, gloss

    def corners(self):
        ball = _CUBE * self._radius + self._centre[..., None]
        return np.concatenate([ball, ball + self._way[..., None]], axis=-1)

    def hit(self, origin, rays):
        start = self._from_centre(origin)
        near = self._ball_hit(start, rays)
        if self._is_ball:
            return near
        end = [s - w for s, w in zip(start, self._way)]
        near = np.minimum(near, self._ball_hit(end, rays))
        return np.minimum(near, self._side_hit(start, rays))

    def _ball_hit(self, start, rays):
        b = start[0] * rays[0] + start[1] * rays[1] + start[2] * rays[2]
        c = start[0] ** 2 + start[1] ** 2 + start[2] ** 2 - self._radius**2
        root = b * b - c
        far = -b - np.sqrt(np.maximum(root, 0))
        return np.where((root > 0) & (far > 0), far, MISS)

    def _side_hit(self, start, rays):
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
        return np.where(good, far, MISS)

    def normal(self, points):
        x, y, z = self._from_centre(points)
        wx, wy, wz = self._way
        share = (x * wx + y * wy + z * wz) / np.maximum(self._length2, _TINY)
        share = np.clip(share, 0, 1)
        out = np.stack([x - share * wx, y - share * wy, z - share * wz])
        return (out / self._radius).astype(np.float32)
