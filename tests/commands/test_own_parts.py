"""--parts: priors, guides and observation models from a file that a user names."""

import dataclasses
import importlib
import json

import numpy as np
import pytest
import torch
from torch import nn

import svg_pyro
from svg_pyro import SVG, CheckpointError, SVGConfig
from svg_pyro.commands.compare_elbos import compare_elbos
from svg_pyro.commands.evaluate import evaluate
from svg_pyro.commands.figures import draw_figures
from svg_pyro.commands.generate import generate
from svg_pyro.commands.hand import score_hand
from svg_pyro.commands.plan import plan
from svg_pyro.commands.serve import serve
from svg_pyro.commands.surprise import score_video
from svg_pyro.commands.train import train
from svg_pyro.data import make_simulated_push
from svg_pyro.model import registry

with registry.restored():  # the other tests do not know its names
    parts_of_ones_own = importlib.import_module("parts_of_ones_own")

FILE = parts_of_ones_own.__file__
OWN = ["--prior", "memoryless", "--guide", "two-frames", "--observation", "fixed-sigma"]
TINY = (
    "--bundled-digits --batch-size 2 --n-frames 4 --test-clips 2 --num-samples 2 "
    "--pictures 0 --horizon 2 --width 2 --g-dim 5 --z-dim 2 --rnn-size 6 --n-past 2 "
    "--device cpu"
).split()
CONFIG = SVGConfig(channels=1, width=2, g_dim=5, z_dim=2, rnn_size=6, n_past=2)


@pytest.fixture(autouse=True)
def without_parts_of_ones_own():
    with registry.restored():
        forgotten()
        yield


@pytest.fixture
def trained(tmp_path):
    folder = tmp_path / "run"
    train("smmnist", [*TINY, *OWN, "--steps", "1", "--out", str(folder), *parts()])
    return str(folder / "checkpoint.pt")


@pytest.fixture
def video(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "video.npy", rng.integers(0, 256, (6, 64, 64), np.uint8))
    return str(tmp_path / "video.npy")


def parts(path=FILE):
    return ["--parts", str(path)]


def last_error(capsys, command, *arguments):
    with pytest.raises(SystemExit) as status:
        command(*arguments)
    assert status.value.code == 2
    # Above it are bars of progress.
    return capsys.readouterr().err.splitlines()[-1]


def forgotten():
    """What another process knows, that was not given the file."""
    own = {"prior": "memoryless", "guide": "two-frames", "observation": "fixed-sigma"}
    for kind, name in own.items():
        if name in registry.names(kind):
            registry.forget(kind, name)


def commands_of(trained, video, folder):
    """What each command is called with, by its name: functions of more flags."""
    scored = ["--data", "smmnist", "--bundled-digits", "--clips", "2", "--horizon", "2"]
    return {
        "train": lambda more: train(
            "smmnist",
            [*TINY, "--steps", "2", "--resume", "--out", str(folder / "run"), *more],
        ),
        "init": lambda more: train(
            "smmnist",
            [
                *(*TINY, "--steps", "1", "--init", trained),
                *("--out", str(folder / "init"), *more),
            ],
        ),
        "generate": lambda more: generate(
            [
                *(trained, video, "--horizon", "2", "--shown", "0"),
                *("--out", str(folder / "futures"), *more),
            ]
        ),
        "surprise": lambda more: score_video(
            [trained, video, "--out", str(folder / "surprise"), *more]
        ),
        "evaluate": lambda more: evaluate(
            [
                *(trained, *scored, "--num-samples", "2", "--protocol", "svg"),
                *("--out", str(folder / "evaluation"), *more),
            ]
        ),
        "figures": lambda more: draw_figures(
            [
                *("rollouts", "--checkpoint", f"own={trained}", "--bundled-digits"),
                *("--out", str(folder / "figures"), *more),
            ]
        ),
    }


