"""--init: a training starts from the weights of another one."""

import pytest
import torch

import svg_pyro
from svg_pyro import SVG, SVGConfig
from svg_pyro.commands.presets import PRESETS
from svg_pyro.commands.run_folder import RunOptions
from svg_pyro.commands.settings import RunRequest, plan
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


@pytest.mark.parametrize("given", [{}, {"kl_warmup": 7}])
def test_latents_of_given_weights_need_no_warm_up_unless_it_is_asked_for(
    start, tmp_path, given
):
    options = RunOptions(
        init=start[0], out=str(tmp_path / "run"), device="cpu", preset="small"
    )
    assert PRESETS["bair"]["small"].training.kl_warmup > 0
    run = plan(RunRequest("bair", options, PRESETS["bair"], given, {"kind": "bair"}))
    run.lock.release()
    assert run.preset.training.kl_warmup == given.get("kl_warmup", 0)


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
