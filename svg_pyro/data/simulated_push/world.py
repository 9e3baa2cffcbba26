"""A small top-down world in which a robot gripper pushes blocks about a bin.

Lengths are in bin units: the inside of the bin is 1 wide (x, to the right) and
0.8 deep (y, away from the viewer); z points up from its floor. Time is counted
in frames. The physics is planar (pymunk): every block is braked by dry friction
against the floor, so it stops soon after the last push, and stays exactly where
it is while nothing touches it (`physics`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

HALF_WIDTH, HALF_DEPTH = 0.5, 0.4
GRIPPER_RADIUS = 0.05
LOW, RAISED = 0.02, 0.2  # height of the finger tips when pushing and when lifted
CLEAR = 0.12  # above this height the fingers pass over every block
FENCE = 0.07  # the gripper's centre keeps this far from the walls

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
    half: tuple[float, ...]
    colour: tuple[float, ...]

    @property
    def radius(self) -> float:
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
        What lies in the bin, from the first frame to the last.
    poses : numpy.ndarray
        float64, shape ``(T, n, 3)``: x, y and angle (radians) of every block.
    gripper : numpy.ndarray
        float64, shape ``(T, 4)``: x, y, z of the finger tips, and yaw (radians).
    actions : numpy.ndarray
        float32, shape ``(T, 4)``: the displacement in x and y, the turn and the
        change of height that were commanded between frame t and the next.
    """

    blocks: tuple[Block, ...]
    poses: np.ndarray
    gripper: np.ndarray
    actions: np.ndarray


def scatter(
    rng: np.random.Generator,
) -> tuple[tuple[Block, ...], list[tuple[float, float, float]]]:
    """Draw 3 to 8 blocks and places for them that do not overlap.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws kinds, sizes, colours and places.

    Returns
    -------
    blocks : tuple of Block
        What was drawn.
    places : list of (float, float, float)
        x, y and angle (radians) of each.
    """
    blocks: list[Block] = []
    places: list[tuple[float, float, float]] = []
    count = int(rng.integers(3, 9))
    for colour in rng.permutation(len(COLOURS))[:count]:
        block = _draw_block(rng, COLOURS[colour])
        for _ in range(60):
            room = np.array([HALF_WIDTH, HALF_DEPTH]) - block.radius - 0.02
            spot = rng.uniform(-room, room)
            gaps = [
                np.hypot(*(spot - p[:2])) - block.radius - b.radius
                for b, p in zip(blocks, places, strict=True)
            ]
            if min(gaps, default=1.0) > 0.015:
                blocks.append(block)
                places.append((*spot, rng.uniform(-np.pi, np.pi)))
                break
    return tuple(blocks), places


def _draw_block(rng: np.random.Generator, colour: tuple[float, ...]) -> Block:
    kind = ("box", "box", "cylinder", "ball")[int(rng.integers(4))]
    shade = rng.uniform(0.85, 1.0)
    colour = tuple(float(c * shade) for c in colour)
    half: Sequence[float] | np.ndarray
    if kind == "box":
        half = rng.uniform((0.04, 0.035, 0.03), (0.085, 0.055, 0.05))
    elif kind == "cylinder":
        radius = rng.uniform(0.038, 0.06)
        half = (radius, radius, rng.uniform(0.03, 0.055))
    else:
        half = (rng.uniform(0.036, 0.052),) * 3
    return Block(kind, tuple(float(h) for h in half), colour)


def free_spot(
    rng: np.random.Generator,
    blocks: Sequence[Block],
    places: Sequence[tuple[float, float, float]],
) -> np.ndarray:
    """A place for the gripper that touches no block.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the place.
    blocks : sequence of Block
        What lies in the bin.
    places : sequence of (float, float, float)
        x, y and angle of each block.

    Returns
    -------
    numpy.ndarray
        float64, shape ``(2,)``: x and y.
    """
    room = np.array([HALF_WIDTH, HALF_DEPTH]) - FENCE
    while True:
        spot = rng.uniform(-room, room)
        gaps = [
            np.hypot(*(spot - p[:2])) - b.radius
            for b, p in zip(blocks, places, strict=True)
        ]
        if min(gaps) > GRIPPER_RADIUS + 0.01:
            return spot
