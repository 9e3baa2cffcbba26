"""What `svg-pyro serve` shows of a clip: its futures, their spread, its surprises."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import svg_pyro
from svg_pyro import Sampler
from svg_pyro.commands.demo import CLIPS, held_out_clips
from svg_pyro.commands.single_clips import predict_single_clips
from svg_pyro.data import find_sources, first_frames
from svg_pyro.errors import ConfigError, DataError
from svg_pyro.evaluation import (
    frame_surprises,
    moments_of,
    scores_in_words,
    scores_of,
)
from svg_pyro.plots.strips import Rows, draw_gif, rows_of
from svg_pyro.plots.surprise import draw_surprise, shown_times
from svg_pyro.util.modes import seeded
from svg_pyro.util.tensors import to_float

_CLIPS = 8  # that can be picked, of each model that ships
_BRIGHT = 4.0  # by which a standard deviation is drawn brighter
_SURPRISE = (
    "How much less likely each true frame was, to the model, than the three before it, "
    "in nats: above 0 it came as more of a surprise. An orange dot marks a frame that "
    "stands out from the whole clip, if one does."
)


@dataclass(frozen=True)
class Look:
    """What the page shows of one clip.

    Attributes
    ----------
    futures : Path
        GIF of the truth, where it is known, of futures, and of how far they differ.
    surprise : Path or None
        PNG of how much each frame of the clip surprised the model; None where only the
        context is known.
    words : str
        What the first picture shows.
    surprise_words : str
        What the second picture shows, or why there is none.
    """

    futures: Path
    surprise: Path | None
    words: str
    surprise_words: str


class Viewer:
    """The models of a page, and what it shows of them.

    Parameters
    ----------
    models : sequence of str
        Checkpoints, folders of runs, or names of models that ship.
    device : torch.device
        Where they work.
    folder : Path
        Gets the pictures.

    Raises
    ------
    CheckpointError
        When a model cannot be read.
    ConfigError
        When a model needs actions, which a video does not tell.
    """

    def __init__(
        self, models: Sequence[str], device: torch.device, folder: Path
    ) -> None:
        loaded = {name: svg_pyro.load(name, map_location=device) for name in models}
        for name, svg in loaded.items():
            predict_single_clips(svg, name)
        for name, svg in loaded.items():
            if svg.config.action_dim:
                raise ConfigError(
                    f"{name} predicts what actions lead to, and a video does not tell "
                    "them; give a model without actions"
                )
        self.samplers = {name: Sampler(svg) for name, svg in loaded.items()}
        self._device, self._folder = device, folder
        self._number = itertools.count(1)

    def clip_names(self, model: str) -> list[str]:
        """Clips that can be picked: of models that ship and take no actions."""
        if model not in CLIPS:
            return []
        return [f"held-out clip {i}" for i in range(1, _CLIPS + 1)]

    def clip(
        self, model: str, picked: str | None, video: str | None, horizon: int
    ) -> Tensor:
        """The clip that is picked or dropped, uint8 ``(T, C, H, W)``.

        A video goes before a picked clip. T may be less than context and horizon.

        Parameters
        ----------
        model : str
            Gives the size of the frames.
        picked : str or None
            Of `clip_names`.
        video : str or None
            A file.
        horizon : int
            Frames after the context.

        Raises
        ------
        DataError
            If the video cannot be read, or is too short for the context, or if there is
            none and the model has no clips.
        """
        config = self.samplers[model].svg.config
        if video is None:
            if model not in CLIPS:
                raise DataError(f"{model} has no clips to pick; drop a video")
            index = int((picked or "held-out clip 1").split()[-1]) - 1
            clips, _ = held_out_clips(model, index + 1, config.n_past + horizon)
            return clips[index]
        return first_frames(
            find_sources(video)[0],
            config.n_past,
            image_size=config.image_size,
            channels=config.channels,
            more=horizon,
        )

    def look(self, model: str, clip: Tensor, horizon: int, num_samples: int) -> Look:
        """Sample futures of a clip, and draw them.

        Parameters
        ----------
        model : str
            One of the page's.
        clip : torch.Tensor
            uint8 ``(T, C, H, W)``.
        horizon : int
            Frames to generate.
        num_samples : int
            Futures.

        Returns
        -------
        Look
            Its files have names of their own.
        """
        sampler = self.samplers[model]
        n_past = sampler.svg.config.n_past
        frames = to_float(clip, self._device)
        with seeded(0, self._device):
            context = frames[None, :n_past]
            futures = sampler.predict(context, horizon, num_samples)[:, 0].cpu()
        name = f"look_{next(self._number)}"
        path = self._folder / f"{name}.gif"
        known = len(clip) == n_past + horizon
        draw_gif(_rows(frames.cpu(), futures, n_past, known=known), path)
        surprise = None
        if len(clip) > n_past:
            surprise = self._surprise(model, frames, self._folder / f"{name}.png")
        words = (
            f"{num_samples} future{'s' * (num_samples > 1)} after {n_past} given "
            f"frame{'s' * (n_past > 1)}"
        )
        if known:
            score = scores_of(futures[:, None], clip[None], n_past)
            words += f". {scores_in_words(score, horizon)}"
        else:
            words += "; the video ends too early to show the truth beside them."
        if num_samples > 1:
            words += (
                ' "differ": where the futures disagree, white most '
                f"({_BRIGHT:g} times their standard deviation)."
            )
        said = _SURPRISE if surprise else "The video holds the given frames alone."
        return Look(path, surprise, words, said)

    def _surprise(self, model: str, frames: Tensor, path: Path) -> Path:
        svg = self.samplers[model].svg.eval()
        scores = [float("nan")]
        scores += [
            float(s.relative_surprise) for s in frame_surprises(svg, frames[:, None])
        ]
        moments = moments_of(scores)
        times = shown_times(len(scores), moments)
        draw_surprise(scores, moments, {t: frames[t].cpu() for t in times}, path)
        return path


def _rows(frames: Tensor, futures: Tensor, n_past: int, *, known: bool) -> Rows:
    """The truth, samples, and their standard deviation."""
    shown: dict[str, Tensor] = {f"sample {i}": f for i, f in enumerate(futures, 1)}
    if len(futures) > 1:
        shown["differ"] = (_BRIGHT * futures.std(0)).clamp(max=1)
    return rows_of(frames[:n_past], shown, truth=frames[n_past:] if known else None)
