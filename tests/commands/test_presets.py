"""The training commands' presets against the paper's settings."""

import pytest

from svg_pyro.commands.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_epsilon_of_a_papers_preset_is_the_papers(name):
    """Gradients in nats a frame are 1 / (beta (T - 1)) times those of its loss."""
    preset = PRESETS[name]["paper"]
    factor = 1 / (preset.model.beta * (preset.training.n_frames - 1))
    assert preset.training.eps == pytest.approx(1e-8 * factor, rel=0.01)
    assert PRESETS[name]["small"].training.eps == 1e-8
