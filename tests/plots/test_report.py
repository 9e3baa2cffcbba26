"""The folder of an evaluation: numbers, pictures, and the page, seen by a browser."""

import base64
import csv
import dataclasses
import io
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image
from support.evaluations import (
    SMALL,
    TINY,
    awake,
    clips,
    evaluation,
    samples_of,
    stored_results,
)
from support.squares import Squares

import svg_pyro
from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation import (
    ModelCandidate,
    pictures,
    publish,
    read_results,
    results_of,
)
from svg_pyro.metrics import PROTOCOLS
from svg_pyro.plots import evaluation as evaluation_plots
from svg_pyro.plots.report import summary_of, write_report
from svg_pyro.plots.report_tables import best_cells, number, score_rows
from svg_pyro.plots.strips import CONTEXT, PREDICTED, TRUTH

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
ODD = 'a <b> & "c"'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A published evaluation of two models, one with an odd name and no likelihood."""
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("evaluation")
    odd = ModelCandidate(ODD, awake(TINY, observation="optimal-sigma"))
    run = evaluation(awake(TINY), out, others=[odd], source="squares")
    assert run.run()
    publish(run)
    return out


@pytest.fixture
def results(folder):
    def refuse(constant):
        raise ValueError(constant)

    text = (folder / "results.json").read_text()
    return json.loads(text, parse_constant=refuse)


def test_json_says_what_was_done(results):
    assert results["svg_pyro"] == svg_pyro.__version__
    assert results["settings"] == json.loads(json.dumps(dataclasses.asdict(SMALL)))
    assert results["data"] == "squares" and results["clips"] == 5
    model, odd, copy = results["predictors"]
    assert model["config"] == dataclasses.asdict(TINY)
    assert [p["name"] for p in (odd, copy)] == [ODD, "last frame repeated"]
    held_out = model["likelihood"]
    assert (held_out["clips"], held_out["scored_frames"]) == (3, 4)
    assert [b["particles"] for b in held_out["bounds"]] == [1, 4] and odd[
        "likelihood"
    ] is None
    assert model["calibration"]["samples"] == odd["calibration"]["samples"] == 5


def test_csv_holds_the_curves_of_the_json(folder, results):
    with open(folder / "curves.csv", newline="") as file:
        rows = list(csv.DictReader(file))

    def numbers(key, *labels):
        columns = ("predictor", "protocol", "quantity", "kind")
        chosen = [r for r in rows if tuple(r[c] for c in columns) == labels]
        frames = [int(r["frame"]) for r in chosen]
        return frames, [float(r[key]) for r in chosen]

    for predictor in results["predictors"]:
        for protocol, metrics in predictor["scores"].items():
            for metric, kinds in metrics.items():
                for kind, want in kinds.items():
                    labels = (predictor["name"], protocol, metric, kind)
                    assert numbers("mean", *labels) == ([3, 4, 5], want["per_step"])
                    halves = want["per_step_half_width"]
                    assert numbers("half_width_95", *labels) == ([3, 4, 5], halves)
    kl = results["predictors"][0]["likelihood"]["kl"]
    assert numbers("mean", "model", "", "kl", "") == ([2, 3, 4, 5], kl["per_step"])
    ratio = results["predictors"][1]["calibration"]["spread_skill"]
    assert numbers("mean", ODD, "", "spread_skill", "") == ([3, 4, 5], ratio)


class Page(HTMLParser):
    """The tags, addresses, cells and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.cells, self._cell = [], [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [
            v for k, v in attributes if k in ("src", "href", "xlink:href")
        ]
        if tag == "td":
            self.cells.append("")
        self._cell = tag == "td"

    def handle_endtag(self, tag):
        self._cell = False

    def handle_data(self, data):
        if self._cell:
            self.cells[-1] += data


def test_the_page_holds_all_it_shows(folder, results):
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "link", "iframe", "b"} & set(page.tags)
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    assert page.tags.count("svg") == len(PROTOCOLS) + 2
    assert page.tags.count("input") == len(PROTOCOLS)
    names = re.findall(r'\sid="([^"]+)"', text)
    assert len(set(names)) == len(names)  # a figure's parts are no other figure's
    films = [a for a in page.addresses if a.startswith("data:image/gif")]
    assert len(films) == 2
    for film in films:
        with Image.open(io.BytesIO(base64.b64decode(film.split(",")[1]))) as image:
            assert image.n_frames == SMALL.n_frames
    # Every figure of the tables is in the page, under escaped names.
    assert ODD not in text and page.cells.count(ODD) >= 4
    for protocol in PROTOCOLS:
        for row in score_rows(read_results(folder / "results.json"), protocol)[1]:
            assert all(cell in page.cells for cell in row)
    first, last = results["predictors"][0]["likelihood"]["bounds"]
    for b in (first, last):
        want = f"{b['nats_per_frame']:.2f} ± {b['nats_per_frame_se']:.2f}"
        assert want in page.cells
    assert f"{results['predictors'][0]['calibration']['crps_mean']:.5f}" in page.cells


