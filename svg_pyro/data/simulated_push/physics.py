"""The physics of the pushing world: planar bodies, braked by the floor (pymunk).

Only loaded where clips are simulated.
"""

from collections.abc import Sequence

import numpy as np
import pymunk

from svg_pyro.data.simulated_push.world import (
    CLEAR,
    GRIPPER_RADIUS,
    HALF_DEPTH,
    HALF_WIDTH,
    LOW,
    RAISED,
    Block,
)

# pymunk's tolerances (0.1 of overlap is left alone) suit sizes of tens of units.
_SCALE = 100.0
_SUBSTEPS = 16
_FLOOR_FRICTION = 60.0  # slowing of a sliding block, world units per frame squared
_GRIPPER_MASS = 4.0
_GRIPPER_GAIN = 4.0  # per frame: how fast the velocity goes to the one commanded
_GRIPPER_CATEGORY = 2


def build_space(
    blocks: Sequence[Block], places: Sequence[tuple[float, float, float]]
) -> tuple[pymunk.Space, list[pymunk.Body]]:
    """The bin with its walls and blocks.

    Parameters
    ----------
    blocks : sequence of Block
        What lies in the bin.
    places : sequence of (float, float, float)
        x, y (bin units) and angle (radians) of each block.

    Returns
    -------
    space : pymunk.Space
        Everything that moves.
    bodies : list of pymunk.Body
        One for each block, in their order.
    """
    space = pymunk.Space()
    space.iterations = 20
    _add_walls(space)
    return space, [_add_block(space, b, p) for b, p in zip(blocks, places, strict=True)]


def _add_walls(space: pymunk.Space) -> None:
    thick = 20.0  # no block that is pressed outwards gets through
    wide, deep = HALF_WIDTH * _SCALE + thick, HALF_DEPTH * _SCALE + thick
    corners = [(-wide, -deep), (wide, -deep), (wide, deep), (-wide, deep)]
    for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
        wall = pymunk.Segment(space.static_body, a, b, thick)
        wall.friction = 0.3
        space.add(wall)


def _add_block(
    space: pymunk.Space, block: Block, place: tuple[float, float, float]
) -> pymunk.Body:
    shape: pymunk.Poly | pymunk.Circle
    hx, hy = block.half[0] * _SCALE, block.half[1] * _SCALE
    mass = hx * hy / 25.0
    if block.kind == "box":
        moment = pymunk.moment_for_box(mass, (2 * hx, 2 * hy))
        body = pymunk.Body(mass, moment)
        shape = pymunk.Poly.create_box(body, (2 * hx, 2 * hy))
    else:
        moment = pymunk.moment_for_circle(mass, 0, hx)
        body = pymunk.Body(mass, moment)
        shape = pymunk.Circle(body, hx)
    body.position = place[0] * _SCALE, place[1] * _SCALE
    body.angle = place[2]
    shape.friction = 0.4
    # Dry friction: joints to the floor that may slip, with a bounded force and
    # no pull back to where the block once was.
    slide = pymunk.PivotJoint(space.static_body, body, (0, 0), (0, 0))
    twist = pymunk.GearJoint(space.static_body, body, 0.0, 1.0)
    slide.max_bias = twist.max_bias = 0
    slide.max_force = mass * _FLOOR_FRICTION
    twist.max_force = slide.max_force * 0.5 * (hx + hy)
    space.add(body, shape, slide, twist)
    return body


def pose_of(body: pymunk.Body) -> tuple[float, float, float]:
    """x, y (bin units) and angle (radians) of a body."""
    x, y = body.position / _SCALE
    return x, y, body.angle


def motion_of(body: pymunk.Body) -> tuple[float, ...]:
    """Place, angle and their velocities, six numbers in the physics' own units."""
    return (*body.position, body.angle, *body.velocity, body.angular_velocity)


def set_motion(body: pymunk.Body, motion: Sequence[float] | np.ndarray) -> None:
    """Give a body what `motion_of` read.

    Parameters
    ----------
    body : pymunk.Body
        The body.
    motion : sequence of float
        Six numbers.
    """
    x, y, body.angle, vx, vy, turn = (float(number) for number in motion)
    body.position, body.velocity, body.angular_velocity = (x, y), (vx, vy), turn


class Gripper:
    """The fingers: a disc driven by a force that grows with the speed it lacks.

    Parameters
    ----------
    space : pymunk.Space
        The bin.
    spot : numpy.ndarray
        x and y at the start, bin units.
    height : float
        z of the finger tips at the start, bin units.
    """

    def __init__(self, space: pymunk.Space, spot: np.ndarray, height: float) -> None:
        self._body = pymunk.Body(_GRIPPER_MASS, float("inf"))
        self._body.position = float(spot[0] * _SCALE), float(spot[1] * _SCALE)
        self._shape = pymunk.Circle(self._body, GRIPPER_RADIUS * _SCALE)
        self._shape.friction = 0.4
        self._height, self._yaw, self._turn = height, 0.0, 0.0
        space.add(self._body, self._shape)

    @property
    def pose(self) -> tuple[float, float, float, float]:
        """x, y, z (bin units) and yaw (radians)."""
        x, y = self._body.position / _SCALE
        return x, y, self._height, self._yaw

    @property
    def state(self) -> tuple[float, ...]:
        """All that says how it goes on, for `restore`."""
        return *motion_of(self._body), self._height, self._yaw, self._turn

    def restore(self, state: Sequence[float] | np.ndarray) -> None:
        """Be as it was when `state` was read."""
        set_motion(self._body, state[:6])
        self._height, self._yaw, self._turn = state[6:]

    def move(
        self, space: pymunk.Space, action: tuple[float, float, float, float]
    ) -> None:
        """Carry one frame's command out; it touches blocks or not by its height.

        Parameters
        ----------
        space : pymunk.Space
            The bin, which moves on by one frame.
        action : tuple of float
            Displacement in x and y, turn, change of height.
        """
        wanted = pymunk.Vec2d(action[0], action[1]) * _SCALE
        for _ in range(_SUBSTEPS):
            self._lift(space, action[3] / _SUBSTEPS)
            self._turn += (action[2] - self._turn) * 0.15
            self._yaw += self._turn / _SUBSTEPS
            # Commands and so velocities are small, which bounds the force: enough
            # for a few blocks, too little to crush one against a wall.
            missing = wanted - self._body.velocity
            self._body.force = missing * (_GRIPPER_MASS * _GRIPPER_GAIN)
            space.step(1.0 / _SUBSTEPS)

    def _lift(self, space: pymunk.Space, change: float) -> None:
        height = min(max(self._height + change, LOW), RAISED)
        if self._height >= CLEAR > height and self._above_block(space):
            return  # it would come down on a block: wait until the way is free
        self._height = height
        self._touch_blocks(height < CLEAR)

    def _above_block(self, space: pymunk.Space) -> bool:
        others = pymunk.ShapeFilter(
            mask=pymunk.ShapeFilter.ALL_MASKS() ^ _GRIPPER_CATEGORY
        )
        reach = (GRIPPER_RADIUS + 0.005) * _SCALE
        return bool(space.point_query(self._body.position, reach, others))

    def _touch_blocks(self, touch: bool) -> None:
        mask = pymunk.ShapeFilter.ALL_MASKS() if touch else 0
        self._shape.filter = pymunk.ShapeFilter(categories=_GRIPPER_CATEGORY, mask=mask)
