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
        ({"qqqq": 3}, "unknown configuration key 'qqqq'"),
        ({"image_size": 65}, "image_size is 65"),
        ({"backbone": "resnet"}, "choose one of"),
        ({"z_dim": 0}, "z_dim is 0"),
        ({"g_dim": 1.5}, "g_dim is 1.5"),
        ({"n_past": True}, "n_past is True"),
        ({"beta": 0.0}, "beta is 0.0"),
        ({"beta": math.nan}, "beta is nan"),
        ({"beta": "1e-4"}, "beta is '1e-4'"),
        ({"prior": "flow"}, "prior is 'flow'"),
        ({"pixel_skip": 1}, "pixel_skip is 1"),
    ],
)
def test_bad_values_are_named(changes, words):
    with pytest.raises(ConfigError, match=".*") as error:
        SVGConfig.from_dict(changes)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_unknown_preset():
    with pytest.raises(ConfigError, match="no preset 'mnist'"):
        SVGConfig.preset("mnist")
