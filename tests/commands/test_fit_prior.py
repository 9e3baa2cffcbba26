"""``svg-pyro fit-prior``: a model with another prior, scored before and after."""

import re

import pytest

import svg_pyro
from svg_pyro import SVG, SVGConfig
from svg_pyro.commands.fit_prior import fit_a_prior
from svg_pyro.data import make_simulated_push


@pytest.fixture(scope="module")
def push(tmp_path_factory):
    return make_simulated_push(
        tmp_path_factory.mktemp("push"), n_train=4, n_test=2, n_frames=6, workers=1
    )


def model(path, **changes):
    config = SVGConfig.preset(
        "bair", backbone="dcgan", width=2, g_dim=6, z_dim=2, rnn_size=8, **changes
    )
    svg_pyro.save(SVG(config), path)
    return path


def fit(checkpoint, push, *more):
    flags = "--n-frames 4 --steps 2 --batch-size 2 --device cpu".split()
    fit_a_prior([str(checkpoint), "--data-root", str(push), *flags, *more])


def test_a_model_gets_another_prior_and_both_are_scored(push, tmp_path, capsys):
    out = tmp_path / "fitted.pt"
    scored = "--test-clips 2 --horizon 2 --num-samples 2".split()
    fit(model(tmp_path / "svg.pt"), push, "--out", str(out), *scored)
    printed = capsys.readouterr().out
    found = re.findall(
        r"prior ([\w-]+): held-out PSNR over 2 predicted frames", printed
    )
    assert found == ["learned", "mixture"]
    assert svg_pyro.load(out).config.prior == "mixture"


@pytest.mark.parametrize(
    ("changes", "more", "words"),
    [
        ({"prior": "none"}, [], "without latents"),
        (
            {"channels": 1},
            [],
            "the clips are of frames (3, 64, 64) (C, H, W) and of 0 numbers in an "
            "action, the model is of (1, 64, 64) and 0",
        ),
        ({}, ["--prior", "mixtures"], "prior is 'mixtures'; choose one of"),
        ({"guide": "flow"}, [], "gives no Gaussians"),
        ({}, ["--prior", "fixed"], "the prior 'fixed' has nothing to learn"),
        ({"prior": "fixed"}, ["--prior", "fixed"], "has nothing to learn"),
        ({}, ["--lr", "1e30"], "the prior is not finite any more at lr 1e+30"),
    ],
)
def test_what_cannot_be_fitted_ends_in_one_line(
    push, tmp_path, capsys, changes, more, words
):
    path = model(tmp_path / "svg.pt", **changes)
    with pytest.raises(SystemExit) as end:
        fit(path, push, "--test-clips", "0", "--out", str(tmp_path / "out.pt"), *more)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert end.value.code == 2 and words in error and not (tmp_path / "out.pt").exists()
