"""Draw the plates of the program: docs/pictures/plates.svg, by Graphviz's `dot`."""

from pathlib import Path

import pyro
import torch

from svg_pyro import SVG, SVGConfig

if __name__ == "__main__":
    svg = SVG(SVGConfig(channels=1, width=4, g_dim=8, z_dim=3, rnn_size=12))
    frames = torch.rand(2, 5, 1, 64, 64)
    graph = pyro.render_model(svg.model, (frames,), render_distributions=True)
    path = Path(__file__).parent / "pictures" / "plates"
    graph.render(path, format="svg", cleanup=True)
