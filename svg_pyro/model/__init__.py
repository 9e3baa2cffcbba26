"""The paper: SVG, its priors, guides and observation models; start at svg.py."""

# The parts that come with the package have their names before any other can.
from svg_pyro.model import guides, networks, observations, priors

__all__ = ["guides", "networks", "observations", "priors"]
