"""Pictures: strips and animations of futures, and the curve of a training run."""

import json

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from svg_pyro.files import written_beside

CONTEXT, PREDICTED = (40, 160, 60), (205, 45, 40)
_EDGE = 2  # pixels of the coloured frame
_GAP = 2
_LABEL = 92  # width of the column of row titles
_HEAD = 18  # height of the line of titles


def _panel(frame, colour, scale):
    """One video frame (C, H, W) in [0, 1] as RGB pixels with a coloured border."""
    pixels = np.asarray(frame).clip(0, 1) * 255
    pixels = pixels.round().astype(np.uint8).transpose(1, 2, 0)
    pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    pixels = pixels.repeat(scale, 0).repeat(scale, 1)
    edges = ((_EDGE, _EDGE), (_EDGE, _EDGE))
    bordered = [
        np.pad(pixels[..., i], edges, constant_values=colour[i]) for i in range(3)
    ]
    return Image.fromarray(np.stack(bordered, -1))


def _colour(title, t, n_past):
    """Green where the picture shows what was given, red where it was predicted."""
    return CONTEXT if title == "truth" or t < n_past else PREDICTED


def _posterior_start(title, n_past):
    # The approximate posterior decodes every frame but the first.
    return 1 if title == "posterior" else n_past


def draw_strip(rows, n_past, path, scale=1):
    """One line of frames for each row, time from left to right, as PNG.

    Parameters
    ----------
    rows : dict of str to torch.Tensor
        Titles to frames ``(T, C, H, W)`` in [0, 1].
    n_past : int
        Frames framed green (context); later ones are red (predicted).
    path : str or Path
    scale : int
        Screen pixels for each pixel.
    """
    font = ImageFont.load_default(13)
    first = next(iter(rows.values()))
    steps, side = len(first), first.shape[-1] * scale + 2 * _EDGE + _GAP
    sheet = Image.new("RGB", (_LABEL + steps * side, _HEAD + len(rows) * side), "white")
    pen = ImageDraw.Draw(sheet)
    for t in range(steps):
        x = _LABEL + t * side + side // 2
        pen.text((x, _HEAD // 2), f"t={t + 1}", "black", font, anchor="mm")
    for row, (title, frames) in enumerate(rows.items()):
        y = _HEAD + row * side
        pen.text((_LABEL - 6, y + side // 2), title, "black", font, anchor="rm")
        for t, frame in enumerate(frames):
            colour = _colour(title, t, _posterior_start(title, n_past))
            sheet.paste(_panel(frame, colour, scale), (_LABEL + t * side, y))
    with written_beside(path) as beside:
        sheet.save(beside)


def draw_gif(rows, n_past, path, scale=2, frames_per_second=5):
    """All rows side by side, moving in time, as GIF.

    Parameters
    ----------
    rows, n_past, path, scale
        As in `draw_strip`.
    frames_per_second : float
    """
    font = ImageFont.load_default(13)
    first = next(iter(rows.values()))
    side = first.shape[-1] * scale + 2 * _EDGE + _GAP
    stills = []
    for t in range(len(first)):
        sheet = Image.new("RGB", (len(rows) * side, _HEAD + side), "white")
        pen = ImageDraw.Draw(sheet)
        for i, (title, frames) in enumerate(rows.items()):
            x = i * side + side // 2
            pen.text((x, _HEAD // 2), title, "black", font, anchor="mm")
            colour = _colour(title, t, _posterior_start(title, n_past))
            sheet.paste(_panel(frames[t], colour, scale), (i * side, _HEAD))
        stills.append(sheet)
    # One palette for all frames: per-frame palettes flicker and are larger.
    palette = _joined(stills).quantize(256, dither=Image.Dither.NONE)
    stills = [s.quantize(palette=palette, dither=Image.Dither.NONE) for s in stills]
    with written_beside(path) as beside:
        stills[0].save(
            beside, save_all=True, append_images=stills[1:], loop=0,
            duration=round(1000 / frames_per_second),
        )  # fmt: skip


def _joined(stills):
    """The stills one below the other."""
    width, height = stills[0].size
    sheet = Image.new("RGB", (width, height * len(stills)))
    for i, still in enumerate(stills):
        sheet.paste(still, (0, i * height))
    return sheet


def draw_training(log_path, path):
    """The curves of a training log: likelihood, KL and learning rate against step.

    Parameters
    ----------
    log_path : str or Path
        ``metrics.jsonl`` of a run.
    path : str or Path
        PNG to write.
    """
    with open(log_path) as log:
        lines = [json.loads(line) for line in log]
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    _curve(axes[0], lines, "nll", "negative log-likelihood [nats/frame]")
    _curve(axes[1], lines, "kl", "KL(q || p) [nats/frame]")
    _curve(axes[2], lines, "lr", "learning rate")
    axes[1].set_ylim(bottom=0)
    with written_beside(path) as beside:
        figure.savefig(beside, dpi=100)


def _curve(axis, lines, key, title):
    for name, label in ((key, "training"), (f"validation_{key}", "held out")):
        points = [(line["step"], line[name]) for line in lines if name in line]
        if points:
            style = "o-" if label == "held out" else "-"
            axis.plot(*zip(*points), style, label=label, markersize=4)
    axis.set(title=title, xlabel="step")
    axis.grid(alpha=0.3)
    if key != "lr":
        axis.legend()
