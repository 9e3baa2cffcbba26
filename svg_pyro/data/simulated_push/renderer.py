"""A ray caster for the pushing world: small frames, shadows, one core, numpy only.

What makes it fast: the floor, the walls and the blocks that never move are traced
once per clip, and every other shape in all frames at once, each only inside the
rectangle that it covers on the screen. Shadows are tested only for points that can
lie in them. No step uses BLAS, so the same input gives the same bytes however many
processes or threads there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svg_pyro.data.simulated_push.camera import IMAGE_SIZE, SIDE, View
from svg_pyro.data.simulated_push.shapes import Box, Capsule, Cylinder, Shape
from svg_pyro.data.simulated_push.world import (
    HALF_DEPTH,
    HALF_WIDTH,
    Block,
    Trajectory,
)

_RAYS = SIDE * SIDE
_HORIZON = np.float32(50)
_WALL_THICK, _WALL_HIGH = 0.035, 0.085
_WORLD, _ARM = 0, 1  # who owns a point; blocks count on from 2


def render(
    trajectory: Trajectory, seed: int | Sequence[int], camera: str = "aux1"
) -> np.ndarray:
    """Draw a clip.

    Parameters
    ----------
    trajectory : Trajectory
        What happened, of `svg_pyro.data.simulated_push.simulator.simulate`.
    seed : int or sequence of int
        Draws the floor's colour and grain, the light and small shifts of the
        camera, each in a narrow range.
    camera : str
        "aux1" (from the front) or "main" (from the left).

    Returns
    -------
    numpy.ndarray
        uint8, shape ``(T, 64, 64, 3)``, RGB.
    """
    return Scene(seed, camera).draw(trajectory)


def project(
    points: np.ndarray, seed: int | Sequence[int], camera: str = "aux1"
) -> np.ndarray:
    """Where points of the world fall in the clip drawn with `seed`.

    Parameters
    ----------
    points : numpy.ndarray
        Shape ``(..., 3)``, bin units.
    seed : int or sequence of int
        As `render` got it.
    camera : str
        "aux1" or "main".

    Returns
    -------
    numpy.ndarray
        Shape ``(..., 2)``: column and row, in pixels of the 64x64 frame.
    """
    return _pixels(View(np.random.default_rng(seed), camera), points)


def _pixels(view: View, points: np.ndarray) -> np.ndarray:
    place = view.project(np.moveaxis(np.asarray(points, np.float32), -1, 0))
    return np.moveaxis(place, 0, -1) / 2


@dataclass
class _Layer:
    """For every ray of every frame: what it meets, its colour in sun and shade.

    The last axis runs over frames, then rays.
    """

    frames: int
    shapes: list[Shape]  # all that has been drawn and casts shadows
    far: np.ndarray  # (F N,) distance
    owner: np.ndarray  # (F N,)
    shaded: np.ndarray  # (F N,) bool
    lit: np.ndarray  # (3, F N)
    dark: np.ndarray  # (3, F N)

    def repeated(self, frames: int) -> "_Layer":
        """The same picture in `frames` frames."""
        arrays = (self.far, self.owner, self.shaded, self.lit, self.dark)
        return _Layer(frames, list(self.shapes), *(_tile(a, frames) for a in arrays))

    def pictures(self) -> np.ndarray:
        """uint8, shape ``(F, 64, 64, 3)``."""
        out = np.empty((self.frames, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        for frame, shaded in enumerate(self.shaded.reshape(self.frames, -1)):
            part = slice(frame * _RAYS, (frame + 1) * _RAYS)
            colour = np.where(shaded, self.dark[:, part], self.lit[:, part])
            colour = colour.reshape(3, SIDE, SIDE)
            rows = colour[:, ::2] + colour[:, 1::2]
            mean = (rows[:, :, ::2] + rows[:, :, 1::2]) * np.float32(255 / 4)
            out[frame] = np.clip(mean + np.float32(0.5), 0, 255).transpose(1, 2, 0)
        return out


class Scene:
    """One clip's camera, light and empty bin, for pictures of it one after the other.

    Parameters
    ----------
    seed : int or sequence of int
        As `render` takes it.
    camera : str
        "aux1" (from the front) or "main" (from the left).
    """

    def __init__(self, seed: int | Sequence[int], camera: str = "aux1") -> None:
        rng = np.random.default_rng(seed)
        self._view = View(rng, camera)
        sun = np.array([-0.42, -0.30, 1.25]) + rng.uniform(-0.08, 0.08, 3)
        sun /= np.sqrt((sun**2).sum())
        side = np.cross(sun, (0.0, 1.0, 0.0))
        side /= np.sqrt((side**2).sum())
        self._sun = sun.astype(np.float32)
        # The plane that the sun looks at: a shadow keeps its outline there.
        self._sides = np.stack([side, np.cross(side, sun)]).astype(np.float32)
        self._eye_there = self._from_sun(self._view.eye)
        self._rays_there = self._from_sun(self._view.rays)
        self._shoulder = np.array([rng.uniform(-0.12, 0.12), 0.95, 0.5])[:, None]
        self._lean = rng.uniform(-0.7, 0.7)
        self._empty = self._empty_bin(rng)

    def draw(self, trajectory: Trajectory) -> np.ndarray:
        """Pictures of all moments of a trajectory, as `render` gives them."""
        poses, blocks = trajectory.poses, trajectory.blocks
        moves = (poses != poses[0]).any(axis=(0, 2))
        layer = self._empty.repeated(1)
        still = np.flatnonzero(~moves).tolist()
        moving = np.flatnonzero(moves).tolist()
        self.add(layer, [_block_shape(blocks[i], i, poses[:1, i]) for i in still])
        layer = layer.repeated(len(poses))
        self.add(layer, [_block_shape(blocks[i], i, poses[:, i]) for i in moving])
        self.add(layer, self.arm(trajectory.gripper))
        return layer.pictures()

    def project(self, points: np.ndarray) -> np.ndarray:
        """Where points of the world fall in the pictures; see `project`."""
        return _pixels(self._view, points)

    def _empty_bin(self, rng: np.random.Generator) -> _Layer:
        rays, eye = self._view.rays, self._view.eye
        far = np.full(_RAYS, _HORIZON, np.float32)
        falls = rays[2] < -0.02
        far[falls] = -eye[2] / rays[2, falls]
        albedo = _wood(rng, eye[:, None] + far * rays)
        up = np.zeros_like(rays)
        up[2] = 1
        owner, shaded = np.full(_RAYS, -1, np.int16), np.zeros(_RAYS, bool)
        layer = _Layer(1, [], far, owner, shaded, *self._shade(albedo, up, rays, 0.0))
        self.add(layer, _walls(rng))
        return layer

    def add(self, layer: _Layer, shapes: Sequence[Shape]) -> None:
        """Draw `shapes` into `layer`, with the shadows of all on all."""
        for shape in shapes:
            self._draw(layer, shape)
        owners = [s.owner for s in shapes if s.owner != _ARM]
        # The arm takes no shadow: it is above all that could cast one on it.
        new = np.flatnonzero(np.isin(layer.owner, owners))
        if len(new):
            for shape in layer.shapes:
                self._cast_on(layer, shape, new)
        for shape in shapes:
            corners = shape.corners()
            floor = corners - corners[2] / self._sun[2] * self._sun[:, None, None]
            self._cast_on(
                layer, shape, self._grid(np.concatenate([corners, floor], -1))
            )
        layer.shapes.extend(shapes)

    def _grid(self, corners: np.ndarray) -> np.ndarray:
        """Places in a layer's arrays of the rays that may meet a hull, (F, h, w)."""
        rays = self._view.rectangles(corners)
        return rays + np.arange(len(rays))[:, None, None] * _RAYS

    def _draw(self, layer: _Layer, shape: Shape) -> None:
        where = self._grid(shape.corners())
        rays = self._view.rays[:, where % _RAYS]
        far = shape.at(slice(None), None, None).hit(self._view.eye, rays)
        near = far < layer.far[where]
        where, rays, far = where[near], rays[:, near], far[near]
        normal = shape.at(where // _RAYS).normal(self._view.eye[:, None] + far * rays)
        albedo = np.array(shape.colour, np.float32)[:, None]
        lit, dark = self._shade(albedo, normal, rays, shape.gloss)
        layer.lit[:, where], layer.dark[:, where] = lit, dark
        layer.far[where], layer.owner[where] = far, shape.owner
        layer.shaded[where] = False

    def _cast_on(self, layer: _Layer, shape: Shape, where: np.ndarray) -> None:
        """Darken those of the points `where` that `shape` hides from the sun."""
        far, ray = layer.far[where], where % _RAYS
        outline = self._from_sun(shape.corners())
        low, high = outline.min(axis=-1), outline.max(axis=-1)
        inside = ~layer.shaded[where] & (layer.owner[where] != shape.owner)
        each = (
            np.s_[:, None, None] if where.ndim == 3 else where // _RAYS % low.shape[1]
        )
        for side in (0, 1):
            place = self._eye_there[side] + far * self._rays_there[side][ray]
            inside &= (place > low[side][each]) & (place < high[side][each])
        where = where[inside]
        if not where.size:
            return
        point = (
            self._view.eye[:, None]
            + layer.far[where] * self._view.rays[:, where % _RAYS]
        )
        solid = shape.at(where // _RAYS % low.shape[1])
        far = solid.hit(point, self._sun[:, None])
        layer.shaded[where[far < _HORIZON]] = True

    def _shade(
        self, albedo: np.ndarray, normal: np.ndarray, rays: np.ndarray, gloss: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Colour in the sun and in the shade, each ``(3, K)``."""
        sun = self._sun
        facing = normal[0] * sun[0] + normal[1] * sun[1] + normal[2] * sun[2]
        facing = np.maximum(facing, 0)
        dark = albedo * (0.40 + 0.10 * normal[2] - 0.04 * normal[1])
        lit = dark + albedo * (0.70 * facing)
        if gloss:
            half = sun[:, None] - rays
            half = half / np.sqrt((half**2).sum(axis=0))
            shine = np.maximum((normal * half).sum(axis=0), 0)
            for _ in range(5):  # to the 32nd power
                shine = shine * shine
            lit = lit + gloss * shine * (facing > 0)
        return lit, dark

    def _from_sun(self, points: np.ndarray) -> np.ndarray:
        x, y, z = points
        return np.stack([a[0] * x + a[1] * y + a[2] * z for a in self._sides])

    def arm(self, grips: np.ndarray) -> list[Shape]:
        """The arm that holds the gripper at `grips` ``(F, 4)``: x, y, z, yaw."""
        x, y, z, yaw = grips.T
        above = [np.stack([x, y, z + h]) for h in (0.035, 0.085, 0.13, 0.22)]
        elbow = _elbow(above[3], self._shoulder, self._lean)
        black, red = (0.11, 0.11, 0.12), (0.72, 0.06, 0.06)
        across = np.stack([np.cos(yaw), np.sin(yaw), 0 * yaw]) * 0.034
        finger, palm = (0.013, 0.02, 0.035), (0.052, 0.03, 0.02)
        return [
            Box(above[0] - across, finger, yaw, black, _ARM),
            Box(above[0] + across, finger, yaw, black, _ARM),
            Box(above[1], palm, yaw, black, _ARM),
            Capsule(above[2], above[3], 0.036, black, _ARM, gloss=0.15),
            Capsule(above[3], elbow, 0.055, red, _ARM, gloss=0.25),
            Capsule(elbow, self._shoulder, 0.07, red, _ARM, gloss=0.25),
        ]


def _tile(values: np.ndarray, times: int) -> np.ndarray:
    """np.tile along the last axis, four times as fast for large arrays."""
    wide = np.empty((*values.shape[:-1], times, values.shape[-1]), values.dtype)
    wide[...] = values[..., None, :]
    return wide.reshape(*values.shape[:-1], -1)


def _block_shape(block: Block, number: int, poses: np.ndarray) -> Shape:
    x, y, angle = poses.T
    centre, owner = np.stack([x, y, 0 * x + block.half[2]]), number + 2
    if block.kind == "box":
        return Box(centre, block.half, angle, block.colour, owner)
    if block.kind == "cylinder":
        return Cylinder(centre, block.half[0], block.half[2], block.colour, owner)
    return Capsule(centre, centre, block.half[0], block.colour, owner, gloss=0.35)


def _walls(rng: np.random.Generator) -> list[Shape]:
    brown = np.array([0.40, 0.27, 0.16]) * rng.uniform(0.85, 1.1)
    half, high = _WALL_THICK / 2, _WALL_HIGH / 2
    wide, deep = HALF_WIDTH + _WALL_THICK, HALF_DEPTH + half
    sides: list[tuple[tuple[float, ...], tuple[float, ...]]]
    sides = [((0, s * deep, high), (wide, half, high)) for s in (-1, 1)]
    sides += [
        ((s * (HALF_WIDTH + half), 0, high), (half, HALF_DEPTH, high)) for s in (-1, 1)
    ]
    return [Box(c, h, 0.0, tuple(brown), _WORLD) for c, h in sides]


def _wood(rng: np.random.Generator, point: np.ndarray) -> np.ndarray:
    """Colour of the floor: planks with a wavy grain, darker outside the bin."""
    x, y = point[0], point[1]
    base = np.array([0.70, 0.50, 0.34]) + rng.uniform(-1, 1, 3) * (0.06, 0.05, 0.04)
    a, b, c = rng.uniform(0, 2 * np.pi, 3).astype(np.float32)
    wave = 1.3 * np.sin(5 * x + a) + 0.7 * np.sin(13 * x + 9 * y + b)
    grain = 0.045 * np.sin(70 * y + wave) + 0.03 * np.sin(31 * y - 4 * x + c + wave)
    plank = np.sin(np.floor(y * 5 + 0.5) * np.float32(12.9898) + c) * 0.05
    outside = (np.abs(x) > HALF_WIDTH) | (np.abs(y) > HALF_DEPTH)
    tone = (1 + grain + plank) * np.where(outside, np.float32(0.72), np.float32(1))
    result: np.ndarray = base.astype(np.float32)[:, None] * tone.astype(np.float32)
    return result


def _elbow(
    wrist: np.ndarray,
    shoulder: np.ndarray,
    lean: float,
    *,
    fore: float = 0.74,
    upper: float = 0.74,
) -> np.ndarray:
    """The joint between two links of fixed length, bent upwards and to a side."""
    way = shoulder - wrist
    length = np.sqrt((way**2).sum(axis=0))
    along = way / length
    share = (length**2 + fore**2 - upper**2) / (2 * length)
    rise = np.sqrt(np.maximum(fore**2 - share**2, 0.0))
    up = np.array([[lean], [0.0], [1.0]])
    up = up - (up * along).sum(axis=0) * along
    result: np.ndarray = (
        wrist + along * share + up / np.sqrt((up**2).sum(axis=0)) * rise
    )
    return result