def test_results_are_read_as_they_were_found(tmp_path):
    odd = ModelCandidate(ODD, awake(TINY, prior="none"))
    settings = dataclasses.replace(SMALL, clips=1)  # no intervals: NaN
    run = evaluation(awake(TINY), tmp_path, settings, others=[odd])
    run.run()
    want = publish(run)
    got = read_results(tmp_path / "results.json")
    # As text, in which NaN is NaN.
    assert repr(got) == repr(want) and "nan" in repr(want)
    assert got.candidates[0].scores["svg"]["ssim"]["best"].per_step == tuple(
        json.loads((tmp_path / "results.json").read_text())["predictors"][0]["scores"][
            "svg"
        ]["ssim"]["best"]["per_step"]
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"svg_pyro": "1", "data": ""}'])
def test_files_that_hold_no_results(tmp_path, text):
    path = tmp_path / "results.json"
    with pytest.raises(EvaluationError, match="cannot be read: No such file"):
        read_results(path)
    path.write_text(text)
    with pytest.raises(EvaluationError, match="holds no results of an evaluation"):
        read_results(path)


def test_the_page_says_first_who_is_best_and_marks_the_best_figures(folder):
    results = read_results(folder / "results.json")
    text = (folder / "report.html").read_text(encoding="utf-8")
    protocol = results.settings.protocols[0]
    psnr = {c.name: c.scores[protocol]["psnr"]["best"].mean for c in results.candidates}
    said = summary_of(results)
    winner = max(psnr, key=psnr.get)
    assert said.startswith(f"Nearest to the truth by protocol {protocol}: {winner}, ")
    assert f"{psnr[winner]:.2f} dB (" in said and "(best of 6 samples)" in said
    assert text.index("Nearest to the truth") < text.index("<table")
    head, rows = score_rows(results, protocol)
    best = best_cells(results, protocol, head)
    column = head.index("PSNR [dB], best")
    assert [r for r, c in best if c == column] == [list(psnr).index(winner)]
    error = [c.scores[protocol]["mse"]["mean"].mean for c in results.candidates]
    column = head.index("MSE, best") + 1
    assert (error.index(min(error)), column) in best
    assert text.count('class="best"') == sum(
        len(best_cells(results, name, score_rows(results, name)[0]))
        for name in results.settings.protocols
    )
    assert "prefers-color-scheme: dark" in text
    assert len(rows) == len(results.candidates)


def test_nothing_is_best_where_there_is_nothing_to_compare(folder):
    results = read_results(folder / "results.json")
    alone = dataclasses.replace(results, candidates=results.candidates[:1])
    protocol = results.settings.protocols[0]
    assert best_cells(alone, protocol, score_rows(alone, protocol)[0]) == set()
    judged = alone.candidates[0].calibration
    assert len(judged.nominal) == 2  # of 5 samples; the nearest to 0.9 is the last
    observed = np.mean([step[-1] for step in judged.observed])
    assert summary_of(alone).endswith(
        "dB (best of 6 samples). The intervals of model's samples that should hold "
        f"{100 * judged.nominal[-1]:.0f} % of the true pixels hold "
        f"{100 * observed:.0f} %."
    )


def test_the_page_says_whether_the_first_two_can_be_told_apart(folder):
    results = read_results(folder / "results.json")
    protocol = results.settings.protocols[0]

    def said(*scores):
        candidates = []
        for place, (mean, half) in enumerate(scores):
            candidate = results.candidates[0]
            best = candidate.scores[protocol]["psnr"]["best"]
            best = dataclasses.replace(best, mean=mean, half_width=half)
            changed = {protocol: {"psnr": {"best": best}}}
            candidates.append(
                dataclasses.replace(
                    candidate, name=f"m{place}", scores=changed, calibration=None
                )
            )
        return summary_of(dataclasses.replace(results, candidates=tuple(candidates)))

    assert said((20, 1), (23, 1.5)).endswith("of m1 and m0 lie apart.")
    assert "of m1 and m0 overlap: more clips" in said((20, 1), (22, 1.5))
    assert "interval" not in said((20, math.nan), (23, 1.5))
    assert said((math.inf, math.nan)).startswith("No predictor has a finite PSNR")


