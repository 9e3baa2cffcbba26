"""The simulator in the place of a learned model: the best that a planner can have."""

from __future__ import annotations

import numpy as np
import torch

from svg_pyro.data.simulated_push.renderer import Scene
from svg_pyro.data.simulated_push.simulator import PushSimulator
from svg_pyro.data.simulated_push.tasks import PushTask
from svg_pyro.data.simulated_push.world import Trajectory
from svg_pyro.util.tensors import to_float


class TruePush:
    """Futures of the pushing world by its own physics, from how it lies now.

    Parameters
    ----------
    task : PushTask
        What lies in the bin.
    scene : Scene
        The camera.
    simulator : PushSimulator
        Its state at the time of a prediction is where futures begin; it is left alone.
    pictures : bool
        Draw the futures: ``(S, K, horizon, 3, 64, 64)``, about ten times as slow.
        Otherwise they hold places in pixels, ``(S, K, horizon, 2, 2)``: those of
        `block_of` and of `hand_of`.
    """

    def __init__(
        self,
        task: PushTask,
        scene: Scene,
        simulator: PushSimulator,
        *,
        pictures: bool = False,
    ) -> None:
        self._task, self._scene, self._simulator = task, scene, simulator
        self._twin, self._pictures = task.simulator(), pictures

    def predict(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int = 1,
        *,
        actions: torch.Tensor,
    ) -> torch.Tensor:
        """Futures under actions; all samples are the same.

        Parameters
        ----------
        context : torch.Tensor
            Not looked at.
        horizon : int
            Frames to predict.
        num_samples : int
            S.
        actions : torch.Tensor
            Shape ``(K, n - 1 + horizon, 4)``; the last `horizon` are carried out.

        Returns
        -------
        torch.Tensor
            See the class.
        """
        state = self._simulator.state()
        ways = []
        for plan in actions[:, -horizon:].cpu().double().numpy():
            self._twin.set_state(state)
            ways.append(self._follow(plan))
        futures = self._drawn(ways) if self._pictures else self._placed(ways)
        return futures.expand(num_samples, *futures.shape)

    def _follow(self, plan: np.ndarray) -> Trajectory:
        poses, grips = [], []
        for action in plan:
            self._twin.step(action)
            poses.append(self._twin.poses)
            grips.append(self._twin.gripper)
        return Trajectory(
            self._task.blocks, np.array(poses), np.array(grips), plan.astype(np.float32)
        )

    def _drawn(self, ways: list[Trajectory]) -> torch.Tensor:
        frames = np.stack([self._scene.draw(way) for way in ways])
        return to_float(torch.from_numpy(frames).permute(0, 1, 4, 2, 3).contiguous())

    def _placed(self, ways: list[Trajectory]) -> torch.Tensor:
        target = self._task.target
        blocks = np.stack([way.poses[:, target] for way in ways])
        blocks[..., 2] = self._task.blocks[target].half[2]
        hands = np.stack([way.gripper[:, :3] for way in ways])
        places = self._scene.project(np.stack([blocks, hands], -2))
        return torch.from_numpy(places).float()


def block_of(futures: torch.Tensor) -> torch.Tensor:
    """Places of the task's block, ``(S, K, horizon, 2)``, in futures of places."""
    return futures[..., 0, :]


def hand_of(futures: torch.Tensor) -> torch.Tensor:
    """Places of the hand, ``(S, K, horizon, 2)``, in futures of places."""
    return futures[..., 1, :]
