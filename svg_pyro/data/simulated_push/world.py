"""A small top-down world in which a robot gripper pushes blocks about a bin.

Lengths are in bin units: the inside of the bin is 1 wide (x, to the right) and
0.8 deep (y, away from the viewer); z points up from its floor. Time is counted
in frames. The physics is planar (pymunk): every block is braked by dry friction
against the floor, so it stops soon after the last push, and stays exactly where
it is while nothing touches it.
"""

from dataclasses import dataclass

import numpy as np
import pymunk

HALF_WIDTH, HALF_DEPTH = 0.5, 0.4
GRIPPER_RADIUS = 0.05
LOW, RAISED = 0.02, 0.2  # height of the finger tips when pushing and when lifted
CLEAR = 0.12  # above this height the fingers pass over every block

# pymunk's tolerances (0.1 of overlap is left alone) suit sizes of tens of units.
_SCALE = 100.0
_SUBSTEPS = 16
_FLOOR_FRICTION = 60.0  # slowing of a sliding block, world units per frame squared
_GRIPPER_MASS = 4.0
_GRIPPER_GAIN = 4.0  # per frame: how fast the velocity goes to the one commanded
_FENCE = 0.07  # the gripper's centre keeps this far from the walls
_GRIPPER_CATEGORY = 2

COLOURS = (
    (0.85, 0.10, 0.08),
    (0.10, 0.25, 0.85),
    (0.95, 0.80, 0.08),
    (0.08, 0.55, 0.15),
    (0.95, 0.45, 0.05),
    (0.90, 0.90, 0.86),
    (0.10, 0.70, 0.75),
    (0.90, 0.40, 0.65),
    (0.45, 0.15, 0.60),
)


@dataclass(frozen=True)
class Block:
    """One thing in the bin.

    Attributes
    ----------
    kind : str
        "box", "cylinder" or "ball".
    half : tuple of float
        Half extents in x, y, z in its own axes; for round kinds x and y are
        the radius.
    colour : tuple of float
        Red, green and blue, 0 to 1.
    """

    kind: str
    half: tuple
    colour: tuple

    @property
    def radius(self):
        """Radius of the circle, seen from above, that holds the block."""
        if self.kind == "box":
            return float(np.hypot(self.half[0], self.half[1]))
        return self.half[0]


@dataclass(frozen=True)
class Trajectory:
    """What happened in one clip.

    Attributes
    ----------
    blocks : tuple of Block
    poses : numpy.ndarray
        float64, shape ``(T, n, 3)``: x, y and angle (radians) of every block.
    gripper : numpy.ndarray
        float64, shape ``(T, 4)``: x, y, z of the finger tips, and yaw (radians).
    actions : numpy.ndarray
        float32, shape ``(T, 4)``: the displacement in x and y, the turn and the
        change of height that were commanded between frame t and the next.
    """

    blocks: tuple
    poses: np.ndarray
    gripper: np.ndarray
    actions: np.ndarray


def simulate(seed, n_frames=30, always_lifted=False):
    """Simulate one clip, a pure function of its arguments.

    Parameters
    ----------
    seed : int or sequence of int
        Seed of the clip, as ``numpy.random.default_rng`` takes it.
    n_frames : int
        Number of frames, at least 1.
    always_lifted : bool
        Keep the gripper above the blocks, so that it touches none.

    Returns
    -------
    Trajectory
    """
    rng = np.random.default_rng(seed)
    blocks, starts = _scatter(rng)
    space, bodies = _build_space(blocks, starts)
    gripper = _Gripper(
        space, _free_spot(rng, blocks, starts), RAISED if always_lifted else LOW
    )
    driver = _Driver(rng, always_lifted)
    poses, grips, actions = [], [], []
    for _ in range(n_frames):
        poses.append([(*(b.position / _SCALE), b.angle) for b in bodies])
        grips.append(gripper.pose)
        action = driver.command(gripper.pose, poses[-1])
        actions.append(action)
        gripper.move(space, action)
    return Trajectory(
        blocks, np.array(poses), np.array(grips), np.array(actions, np.float32)
    )


def _scatter(rng):
    """Draw 3 to 8 blocks and places for them that do not overlap."""
    blocks, places = [], []
    count = int(rng.integers(3, 9))
    for colour in rng.permutation(len(COLOURS))[:count]:
        block = _draw_block(rng, COLOURS[colour])
        for _ in range(60):
            room = np.array([HALF_WIDTH, HALF_DEPTH]) - block.radius - 0.02
            spot = rng.uniform(-room, room)
            gaps = [
                np.hypot(*(spot - p[:2])) - block.radius - b.radius
                for b, p in zip(blocks, places)
            ]
            if min(gaps, default=1.0) > 0.015:
                blocks.append(block)
                places.append((*spot, rng.uniform(-np.pi, np.pi)))
                break
    return tuple(blocks), places