def test_the_page_is_a_function_of_the_results(folder, tmp_path):
    results = read_results(folder / "results.json")
    write_report(results, tmp_path / "again.html", figures={}, pictures=[])
    again = Page((tmp_path / "again.html").read_text(encoding="utf-8"))
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert again.cells == page.cells


def test_figures_show_every_curve_whole(folder, monkeypatch, tmp_path):
    drawn, results = [], read_results(folder / "results.json")
    monkeypatch.setattr(evaluation_plots, "_finish", lambda *a: drawn.extend(a[1]))
    # The second model is far worse than the first.
    first, odd, last = results.candidates
    worse = dataclasses.replace(odd.calibration, crps=(0.7, 0.8, 0.9))
    odd = dataclasses.replace(odd, calibration=worse)
    results = dataclasses.replace(results, candidates=(first, odd, last))
    for protocol in PROTOCOLS:
        evaluation_plots.draw_scores(results, tmp_path / "x.svg", protocol)
    for name in ("calibration", "latents"):
        assert getattr(evaluation_plots, f"draw_{name}")(results, tmp_path / "x.svg")
    assert len(drawn) == 9 + 5 + 2
    for axis in drawn:
        low, high = axis.get_ylim()
        for line in axis.get_lines():
            values = np.asarray(line.get_ydata(), float)
            assert low <= np.nanmin(values) and np.nanmax(values) <= high


def test_a_kl_that_was_sampled_has_no_panel_of_dimensions(
    folder, monkeypatch, tmp_path
):
    drawn, results = [], read_results(folder / "results.json")
    monkeypatch.setattr(evaluation_plots, "_finish", lambda *a: drawn.extend(a[1]))
    first, *_ = results.candidates
    kl = dataclasses.replace(first.likelihood.kl, per_unit=None)
    bounded = dataclasses.replace(first.likelihood, kl=kl)
    first = dataclasses.replace(first, likelihood=bounded)
    results = dataclasses.replace(results, candidates=(first,))
    assert evaluation_plots.draw_latents(results, tmp_path / "x.svg")
    (axis,) = drawn
    assert "KL(q || p)" in axis.get_title()


def browse(*flags):
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--virtual-time-budget=2000",
        *flags,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium or Chrome")
@pytest.mark.slow
def test_a_browser_shows_the_page(folder, tmp_path):
    text = (folder / "report.html").read_text(encoding="utf-8")
    probe = """<script>addEventListener("load", () => {
        const images = [...document.images].map(i => i.naturalWidth);
        const heights = () => [...document.querySelectorAll("figure > svg")].map(
            s => s.getBoundingClientRect().height);
        const figures = heights();
        const wide = document.documentElement.scrollWidth > innerWidth;
        document.querySelectorAll(".switch > label")[1].click();
        const chosen = heights();
        document.title = JSON.stringify({images, figures, chosen, wide});
    })</script>"""
    (tmp_path / "probe.html").write_text(text + probe, encoding="utf-8")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = browse(profile, "--dump-dom", (tmp_path / "probe.html").as_uri())
    found = json.loads(re.search("<title>(.*?)</title>", done.stdout)[1])
    # A GIF and a strip of each model; the scores of one protocol, and two figures.
    assert len(found["images"]) == 4 and min(found["images"]) > 200
    for key, seen in (("figures", [0, 3, 4]), ("chosen", [1, 3, 4])):
        assert [i for i, height in enumerate(found[key]) if height > 100] == seen
        assert found[key].count(0) == 2
    assert not found["wide"]
    shot = tmp_path / "shot.png"
    flags = [f"--screenshot={shot}", "--window-size=1200,6000"]
    browse(profile, *flags, (folder / "report.html").as_uri())
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert("RGB"))
    # The borders of context, true and predicted frames, which only pictures have.
    for colour in (CONTEXT, TRUTH, PREDICTED):
        assert (np.abs(pixels.astype(int) - colour).max(-1) < 12).sum() > 300


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium or Chrome")
def test_on_a_telephone_nothing_is_cut_off_and_strips_keep_their_size(folder, tmp_path):
    text = (folder / "report.html").read_text(encoding="utf-8")
    probe = """<script>addEventListener("load", () => {
        const wide = [...document.querySelectorAll("h1, h2, p, .scroll")].filter(
            e => e.getBoundingClientRect().right > innerWidth).length;
        const images = [...document.images].map(
            i => i.getBoundingClientRect().width / Math.min(i.naturalWidth, 1000));
        const page = document.documentElement.scrollWidth;
        parent.postMessage({inner: innerWidth, page, wide, images}, "*");
    })</script>"""
    (tmp_path / "probe.html").write_text(text + probe, encoding="utf-8")
    # A browser without a screen has no window as narrow as this frame.
    outer = """<script>addEventListener("message", e => {
        document.title = JSON.stringify(e.data); })</script>
        <title>-</title><iframe src="probe.html" width="400" height="900"></iframe>"""
    (tmp_path / "outer.html").write_text(outer, encoding="utf-8")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = browse(profile, "--dump-dom", (tmp_path / "outer.html").as_uri())
    found = json.loads(re.search("<title>(.*?)</title>", done.stdout)[1])
    assert found["page"] <= found["inner"] <= 400 and found["wide"] == 0
    assert len(found["images"]) == 4 and min(found["images"]) >= 1


