"""Sample futures of any video from its first frames: no ground truth, no data set."""

import unicodedata
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import svg_pyro
from svg_pyro import SVG, Sampler
from svg_pyro.commands.devices import choose_device, warn_of_useless_precision
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.fields import option
from svg_pyro.commands.out_folder import own_folder
from svg_pyro.commands.own_parts import parsed_flags
from svg_pyro.commands.single_clips import predict_single_clips
from svg_pyro.commands.trained_on import as_trained, preprocessing, trained_on
from svg_pyro.config import PRECISIONS
from svg_pyro.data import find_sources, first_frames
from svg_pyro.data.videos.arrays import read_table
from svg_pyro.data.videos.decode import FITS, Source
from svg_pyro.data.videos.layouts import LAYOUTS
from svg_pyro.errors import ConfigError, DataError
from svg_pyro.evaluation import FutureScores, scores_in_words, scores_of
from svg_pyro.plots.strips import draw_gif, draw_mp4, draw_strip, rows_of
from svg_pyro.util.files import written_beside
from svg_pyro.util.modes import seeded
from svg_pyro.util.tensors import to_float
from svg_pyro.util.words import printable

_DESCRIPTION = """\
Sample futures of any video from its first frames: no ground truth, no data set.

VIDEO is a film (mp4, avi, mov, webm, mkv, gif), a folder of them or of images, or a
.npy or .npz array. For each video a GIF, an mp4, a PNG strip and an .npz are
written."""

# What a model has seen, by the data set it was trained on.
_SUBJECTS = {
    "bair": "robot pushing",
    "smmnist": "moving digits",
    "kth": "persons' actions",
    "lerobot": "a robot's recordings",
}


@dataclass(frozen=True)
class GenerateOptions:
    """Which futures are sampled, of what, and how they are shown.

    Attributes
    ----------
    checkpoint : str
        checkpoint.pt of a training run, or the name of a model that ships, for
        instance push.
    video : str
        A video, or a folder of videos or images.
    horizon : int
        Frames to generate.
    num_samples : int
        Futures of each video.
    shown : int
        Futures in the pictures; the .npz holds all.
    start : int
        Frame of the video with which the context begins.
    stride : int or None
        Frames of the video from one frame to the next; without it as in training.
    seed : int
        Seed of the futures.
    n_past : int or None
        Frames of context; without it as in training.
    fit : str or None
        How a frame becomes a square: "crop" (its centre), "letterbox" (with black
        edges) or "stretch"; without it as in training.
    layout : str or None
        Axes of .npy and .npz arrays: n counts videos, t frames, c colour channels, h
        rows and w columns; without it their shapes decide.
    actions : str or None
        .npy file of actions, for a model that takes them: a row for each step from a
        frame to the next, those of the context's first.
    noise : bool
        Draw frames from the observation model, and do not show their means: intervals
        over the samples then hold as often as they say.
    fps : float
        Frames a second of the animations.
    out : str or None
        Folder of the files; without it runs/futures, or runs/futures-2 and so on.
    precision : str
        Precision of the networks. tf32: NVIDIA's tensor cores; bf16: convolutions in
        bfloat16, for devices faster in it.
    compile : bool
        Compile the networks first, for GPUs and many videos.
    device : str or None
        cuda or cpu; without it cuda where there is one.
    """

    checkpoint: str = option(kind="positional", metavar="CHECKPOINT")
    video: str = option(kind="positional", metavar="VIDEO")
    horizon: int = option(50, least=1)
    num_samples: int = option(10, least=1)
    shown: int = option(5, least=0)
    start: int = option(0, least=0)
    stride: int | None = option(None, least=1)
    seed: int = option(0, least=0)
    n_past: int | None = option(None, least=1)
    fit: str | None = option(None, choices=FITS)
    layout: str | None = option(None, choices=LAYOUTS)
    actions: str | None = option(None, metavar="FILE")
    noise: bool = False
    fps: float = 10.0
    out: str | None = option(None, metavar="DIR")
    precision: str = option("float32", choices=PRECISIONS)
    compile: bool = False
    device: str | None = None


