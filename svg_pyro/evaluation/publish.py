"""The folder of a finished evaluation: numbers, figures, pictures and the report."""

import re
from pathlib import Path

from svg_pyro.data.base import name_of
from svg_pyro.evaluation.collect import results_of
from svg_pyro.evaluation.pictures import Picture, pictures
from svg_pyro.evaluation.result_files import write_curves, write_results
from svg_pyro.evaluation.results import EvaluationResults
from svg_pyro.evaluation.runner import Evaluation
from svg_pyro.plots.evaluation import draw_calibration, draw_latents, draw_scores
from svg_pyro.plots.report import ReportPicture, write_report
from svg_pyro.plots.strips import draw_gif, draw_strip
from svg_pyro.util.progress import progress

_FIGURES = {
    "calibration": draw_calibration,
    "latents": draw_latents,
}


def publish(evaluation: Evaluation) -> EvaluationResults:
    """Write ``results.json``, ``curves.csv``, figures, pictures and ``report.html``.

    Parameters
    ----------
    evaluation : Evaluation
        Finished.

    Returns
    -------
    EvaluationResults
        What the files show.
    """
    out = evaluation.out
    results = results_of(evaluation)
    write_results(results, out / "results.json")
    write_curves(results, out / "curves.csv")
    figures = {}
    for protocol in results.settings.protocols:
        path = out / "figures" / f"scores_{protocol}.svg"
        draw_scores(results, path, protocol)
        figures[protocol] = path
    for name, draw in _FIGURES.items():
        path = out / "figures" / f"{name}.svg"
        if draw(results, path):
            figures[name] = path
    drawn = _draw_pictures(evaluation)
    write_report(results, out / "report.html", figures=figures, pictures=drawn)
    return results


def _draw_pictures(evaluation: Evaluation) -> list[ReportPicture]:
    out = evaluation.out / "pictures"
    names = [c.name for c in evaluation.candidates if not c.is_baseline]
    count = len(names) * min(evaluation.settings.pictures, evaluation.clips)
    scale = max(1, 128 // evaluation.data.image_size)  # so that 64 pixels can be seen
    drawn = []
    with progress(total=count, desc="drawing", unit="picture") as bar:
        for picture in pictures(evaluation):
            # Names may differ in what file names cannot show.
            number = names.index(picture.name) + 1
            name = re.sub(
                r"\W+", "_", f"clip_{picture.clip + 1}_{number}_{picture.name}"
            )
            gif, png = out / f"{name}.gif", out / f"{name}.png"
            draw_gif(picture.rows, gif, scale=scale)
            draw_strip(picture.rows, png)
            drawn.append(_entry(evaluation, picture, gif, png))
            bar.update()
    return drawn


def _entry(
    evaluation: Evaluation, picture: Picture, gif: Path, png: Path
) -> ReportPicture:
    words = ""
    if picture.scale is not None:
        words = f"Spread and error are brightest from {picture.scale:.3f} on."
    # The folders are those of all clips, which the page's first lines name.
    name = re.sub(r".*[/\\]", "", name_of(evaluation.data, picture.clip))
    return ReportPicture(picture.clip, name, picture.name, words, gif, png)
