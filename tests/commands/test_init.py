"""--init: a training starts from the weights of another one."""

import pytest
import torch

import svg_pyro
from svg_pyro import SVG, SVGConfig
from svg_pyro.commands.train import train

CONFIG = SVGConfig(channels=1, width=2, g_dim=5, z_dim=2, rnn_size=6, n_past=2)
FLAGS = [
    *("--bundled-digits", "--steps", "1", "--batch-size", "2", "--n-frames", "4"),
    *("--test-clips", "2", "--num-samples", "2", "--pictures", "0", "--horizon", "2"),
    *("--lr", "1e-9", "--lr-end", "0"),
]


@pytest.fixture
def start(tmp_path):
    torch.manual_seed(3)
    svg = SVG(CONFIG)
    svg_pyro.save_pretrained(svg, tmp_path / "start")
    return str(tmp_path / "start"), svg


@pytest.mark.slow
def test_a_training_starts_from_given_weights_and_their_architecture(start, tmp_path):
    path, svg = start
    train("smmnist", [*FLAGS, "--init", path, "--out", str(tmp_path / "run")])
    trained = svg_pyro.load(tmp_path / "run")
    assert trained.config == svg.config
    for name, weight in svg.named_parameters():
        after = trained.get_parameter(name)
        assert torch.allclose(after, weight, rtol=0, atol=1e-6), name


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--z-dim", "3"], "does not fit the model"),
        (["--resume"], "give one of them"),
    ],
)
def test_weights_that_do_not_fit_are_one_line(start, tmp_path, capsys, flags, words):
    path, _ = start
    out = ["--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as status:
        train("smmnist", [*FLAGS, "--init", path, *flags, *out])
    assert status.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ") and words in last
