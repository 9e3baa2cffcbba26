"""The pushing world as an environment of gymnasium: `svg_pyro/Push-v0`.

Only loaded where it is used: it needs gymnasium and pymunk.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from svg_pyro.data.simulated_push.finders import ColourFinder
from svg_pyro.data.simulated_push.renderer import Scene
from svg_pyro.data.simulated_push.simulator import PushSimulator, PushState
from svg_pyro.data.simulated_push.tasks import draw_task
from svg_pyro.data.simulated_push.world import Trajectory
from svg_pyro.errors import ConfigError

# Of the recorded clips: displacement in x and y, turn, change of height.
LARGEST_ACTION = (0.09, 0.09, 0.36, 0.09)
SUCCESS_PIXELS = 2.0
_IN_SIGHT = 1.5  # pixels between where a block is and is seen


class PushEnv(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """A robot hand that is to push one block to a place that a picture shows.

    An observation is a dict of two pictures, uint8 ``(64, 64, 3)``: "image", the bin
    now, and "goal", the task done. An action is what clips record: displacement in x
    and y (bin units), turn (radians) and change of height, within `LARGEST_ACTION`;
    what is larger is cut. The reward is less the distance, in pixels of the picture,
    of the block's middle from its goal; within 2 pixels the task is done.

    ``info`` holds, in pixels (column, row): "block", "goal" and "hand"; "distance" of
    the first two; "is_success"; and "colour" of the block, RGB, 0 to 1.

    Parameters
    ----------
    least_push, most_push : float
        Distance of the goal from the block's start, bin units; one is about 50 pixels.
    render_mode : str, optional
        "rgb_array", for `render`.

    Raises
    ------
    ConfigError
        When the render mode is another, or the distances are not in order.
    DataError
        pymunk is not installed.
    """

    # Read from the class by gymnasium, which declares it of instances.
    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": 5,
    }

    def __init__(
        self,
        *,
        least_push: float = 0.10,
        most_push: float = 0.16,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ConfigError(
                f"render_mode is {render_mode!r}; give 'rgb_array', or leave it out"
            )
        if not 0 < least_push <= most_push <= 0.5:
            raise ConfigError(
                f"least_push is {least_push:g} and most_push {most_push:g}; give two "
                "distances in order, above 0 and up to 0.5"
            )
        self.render_mode = render_mode
        self._distances = least_push, most_push
        picture = spaces.Box(0, 255, (64, 64, 3), np.uint8)
        observed: Any = spaces.Dict({"image": picture, "goal": picture})
        self.observation_space = observed
        self._most = np.array(LARGEST_ACTION, np.float32)
        self.action_space = spaces.Box(-self._most, self._most, dtype=np.float32)
        self._frame: np.ndarray | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Draw a task, and begin it.

        Parameters
        ----------
        seed : int, optional
            The task is a function of it; without it the next of the last seed's. The
            block of a task is in sight.
        options : dict, optional
            Has no entries.

        Returns
        -------
        observation, info : dict
            See the class.
        """
        super().reset(seed=seed)
        while True:
            self._begin(int(self.np_random.integers(2**31)))
            observation, info = self._observe(), self._info()
            if _in_sight(observation["image"], info):
                return observation, info

    def _begin(self, number: int) -> None:
        least, most = self._distances
        self.task = draw_task(number, least=least, most=most)
        self.simulator = self.task.simulator()
        self.scene = Scene(self.task.seed)
        self._goal = self.task.goal_frame(self.scene)
        self._goal_pixels = self.task.pixels(self.scene, self.task.goal)

    def step(
        self, action: np.ndarray
    ) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Move the hand for one frame.

        Parameters
        ----------
        action : numpy.ndarray
            float, shape ``(4,)``.

        Returns
        -------
        observation, reward, terminated, truncated, info
            As gymnasium's `Env.step`; terminated once the task is done.
        """
        action = np.clip(np.asarray(action, float), -self._most, self._most)
        self.simulator.step(action)
        info = self._info()
        return self._observe(), -info["distance"], info["is_success"], False, info

    def render(self) -> Any:  # a narrower type than the base has
        """The picture that was observed last, uint8 ``(64, 64, 3)``."""
        return None if self.render_mode is None else self._frame

    def state(self) -> PushState:
        """What `set_state` takes up again."""
        return self.simulator.state()

    def set_state(self, state: PushState) -> dict[str, np.ndarray]:
        """Take up a state of this task; see `PushSimulator.set_state`.

        Returns
        -------
        dict
            What is observed now.
        """
        self.simulator.set_state(state)
        return self._observe()

    def _observe(self) -> dict[str, np.ndarray]:
        self._frame = draw_now(self.scene, self.simulator)
        # What was given is the caller's, to keep or to write on.
        return {"image": self._frame.copy(), "goal": self._goal.copy()}

    def _info(self) -> dict[str, Any]:
        task = self.task
        block = task.pixels(self.scene, self.simulator.poses[task.target])
        distance = float(np.hypot(*(block - self._goal_pixels)))
        return {
            "block": block,
            "goal": self._goal_pixels.copy(),
            "hand": self.scene.project(np.array(self.simulator.gripper[:3])),
            "distance": distance,
            "is_success": distance <= SUCCESS_PIXELS,
            "colour": task.blocks[task.target].colour,
        }


def _in_sight(image: np.ndarray, info: dict[str, Any]) -> bool:
    """Whether the block is seen where it is, not hidden behind the arm."""
    frame = torch.from_numpy(image).permute(2, 0, 1) / 255
    found = ColourFinder(info["colour"])(frame[None])[0].numpy()
    return bool(np.hypot(*(found - info["block"])) < _IN_SIGHT)


def draw_now(scene: Scene, simulator: PushSimulator) -> np.ndarray:
    """The picture of a simulator as it is, uint8 ``(64, 64, 3)``."""
    moment = Trajectory(
        simulator.blocks,
        np.array(simulator.poses)[None],
        np.array(simulator.gripper)[None],
        np.zeros((1, 4), np.float32),
    )
    frame: np.ndarray = scene.draw(moment)[0]
    return frame
