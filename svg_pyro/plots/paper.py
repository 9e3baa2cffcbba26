"""The paper's figures, drawn from the numbers of `svg_pyro.evaluation.paper`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from svg_pyro.plots.style import (
    TRUTH_COLOUR,
    colour_of,
    count_in_whole_numbers,
    legend_below,
    new_figure,
    spelled_out,
    styled,
    write_figure,
)

_FURTHEST = 6  # pixels; what is further is counted there


@styled
def draw_curves(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike | None]]],
    n_past: int,
    path: str | Path,
) -> None:
    """Curves against time, one panel beside the other.

    Parameters
    ----------
    panels : dict of str to dict
        Titles to curves: names to ``(values, half_width)`` of the frames after the
        context, shape ``(horizon,)``; `half_width` of a band, or None for none.
    n_past : int
        Frames of context.
    path : str or Path
        PNG to write; a PDF is written beside it.
    """
    figure, (axes,) = new_figure(1, len(panels))
    banded = False
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        for place, (name, (curve, half)) in enumerate(curves.items()):
            values = np.asarray(curve)
            times = np.arange(len(values)) + n_past + 1
            colour = _colour(name, place)
            axis.plot(times, values, label=spelled_out(name), color=colour)
            if half is not None:
                low, high = values - np.asarray(half), values + np.asarray(half)
                axis.fill_between(times, low, high, alpha=0.2, color=colour, lw=0)
                banded = True
        axis.set(title=title, xlabel="frame")
        count_in_whole_numbers(axis)
    band = "; band: 95 % interval of it" if banded else ""
    legend_below(figure, title=f"line: mean over clips{band}")
    write_figure(figure, path)


@styled
def draw_displacements(
    displacements: Mapping[str, torch.Tensor],
    path: str | Path,
) -> None:
    """Histograms of a digit's displacement after a bounce, truth beside models.

    Parameters
    ----------
    displacements : dict of str to torch.Tensor
        Names to int64 ``(..., 2)`` in pixels: away from the edge, and along it.
    path : str or Path
        PNG to write, a PDF beside it. Displacements beyond 6 pixels are counted at 6.
    """
    figure, (axes,) = new_figure(1, 2)
    places = np.arange(-_FURTHEST, _FURTHEST + 1)
    width = 0.8 / len(displacements)
    for side, title in enumerate(("away from the edge", "along the edge")):
        for i, (name, values) in enumerate(displacements.items()):
            moved = np.asarray(values[..., side]).clip(-_FURTHEST, _FURTHEST).ravel()
            counts = np.bincount(moved + _FURTHEST, minlength=len(places))
            shares = counts / len(moved)
            shift = (i - (len(displacements) - 1) / 2) * width
            colour = _colour(name, i)
            label = spelled_out(name)
            axes[side].bar(places + shift, shares, width, label=label, color=colour)
        axes[side].set(title=title, xlabel="displacement [pixels]", ylabel="share")
    legend_below(figure, title="bar: share of the bounces")
    write_figure(figure, path)


@styled
def draw_prior(
    scales: Mapping[str, torch.Tensor],
    bounces: torch.Tensor,
    path: str | Path,
) -> None:
    """The prior's standard deviation against time, with the bounces marked.

    Mean and one standard deviation over clips that move alike, as in Figure 6 of
    Denton & Fergus (2018). A line marks each frame after a bounce, a colour for
    each digit.

    Parameters
    ----------
    scales : dict of str to torch.Tensor
        Names to the prior's standard deviation for frames 2..T, ``(B, T-1)``.
    bounces : torch.Tensor
        bool ``(T, D)``: in which frames of all clips the digits bounced.
    path : str or Path
        PNG to write; a PDF is written beside it.
    """
    figure, axes = new_figure(len(scales), 1)
    for (axis,), (name, scale) in zip(axes, scales.items(), strict=True):
        times = np.arange(scale.shape[1]) + 2
        mean, spread = (v.numpy() for v in (scale.mean(0), scale.std(0, correction=0)))
        axis.plot(times, mean, color="black", linewidth=1, label="mean over clips")
        words = "one standard deviation over clips"
        low, high = mean - spread, mean + spread
        axis.fill_between(times, low, high, color="0.8", label=words)
        for digit, bounced in enumerate(bounces[:-1].T):
            label = f"after a bounce of digit {digit + 1}"
            for t in bounced.nonzero()[:, 0].tolist():
                # Frame t, counted from 0; the next one, counted from 1.
                axis.axvline(t + 2, color=colour_of(digit), linewidth=0.8, label=label)
                label = "_nolegend_"
        axis.set(
            title=f"{spelled_out(name)}, {len(scale)} sequences",
            xlabel="frame",
            ylabel="standard deviation of p(z)",
            xlim=(1, scale.shape[1] + 2),
        )
        count_in_whole_numbers(axis)
    legend_below(figure)
    write_figure(figure, path)


def _colour(name: str, place: int) -> str:
    return TRUTH_COLOUR if name == "truth" else colour_of(place)
