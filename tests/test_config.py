"""Configurations: paper presets, and one-line refusals."""

import dataclasses
import math

import pytest

from svg_pyro import ConfigError, SVGConfig


@pytest.mark.parametrize(
    "name, sigma", [("smmnist", 0.4525), ("kth", 0.0453), ("bair", 0.7838)]
)
def test_presets_have_the_papers_noise(name, sigma):
    assert SVGConfig.preset(name).noise_scale == pytest.approx(sigma, abs=5e-5)


def test_presets_can_be_changed():
    config = SVGConfig.preset("bair", z_dim=8)
    assert (config.z_dim, config.backbone, config.n_past) == (8, "vgg", 2)
    assert dataclasses.replace(config, beta=1e-5).beta == 1e-5
    assert SVGConfig.from_dict(dataclasses.asdict(config)) == config


def test_noise_is_the_identity_of_beta():
    config = SVGConfig(channels=3, image_size=64, beta=2e-4)
    assert config.noise_scale == math.sqrt(3 * 64 * 64 * 2e-4 / 2)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"zdim": 3}, "did you mean 'z_dim'"),
        ({"qqqq": 3}, "unknown configuration key 'qqqq'; see svg_pyro.SVGConfig"),
        ({"z_dim": 0}, "z_dim is 0"),
        ({"g_dim": 1.5}, "g_dim is 1.5"),
        ({"n_past": True}, "n_past is True"),
        ({"beta": 0.0}, "beta is 0.0"),
        ({"beta": math.nan}, "beta is nan"),
        ({"beta": "1e-4"}, "beta is '1e-4'"),
        ({"pixel_skip": 1}, "pixel_skip is 1"),
        ({"image_size": 0}, "image_size is 0"),
        ({"prior": None}, "prior is None; give a name"),
        ({"sigma": "wide"}, "sigma is 'wide'; give observation"),
        ({"sigma": "beta", "observation": "optimal-sigma"}, "give observation alone"),
    ],
)
def test_bad_values_are_named(changes, words):
    with pytest.raises(ConfigError, match=r".*") as error:
        SVGConfig.from_dict(changes)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_unknown_preset():
    with pytest.raises(ConfigError, match="no preset 'mnist'"):
        SVGConfig.preset("mnist")


@pytest.mark.parametrize(
    "sigma, observation",
    [
        ("beta", "gaussian"),
        ("learned", "learned-sigma"),
        ("optimal", "optimal-sigma"),
    ],
)
def test_the_sigma_of_earlier_checkpoints_is_an_observation_model(sigma, observation):
    assert SVGConfig.from_dict({"sigma": sigma}) == SVGConfig(observation=observation)
