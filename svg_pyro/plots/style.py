"""The one style of all figures: sizes, colours, fonts, files."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from svg_pyro.util.files import written_beside

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")

COLUMN, PAGE = 3.3, 6.8  # inches: the width of a column, and of two
TRUTH_COLOUR = "black"
# Of Okabe and Ito (2008), which readers of every colour vision tell apart.
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
)
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "legend.fontsize": 7.0,
    "legend.title_fontsize": 7.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "lines.linewidth": 1.2,
    "svg.fonttype": "none",
    "svg.hashsalt": "svg_pyro",
    "pdf.fonttype": 42,  # text stays text
}
# What the paper's short names stand for, by the configuration's prior.
_MODELS = {
    "learned": "SVG with learned prior",
    "fixed": "SVG with fixed prior",
    "none": "SVG without latent variables",
}
_SHORT_NAMES = {"SVG-LP": "learned", "SVG-FP": "fixed"}
# Without dates, equal numbers give equal files.
_METADATA: Mapping[str, Mapping[str, None]] = {
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
    ".png": {},
}


def colour_of(place: int) -> str:
    """The colour of the `place`-th thing that is compared, counted from 0."""
    return COLOURS[place % len(COLOURS)]


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Decorate what draws a figure: all of it has the style, its titles too.

    matplotlib takes the size of a title, and of a legend, when that is made.

    Parameters
    ----------
    draw : callable
        Makes a figure by `new_figure` and writes it by `write_figure`.

    Returns
    -------
    callable
        The same; matplotlib's settings are afterwards what they were.
    """

    @functools.wraps(draw)
    def draw_in_style(*args: P.args, **kwargs: P.kwargs) -> T:
        from matplotlib import rc_context

        with rc_context(_STYLE):
            return draw(*args, **kwargs)

    return draw_in_style


def model_words(config: Mapping[str, Any] | None) -> str:
    """What a candidate is, in words.

    Parameters
    ----------
    config : dict or None
        Of the model; None for a baseline.

    Returns
    -------
    str
        "SVG with learned prior" for SVG-LP, and so on.
    """
    if config is None:
        return "baseline"
    prior = config.get("prior")
    return _MODELS.get(str(prior), f"SVG with {prior} prior")


def spelled_out(name: str) -> str:
    """A name for a legend: with what the paper's short name stands for, if it is one.

    Parameters
    ----------
    name : str
        Of a model.

    Returns
    -------
    str
        "SVG-LP: SVG with learned prior" for "SVG-LP"; any other name as it is.
    """
    prior = _SHORT_NAMES.get(name)
    return name if prior is None else f"{name}: {_MODELS[prior]}"


def new_figure(
    rows: int,
    columns: int,
    *,
    width: float = PAGE,
    row_height: float = 2.1,
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of panels, for a function that is `styled`.

    Parameters
    ----------
    rows, columns : int
        Panels below and beside each other.
    width : float
        Of the figure, in inches.
    row_height : float
        Of a row, in inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
        With room for a legend below.
    axes : list of list of matplotlib.axes.Axes
        By row and column.
    """
    from matplotlib.figure import Figure

    size = (width, row_height * rows + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.grid(alpha=0.3)
    return figure, axes.tolist()


def count_in_whole_numbers(axis: Axes) -> None:
    """Let a panel's horizontal axis, of frames say, have no fractions at its ticks.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
        The panel.
    """
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def legend_below(
    figure: Figure,
    *,
    handles: Sequence[Artist] | None = None,
    title: str | None = None,
) -> None:
    """One legend below all panels, in which each label stands once.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What gets the legend.
    handles : sequence of matplotlib.artist.Artist, optional
        What stands in it, with labels; all that has a label in the panels if not given.
    title : str, optional
        What holds of all of them.
    """
    if handles is None:
        labelled: dict[str, Artist] = {}
        for axis in figure.axes:
            artists, labels = axis.get_legend_handles_labels()
            labelled = dict(zip(labels, artists, strict=True)) | labelled
        handles = list(labelled.values())
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=2,
        frameon=False,
        title=title,
    )


def write_figure(
    figure: Figure,
    path: str | Path,
    *,
    endings: tuple[str, ...] = (".png", ".pdf"),
) -> None:
    """Write a figure as files of one name: pixels, and vectors beside them.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What is written.
    path : str or Path
        Where; its ending is replaced.
    endings : tuple of str
        Of ".png", ".pdf" and ".svg".
    """
    path = Path(path)
    # Once for all files: the layout is most of the work.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for ending in endings:
        with written_beside(path.with_suffix(ending)) as beside:
            figure.savefig(beside, dpi=200, metadata=dict(_METADATA[ending]))
