"""Score every frame of a video by how much it surprises a model."""

import csv
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import svg_pyro
from svg_pyro import SVG
from svg_pyro.commands.devices import choose_device
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.fields import option
from svg_pyro.commands.out_folder import own_folder
from svg_pyro.commands.own_parts import parsed_flags
from svg_pyro.commands.trained_on import as_trained, preprocessing
from svg_pyro.data import MovingMNIST, find_digits, find_sources
from svg_pyro.data.videos.decode import FITS, Source, decode
from svg_pyro.data.videos.layouts import LAYOUTS
from svg_pyro.errors import ConfigError, DataError
from svg_pyro.evaluation.anomalies import Detection, detections
from svg_pyro.evaluation.surprise import SCORES, frame_surprises, moments_of
from svg_pyro.plots.surprise import draw_surprise, shown_times
from svg_pyro.util.files import write_json, written_beside
from svg_pyro.util.tensors import to_float

_DESCRIPTION = """\
Score every frame of a video by how much it surprises a model, and say which moments
stand out.

VIDEO is a film (mp4, avi, mov, webm, mkv, gif), a folder of images, or a .npy or .npz
array. The scores go to surprise.csv and surprise.png. With --planted N and no VIDEO,
anomalies are planted in N clips of Moving MNIST of one digit, and anomalies.json says
how well each score tells them."""


@dataclass(frozen=True)
class SurpriseOptions:
    """What is scored, and how.

    Attributes
    ----------
    checkpoint : str
        checkpoint.pt of a training run, or the name of a model that ships, for
        instance push.
    video : str or None
        The video that is scored.
    planted : int or None
        Clips of Moving MNIST in which anomalies are planted, in place of a video.
    data_root : str or None
        Folder of MNIST's IDX files, for `planted`; without it data/mnist.
    bundled_digits : bool
        Take scikit-learn's digits, and do not look for MNIST, for `planted`.
    n_frames : int
        Frames of a planted clip.
    num_samples : int
        Draws of the latents that are averaged.
    window : int
        Frames before each, to whose scores its own is compared.
    threshold : float
        A moment stands out from so many robust standard deviations above the median.
    start : int
        First frame of the video.
    stride : int or None
        Frames of the video from one frame to the next; without it as in training.
    fit : str or None
        How a frame becomes a square: "crop" (its centre), "letterbox" (with black
        edges) or "stretch"; without it as in training.
    layout : str or None
        Axes of .npy and .npz arrays: n counts videos, t frames, c colour channels, h
        rows and w columns; without it their shapes decide.
    seed : int
        Seed of the draws.
    out : str or None
        Folder of the files; without it runs/surprise, or runs/surprise-2 and so on.
    device : str or None
        cuda or cpu; without it cuda where there is one.
    """

    checkpoint: str = option(kind="positional", metavar="CHECKPOINT")
    video: str | None = option(None, kind="positional", metavar="VIDEO")
    planted: int | None = option(None, least=2)
    data_root: str | None = option(None, metavar="DIR")
    bundled_digits: bool = False
    n_frames: int = option(20, least=8)
    num_samples: int = option(8, least=1)
    window: int = option(3, least=1)
    threshold: float = 5.0
    start: int = option(0, least=0)
    stride: int | None = option(None, least=1)
    fit: str | None = option(None, choices=FITS)
    layout: str | None = option(None, choices=LAYOUTS)
    seed: int = option(0, least=0)
    out: str | None = option(None, metavar="DIR")
    device: str | None = None


