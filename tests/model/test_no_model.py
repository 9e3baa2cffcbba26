"""What is no model, where one is asked for."""

import pytest
import torch

from svg_pyro import (
    SVG,
    ConfigError,
    Sampler,
    export_official,
    futures_to,
    log_evidence,
    save_pretrained,
)
from svg_pyro.evaluation import frame_surprises
from svg_pyro.evaluation.likelihood import likelihood
from svg_pyro.model.export import export_step
from svg_pyro.training.prior_fit import fit_prior, with_other_prior
from svg_pyro.training.trainer import Trainer

FRAMES = torch.rand(1, 3, 1, 64, 64)
ASKED = {
    "Sampler": lambda svg: Sampler(svg),
    "futures_to": lambda svg: futures_to(svg, FRAMES, FRAMES[:, 0], 2, 2),
    "log_evidence": lambda svg: log_evidence(svg, FRAMES, 2),
    "likelihood": lambda svg: likelihood(svg, FRAMES, 2),
    "frame_surprises": lambda svg: list(frame_surprises(svg, FRAMES[0][:, None])),
    "export_step": lambda svg: export_step(svg, None),
    "export_official": lambda svg: export_official(svg, "never.pt"),
    "save_pretrained": lambda svg: save_pretrained(svg, "never"),
    "with_other_prior": lambda svg: with_other_prior(svg, "fixed"),
    "fit_prior": lambda svg: fit_prior(svg, None),
    "Trainer": lambda svg: Trainer(svg, None, None, "never"),
}


@pytest.mark.parametrize(
    ("given", "words"), [(None, "a NoneType"), ("run/a.pt", "a str"), (SVG, "a class")]
)
@pytest.mark.parametrize("name", ASKED)
def test_it_is_one_line_that_says_what_was_given(name, given, words):
    with pytest.raises(ConfigError, match=f"^the model is {words}; give an SVG"):
        ASKED[name](given)
