"""The curve of a training run."""

import json

from matplotlib.figure import Figure

from svg_pyro.util.files import written_beside


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