@pytest.mark.slow
def test_a_checkpoint_with_own_parts_loads_in_every_command(
    trained, video, tmp_path, capsys
):
    for name, command in commands_of(trained, video, tmp_path).items():
        forgotten()
        line = last_error(capsys, command, [])
        assert "is 'fixed-sigma'; choose" in line and "--parts" in line, (name, line)
        command(parts())
    results = json.loads((tmp_path / "evaluation" / "results.json").read_text())
    found = results["predictors"][0]
    assert found["name"] == (
        "SVG, prior memoryless, guide two-frames, observation fixed-sigma"
    )
    assert found["config"]["prior"] == "memoryless"
    assert "prior 'memoryless', guide 'two-frames'" in capsys.readouterr().out
    # Its frames are RGB: this model's are grey, which is said after it was loaded.
    forgotten()
    push = make_simulated_push(
        tmp_path / "push", n_train=2, n_test=2, n_frames=6, workers=1
    )
    small = ["--n-frames", "4", "--clips", "2", "--repeats", "2"]
    line = last_error(
        capsys, compare_elbos, [trained, "--data-root", str(push), *small, *parts()]
    )
    assert "--parts" not in line


def test_a_part_that_was_given_as_an_object_is_found_by_its_class(tmp_path):
    torch.manual_seed(0)
    svg = SVG(CONFIG, prior=parts_of_ones_own.MemorylessPrior(CONFIG))
    svg_pyro.save(svg, tmp_path / "svg.pt")
    with pytest.raises(CheckpointError, match="saved with prior MemorylessPrior") as e:
        svg_pyro.load(tmp_path / "svg.pt")
    assert e.value.advice == ("parts",)
    svg_pyro.register("prior", "memoryless")(parts_of_ones_own.MemorylessPrior)
    loaded = svg_pyro.load(tmp_path / "svg.pt")
    assert loaded.names["prior"] == loaded.config.prior == "memoryless"
    assert loaded.config == dataclasses.replace(CONFIG, prior="memoryless")
    weight = "prior.net.0.weight"
    assert torch.equal(loaded.state_dict()[weight], svg.state_dict()[weight])


@pytest.mark.parametrize(
    "text, words",
    [
        ("x = 1\n", "registers no part; write @svg_pyro.register(kind, name)"),
        ("x = 1\nx.y\n", "cannot be run: line 2: AttributeError: 'int' object"),
        ("def f(:\n", "cannot be run: SyntaxError"),
        ("import sys\nsys.exit(3)\n", "cannot be run: line 2: SystemExit: 3"),
        (
            "import svg_pyro\n@svg_pyro.register('prior', 'learned')\nclass A: ...\n",
            "the name 'learned' of a prior is taken",
        ),
        (None, "no file of parts"),
    ],
)
def test_a_file_of_parts_that_is_none_is_one_line(tmp_path, capsys, text, words, video):
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    line = last_error(capsys, generate, ["push", video, *parts(path)])
    assert line.startswith("error: ") and words in line and "mine.py" in line


def test_a_file_may_be_given_twice_and_in_a_file_of_flags(tmp_path, capsys, video):
    flags = tmp_path / "flags.yaml"
    flags.write_text(f"parts: [{FILE}, {FILE}]\n")
    line = last_error(capsys, generate, ["nothing", video, "--config", str(flags)])
    assert "no checkpoint at nothing" in line


def test_the_densities_of_the_example_are_those_of_its_steps():
    torch.manual_seed(0)
    h = torch.rand(2, 5, CONFIG.g_dim)
    guide = parts_of_ones_own.TwoFrameGuide(CONFIG)
    whole, _ = guide(h)
    state, means = None, []
    for t in range(5):
        one, state = guide(h[:, t : t + 1], state)
        means.append(one.mean)
    torch.testing.assert_close(torch.cat(means, 1), whole.mean)


@pytest.mark.parametrize("command", [plan, serve, score_hand])
def test_commands_of_planning_and_serving_take_files_of_parts_too(
    tmp_path, capsys, command
):
    (tmp_path / "mine.py").write_text("x = 1\n")
    words = ["push"]
    with pytest.raises(SystemExit):
        command([*words, *parts(tmp_path / "mine.py")])
    assert "registers no part" in capsys.readouterr().err.splitlines()[-1]


def test_a_part_that_cannot_be_called_as_its_kind_is_says_so(tiny):
    with registry.restored():
        svg_pyro.register("prior", "of no arguments")(lambda: nn.Identity())
        with pytest.raises(
            svg_pyro.ConfigError, match="is called with the configuration"
        ):
            SVG(dataclasses.replace(tiny, prior="of no arguments"))
