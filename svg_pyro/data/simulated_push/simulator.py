"""One simulated clip: where blocks lie, what the robot is told, what then happens."""

from collections.abc import Sequence

import numpy as np

from svg_pyro.data.simulated_push.world import (
    FENCE,
    HALF_DEPTH,
    HALF_WIDTH,
    LOW,
    RAISED,
    Trajectory,
    free_spot,
    scatter,
)
from svg_pyro.util.optional import need


def simulate(
    seed: int | Sequence[int], n_frames: int = 30, *, always_lifted: bool = False
) -> Trajectory:
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
        Where everything was in each frame, and what the gripper was told.

    Raises
    ------
    DataError
        pymunk is not installed.
    """
    need("pymunk", "pymunk", "simulating robot pushes")
    from svg_pyro.data.simulated_push import physics

    rng = np.random.default_rng(seed)
    blocks, starts = scatter(rng)
    space, bodies = physics.build_space(blocks, starts)
    gripper = physics.Gripper(
        space, free_spot(rng, blocks, starts), RAISED if always_lifted else LOW
    )
    driver = _Driver(rng, always_lifted)
    poses: list[list[tuple[float, float, float]]] = []
    grips, actions = [], []
    for _ in range(n_frames):
        poses.append([physics.pose_of(body) for body in bodies])
        grips.append(gripper.pose)
        action = driver.command(gripper.pose, poses[-1])
        actions.append(action)
        gripper.move(space, action)
    return Trajectory(
        blocks, np.array(poses), np.array(grips), np.array(actions, np.float32)
    )


class _Driver:
    """Draws the commands: straight strokes that change at random times."""

    def __init__(self, rng: np.random.Generator, always_lifted: bool) -> None:
        self._rng = rng
        self._always_lifted = always_lifted
        self._left = 0
        self._velocity: np.ndarray = np.zeros(2)
        self._turn = 0.0
        self._high = always_lifted

    def command(
        self,
        pose: tuple[float, float, float, float],
        block_poses: Sequence[tuple[float, float, float]],
    ) -> tuple[float, float, float, float]:
        """The action for the next frame: dx, dy, turn, change of height."""
        here = np.array(pose[:2])
        room = np.array([HALF_WIDTH, HALF_DEPTH]) - FENCE
        outside = np.abs(here + self._velocity) > room
        if self._left <= 0 or outside.any():
            self._new_stroke(here, room, block_poses)
        self._left -= 1
        # Near the fence the stroke is cut short rather than pressed into it.
        step = np.clip(here + self._velocity, -room, room) - here
        goal = RAISED if self._high else LOW
        lift = float(np.clip(goal - pose[2], -0.09, 0.09))
        return step[0], step[1], self._turn, lift

    def _new_stroke(
        self,
        here: np.ndarray,
        room: np.ndarray,
        block_poses: Sequence[tuple[float, float, float]],
    ) -> None:
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
