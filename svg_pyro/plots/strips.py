"""Rows of frames as pictures: strips (PNG) and animations (GIF, mp4).

Green frames were given to the model, blue ones are the true future, orange ones were
predicted, as a legend below says; a divider stands between the context and what follows
it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps

from svg_pyro.util.files import written_beside

# Of Okabe and Ito (2008), which readers of every colour vision tell apart.
CONTEXT = (0, 158, 115)
TRUTH = (0, 114, 178)
PREDICTED = (213, 94, 0)

_MEANINGS = {CONTEXT: "context", TRUTH: "true future", PREDICTED: "predicted"}

_EDGE = 2  # pixels of the coloured frame
_GAP = 2
_LABEL = 92  # width of the column of row titles
_HEAD = 18  # height of the line of titles, and of the legend's
_SWATCH = 10  # side of a colour in the legend
_DIVIDER = 8  # width of the room between context and future
_REST = 1000  # milliseconds of a GIF's last frame
_COLUMNS = 12  # frames in a strip at most,
_CONTEXT_COLUMNS = 3  # and of them the context's, in such a long one
_LEAST = 96  # pixels of a frame's side in a strip, to which small frames are enlarged


@dataclass(frozen=True)
class Rows:
    """What a picture shows: a line of frames for each title.

    Attributes
    ----------
    frames : dict of str to torch.Tensor
        Titles to frames ``(T, C, H, W)`` in [0, 1], on the CPU; C is 1 or 3.
    n_past : int
        Frames of context, the first of each row.
    true : frozenset of str
        Titles of rows whose later frames are the truth, not predictions.
    given : dict of str to int
        Titles to how many frames the row was given, where not `n_past`.
    """

    frames: Mapping[str, torch.Tensor]
    n_past: int
    true: frozenset[str] = frozenset({"truth"})
    given: Mapping[str, int] | None = None

    def colour(self, title: str, t: int) -> tuple[int, int, int]:
        """The colour around frame `t`, counted from 0, of a row."""
        if t < (self.given or {}).get(title, self.n_past):
            return CONTEXT
        return TRUTH if title in self.true else PREDICTED

    @property
    def colours(self) -> list[tuple[int, int, int]]:
        """The colours that occur, in the order of a legend."""
        seen = {self.colour(k, t) for k in self.frames for t in range(self.steps)}
        return [colour for colour in _MEANINGS if colour in seen]

    @property
    def steps(self) -> int:
        """Frames of a row."""
        return len(next(iter(self.frames.values())))

    @property
    def height(self) -> int:
        """Of a frame, in pixels."""
        return next(iter(self.frames.values())).shape[-2]

    @property
    def width(self) -> int:
        """Of a frame, in pixels."""
        return next(iter(self.frames.values())).shape[-1]


def rows_of(
    context: torch.Tensor,
    futures: Mapping[str, torch.Tensor],
    *,
    truth: torch.Tensor | None = None,
) -> Rows:
    """The rows of a picture of one clip: the truth, and futures after their context.

    Parameters
    ----------
    context : torch.Tensor
        The given frames, ``(n_past, C, H, W)`` in [0, 1].
    futures : dict of str to torch.Tensor
        Titles to predicted frames ``(T - n_past, C, H, W)`` in [0, 1].
    truth : torch.Tensor, optional
        The true future, of the same shape; there is no such row without it.

    Returns
    -------
    Rows
        On the CPU: "truth", then the futures in their order.
    """
    later = dict(futures) if truth is None else {"truth": truth, **futures}
    context = context.cpu()
    frames = {k: torch.cat([context, v.cpu()]) for k, v in later.items()}
    return Rows(frames, len(context))


def draw_strip(rows: Rows, path: str | Path, *, scale: int | None = None) -> None:
    """One line of frames for each row, time from left to right, as PNG.

    Of more than 12 frames, the context's last three and evenly spaced later ones are
    shown, the last one among them.

    Parameters
    ----------
    rows : Rows
        What is drawn.
    path : str or Path
        PNG to write.
    scale : int, optional
        Screen pixels for each pixel; enough for a side of 96 if not given.
    """
    scale = scale or max(1, -(-_LEAST // rows.width))
    font = ImageFont.load_default(13)
    times = _shown(rows.steps, rows.n_past)
    side = rows.width * scale + 2 * _EDGE + _GAP
    high = rows.height * scale + 2 * _EDGE + _GAP
    places, divider = _columns(times, rows.n_past, side)
    size = (places[-1] + side, 2 * _HEAD + len(rows.frames) * high)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for x, t in zip(places, times, strict=True):
        pen.text((x + side // 2, _HEAD // 2), f"t={t + 1}", "black", font, anchor="mm")
    for row, (title, frames) in enumerate(rows.frames.items()):
        y = _HEAD + row * high
        pen.text((_LABEL - 6, y + high // 2), title, "black", font, anchor="rm")
        for x, t in zip(places, times, strict=True):
            sheet.paste(_panel(frames[t], rows.colour(title, t), scale), (x, y))
    _draw_legend(pen, rows, (_LABEL, size[1] - _HEAD // 2), size[0])
    if divider is not None:
        pen.line((divider, 0, divider, size[1] - _HEAD - 1), "black", 2)
    with written_beside(path) as beside:
        sheet.save(beside)


def draw_gif(
    rows: Rows | Sequence[Rows],
    path: str | Path,
    *,
    scale: int = 2,
    frames_per_second: float = 5,
) -> None:
    """All rows side by side, moving in time, as GIF with a count of its frames.

    Parameters
    ----------
    rows : Rows or sequence of Rows
        What is drawn; of several clips, of as many frames and with the same titles, one
        below the other.
    path : str or Path
        GIF to write.
    scale : int
        Screen pixels for each pixel.
    frames_per_second : float
        Speed.
    """
    stills = _stills([rows] if isinstance(rows, Rows) else rows, scale)
    # One palette for all frames: per-frame palettes flicker and are larger. By octree:
    # the median cut gives rare colours to their neighbours (purple becomes maroon).
    palette = _joined(stills).quantize(
        256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    stills = [s.quantize(palette=palette, dither=Image.Dither.NONE) for s in stills]
    times = [round(1000 / frames_per_second)] * len(stills)
    # What a clip has come to can be looked at before it begins again.
    times[-1] = max(times[-1], _REST)
    with written_beside(path) as beside:
        stills[0].save(
            beside,
            save_all=True,
            append_images=stills[1:],
            loop=0,
            duration=times,
        )


def draw_mp4(
    rows: Rows,
    path: str | Path,
    *,
    scale: int = 2,
    frames_per_second: float = 5,
) -> None:
    """All rows side by side, moving in time, as an mp4 film (H.264).

    Parameters
    ----------
    rows : Rows
        What is drawn.
    path : str or Path
        mp4 to write.
    scale : int
        Screen pixels for each pixel.
    frames_per_second : float
        Speed.
    """
    import av

    stills = _stills([rows], scale)
    rate = Fraction(frames_per_second).limit_denominator(1000)
    with written_beside(path) as beside, av.open(str(beside), "w") as film:
        # Players take only this pixel format, and with it only even sizes.
        stream = film.add_stream("libx264", rate=rate, options={"crf": "12"})
        stream.width, stream.height = (n + n % 2 for n in stills[0].size)
        stream.pix_fmt = "yuv420p"
        for still in stills:
            still = ImageOps.pad(still, (stream.width, stream.height), color="white")
            picture = av.VideoFrame.from_ndarray(np.asarray(still), format="rgb24")
            film.mux(stream.encode(picture))
        film.mux(stream.encode())


def _panel(
    frame: torch.Tensor,
    colour: tuple[int, int, int],
    scale: int,
) -> Image.Image:
    """One video frame (C, H, W) in [0, 1] as RGB pixels with a coloured border."""
    values = np.asarray(frame).clip(0, 1) * 255
    pixels = values.round().astype(np.uint8).transpose(1, 2, 0)
    pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    pixels = pixels.repeat(scale, 0).repeat(scale, 1)
    return ImageOps.expand(Image.fromarray(pixels), _EDGE, colour)


def _draw_legend(
    pen: ImageDraw.ImageDraw, rows: Rows, place: tuple[int, int], end: float
) -> None:
    """What the colours mean, from a place to the right; nothing if it ends too late."""
    if len(rows.colours) < 2:
        return
    font = ImageFont.load_default(13)
    x, y = place
    entries = []
    for colour in rows.colours:
        entries.append((x, colour))
        x += _SWATCH + 4 + round(font.getlength(_MEANINGS[colour])) + 14
    if x > end:
        return
    half = _SWATCH // 2
    for left, colour in entries:
        pen.rectangle((left, y - half, left + _SWATCH, y + half), colour)
        words = left + _SWATCH + 4, y
        pen.text(words, _MEANINGS[colour], "black", font, anchor="lm")


def _shown(steps: int, n_past: int) -> Sequence[int]:
    """The times of which a strip shows the frames, counted from 0."""
    if steps <= _COLUMNS:
        return range(steps)
    context = list(range(min(n_past, steps)))[-_CONTEXT_COLUMNS:]
    future = np.linspace(n_past, steps - 1, _COLUMNS - len(context))
    return [*context, *np.unique(future.round().astype(int)).tolist()]


def _columns(
    times: Sequence[int],
    n_past: int,
    side: int,
) -> tuple[list[int], int | None]:
    """Where columns begin, and where the divider between context and future stands."""
    context = sum(t < n_past for t in times)
    room = _DIVIDER if 0 < context < len(times) else 0
    places = [
        _LABEL + i * side + (room if i >= context else 0) for i in range(len(times))
    ]
    return places, places[context] - room // 2 - _GAP // 2 if room else None


def _stills(clips: Sequence[Rows], scale: int) -> list[Image.Image]:
    """For each time a picture, with its number below: a line for each clip.

    In a line are the clip's rows, side by side.
    """
    font = ImageFont.load_default(13)
    first = clips[0]
    side = first.width * scale + 2 * _EDGE + _GAP
    high = first.height * scale + 2 * _EDGE + _GAP
    stills = []
    for t in range(first.steps):
        size = (len(first.frames) * side, len(clips) * high + 2 * _HEAD)
        sheet = Image.new("RGB", size, "white")
        pen = ImageDraw.Draw(sheet)
        for i, title in enumerate(first.frames):
            x = i * side + side // 2
            pen.text((x, _HEAD // 2), title, "black", font, anchor="mm")
            for j, rows in enumerate(clips):
                panel = _panel(rows.frames[title][t], rows.colour(title, t), scale)
                sheet.paste(panel, (i * side, _HEAD + j * high))
        words = f"{t + 1}/{first.steps}"
        place = (size[0] - 4, size[1] - _HEAD // 2)
        pen.text(place, words, "black", font, anchor="rm")
        room = place[0] - font.getlength(words)
        _draw_legend(pen, first, (4, place[1]), room)
        stills.append(sheet)
    return stills


def _joined(stills: Sequence[Image.Image]) -> Image.Image:
    """The stills one below the other."""
    width, height = stills[0].size
    sheet = Image.new("RGB", (width, height * len(stills)))
    for i, still in enumerate(stills):
        sheet.paste(still, (0, i * height))
    return sheet
