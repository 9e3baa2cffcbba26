"""Models that predict one clip at a time, which some were not made for."""

import dataclasses

from svg_pyro.model.svg import SVG


def predict_single_clips(svg: SVG, name: str) -> None:
    """Let a model predict one clip at a time, and say where that is another way.

    The first code's SVG-LP normalises by the statistics of a call's clips, which one
    clip does not have: its running statistics, which SVG-FP takes there, stand in.

    Parameters
    ----------
    svg : SVG
        Its configuration is changed in place.
    name : str
        What to call it.
    """
    if svg.config.generation_norm == "batch":
        svg.config = dataclasses.replace(svg.config, generation_norm="running")
        print(
            f"{name}: videos are predicted one at a time, so that BatchNorm takes its "
            "running statistics and not those of several clips"
        )
