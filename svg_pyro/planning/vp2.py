"""A model as the benchmark VP2 drives it (Tian et al. 2023, arXiv 2304.13723)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from pyro import poutine

from svg_pyro.errors import FramesError
from svg_pyro.planning.settings import ActionRange
from svg_pyro.util.tensors import to_float


class VP2Model:
    """Serves a model to VP2: ``model({"video": ..., "actions": ...}) -> {"rgb": ...}``.

    In NumPy's form, which VP2's own models are given, "video" is ``(B, T, H, W, C)``
    (bytes, or floats in [0, 1]), "actions" ``(B, T', A)``, and "rgb" float32
    ``(B, T', H, W, C)``; in torch's form "video" is ``(B, T, C, H, W)``, floats in
    [0, 1], and so is "rgb". The first `num_context` frames of the video are the
    context. "rgb" has one frame for each action: frame i + 1 of the clip follows action
    i, so that the context's own frames but the first come first.

    One sampled future is drawn for each row. Rows of one context, as a planner gives
    them, are predicted from one encoding of it.

    Parameters
    ----------
    sampler : Sampler
        Of a model with actions.
    num_context : int, optional
        Frames of context; the model's `n_past` without it.
    actions : ActionRange, optional
        What the actions -1 and 1 stand for in the data's units; without it they are
        taken as they are.
    seed : int, optional
        Of 0 or more: makes each call's futures a function of it. Without it they are
        drawn from the global random state.

    Attributes
    ----------
    num_context : int
        Frames of context.
    base_prediction_modality : str
        "rgb".
    """

    base_prediction_modality: ClassVar[str] = "rgb"

    def __init__(
        self,
        sampler: Any,
        *,
        num_context: int | None = None,
        actions: ActionRange | None = None,
        seed: int | None = None,
    ) -> None:
        self._sampler, self._actions, self._seed = sampler, actions, seed
        self.num_context = (
            int(sampler.svg.config.n_past) if num_context is None else num_context
        )

    def __call__(
        self, batch: Mapping[str, Any], grad_enabled: bool = False
    ) -> dict[str, Any]:
        """Predict.

        Parameters
        ----------
        batch : mapping
            "video" and "actions"; see the class.
        grad_enabled : bool
            In torch's form: "rgb" has gradients to the actions and the video, through
            ``svg.model`` replayed under ``svg.guide``, since a `Sampler` has none.

        Returns
        -------
        dict
            "rgb".

        Raises
        ------
        FramesError
            When one of the two is missing or not as the class says, the video is
            shorter than the context, there is no action beyond it, or gradients are
            asked for in NumPy's form.
        """
        if missing := {"video", "actions"} - set(batch):
            raise FramesError(f"the batch has no {sorted(missing)}; give both")
        if isinstance(batch["video"], np.ndarray):
            if grad_enabled:
                raise FramesError("arrays have no gradients; give tensors")
            video = torch.from_numpy(np.moveaxis(batch["video"], -1, -3).copy())
            actions = torch.from_numpy(np.asarray(batch["actions"], np.float32))
            video = to_float(video) if video.dtype == torch.uint8 else video.float()
            rgb = self._predict(video, actions).cpu().numpy()
            return {"rgb": np.moveaxis(rgb, -3, -1)}
        with torch.set_grad_enabled(grad_enabled):
            rows = batch["video"], batch["actions"]
            return {"rgb": self._predict(*rows, grad_enabled=grad_enabled)}

    def _predict(
        self, video: torch.Tensor, actions: torch.Tensor, *, grad_enabled: bool = False
    ) -> torch.Tensor:
        """Frames 2..T'+1 of each row, ``(B, T', C, H, W)``."""
        horizon = self._checked(video, actions)
        context = video[:, : self.num_context]
        if len(context) > 1 and not context.requires_grad and _same(context):
            context = context[:1]
        scaled = self._scaled(actions.float())
        known = context[:, 1:].expand(len(actions), -1, -1, -1, -1)
        if grad_enabled:
            future = self._with_gradients(context, horizon, scaled)
        else:
            chosen = {} if self._seed is None else {"seed": self._seed}
            future = self._sampler.predict(
                context, horizon, 1, actions=scaled, **chosen
            )[0]
        return torch.cat([known.to(future), future], 1)

    def _with_gradients(
        self, context: torch.Tensor, horizon: int, actions: torch.Tensor
    ) -> torch.Tensor:
        svg, given = self._sampler.svg, {"actions": actions}
        guide = poutine.trace(svg.guide).get_trace(context, horizon, **given)
        model = poutine.replay(svg.model, trace=guide)
        future: torch.Tensor = model(context, horizon, **given)
        return future

    def _scaled(self, actions: torch.Tensor) -> torch.Tensor:
        if self._actions is None:
            return actions
        low = actions.new_tensor(self._actions.low)
        high = actions.new_tensor(self._actions.high)
        return low + (actions + 1) / 2 * (high - low)

    def _checked(self, video: torch.Tensor, actions: torch.Tensor) -> int:
        """How many frames follow the context."""
        if video.ndim != 5 or actions.ndim != 3:
            raise FramesError(
                f"video has {video.ndim} dimensions and actions {actions.ndim}; give "
                "five and three"
            )
        if len(video) not in (1, len(actions)):
            raise FramesError(
                f"there are {len(video)} videos and {len(actions)} rows of actions; "
                "give a video for each row, or one for all"
            )
        if self._actions is not None and actions.shape[2] != self._actions.size:
            raise FramesError(
                f"an action has {actions.shape[2]} numbers; give {self._actions.size}"
            )
        horizon = actions.shape[1] - self.num_context + 1
        if video.shape[1] < self.num_context or horizon < 1:
            raise FramesError(
                f"video has {video.shape[1]} frames and there are {actions.shape[1]} "
                f"actions; give at least {self.num_context} of both: the context, and "
                "an action that leads on from it"
            )
        return horizon


def _same(rows: torch.Tensor) -> bool:
    """Whether all rows are one."""
    return bool((rows == rows[:1]).all())
