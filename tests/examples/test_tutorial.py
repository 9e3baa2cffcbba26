"""The tutorial runs from top to bottom, and shows what its text says."""

import html
import runpy
import time

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from support.places import ROOT

from svg_pyro.util.tensors import to_float

DOCS = ROOT / "docs"
# Seconds of CPU: five minutes of two cores are twice that.
_LONGEST = 300


def middle(frames):
    """Of what is bright, in pixels: row and column, ``(T, 2)``."""
    weights = frames[:, 0] / frames[:, 0].sum((-2, -1), keepdim=True)
    places = torch.arange(64.0)
    rows, columns = (weights.sum(axis) @ places for axis in (-1, -2))
    return torch.stack([rows, columns], 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_tutorial_shows_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    pictures = []

    def keep():
        for number in plt.get_fignums():
            figure = plt.figure(number)
            figure.canvas.draw()
            pictures.append(np.asarray(figure.canvas.buffer_rgba()).std())
        plt.close("all")

    monkeypatch.setattr(plt, "show", keep)
    start = time.process_time()
    names = runpy.run_path(str(DOCS / "tutorial.py"))
    assert time.process_time() - start < _LONGEST
    assert len(pictures) == 14 and min(pictures) > 5  # none is blank
    # 1: the mean has less error than a sharp future.
    assert names["blur"] < 0.7 * names["sharp"]
    # 2: the codes of the variational autoencoder are those of its prior.
    spread = names["codes"]["VAE"].std().item()
    assert 0.5 < spread < 1.5 < 0.7 * names["codes"]["autoencoder"].std().item()
    nearest = [error.mean().item() for error in names["nearest"].values()]
    assert nearest[2] < 0.7 * nearest[1] and nearest[1] < 0.9 * nearest[0]
    # 3: skip connections keep a background that the networks had no time to learn.
    truth = names["held_out"]
    error = {
        name: (names["rows_of_predictors"][name] - truth).square().mean().item()
        for name in ("skips", "no skips")
    }
    assert error["skips"] < 0.7 * error["no skips"]
    # 4: the latents of one clip lead another's digit to where their own is.
    mixed = middle(torch.cat(names["mixed"]))[-13:]
    for clip, least, most in (
        (to_float(names["one"]["frames"]), 0, 2),
        (names["second"][0], 5, 64),
    ):
        pixels_off = (mixed - middle(clip)[-13:]).abs().mean().item()
        assert least < pixels_off < most
    # 5 and 6: the learned prior is nearer, and less sure after a bounce.
    assert names["learned"].mean() < 0.7 * names["fixed"].mean()
    scale, quiet = names["scale"], names["quiet"]
    assert scale[:, ~quiet].mean() > 2 * scale[:, quiet].mean()
    # 8: the jump stands out.
    surprise = [score.relative_surprise.item() for score in names["scores"]]
    assert int(np.nanargmax(surprise)) + 2 == 16
    # Actions lead where they led, and a plan nearer to its goal than doing nothing.
    errors = names["errors"]
    assert errors["its actions"] < 0.8 * errors["the opposite"]
    assert names["plan"].cost < names["still"]


def test_a_page_tears_no_flag_and_no_name():
    pytest.importorskip("latex2mathml")
    pytest.importorskip("mkdocs")
    readable = runpy.run_path(str(DOCS / "site_hooks.py"))["readable"]
    assert readable("<code>plan --num-samples 4</code>") == (
        '<code>plan <span class="flag">--num-samples</span> 4</code>'
    )
    name = "test_a_name_that_is_much_too_long"
    assert (
        readable(f"<code>{name}</code>").replace("<wbr>", "") == f"<code>{name}</code>"
    )
    assert "too_<wbr>long" in readable(f"<code>{name}</code>")
    assert readable("<code>Trace_ELBO</code>") == "<code>Trace_ELBO</code>"
    link = '<a href="a_very_long_address_of_a_page--x">'
    assert readable(f"<code>{link}a</a></code>") == f"<code>{link}a</a></code>"
    # Code blocks are taken as they are, and arrows of text are arrows.
    block = "<pre>a -&gt; b +- 1 --flag</pre>"
    assert readable(f"<p>2 -&gt; 12, 3 +- 1, as::</p>{block}") == (
        f"<p>2 → 12, 3 ± 1, as:</p>{block}"
    )


def test_the_page_shows_all_formulas_without_a_script():
    pytest.importorskip("latex2mathml")
    pytest.importorskip("mkdocs")
    hooks = runpy.run_path(str(DOCS / "site_hooks.py"))
    lines = (DOCS / "tutorial.py").read_text().splitlines()
    text = "\n".join(line[2:] for line in lines if line.startswith("# "))
    page = hooks["with_mathml"](html.escape(text) + "<code>$a$</code>")
    assert page.count("<math") == page.count("</math>") > 25
    assert page.endswith("<code>$a$</code>") and page.count("$") == 2
    # What the converter does not know is left as it is, with its backslash.
    assert "\\" not in page
