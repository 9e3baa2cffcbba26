"""One HTML page that shows an evaluation and needs no other file and no script."""

import base64
import math
from html import escape
from pathlib import Path

from svg_pyro.util.files import written_beside

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 84em;
       padding: 0 1em; color: #222; background: #fff }
h1 { font-size: 1.6em } h2 { font-size: 1.25em; margin-top: 2.2em } h3 { font-size: 1em }
table { border-collapse: collapse; margin: .8em 0; font-variant-numeric: tabular-nums }
th, td { padding: .25em .6em; text-align: right; white-space: nowrap;
         border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
thead th { border-bottom: 2px solid #888 }
.scroll { overflow-x: auto } figure { margin: 1em 0 }
figure svg, img { max-width: 100%; height: auto }
img { image-rendering: pixelated } .note { color: #666 } code { font-size: .9em }
"""
_METRICS = {
    "psnr": ("PSNR [dB]", 2), "ssim": ("SSIM", 4), "mse": ("MSE", 5), "lpips": ("LPIPS", 4),
}  # fmt: skip
_PROTOCOLS = {
    "svg": "The first code of SVG (Denton and Fergus 2018): SSIM by a 7x7 uniform window; "
    "best and worst sample by the mean SSIM over time, for all metrics.",
    "srvp": "SRVP (Franceschi et al. 2020): SSIM by an 11x11 Gaussian window; each "
    "metric chooses its own best and worst sample by its mean over time.",
    "finn": "Finn et al. (2016), as in the first code of SVG: SSIM by an 11x11 Gaussian "
    "window. That each metric chooses its own sample is an addition.",
}


def write_report(results, figures, pictures, path):
    """Write the page.

    Parameters
    ----------
    results : svg_pyro.evaluation.EvaluationResults
        What is shown.
    figures : dict of str to str or Path
        SVG files by "scores", "calibration" and "latents", of what there is.
    pictures : list of dict
        Each with "title", "caption", and "gif" and "png", files that become part of
        the page.
    path : str or Path
    """
    settings = results.settings
    parts = [
        f"<h1>Evaluation: {settings.n_past} frames of context, "
        f"{settings.horizon} predicted</h1>",
        _about(results),
        *(_scores(results, protocol) for protocol in settings.protocols),
        "<h2>Scores against time</h2>" + _figure(figures.get("scores")),
        _calibration(results, _figure(figures.get("calibration"))),
        _likelihood(results, _figure(figures.get("latents"))),
        *(_picture(p) for p in pictures),
    ]
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>svg_pyro evaluation</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body></html>\n"
    )
    with written_beside(path) as beside:
        beside.write_text(page, encoding="utf-8")


def number(value, digits):
    """A number of the results as text: infinity and what is undefined have signs."""
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.{digits}f}"


def table(head, rows):
    """An HTML table; all cells are text."""
    head = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def score_rows(results, protocol):
    """Head and rows of a protocol's table: headline figures of every predictor."""
    candidates = results.candidates
    metrics = [m for m in _METRICS if m in candidates[0].scores[protocol]]
    head = ["", "samples"]
    for metric in metrics:
        name = _METRICS[metric][0]
        head += [f"{name}, best", "mean", "worst"]
    with_fvd = any(c.fvd is not None for c in candidates)
    if with_fvd:
        head.append("FVD")
    rows = []
    for candidate in candidates:
        row = [candidate.name, str(candidate.num_samples)]
        for metric in metrics:
            kinds, digits = candidate.scores[protocol][metric], _METRICS[metric][1]
            row.append(_interval(kinds["best"], digits))
            row += [number(kinds[k].mean, digits) for k in ("mean", "worst")]
        if with_fvd:
            row.append(number(candidate.fvd, 1))
        rows.append(row)
    return head, rows


def _interval(score, digits):
    text = number(score.mean, digits)
    if not math.isnan(score.half_width):
        text += f" ± {number(score.half_width, digits)}"
    if score.infinite_clips:
        text += f" ({score.infinite_clips} clips ∞)"
    return text


def _about(results):
    settings = results.settings
    rows = [
        [c.name, c.checkpoint or "", (c.sha256 or "")[:16],
         "" if c.step is None else str(c.step)]
        for c in results.candidates
    ]  # fmt: skip
    return (
        f"<p>{escape(results.data)}; {results.clips} clips; seed "
        f"{settings.seed}; svg_pyro {escape(results.version)}.</p>"
        + table(["predictor", "checkpoint", "SHA-256", "step"], rows)
    )


def _scores(results, protocol):
    return (
        f"<h2>Scores, protocol {escape(protocol)}</h2>"
        f'<p class="note">{_PROTOCOLS[protocol]} Means over clips of means over frames, '
        "± 1.96 standard errors. Equal frames have an infinite PSNR: clips with "
        "such frames are counted, and left out of the means of PSNR.</p>"
        + table(*score_rows(results, protocol))
    )


def _calibration(results, figure):
    rows = []
    for candidate in results.candidates:
        judged = candidate.calibration
        if judged is not None:
            at_90 = _coverage(judged, 0.9)
            rows.append(
                [candidate.name, str(judged.samples), number(judged.crps_mean, 5),
                 number(_mean(judged.spread_skill), 3),
                 number(_mean(judged.diversity), 4), *at_90]
            )  # fmt: skip
    if not rows:
        return ""
    kind = results.settings.intervals
    words = {
        "means": "Intervals are those of the frames' means over samples, without the "
        "observation noise.",
        "noisy": "Intervals are those of frames drawn from the model's observation "
        "model around their means; with sigma from beta that noise is not calibrated.",
    }
    head = ["", "samples", "CRPS", "spread/skill", "distance of two samples",
            "nominal coverage", "observed"]  # fmt: skip
    return (
        f'<h2>Calibration</h2><p class="note">{words[kind]} A calibrated model has '
        "spread/skill 1, and intervals that cover as often as they say.</p>"
        + table(head, rows)
        + figure
    )


def _coverage(calibration, wanted):
    """Nominal and observed coverage of the interval nearest to the wanted one."""
    nominal = calibration.nominal
    near = min(range(len(nominal)), key=lambda i: abs(nominal[i] - wanted))
    observed = _mean([step[near] for step in calibration.observed])
    return [number(nominal[near], 3), number(observed, 3)]


def _mean(values):
    """Mean over the steps that have a value."""
    numbers = [v for v in values if math.isfinite(v)]
    return sum(numbers) / len(numbers) if numbers else None


def _likelihood(results, figure):
    bounded = [
        (c.name, c.likelihood) for c in results.candidates if c.likelihood is not None
    ]
    if not bounded:
        return ""
    head = ["", "K", "nats/frame", "bits/dimension", "effective sample size",
            "KL [nats/frame]", "active units", "informed units"]  # fmt: skip
    rows = []
    for name, likelihood in bounded:
        for b in likelihood.bounds:
            nats = number(b.nats_per_frame, 2), number(b.nats_per_frame_se, 2)
            bits = number(b.bits_per_dimension, 5), number(b.bits_per_dimension_se, 5)
            row = [name, str(b.particles), " ± ".join(nats), " ± ".join(bits)]
            last = b is likelihood.bounds[-1]
            rows.append(row + (_once(likelihood) if last else [""] * 4))
    clips, frames = bounded[0][1].clips, bounded[0][1].scored_frames
    return (
        "<h2>Held-out likelihood</h2>"
        f'<p class="note">Importance-weighted bounds on log p of frames 2 to '
        f"{frames + 1} given frame 1, all frames observed, {clips} clips, ± one standard "
        "error; K = 1 is the ELBO. Bits a dimension are of 256 levels: "
        "8 - nats / (D ln 2). Active units: latent dimensions whose posterior mean varies "
        "by more than 0.01; informed: of more than 0.01 nats a frame.</p>"
        + table(head, rows)
        + figure
    )


def _once(likelihood):
    ess, kl = likelihood.effective_sample_size, likelihood.kl
    units, informed = likelihood.units, likelihood.informed_units
    size = "exact" if ess is None else number(ess.mean, 1)
    if units is None:
        return [size, "-", "-", "-"]
    return [
        size,
        f"{number(kl.mean, 3)} ± {number(kl.se, 3)}",
        f"{likelihood.active_units} of {units}",
        "-" if informed is None else f"{informed} of {units}",
    ]


def _figure(path):
    if path is None:
        return ""
    text = Path(path).read_text(encoding="utf-8")
    # What comes before is for files of their own.
    return f"<figure>{text[text.index('<svg') :]}</figure>"


def _picture(picture):
    images = "".join(
        f'<p><img alt="{escape(picture["title"])}" '
        f'src="data:image/{kind};base64,{_encoded(picture[kind])}"></p>'
        for kind in ("gif", "png")
    )
    return (
        f"<h2>{escape(picture['title'])}</h2>"
        f'<p class="note">{escape(picture["caption"])}</p>{images}'
    )


def _encoded(path):
    return base64.b64encode(Path(path).read_bytes()).decode("ascii")
