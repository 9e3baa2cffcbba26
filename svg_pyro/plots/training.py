"""The curve of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svg_pyro.plots.style import colour_of, new_figure, styled, write_figure
from svg_pyro.util.log_lines import parse_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@styled
def draw_training(log_path: str | Path, path: str | Path) -> None:
    """The curves of a training log: likelihood, KL and learning rate against step.

    Parameters
    ----------
    log_path : str or Path
        ``metrics.jsonl`` of a run; lines of other kinds are passed over.
    path : str or Path
        PNG to write; a PDF is written beside it.
    """
    with open(log_path, "rb") as log:
        lines = [values for line in log if (values := parse_line(line)) is not None]
    figure, (axes,) = new_figure(1, 3)
    _curve(axes[0], lines, "nll", "negative log-likelihood [nats/frame]")
    _curve(axes[1], lines, "kl", "KL(q || p) [nats/frame]")
    _curve(axes[2], lines, "lr", "learning rate")
    for axis in axes[1:]:
        axis.set_ylim(bottom=0)
    write_figure(figure, path)


def _curve(
    axis: Axes,
    lines: Sequence[Mapping[str, Any]],
    key: str,
    title: str,
) -> None:
    pairs = ((key, "training"), (f"validation_{key}", "held out"))
    for place, (name, label) in enumerate(pairs):
        points = [(line["step"], line[name]) for line in lines if name in line]
        if points:
            style = "o-" if label == "held out" else "-"
            steps, values = zip(*points, strict=True)
            axis.plot(
                steps, values, style, label=label, markersize=3, color=colour_of(place)
            )
    axis.set(title=title, xlabel="step")
    if key != "lr":
        axis.legend()