@one_line_errors()
def score_video(argv: Sequence[str] | None = None, *, prog: str | None = None) -> None:
    """Score a video, or planted anomalies, as the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        Checkpoint, video and flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    flags = parsed_flags(SurpriseOptions, _DESCRIPTION, argv, prog=prog)
    options = flags.make(SurpriseOptions)
    if (options.video is None) == (options.planted is None):
        raise ConfigError("give a VIDEO, or --planted N, and not both")
    if options.threshold <= 0:
        raise ConfigError(f"--threshold is {options.threshold:g}; give more than 0")
    svg = svg_pyro.load(
        options.checkpoint, map_location=choose_device(options.device)
    ).eval()
    if options.planted is not None:
        with own_folder(options.out, "runs/surprise") as out:
            _score_planted(svg, options, options.planted, out)
        return
    options = as_trained(flags, SurpriseOptions, preprocessing(options.checkpoint))
    sources = find_sources(options.video or "", layout=options.layout)
    if len(sources) > 1:
        raise DataError(
            f"{options.video}: holds {len(sources)} videos; give one, for instance "
            f"{sources[0].name}"
        )
    with own_folder(options.out, "runs/surprise") as out:
        _score_source(svg, sources[0], options, out)


def _score_source(
    svg: SVG, source: Source, options: SurpriseOptions, out: Path
) -> None:
    device = next(svg.parameters()).device
    scores: list[float] = []
    with written_beside(out / "surprise.csv") as beside, open(beside, "w") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["frame", *SCORES])
        frames = (frame[None].to(device) for frame in _frames(svg, source, options))
        for score in frame_surprises(
            svg,
            frames,
            num_samples=options.num_samples,
            window=options.window,
            seed=options.seed,
        ):
            # Without a frame before, nothing is relative: an empty cell.
            row = [getattr(score, name).item() for name in SCORES]
            table.writerow(
                [score.time - 1, *("" if x != x else f"{x:.6g}" for x in row)]
            )
            scores.append(row[-1])
        # Before the table takes its name: it would be one without rows.
        if len(scores) < 2:
            held = f"{len(scores) + 1}" if scores else "1 or no"
            raise DataError(
                f"{source.name}: holds {held} frames at this start and stride; 3 or "
                "more are needed"
            )
    scores.insert(0, float("nan"))
    moments = moments_of(scores, threshold=options.threshold)
    wanted = set(shown_times(len(scores), moments))
    # Read again, so that a long video is never held.
    shown = {t: f for t, f in enumerate(_frames(svg, source, options)) if t in wanted}
    draw_surprise(scores, moments, shown, out / "surprise.png")
    print(
        f"{source.name}: {len(scores)} frames, of which {len(moments) or 'none'} "
        f"{'stands' if len(moments) == 1 else 'stand'} out by {options.threshold:g} "
        "robust standard deviations (--threshold)"
    )
    for t in moments:
        place = options.start + t * (options.stride or 1)
        print(
            f"frame {place}: {scores[t]:.0f} nats less likely than the mean of the "
            f"{options.window} before"
        )
    print(f"open {out / 'surprise.png'}; numbers in {out / 'surprise.csv'}")


def _frames(
    svg: SVG, source: Source, options: SurpriseOptions
) -> Iterator[torch.Tensor]:
    """One frame after the other, ``(C, H, W)`` in [0, 1], on the CPU."""
    config = svg.config
    video = decode(source, config.image_size, config.channels, options.fit or "crop")
    for frame in itertools.islice(video, options.start, None, options.stride or 1):
        yield to_float(torch.from_numpy(frame.transpose(2, 0, 1).copy()))


def _score_planted(svg: SVG, options: SurpriseOptions, clips: int, out: Path) -> None:
    if svg.config.channels != 1:
        raise ConfigError("anomalies are planted in grey clips; the model's are RGB")
    load_digits, words = find_digits(options.data_root, bundled=options.bundled_digits)
    print(words)
    data = MovingMNIST(
        load_digits("test"),
        "test",
        options.n_frames,
        num_digits=1,
        image_size=svg.config.image_size,
        seed=options.seed,
    )
    found = detections(
        svg, data, clips=clips, num_samples=options.num_samples, seed=options.seed
    )
    write_json(out / "anomalies.json", [vars(d) for d in found])
    print(_table(found))
    print(f"numbers in {out / 'anomalies.json'}")


def _table(found: Sequence[Detection]) -> str:
    """AUC and its interval: a line for each kind and score."""
    return "\n".join(
        f"{d.kind:9} {d.score:18} AUC {d.auc:.3f} [{d.low:.3f}, {d.high:.3f}] "
        f"({d.clips} clips)"
        for d in found
    )