@one_line_errors()
def generate(argv: Sequence[str] | None = None, *, prog: str | None = None) -> None:
    """Sample futures, as the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        Checkpoint, video and flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    flags = parsed_flags(GenerateOptions, _DESCRIPTION, argv, prog=prog)
    options = flags.make(GenerateOptions)
    if not 0.1 <= options.fps <= 100:
        raise ConfigError(f"--fps is {options.fps:g}; give 0.1 to 100")
    device = choose_device(options.device)
    warn_of_useless_precision(options.precision, device)
    svg = svg_pyro.load(options.checkpoint, map_location=device)
    if svg.config.action_dim and options.actions is None:
        raise ConfigError(
            f"{options.checkpoint}: the model takes actions, {svg.config.action_dim} "
            "numbers for each step; give them by --actions FILE"
        )
    predict_single_clips(svg, options.checkpoint)
    options = as_trained(flags, GenerateOptions, preprocessing(options.checkpoint))
    sampler = Sampler(svg, options.precision, compiled=options.compile)
    sources = find_sources(options.video, layout=options.layout)
    with own_folder(options.out, "runs/futures") as out:
        _write_all(svg, sampler, sources, out, options)


def _write_all(
    svg: SVG,
    sampler: Sampler,
    sources: Sequence[Source],
    out: Path,
    options: GenerateOptions,
) -> None:
    """Write the futures of each video that can be read, and say how good they are."""
    names: list[str] = []
    shown = min(options.shown, options.num_samples)
    few = (
        f", {shown} of them in the pictures" if 0 < shown < options.num_samples else ""
    )
    for source in sources:
        name = unused_name(source, names)
        try:
            scores = write_futures(svg, sampler, source, out / name, options)
        except DataError as error:
            if len(sources) == 1:
                raise
            print(f"skipped: {printable(str(error))}")
            continue
        names.append(name)
        print(f"{source.name}: {options.num_samples} futures in {out / name}.npz{few}")
        if scores is not None:
            print(_judged(scores, options))
    if not names:
        raise DataError(f"{options.video}: no video of {len(sources)} could be read")
    print(f"open {out / names[0]}{'.gif' if options.shown else '.npz'}")


def write_futures(
    svg: SVG, sampler: Sampler, source: Source, out: Path, options: GenerateOptions
) -> FutureScores | None:
    """Sample the futures of one video and write them.

    Parameters
    ----------
    svg : SVG
        The model, which gives the size and channels of the frames.
    sampler : Sampler
        Draws futures of this model.
    source : Source
        A video, of `svg_pyro.data.find_sources`.
    out : Path
        Folder and beginning of the files' names.
    options : GenerateOptions
        What is sampled and shown.

    Returns
    -------
    FutureScores or None
        None where the video ends before its futures do.

    Raises
    ------
    DataError
        If the video cannot be read, or is too short for the context.
    """
    n_past = options.n_past or svg.config.n_past
    clip = first_frames(
        source,
        n_past,
        image_size=svg.config.image_size,
        channels=svg.config.channels,
        start=options.start,
        stride=options.stride or 1,
        fit=options.fit or "crop",
        more=options.horizon,
    )
    device = next(svg.parameters()).device
    context = to_float(clip[None, :n_past], device)
    actions = None
    if options.actions is not None:
        actions = read_actions(options.actions).to(device)[None]
    with seeded(options.seed, device):
        futures = sampler.predict(
            context,
            options.horizon,
            options.num_samples,
            noise=options.noise,
            actions=actions,
        )
    futures = futures[:, 0].cpu()
    with written_beside(out.with_name(out.name + ".npz")) as beside:
        np.savez_compressed(
            beside,
            context=clip[:n_past].numpy(),
            futures=futures.mul(255).round().to(torch.uint8).numpy(),
            video=source.name,
            checkpoint=options.checkpoint,
            seed=options.seed,
            start=options.start,
            stride=options.stride or 1,
            fit=options.fit or "crop",
            noise=options.noise,
        )
    if options.shown:
        _draw(to_float(clip), futures, n_past, out, options)
    if len(clip) < n_past + options.horizon:
        return None
    return scores_of(futures[:, None], clip[None], n_past)


def _judged(scores: FutureScores, options: GenerateOptions) -> str:
    """How good the futures of a video are, and what to try if that is not good."""
    words = scores_in_words(scores, options.horizon)
    if not scores.moving.any() or scores.gain >= 0:
        return words
    seen = _SUBJECTS.get(trained_on(options.checkpoint).get("kind", ""))
    return (
        f"{words} No future is as near to the truth as that"
        + (f": {options.checkpoint} learned from {seen}" if seen else "")
        + ". Learn from videos of this kind: svg-pyro train videos DIR"
    )


def read_actions(path: str) -> Tensor:
    """Actions of a .npy file, float32 ``(steps, A)``.

    Raises
    ------
    DataError
        If it cannot be read, or is no table of numbers.
    """
    return torch.from_numpy(read_table(path))


def _draw(
    clip: Tensor, futures: Tensor, n_past: int, out: Path, options: GenerateOptions
) -> None:
    """A strip and two films: the truth where the video goes on, and some futures."""
    known = len(clip) == n_past + options.horizon
    shown = enumerate(futures[: options.shown], 1)
    rows = rows_of(
        clip[:n_past],
        {f"sample {i}": future for i, future in shown},
        truth=clip[n_past:] if known else None,
    )
    scale = max(1, 128 // clip.shape[-1])
    draw_strip(rows, out.with_name(out.name + ".png"), scale=scale)
    for draw, ending in ((draw_gif, ".gif"), (draw_mp4, ".mp4")):
        path = out.with_name(out.name + ending)
        draw(rows, path, scale=scale, frames_per_second=options.fps)


def unused_name(source: Source, taken: Container[str]) -> str:
    """A file name after a video's, which is not one of those that are taken."""
    parts = [source.path.stem, source.member, source.number]
    joined = "_".join(str(part) for part in parts if part is not None)
    # What clears a screen, or turns a line round, is no part of a name that is shown.
    first = name = "".join(
        "_" if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c
        for c in joined
    )
    number = 2
    while name in taken:
        number, name = number + 1, f"{first}-{number}"
    return name
