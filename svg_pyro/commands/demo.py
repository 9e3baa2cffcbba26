"""Futures of held-out clips by the models that ship, without training or network."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import svg_pyro
from svg_pyro import Sampler
from svg_pyro.commands.devices import choose_device
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.fields import option
from svg_pyro.commands.out_folder import own_folder
from svg_pyro.commands.parser import Parser
from svg_pyro.data import MovingMNIST
from svg_pyro.data.digits import load_scikit_digits
from svg_pyro.data.simulated_push.dataset import simulated_clip
from svg_pyro.evaluation import scores_in_words, scores_of
from svg_pyro.plots.futures_page import FuturesPage, MovingPicture, write_futures_page
from svg_pyro.plots.strips import draw_gif, rows_of
from svg_pyro.util.modes import seeded
from svg_pyro.util.tensors import to_float

_DESCRIPTION = """\
Show futures of held-out clips, sampled from the models that ship with the package.

The clips are made on the spot; nothing is trained and nothing is fetched. Writes a GIF
for each model, and an HTML page around them."""

_NOTES = (
    "The models ship with the package (svg_pyro.load(NAME)): stochastic video "
    "generation with a learned prior (Denton and Fergus, 2018). Each future is one "
    "way in which the clip may go on.",
)
_OWN = "Futures of a video of your own"
_PUSH_FRAMES = 30  # of a simulated clip
# Frames after the context, where the samples are still worth a look.
_HORIZONS = {"smmnist-1": 20, "push": 10}
_CAPTION = (
    "A line for each clip: first what happened, then futures that the model sampled, "
    "each by itself, after the same given frames."
)


@dataclass(frozen=True)
class DemoOptions:
    """Which futures are shown.

    Attributes
    ----------
    model : tuple of str
        "smmnist-1": a digit that bounces off the edges, at a speed that nobody can know
        before; "push": a robot arm and blocks, simulated.
    clips : int
        Held-out clips of each, the first ones: none is chosen by eye.
    num_samples : int
        Futures of each clip.
    horizon : int or None
        Frames to generate; without it 20 for smmnist-1 and 10 for push.
    seed : int
        Seed of the futures.
    out : str
        Folder of the files.
    device : str or None
        cuda or cpu; without it cuda where there is one.
    """

    model: tuple[str, ...] = option(tuple(_HORIZONS), choices=tuple(_HORIZONS))
    clips: int = option(3, least=1, most=100)
    num_samples: int = option(10, least=1)
    horizon: int | None = option(None, least=1)
    seed: int = option(0, least=0)
    out: str = option("runs/demo", metavar="DIR")
    device: str | None = None


@one_line_errors()
def demo(argv: Sequence[str] | None = None, *, prog: str | None = None) -> None:
    """Show what models that ship give, as the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        Flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    parser = Parser(_DESCRIPTION, prog=prog)
    parser.add_fields(DemoOptions)
    options = parser.parse(argv).make(DemoOptions)
    device = choose_device(options.device)
    with own_folder(options.out) as out:
        pictures = [draw_futures(model, options, device) for model in options.model]
        notes = (*_NOTES, f"{_OWN}: svg-pyro generate {options.model[-1]} VIDEO")
        page = FuturesPage("Where these clips may go", pictures, notes)
        path = out / "demo.html"
        write_futures_page(page, path)
    alone = ", ".join(str(picture.gif) for picture in pictures)
    print(f"open {path}, or a picture alone: {alone}")


def draw_futures(
    model: str, options: DemoOptions, device: torch.device
) -> MovingPicture:
    """Sample futures of a model's held-out clips, draw them, and print their scores.

    Parameters
    ----------
    model : str
        Name of a model that ships.
    options : DemoOptions
        What is sampled, and the folder of the picture.
    device : torch.device
        Where the model works.

    Returns
    -------
    MovingPicture
        For the page.
    """
    svg = svg_pyro.load(model, map_location=device)
    n_past, horizon = svg.config.n_past, options.horizon or _HORIZONS[model]
    clips, words = held_out_clips(model, options.clips, n_past + horizon)
    with seeded(options.seed, device):
        context = to_float(clips[:, :n_past], device)
        futures = Sampler(svg).predict(context, horizon, options.num_samples).cpu()
    path = Path(options.out) / f"{model}.gif"
    _draw(clips, futures, path, n_past=n_past)
    title = f"{model}: {options.num_samples} futures of {words}"
    words = scores_in_words(scores_of(futures, clips, n_past), horizon)
    print(f"{title}. {words}")
    return MovingPicture(path, title, f"{_CAPTION} {words}")


def held_out_clips(model: str, count: int, n_frames: int) -> tuple[Tensor, str]:
    """The first clips that a model which ships has not seen, and what they are.

    Parameters
    ----------
    model : str
        One of `CLIPS`.
    count : int
        Clips.
    n_frames : int
        Frames of each.

    Returns
    -------
    clips : torch.Tensor
        uint8, shape ``(B, T, C, H, W)``.
    words : str
        For instance "3 held-out clips of simulated robot pushing".
    """
    clip, words = CLIPS[model](n_frames)
    clips = torch.stack([clip(index) for index in range(count)])
    return clips, f"{count} held-out clip{'s' * (count > 1)} of {words}"


def _pushes(n_frames: int) -> tuple[Callable[[int], Tensor], str]:
    def clip(index: int) -> Tensor:
        frames = simulated_clip(index, max(n_frames, _PUSH_FRAMES))[:n_frames]
        return torch.from_numpy(frames).permute(0, 3, 1, 2)

    return clip, "simulated robot pushing"


def _digits(number: int, n_frames: int) -> tuple[Callable[[int], Tensor], str]:
    digits = load_scikit_digits("test")
    data = MovingMNIST(digits, "test", n_frames, num_digits=number)
    moving = "one moving digit" if number == 1 else f"{number} moving digits"
    return data.clip, f"{moving} (scikit-learn's; it learned from MNIST's)"


# What makes a model's held-out clips, of those that ship and take no actions.
CLIPS: dict[str, Callable[[int], tuple[Callable[[int], Tensor], str]]] = {
    "push": _pushes,
    "push-deterministic": _pushes,
    "smmnist-1": functools.partial(_digits, 1),
    "smmnist-2": functools.partial(_digits, 2),
}


def _draw(clips: Tensor, futures: Tensor, path: Path, *, n_past: int) -> None:
    """A line of truth and futures for each clip."""
    lines = []
    for clip, samples in zip(to_float(clips), futures.unbind(1), strict=True):
        named = {f"sample {i}": sample for i, sample in enumerate(samples, 1)}
        lines.append(rows_of(clip[:n_past], named, truth=clip[n_past:]))
    # Of few futures each can be large.
    draw_gif(lines, path, scale=2 if len(futures) < 6 else 1)
