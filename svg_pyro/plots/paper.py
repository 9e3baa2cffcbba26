"""The paper's figures, drawn from the numbers of `svg_pyro.evaluation.paper`."""

import numpy as np
from matplotlib.figure import Figure

from svg_pyro.util.files import written_beside

_EDGE_COLOURS = ("tab:red", "tab:blue", "tab:green", "tab:purple")
_FURTHEST = 6  # pixels; what is further is counted there
_DOTS = 110  # per inch


def draw_curves(panels, n_past, path):
    """Curves against time, one panel beside the other.

    Parameters
    ----------
    panels : dict of str to dict
        Titles to curves: names to ``(values, half_width)`` of the frames after the
        context, shape ``(horizon,)``; `half_width` of a band, or None for none.
    n_past : int
        Frames of context.
    path : str or Path
        PNG to write.
    """
    figure, axes = _panels(len(panels))
    for axis, (title, curves) in zip(axes, panels.items()):
        for name, (values, half) in curves.items():
            values = np.asarray(values)
            times = np.arange(len(values)) + n_past + 1
            style = {"color": "black"} if name == "truth" else {}
            (line,) = axis.plot(times, values, label=name, **style)
            if half is not None:
                band = {"alpha": 0.2, "color": line.get_color(), "linewidth": 0}
                half = np.asarray(half)
                axis.fill_between(times, values - half, values + half, **band)
        axis.set(title=title, xlabel="frame")
        axis.legend()
    _write(figure, path)


def draw_displacements(displacements, path):
    """Histograms of a digit's displacement after a bounce, truth beside models.

    Parameters
    ----------
    displacements : dict of str to torch.Tensor
        Names to int64 ``(..., 2)`` in pixels: away from the edge, and along it.
    path : str or Path
        PNG to write. Displacements beyond 6 pixels are counted at 6.
    """
    figure, axes = _panels(2)
    places = np.arange(-_FURTHEST, _FURTHEST + 1)
    width = 0.8 / len(displacements)
    for side, title in enumerate(("away from the edge", "along the edge")):
        for i, (name, values) in enumerate(displacements.items()):
            moved = np.asarray(values[..., side]).clip(-_FURTHEST, _FURTHEST).ravel()
            counts = np.bincount(moved + _FURTHEST, minlength=len(places))
            shares = counts / len(moved)
            shift = (i - (len(displacements) - 1) / 2) * width
            style = {"color": "black"} if name == "truth" else {}
            axes[side].bar(places + shift, shares, width, label=name,
                           **style)  # fmt: skip
        axes[side].set(title=title, xlabel="displacement [pixels]", ylabel="share")
        axes[side].legend()
    _write(figure, path)


def draw_prior(scales, bounces, path):
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
        PNG to write.
    """
    figure, axes = _panels(len(scales), beside=False)
    for axis, (name, scale) in zip(axes, scales.items()):
        times = np.arange(scale.shape[1]) + 2
        mean, spread = (v.numpy() for v in (scale.mean(0), scale.std(0, correction=0)))
        axis.plot(times, mean, color="black", linewidth=1)
        axis.fill_between(times, mean - spread, mean + spread, color="0.8")
        for digit, bounced in enumerate(bounces[:-1].T):
            colour = _EDGE_COLOURS[digit % len(_EDGE_COLOURS)]
            for t in bounced.nonzero()[:, 0].tolist():
                # Frame t, counted from 0; the next one, counted from 1.
                axis.axvline(t + 2, color=colour, linewidth=0.8, alpha=0.7)
        axis.set(
            title=f"{name}, {len(scale)} sequences", xlabel="frame",
            ylabel="standard deviation of p(z)", xlim=(1, scale.shape[1] + 2),
        )  # fmt: skip
    _write(figure, path)


def _panels(count, beside=True):
    size = (5 * count, 3.6) if beside else (11, 3.2 * count)
    figure = Figure(figsize=size, layout="constrained")
    grid = (1, count) if beside else (count, 1)
    axes = figure.subplots(*grid, squeeze=False).flatten()
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure, axes


def _write(figure, path):
    with written_beside(path) as beside:
        figure.savefig(beside, dpi=_DOTS)
