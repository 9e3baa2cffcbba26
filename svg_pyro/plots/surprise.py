"""The picture of a video's surprise: its frames, the score under them, the moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from svg_pyro.plots.style import (
    colour_of,
    count_in_whole_numbers,
    legend_below,
    new_figure,
    styled,
    write_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 10  # frames side by side
_SIDE = 0.52  # inches of a frame's side


def shown_times(count: int, moments: Sequence[int]) -> list[int]:
    """The frames that the picture shows, counted from 0.

    Parameters
    ----------
    count : int
        Frames of the video.
    moments : sequence of int
        Frames that stand out; as many of the first as there is room for.
    """
    return sorted({*_columns(count), *moments[:COLUMNS]})


@styled
def draw_surprise(
    scores: Sequence[float],
    moments: Sequence[int],
    frames: Mapping[int, torch.Tensor],
    path: str | Path,
) -> None:
    """Frames evenly over the video, the score under them, and what stands out.

    Parameters
    ----------
    scores : sequence of float
        Of each frame, in nats; NaN where there is none.
    moments : sequence of int
        Frames that stand out, counted from 0.
    frames : mapping of int to torch.Tensor
        Those of `shown_times`, ``(C, H, W)`` in [0, 1], on the CPU.
    path : str or Path
        PNG to write; a PDF is written beside it.
    """
    figure, panels = new_figure(3 if moments else 2, 1, row_height=1.0)
    strip, curve = panels[0][0], panels[1][0]
    times = range(len(scores))
    words = "surprise of a frame, less the mean of the frames just before it"
    curve.plot(times, list(scores), color=colour_of(0), label=words)
    if moments:
        high = [scores[t] for t in moments]
        label = "a frame that stands out"
        curve.plot(list(moments), high, "o", color=colour_of(1), ms=4, label=label)
    for axis in (strip, curve):
        axis.set_xlim(-0.5, len(scores) - 0.5)
    curve.set(xlabel="frame", ylabel="relative\nsurprise [nats]")
    count_in_whole_numbers(curve)
    _bare(strip)
    columns = _columns(len(scores))
    for place, t in enumerate(columns):
        x = (place + 0.5) * len(scores) / len(columns) - 0.5
        _put(strip, frames[t], x, 0.5, edge=colour_of(1) if t in moments else "grey")
    if moments:
        last = panels[2][0]
        _bare(last)
        last.set_xlim(0, COLUMNS)
        last.set_title("the frames that stand out", loc="left")
        for place, t in enumerate(moments[:COLUMNS]):
            _put(last, frames[t], place + 0.5, 0.6, edge=colour_of(1))
            last.text(place + 0.5, 0.0, str(t), ha="center", va="bottom", fontsize=7)
    legend_below(figure)
    write_figure(figure, path)


def _columns(count: int) -> list[int]:
    columns = min(COLUMNS, count)
    return [int((i + 0.5) * count / columns) for i in range(columns)]


def _bare(axis: Axes) -> None:
    axis.set(ylim=(0, 1), xticks=[], yticks=[])
    axis.grid(visible=False)
    for side in axis.spines.values():
        side.set_visible(False)


def _put(axis: Axes, frame: torch.Tensor, x: float, y: float, *, edge: str) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    pixels = frame.movedim(0, -1).clamp(0, 1).numpy()
    if pixels.shape[-1] == 1:
        pixels = pixels.repeat(3, -1)
    zoom = _SIDE * 72 / pixels.shape[0]
    axis.add_artist(
        AnnotationBbox(
            OffsetImage(pixels, zoom=zoom),
            (x, y),
            pad=0.1,
            bboxprops={"edgecolor": edge, "linewidth": 1.2},
        )
    )
