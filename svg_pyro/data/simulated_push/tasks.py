"""Pushing tasks: bring one block to a place."""

from dataclasses import dataclass

import numpy as np

from svg_pyro.data.simulated_push.renderer import Scene
from svg_pyro.data.simulated_push.simulator import PushSimulator
from svg_pyro.data.simulated_push.world import (
    COLOURS,
    FENCE,
    GRIPPER_RADIUS,
    HALF_DEPTH,
    HALF_WIDTH,
    LOW,
    Block,
    Trajectory,
    free_spot,
    scatter,
)

# Blue, yellow, green, orange, cyan, purple: neither the arm's red nor pale.
FINDABLE = tuple(COLOURS[i] for i in (1, 2, 3, 4, 6, 8))
_TASK = 7  # tells tasks' seeds from those of clips
_SPARE = 0.01  # bin units between the goal and what is in its way


@dataclass(frozen=True)
class PushTask:
    """A bin, the block that is to be moved, and where to.

    Attributes
    ----------
    seed : tuple of int
        Draws the picture, as `Scene` takes it.
    blocks : tuple of Block
        What lies in the bin.
    places : tuple of tuple of float
        x, y (bin units) and angle (radians) of each block at the start.
    spot : tuple of float
        x and y of the gripper at the start.
    target : int
        The block that is to be moved.
    goal : tuple of float
        x and y of its goal.
    """

    seed: tuple[int, ...]
    blocks: tuple[Block, ...]
    places: tuple[tuple[float, float, float], ...]
    spot: tuple[float, float]
    target: int
    goal: tuple[float, float]

    def simulator(self) -> PushSimulator:
        """The bin at the start."""
        return PushSimulator(self.blocks, self.places, self.spot)

    def pixels(self, scene: Scene, place: tuple[float, ...] | np.ndarray) -> np.ndarray:
        """Where the target's middle is seen, with the target at x, y."""
        return scene.project(
            np.array([place[0], place[1], self.blocks[self.target].half[2]])
        )

    def goal_frame(self, scene: Scene) -> np.ndarray:
        """The picture of the task done, uint8 ``(64, 64, 3)``.

        The target is at its goal and the hand behind it, where a straight push ends;
        all else is as at the start.
        """
        poses = np.array(self.places)
        start = poses[self.target, :2].copy()
        poses[self.target, :2] = self.goal
        way = np.array(self.goal) - start
        way /= max(float(np.hypot(*way)), 1e-6)
        reach = self.blocks[self.target].radius + GRIPPER_RADIUS
        room = np.array([HALF_WIDTH, HALF_DEPTH]) - FENCE
        hand = np.clip(np.array(self.goal) - way * reach, -room, room)
        grip = np.array([[*hand, LOW, 0.0]])
        still = np.zeros((1, 4), np.float32)
        frame: np.ndarray = scene.draw(
            Trajectory(self.blocks, poses[None], grip, still)
        )[0]
        return frame


def draw_task(seed: int, *, least: float = 0.10, most: float = 0.16) -> PushTask:
    """Draw a task, a function of its arguments.

    Parameters
    ----------
    seed : int
        0 or more.
    least, most : float
        Distance of the goal from where the block starts, in bin units, of which one is
        about 50 pixels across the picture.

    Returns
    -------
    PushTask
        The block is one of those whose colour is `FINDABLE`; no other is in the way.
    """
    for attempt in range(1000):
        rng = np.random.default_rng([_TASK, seed, attempt])
        blocks, places = scatter(rng)
        shades = [_base(block) for block in blocks]
        targets = [i for i, shade in enumerate(shades) if shade in FINDABLE]
        if not targets:
            continue
        target = int(rng.choice(targets))
        goal = _free_goal(rng, blocks, places, target, (least, most))
        if goal is None:
            continue
        x, y = free_spot(rng, blocks, places)
        return PushTask(
            (_TASK, seed, attempt),
            blocks,
            tuple(places),
            (float(x), float(y)),
            target,
            goal,
        )
    raise AssertionError("every bin has a block that can be moved")


def _base(block: Block) -> tuple[float, float, float]:
    """The colour of `COLOURS` of which the block has a shade."""
    parts = np.array(block.colour)

    def apart(colour: tuple[float, float, float]) -> float:
        plain = np.array(colour)
        return float(np.abs(parts / parts.sum() - plain / plain.sum()).sum())

    return min(COLOURS, key=apart)


def _free_goal(
    rng: np.random.Generator,
    blocks: tuple[Block, ...],
    places: list[tuple[float, float, float]],
    target: int,
    distances: tuple[float, float],
) -> tuple[float, float] | None:
    """A place at one of these distances to which the way is free, if one is found."""
    size, start = blocks[target].radius, np.array(places[target][:2])
    # The hand must fit behind the block, and is kept away from the walls.
    room = np.array([HALF_WIDTH, HALF_DEPTH]) - size - _SPARE
    fence = np.array([HALF_WIDTH, HALF_DEPTH]) - FENCE
    for _ in range(30):
        angle, far = rng.uniform(-np.pi, np.pi), rng.uniform(*distances)
        way = np.array([np.cos(angle), np.sin(angle)])
        goal = start + far * way
        behind = start - (size + GRIPPER_RADIUS) * way
        if (np.abs(goal) > room).any() or (np.abs(behind) > fence).any():
            continue
        others = [
            (np.array(place[:2]), block.radius)
            for i, (block, place) in enumerate(zip(blocks, places, strict=True))
            if i != target
        ]
        if all(
            np.hypot(*(spot - goal)) > radius + size + _SPARE
            and np.hypot(*(spot - behind)) > radius + GRIPPER_RADIUS + _SPARE
            for spot, radius in others
        ):
            return float(goal[0]), float(goal[1])
    return None
