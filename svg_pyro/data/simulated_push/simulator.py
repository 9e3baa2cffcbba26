"""One simulated clip: where blocks lie, what the robot is told, what then happens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svg_pyro.data.simulated_push.world import (
    FENCE,
    HALF_DEPTH,
    HALF_WIDTH,
    LOW,
    RAISED,
    Block,
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
    rng = np.random.default_rng(seed)
    blocks, starts = scatter(rng)
    spot = free_spot(rng, blocks, starts)
    simulator = PushSimulator(
        blocks, starts, spot, height=RAISED if always_lifted else LOW
    )
    driver = _Driver(rng, always_lifted)
    poses, grips, actions = [], [], []
    for _ in range(n_frames):
        poses.append(simulator.poses)
        grips.append(simulator.gripper)
        action = driver.command(grips[-1], poses[-1])
        actions.append(action)
        simulator.step(action)
    return Trajectory(
        blocks, np.array(poses), np.array(grips), np.array(actions, np.float32)
    )


@dataclass(frozen=True)
class PushState:
    """How everything in the bin lies and moves at one moment.

    Attributes
    ----------
    bodies : numpy.ndarray
        float64, shape ``(n, 6)``: place, angle and their velocities of every block.
    gripper : numpy.ndarray
        float64, shape ``(9,)``: the same of the gripper, its height, yaw and turn.
    """

    bodies: np.ndarray
    gripper: np.ndarray


class PushSimulator:
    """The bin, moved on by one frame at a time.

    Parameters
    ----------
    blocks : sequence of Block
        What lies in the bin.
    places : sequence of (float, float, float)
        x, y (bin units) and angle (radians) of each block.
    spot : sequence of float
        x and y of the gripper, bin units.
    height : float
        z of the finger tips: `LOW` to push, `RAISED` to pass over blocks.

    Raises
    ------
    DataError
        pymunk is not installed.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        places: Sequence[tuple[float, float, float]],
        spot: Sequence[float] | np.ndarray,
        *,
        height: float = LOW,
    ) -> None:
        need("pymunk", "pymunk", "simulating robot pushes")
        self.blocks = tuple(blocks)
        self._build(places, spot, height)

    def _build(
        self,
        places: Sequence[tuple[float, float, float]],
        spot: Sequence[float] | np.ndarray,
        height: float,
    ) -> None:
        from svg_pyro.data.simulated_push import physics

        self._space, self._bodies = physics.build_space(self.blocks, places)
        self._gripper = physics.Gripper(self._space, np.asarray(spot), height)

    @property
    def poses(self) -> list[tuple[float, float, float]]:
        """x, y (bin units) and angle (radians) of every block."""
        from svg_pyro.data.simulated_push import physics

        return [physics.pose_of(body) for body in self._bodies]

    @property
    def gripper(self) -> tuple[float, float, float, float]:
        """x, y, z (bin units) of the finger tips, and yaw (radians)."""
        return self._gripper.pose

    def step(self, action: Sequence[float] | np.ndarray) -> None:
        """Move on by one frame.

        Parameters
        ----------
        action : sequence of float
            Displacement in x and y, turn, change of height.
        """
        dx, dy, turn, lift = action
        self._gripper.move(self._space, (dx, dy, turn, lift))

    def state(self) -> PushState:
        """What `set_state` takes up again."""
        from svg_pyro.data.simulated_push import physics

        bodies = [physics.motion_of(body) for body in self._bodies]
        return PushState(np.array(bodies), np.array(self._gripper.state))

    def set_state(self, state: PushState) -> None:
        """Take up what `state` read, here or in a simulator of the same blocks.

        Forces between bodies that touch are found anew, not kept: what follows is
        that of the original to a few thousandths of the bin a frame where the gripper
        pushes, and exactly where nothing is touched. Two simulators that are set to
        one state go on in exactly the same way.

        Parameters
        ----------
        state : PushState
            Of `state`.
        """
        from svg_pyro.data.simulated_push import physics

        # In a new space: an old one remembers what touched in it.
        self._build([(0.0, 0.0, 0.0)] * len(self.blocks), (0.0, 0.0), LOW)
        for body, motion in zip(self._bodies, state.bodies, strict=True):
            physics.set_motion(body, motion)
        self._gripper.restore(state.gripper)


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
