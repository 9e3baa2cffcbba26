"""The picture of who does how many tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from svg_pyro.plots.style import COLUMN, colour_of, new_figure, styled, write_figure


@dataclass(frozen=True)
class Share:
    """A share of tasks that were done, with its interval.

    Attributes
    ----------
    name : str
        Who did them.
    share, low, high : float
        0 to 1.
    """

    name: str
    share: float
    low: float
    high: float


@styled
def draw_shares(shares: Sequence[Share], path: str | Path) -> None:
    """Bars of shares from top to bottom, with their 95 % intervals.

    Parameters
    ----------
    shares : sequence of Share
        In the order of the bars.
    path : str or Path
        PNG to write; a PDF is written beside it.
    """
    height = 0.4 + 0.26 * len(shares)
    figure, panels = new_figure(1, 1, width=COLUMN, row_height=height)
    axis = panels[0][0]
    places = range(len(shares))
    axis.barh(
        places,
        [100 * share.share for share in shares],
        xerr=[
            [100 * (share.share - share.low) for share in shares],
            [100 * (share.high - share.share) for share in shares],
        ],
        color=colour_of(0),
        ecolor="black",
        capsize=2,
        height=0.6,
    )
    axis.set_yticks(places, [share.name for share in shares])
    axis.invert_yaxis()
    axis.set(xlabel="tasks done, and 95 % interval [%]", xlim=(0, 100))
    write_figure(figure, path)
