"""A prior fitted to a trained model: what it learns, and what stays as it is."""

import dataclasses

import pytest
import torch
from support.squares import Squares

from svg_pyro import SVG, ConfigError, SVGConfig
from svg_pyro.data.batches import clips_of
from svg_pyro.model.features import encode
from svg_pyro.model.inference import posterior_of
from svg_pyro.training.prior_fit import PriorFit, fit_prior, with_other_prior

CONFIG = SVGConfig(
    channels=1, width=2, g_dim=6, z_dim=2, rnn_size=8, n_past=2, beta=1e-3
)


def lively(config=CONFIG):
    """A model whose guide tells clips apart."""
    torch.manual_seed(0)
    svg = SVG(config).eval()
    with torch.no_grad():
        for parameter in svg.posterior.parameters():
            parameter.normal_(std=0.5)
    return svg


def held_out_kl(svg):
    """log q - log p at draws of the guide, over clips of the data set's first."""
    frames = clips_of(Squares(count=20), range(8)).frames.float() / 255
    torch.manual_seed(1)
    with torch.no_grad():
        features = encode(svg.encoder, frames)
        posterior = posterior_of(svg, features)
        prior, _ = svg.prior(features.h[:, :-1])
        z = posterior.expand((400, *posterior.batch_shape)).sample()
        return (posterior.log_prob(z) - prior.log_prob(z)).mean().item()


@pytest.mark.parametrize("name", ["learned", "mixture", "flow"])
def test_a_fitted_prior_is_nearer_to_the_guide(name):
    svg = with_other_prior(lively(), name)
    before = held_out_kl(svg)
    found = fit_prior(svg, Squares(count=20), PriorFit(steps=150, batch_size=8))
    after = held_out_kl(svg)
    assert after < 0.5 * before
    # The last steps' mean over the clips of training; of a mixture from above.
    assert found == pytest.approx(after, rel=0.5, abs=0.2)


def test_all_but_the_prior_stays_to_the_last_bit():
    svg = with_other_prior(lively(), "mixture")
    before = {name: value.clone() for name, value in svg.state_dict().items()}
    rng = torch.get_rng_state()
    fit_prior(svg, Squares(count=4), PriorFit(steps=3, batch_size=2))
    assert torch.equal(torch.get_rng_state(), rng)
    changed = {n for n, v in svg.state_dict().items() if not torch.equal(v, before[n])}
    assert changed and all(name.startswith("prior.") for name in changed)


def test_another_prior_starts_from_its_own_weights_and_keeps_all_else():
    svg = lively()
    svg.trained_on = {"kind": "bair"}
    other = with_other_prior(svg, "two-scale", seed=3)
    torch.manual_seed(3)
    fresh = SVG(dataclasses.replace(CONFIG, prior="two-scale"))
    weights, given = other.state_dict(), svg.state_dict()
    for name, value in weights.items():
        wanted = fresh.state_dict() if name.startswith("prior.") else given
        assert torch.equal(value, wanted[name]), name
    assert other.trained_on == {"kind": "bair"}


def test_the_same_seed_gives_the_same_prior():
    fits = []
    for _ in range(2):
        svg = with_other_prior(lively(), "mixture")
        fit_prior(svg, Squares(count=6), PriorFit(steps=4, batch_size=3))
        fits.append(svg.prior.state_dict())
    assert all(torch.equal(fits[0][name], fits[1][name]) for name in fits[0])


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (dataclasses.replace(CONFIG, prior="none"), "without latents"),
        (dataclasses.replace(CONFIG, guide="flow"), "gives no Gaussians"),
    ],
)
def test_what_has_no_prior_to_fit_is_refused(config, words):
    with pytest.raises(ConfigError, match=words):
        fit_prior(SVG(config), Squares(count=4), PriorFit(steps=1))


def test_clips_of_several_lengths_are_refused():
    clips = Squares(count=4)
    clips.min_frames = 2
    with pytest.raises(ConfigError, match="several lengths"):
        fit_prior(lively(), clips, PriorFit(steps=1))


def test_each_read_is_of_other_parts_of_the_videos():
    epochs = []

    class Read(Squares):
        def clip(self, index, epoch=0):
            epochs.append(epoch)
            return super().clip(index, epoch)

    fit_prior(lively(), Read(count=3), PriorFit(steps=1, reads=2, batch_size=2))
    assert epochs == [0, 0, 0, 1, 1, 1]


def test_a_model_without_latents_gets_no_prior():
    with pytest.raises(ConfigError, match="without latents"):
        with_other_prior(lively(), "none")