def test_numbers_as_text():
    assert [number(v, 2) for v in (1.005, None, math.nan, math.inf, -3.0)] == [
        "1.00",
        "-",
        "-",
        "∞",
        "-3.00",
    ]


class Still(Squares):
    """Clips in which nothing moves, one of them all of one grey."""

    def clip(self, index, epoch=0):
        clip = super().clip(index, epoch)
        return torch.full_like(clip, 90) if index == 0 else clip[:1].expand_as(clip)


def test_equal_and_constant_frames(tmp_path):
    run = evaluation(awake(TINY), tmp_path, data=Still(count=6, n_frames=5))
    assert run.run()
    results = results_of(run)
    model, copy = stored_results(run)["predictors"]
    for protocol in PROTOCOLS:
        scores = copy["scores"][protocol]
        psnr = scores["psnr"]["best"]
        assert psnr["mean"] == "inf" and psnr["half_width"] is None
        assert psnr["infinite_clips"] == 5 and psnr["per_step"] == 3 * ["inf"]
        assert scores["ssim"]["best"]["mean"] == pytest.approx(1)
        assert scores["mse"]["best"]["mean"] == 0
        assert score_rows(results, protocol)[1][1][2] == "∞ (5 clips ∞)"
        ssim = model["scores"][protocol]["ssim"]["best"]["per_step"]
        assert all(isinstance(v, float) for v in ssim)


def test_pictures_show_the_chosen_samples(tmp_path):
    svg = awake(TINY)
    run = evaluation(svg, tmp_path, dataclasses.replace(SMALL, pictures=3))
    run.run()
    samples, truth = samples_of(svg), clips()
    scores = PROTOCOLS["svg"].score(truth[:, 2:], samples)["ssim"].mean(-1)
    found = list(pictures.pictures(run))
    assert [p.clip for p in found] == [0, 1, 2]
    for picture in found:
        b, rows = picture.clip, picture.rows.frames
        want = {
            "best": samples[scores[:, b].argmax(), b],
            "worst": samples[scores[:, b].argmin(), b],
            "sample 3": samples[2, b],
            "mean": samples[:, b].mean(0),
        }
        for title, future in want.items():
            torch.testing.assert_close(rows[title][2:], future, rtol=1e-5, atol=1e-6)
            assert torch.equal(rows[title][:2], truth[b, :2])
        assert torch.equal(rows["truth"], truth[b])
        spread = samples[:, b].std(0)[:, 0]
        error = (samples[:, b].mean(0) - truth[b, 2:]).abs()[:, 0]
        scale = max(spread.quantile(0.995).item(), error.quantile(0.995).item())
        assert picture.scale == pytest.approx(scale, rel=1e-4)
        dark = pictures.heat(torch.zeros(2, 64, 64))
        for title, values in (("spread", spread), ("error", error)):
            want = pictures.heat(values / scale)
            assert (rows[title][2:] - want).abs().mean() < 1e-3
            assert torch.equal(rows[title][:2], dark)


def test_heat_goes_from_dark_to_bright():
    colours = pictures.heat(torch.tensor([[[-1.0, 0.0, 0.5, 1.0, 2.0]]]))[0, :, 0]
    light = colours.sum(0)
    assert light[0] == light[1] < 0.1 and light[3] == light[4] > 2
    assert light[1] < light[2] < light[3]


def test_one_sample_and_nothing_optional(tmp_path):
    settings = dataclasses.replace(
        SMALL,
        num_samples=1,
        clips=1,
        likelihood_clips=0,
        pictures=0,
        calibration_samples=0,
        protocols=("finn",),
    )
    run = evaluation(awake(TINY), tmp_path, settings)
    run.run()
    publish(run)
    found = json.loads((tmp_path / "results.json").read_text())["predictors"][0]
    psnr = found["scores"]["finn"]["psnr"]
    assert psnr["best"] == psnr["mean"] and psnr["best"]["half_width"] is None
    assert found["calibration"] is None and found["likelihood"] is None
    assert not (tmp_path / "pictures").exists()
    assert [p.name for p in (tmp_path / "figures").glob("*.svg")] == ["scores_finn.svg"]
