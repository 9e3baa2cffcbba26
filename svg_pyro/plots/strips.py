"""Pictures: strips and animations of futures, and the curve of a training run."""

from fractions import Fraction

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from svg_pyro.util.files import written_beside

CONTEXT, PREDICTED = (40, 160, 60), (205, 45, 40)
_EDGE = 2  # pixels of the coloured frame
_GAP = 2
_LABEL = 92  # width of the column of row titles
_HEAD = 18  # height of the line of titles
_COLUMNS = 24  # frames in a strip at most,
_CONTEXT_COLUMNS = 4  # and of them the context's, in such a long one


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

    Notes
    -----
    Of more than 24 frames, all of the context's last four and evenly spaced later
    ones are shown.
    """
    font = ImageFont.load_default(13)
    first = next(iter(rows.values()))
    times, side = _shown(len(first), n_past), first.shape[-1] * scale + 2 * _EDGE + _GAP
    size = (_LABEL + len(times) * side, _HEAD + len(rows) * side)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for column, t in enumerate(times):
        x = _LABEL + column * side + side // 2
        pen.text((x, _HEAD // 2), f"t={t + 1}", "black", font, anchor="mm")
    for row, (title, frames) in enumerate(rows.items()):
        y = _HEAD + row * side
        pen.text((_LABEL - 6, y + side // 2), title, "black", font, anchor="rm")
        for column, t in enumerate(times):
            colour = _colour(title, t, _posterior_start(title, n_past))
            place = (_LABEL + column * side, y)
            sheet.paste(_panel(frames[t], colour, scale), place)
    with written_beside(path) as beside:
        sheet.save(beside)


def _shown(steps, n_past):
    """The times of which a strip shows the frames, counted from 0."""
    if steps <= _COLUMNS:
        return range(steps)
    context = list(range(n_past))[-_CONTEXT_COLUMNS:]
    future = np.linspace(n_past, steps - 1, _COLUMNS - len(context))
    return [*context, *np.unique(future.round().astype(int)).tolist()]


def draw_gif(rows, n_past, path, scale=2, frames_per_second=5):
    """All rows side by side, moving in time, as GIF.

    Parameters
    ----------
    rows, n_past, path, scale
        As in `draw_strip`.
    frames_per_second : float
    """
    stills = _stills(rows, n_past, scale)
    # One palette for all frames: per-frame palettes flicker and are larger.
    palette = _joined(stills).quantize(256, dither=Image.Dither.NONE)
    stills = [s.quantize(palette=palette, dither=Image.Dither.NONE) for s in stills]
    with written_beside(path) as beside:
        stills[0].save(
            beside, save_all=True, append_images=stills[1:], loop=0,
            duration=round(1000 / frames_per_second),
        )  # fmt: skip


def draw_mp4(rows, n_past, path, scale=2, frames_per_second=5):
    """All rows side by side, moving in time, as an mp4 film (H.264).

    Parameters
    ----------
    rows, n_past, path, scale, frames_per_second
        As in `draw_gif`.
    """
    stills = _stills(rows, n_past, scale)
    rate = Fraction(frames_per_second).limit_denominator(1000)
    with written_beside(path) as beside, av.open(str(beside), "w") as film:
        # Players take only this pixel format, and with it only even sizes.
        stream = film.add_stream("libx264", rate=rate, options={"crf": "12"})
        stream.width, stream.height = (n + n % 2 for n in stills[0].size)
        stream.pix_fmt = "yuv420p"
        for still in stills:
            still = ImageOps.pad(still, (stream.width, stream.height), color="white")
            film.mux(stream.encode(av.VideoFrame.from_image(still)))
        film.mux(stream.encode())


def _stills(rows, n_past, scale):
    """A picture of all rows side by side for each time."""
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
    return stills


def _joined(stills):
    """The stills one below the other."""
    width, height = stills[0].size
    sheet = Image.new("RGB", (width, height * len(stills)))
    for i, still in enumerate(stills):
        sheet.paste(still, (0, i * height))
    return sheet
