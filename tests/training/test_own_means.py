"""Own means: which frames are replaced, by what, and that a resume is exact."""

import dataclasses

import pytest
import torch
from support.futures import awake
from support.resumed import check_resume_is_exact

from svg_pyro import SVG, ConfigError, TrainingConfig
from svg_pyro.training.own_means import share_at, with_own_means

TRAINING = TrainingConfig(
    steps=6,
    batch_size=2,
    n_frames=5,
    own_means=0.5,
    own_means_start=1,
    own_means_ramp=2,
    log_every=2,
    validate_every=100,
    save_every=100,
)


def test_the_share_rises_on_a_ramp():
    shares = [share_at(TRAINING, step) for step in range(6)]
    assert shares == [0.0, 0.0, 0.25, 0.5, 0.5, 0.5]
    assert share_at(TrainingConfig(), 10**6) == 0


@pytest.mark.parametrize(
    "changes", [{"own_means": 1.5}, {"own_means_start": -1}, {"own_means_ramp": 0}]
)
def test_settings_that_cannot_be(changes):
    with pytest.raises(ConfigError, match="own_means"):
        dataclasses.replace(TRAINING, **changes)


@pytest.mark.parametrize("changes", [{}, {"warp": True}, {"prior": "none"}])
def test_with_a_share_of_one_the_clip_is_what_the_model_generates(tiny, changes):
    """Between x_2 and x_T all are generated, in a chain, with the guide's latents."""
    svg = awake(tiny, **changes).eval()
    if svg.posterior is not None:
        with torch.no_grad():
            # Latents that are their means: both ways draw the same.
            svg.posterior.log_variance.weight.zero_()
            svg.posterior.log_variance.bias.fill_(-80.0)
    frames = torch.rand(2, 5, 1, 64, 64).double()
    mixed = with_own_means(svg, frames, 1.0)
    for t in (0, 1, 4):
        assert torch.equal(mixed[:, t], frames[:, t])
    with torch.no_grad():
        h = svg.encoder(mixed)[0][:, :4]
        if svg.posterior is not None:
            true_h = svg.encoder(frames)[0]
            _, state = svg.posterior(true_h[:, :1])
            h = torch.cat([h, svg.posterior(true_h[:, 1:], state)[0].mean], -1)
        g = svg.frame_predictor(h)[0]
        skips = svg.encoder(frames)[1]
        for t in (2, 3):
            # Frame t + 1 takes the skips of frame min(t, n_past) = 2.
            prepared = svg.decoder.prepare(
                frames[:, 1:2], [skip[:, 1:2] for skip in skips]
            )
            given = (mixed[:, t - 1 : t],) if svg.decoder.warps else ()
            mean = svg.decoder(g[:, t - 1 : t], prepared, *given)
            torch.testing.assert_close(mixed[:, t : t + 1], mean, rtol=0, atol=1e-10)


def test_about_the_share_is_replaced_and_each_frame_by_itself(tiny):
    svg = SVG(tiny).eval()
    frames = torch.rand(40, 12, 1, 64, 64)
    mixed = with_own_means(svg, frames, 0.3)
    replaced = (mixed != frames).flatten(2).any(2)
    assert not replaced[:, :2].any() and not replaced[:, -1].any()
    share = replaced[:, 2:-1].float().mean().item()
    assert abs(share - 0.3) < 0.08  # three standard errors of 360 draws


def test_batch_norm_does_not_see_the_pass_that_makes_them(tiny):
    svg = SVG(tiny).train()
    before = {k: v.clone() for k, v in svg.state_dict().items()}
    with_own_means(svg, torch.rand(2, 5, 1, 64, 64), 0.5)
    assert all(torch.equal(v, before[k]) for k, v in svg.state_dict().items())
    assert svg.training


def test_a_resume_amid_own_means_is_bit_for_bit(tiny, tmp_path):
    config = dataclasses.replace(tiny, warp=True, dynamics="maps", map_channels=4)
    check_resume_is_exact(config, TRAINING, tmp_path, 4)