def _draw_block(rng, colour):
    kind = ("box", "box", "cylinder", "ball")[int(rng.integers(4))]
    shade = rng.uniform(0.85, 1.0)
    colour = tuple(float(c * shade) for c in colour)
    if kind == "box":
        half = rng.uniform((0.04, 0.035, 0.03), (0.085, 0.055, 0.05))
    elif kind == "cylinder":
        radius = rng.uniform(0.038, 0.06)
        half = (radius, radius, rng.uniform(0.03, 0.055))
    else:
        half = (rng.uniform(0.036, 0.052),) * 3
    return Block(kind, tuple(float(h) for h in half), colour)


def _free_spot(rng, blocks, places):
    """A place for the gripper that touches no block."""
    room = np.array([HALF_WIDTH, HALF_DEPTH]) - _FENCE
    while True:
        spot = rng.uniform(-room, room)
        gaps = [np.hypot(*(spot - p[:2])) - b.radius for b, p in zip(blocks, places)]
        if min(gaps) > GRIPPER_RADIUS + 0.01:
            return spot


def _build_space(blocks, places):
    space = pymunk.Space()
    space.iterations = 20
    _add_walls(space)
    return space, [_add_block(space, b, p) for b, p in zip(blocks, places)]


def _add_walls(space):
    thick = 20.0  # no block that is pressed outwards gets through
    wide, deep = HALF_WIDTH * _SCALE + thick, HALF_DEPTH * _SCALE + thick
    corners = [(-wide, -deep), (wide, -deep), (wide, deep), (-wide, deep)]
    for a, b in zip(corners, corners[1:] + corners[:1]):
        wall = pymunk.Segment(space.static_body, a, b, thick)
        wall.friction = 0.3
        space.add(wall)


def _add_block(space, block, place):
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


class _Gripper:
    """The fingers: a disc driven by a force that grows with the speed it lacks."""

    def __init__(self, space, spot, height):
        self._body = pymunk.Body(_GRIPPER_MASS, float("inf"))
        self._body.position = tuple(spot * _SCALE)
        self._shape = pymunk.Circle(self._body, GRIPPER_RADIUS * _SCALE)
        self._shape.friction = 0.4
        self._height, self._yaw, self._turn = height, 0.0, 0.0
        space.add(self._body, self._shape)

    @property
    def pose(self):
        """x, y, z and yaw."""
        return (*(self._body.position / _SCALE), self._height, self._yaw)

    def move(self, space, action):
        """Carry one frame's command out; contact is allowed or not by the height."""
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

    def _lift(self, space, change):
        height = min(max(self._height + change, LOW), RAISED)
        if self._height >= CLEAR > height and self._above_block(space):
            return  # it would come down on a block: wait until the way is free
        self._height = height
        self._allow_contact(height < CLEAR)

    def _above_block(self, space):
        others = pymunk.ShapeFilter(
            mask=pymunk.ShapeFilter.ALL_MASKS() ^ _GRIPPER_CATEGORY
        )
        reach = (GRIPPER_RADIUS + 0.005) * _SCALE
        return bool(space.point_query(self._body.position, reach, others))

    def _allow_contact(self, allowed):
        mask = pymunk.ShapeFilter.ALL_MASKS() if allowed else 0
        self._shape.filter = pymunk.ShapeFilter(categories=_GRIPPER_CATEGORY, mask=mask)


class _Driver:
    """Draws the commands: straight strokes that change at random times."""

    def __init__(self, rng, always_lifted):
        self._rng = rng
        self._always_lifted = always_lifted
        self._left = 0
        self._velocity = np.zeros(2)
        self._turn = 0.0
        self._high = always_lifted

    def command(self, pose, block_poses):
        """The action for the next frame: dx, dy, turn, change of height."""
        here = np.array(pose[:2])
        room = np.array([HALF_WIDTH, HALF_DEPTH]) - _FENCE
        outside = np.abs(here + self._velocity) > room
        if self._left <= 0 or outside.any():
            self._new_stroke(here, room, block_poses)
        self._left -= 1
        # Near the fence the stroke is cut short rather than pressed into it.
        step = np.clip(here + self._velocity, -room, room) - here
        goal = RAISED if self._high else LOW
        return (*step, self._turn, float(np.clip(goal - pose[2], -0.09, 0.09)))

    def _new_stroke(self, here, room, block_poses):
        rng = self._rng
        self._left = int(rng.integers(3, 9))
        speed = rng.uniform(0.05, 0.09)
        if rng.random() < 0.85:  # aim at a block, a little off its centre
            block = block_poses[int(rng.integers(len(block_poses)))]
            target = np.array(block[:2]) + rng.normal(0.0, 0.03, 2)
        else:
            target = rng.uniform(-room, room)
        way = target - here
        if np.hypot(*way) < 0.08:
            way = rng.uniform(-room, room) - here
        self._velocity = way / max(np.hypot(*way), 1e-6) * speed
        if (np.abs(here + self._velocity) > room).any():
            self._velocity = -here / max(np.hypot(*here), 1e-6) * speed
        self._turn = float(rng.normal(0.0, 0.12))
        self._high = self._always_lifted or rng.random() < 0.15
