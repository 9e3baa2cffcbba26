"""The paper: SVG, its priors, guides and observation models; start at svg.py."""
