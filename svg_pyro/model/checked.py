"""What a model refuses: frames, counts, lengths and actions that it cannot take."""

from collections.abc import Sequence

import torch
from pyro.infer.util import is_validation_enabled

from svg_pyro.config import SVGConfig
from svg_pyro.errors import ConfigError, FramesError
from svg_pyro.model.checks import MOST, check_count, check_frames, check_values
from svg_pyro.model.inputs import check_actions
from svg_pyro.model.lengths import Lengths, lengths_of
from svg_pyro.model.rollout import check_noise
from svg_pyro.model.root import Root
from svg_pyro.model.types import Part


def check_model(svg: object) -> None:
    """Refuse what is no model.

    Parameters
    ----------
    svg : object
        To be an `svg_pyro.SVG`.

    Raises
    ------
    ConfigError
        When it is anything else, such as a class, a path or a Sampler.
    """
    if not isinstance(svg, Checked):
        what = "a class" if isinstance(svg, type) else f"a {type(svg).__name__}"
        raise ConfigError(
            f"the model is {what}; give an SVG, such as svg_pyro.load(path) returns"
        )


class Checked(Root):
    """A model that looks at what it is given before it begins."""

    config: SVGConfig
    frame_shape: tuple[int, int, int]
    encoder: Part
    observation: Part

    def check_request(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int,
        chunk_size: int | None,
        actions: torch.Tensor | None = None,
    ) -> None:
        """Raise FramesError unless `futures` can be drawn with these arguments."""
        check_count("horizon", horizon, most=MOST)
        check_count("num_samples", num_samples, most=MOST)
        if chunk_size is not None:
            check_count("chunk_size", chunk_size)
        self.check(context, horizon, 1, actions=actions)

    def check_draws(self, *, noise: bool, seed: int | None) -> None:
        """Raise FramesError or ConfigError unless `futures` can be drawn so."""
        if noise:
            check_noise(self.observation)
        if seed is not None:
            check_count("seed", seed, least=0)

    def check(
        self,
        frames: torch.Tensor,
        horizon: int,
        shortest: int,
        lengths: Sequence[int] | torch.Tensor | None = None,
        actions: torch.Tensor | None = None,
    ) -> Lengths | None:
        """Refuse what the model cannot take.

        Parameters
        ----------
        frames : torch.Tensor
            To be ``(B, T, C, H, W)``, floats in [0, 1].
        horizon : int
            Frames to generate, 0 or more.
        shortest : int
            Least T.
        lengths : sequence of int or torch.Tensor, optional
            Of padded clips, ``(B,)``; what lies beyond is not looked at.
        actions : torch.Tensor, optional
            See `svg_pyro.model.inputs.check_actions`.

        Returns
        -------
        Lengths or None

        Raises
        ------
        FramesError
            When the frames, the horizon, the lengths or the actions are not what is
            said above, or padded clips are to have a future.
        ConfigError
            As `check_contiguous`; or padded clips are to be normalised by time.
        """
        check_count("horizon", horizon, least=0, most=MOST)
        self.check_contiguous()
        # Looking at values waits for the device, as Pyro's own validation does.
        values = is_validation_enabled()
        if lengths is None:
            check_frames(
                frames, self.frame_shape, shortest, values=values, like=self.encoder
            )
            check_actions(self.config, actions, frames, horizon, values=values)
            return None
        check_frames(
            frames, self.frame_shape, shortest, values=False, like=self.encoder
        )
        check_actions(self.config, actions, frames, horizon, values=values)
        if horizon:
            raise FramesError(
                "a future follows the last frame of a clip, not its padding; leave "
                "lengths out, and give contexts of one length"
            )
        if self.config.batch_norm == "time" and self.encoder.training:
            raise ConfigError(
                "BatchNorm by time needs as many frames of every time; leave lengths "
                'out, or set batch_norm to "frames"'
            )
        checked = lengths_of(lengths, frames)
        if checked is not None and values:
            check_values(frames.detach(), checked.places().mask)
        return checked
