"""The KL's warm-up: its weight at a step, in loss and gradient, in the log, resumed."""

import dataclasses

import pytest
import torch
from support.futures import awake
from support.resumed import check_resume_is_exact

from svg_pyro import ConfigError, TrainingConfig
from svg_pyro.training.elbos import ELBOS
from svg_pyro.training.kl_warmup import kl_weight_at
from svg_pyro.training.step import LossAndGrads

TRAINING = TrainingConfig(
    steps=6,
    batch_size=2,
    n_frames=4,
    kl_warmup=4,
    kl_warmup_weight=0.0001,
    log_every=2,
    validate_every=100,
    save_every=100,
)


def test_the_weight_rises_by_one_factor_a_step_until_it_is_1():
    weights = [kl_weight_at(TRAINING, step) for step in range(6)]
    assert weights == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1, 1])
    assert kl_weight_at(TrainingConfig(), 0) == 1


@pytest.mark.parametrize(
    "changes", [{"kl_warmup": -1}, {"kl_warmup_weight": 0.0}, {"kl_warmup_weight": 2.0}]
)
def test_settings_that_cannot_be(changes):
    with pytest.raises(ConfigError, match="kl_warmup"):
        dataclasses.replace(TRAINING, **changes)


@pytest.mark.parametrize("elbo", ["trace", "mean-field"])
@pytest.mark.parametrize("chunks", [1, 2])
def test_loss_and_gradient_are_those_of_the_likelihood_and_a_part_of_the_kl(
    tiny, elbo, chunks
):
    """Both are linear in the weight, and terms are logged without it."""
    svg = awake(tiny, norm="group").train()
    frames = torch.rand(2, 4, 1, 64, 64).double()

    def at(weight):
        svg.zero_grad()
        step = LossAndGrads(svg, ELBOS[elbo](), chunks)
        torch.manual_seed(0)
        loss = step(svg.model, svg.guide, frames, kl_weight=weight)
        gradient = [p.grad.clone() for p in svg.parameters()]
        return loss, step.terms, gradient

    whole, (nll, kl), whole_gradient = at(1.0)
    half, (nll_half, kl_half), half_gradient = at(0.5)
    _, _, quarter_gradient = at(0.25)
    torch.testing.assert_close(nll_half, nll, rtol=1e-12, atol=0)
    torch.testing.assert_close(kl_half, kl, rtol=1e-10, atol=1e-12)
    if elbo == "mean-field":
        torch.testing.assert_close(whole, (nll + kl).mean(), rtol=1e-10, atol=0)
        torch.testing.assert_close(whole - half, kl.mean() / 2, rtol=1e-8, atol=1e-8)
    assert whole - half != 0
    for full, less, least in zip(
        whole_gradient, half_gradient, quarter_gradient, strict=True
    ):
        torch.testing.assert_close(
            full - less, 2 * (less - least), rtol=1e-7, atol=1e-9
        )


def test_a_resume_amid_the_warm_up_is_bit_for_bit(tiny, tmp_path):
    check_resume_is_exact(tiny, TRAINING, tmp_path, 2)
