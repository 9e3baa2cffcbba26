"""Flags out of dataclasses: what is given, what the help says, files, and errors."""

import os
import re
from dataclasses import dataclass

import pytest

from svg_pyro.commands import evaluate
from svg_pyro.commands.datasets import DATA_OPTIONS
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.fields import fields_of, option
from svg_pyro.commands.held_out_data import TEST_SETS
from svg_pyro.commands.main import COMMANDS, TRAINED, main
from svg_pyro.commands.parser import Parser
from svg_pyro.commands.presets import PRESETS
from svg_pyro.commands.sources import TRAINING_DATA
from svg_pyro.commands.train import training_parser
from svg_pyro.config import SVGConfig, TrainingConfig
from svg_pyro.data.download.published import BAIR_URL
from svg_pyro.errors import ConfigError, TrainingError


@dataclass(frozen=True)
class Oven:
    """How something is baked.

    Attributes
    ----------
    heat : float
        Degrees, of `fan` or without it.
    fan, light : bool
        Whether it is on.
    racks : tuple of int
        The racks in use.
    mode : str
        Where the heat comes from.
    name : str or None
        Whose oven it is.
    """

    heat: float = option(180.0, least=50)
    fan: bool = True
    light: bool = False
    racks: tuple[int, ...] = (1, 2)
    mode: str = option("both", choices=("both", "top"))
    name: str | None = None


def parser():
    made = Parser("Bakes.")
    made.add_fields(Oven)
    return made


def last_error(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def test_only_what_was_given_counts_as_given():
    flags = parser().parse(["--heat", "180", "--no-fan", "--racks", "3", "4"])
    # 180 is the default, and was given all the same.
    assert flags.given(Oven) == {"heat": 180.0, "fan": False, "racks": (3, 4)}
    assert flags.make(Oven) == Oven(fan=False, racks=(3, 4))
    assert flags.make(Oven, name="Anna").name == "Anna"
    assert parser().parse([]).given(Oven) == {}


def test_numbers_below_the_least_are_named_as_flags():
    flags = parser().parse(["--heat", "49.5"])
    with pytest.raises(ConfigError, match=r"^--heat is 49.5; give 50 or more$"):
        flags.make(Oven)


def test_a_file_gives_flags_and_the_command_line_wins(tmp_path):
    path = tmp_path / "run.yaml"
    # Text to YAML 1.1, which wants 2.0e+2 of a number.
    path.write_text("heat: 2e2\nlight: true\nracks: [4]\nmode: top\nname: null\n")
    flags = parser().parse(["--mode", "both", "--config", str(path)])
    want = {"heat": 200.0, "light": True, "racks": (4,), "mode": "both"}
    assert flags.given(Oven) == want
    path.write_text("z-dim: 7\nlast_frame_skip: false\nlr: 1e-4\n")
    flags = training_parser("bair").parse([f"--config={path}", "--z-dim", "9"])
    assert flags.given(SVGConfig) == {"z_dim": 9, "last_frame_skip": False}
    assert flags.given(TrainingConfig) == {"lr": 1e-4}


@pytest.mark.parametrize(
    "content, words",
    [
        ("heet: 100", "no flag 'heet'; did you mean 'heat'?"),
        ("heat: warm", "heat is 'warm'; give a number"),
        ("heat: true", "heat is True; give a number"),
        ("racks: [1.5]", "racks is 1.5; give a whole number"),
        ("fan: 3", "fan is 3; give true or false"),
        ("mode: bottom", "choose one of ['both', 'top']"),
        ("- heat", "holds no mapping"),
        ("heat: [", "is not YAML"),
        ("heat: 100\nheat: 200", "gives 'heat' twice; give it once"),
        ("z-dim: 3\nz_dim: 4", "gives 'z_dim' twice; give it once"),
    ],
)
def test_a_wrong_file_ends_in_one_line(tmp_path, capsys, content, words):
    path = tmp_path / "run.yaml"
    path.write_text(content)
    with pytest.raises(SystemExit) as stop, one_line_errors():
        parser().parse(["--config", str(path)])
    assert stop.value.code == 2
    line = last_error(capsys)
    assert line.startswith(f"{path}: ") and words in line


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no FIFO")
def test_a_file_of_flags_that_is_a_pipe_is_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SystemExit), one_line_errors():
        parser().parse(["--config", str(tmp_path / "pipe")])
    assert "is no regular file" in last_error(capsys)


def test_the_help_says_meaning_choices_and_default():
    text = " ".join(parser().format_help().split())
    assert "--heat X Degrees, of --fan or without it. (default: 180)" in text
    assert "--fan, --no-fan Whether it is on. (default: yes)" in text
    assert "--light, --no-light Whether it is on." in text
    assert "--mode {both,top}" in text and "(default: 1 2)" in text


def test_what_the_data_say_of_a_model_is_no_flag(capsys):
    with pytest.raises(SystemExit):
        training_parser("smmnist").parse(["--action-dim", "4"])
    assert "--action-dim" in last_error(capsys)


def test_the_help_of_training_has_the_default_of_each_preset():
    text = " ".join(training_parser("bair").format_help().split())
    width = "--width N Filters of the encoder's first stage; the others are multiples"
    assert f"{width} of it. (default: paper 64, small 16)" in text
    assert "(default: paper 28, small 10)" in text  # the horizon, of no configuration
    assert "--pixel-skip, --no-pixel-skip" in text
    assert "(default: paper no, small yes)" in text


def test_the_help_lists_all_values_where_there_are_few():
    text = " ".join(training_parser("bair").format_help().split())
    for flag in (
        "--norm {batch,group}",
        "--channels {1,3}",
        "--dynamics {vector,maps}",
        "--elbo {trace,mean-field}",
        "--precision {float32,tf32,bf16}",
    ):
        assert f"{flag} " in text
    # Names and addresses are not torn: they are copied.
    assert "mixture-vector, mixture," in text and "(default: mean-field)" in text
    assert f"(default: {BAIR_URL})" in text
    assert "two-scale, none." in text and "learned-maps" not in text
    text = " ".join(evaluate.evaluation_parser().format_help().split())
    assert "--intervals {means,noisy} " in text
    assert "data lerobot: Takes --camera, --stride, --fit too." in text


def test_every_flag_of_every_command_says_what_it_means(monkeypatch, capsys):
    flags = {}
    add_fields = Parser.add_fields

    def remember(self, cls, **how):
        for field in fields_of(cls):
            if field.name not in how.get("leave_out", ()):
                flags[f"{cls.__name__}.{field.name}"] = field.words
        add_fields(self, cls, **how)

    monkeypatch.setattr(Parser, "add_fields", remember)
    lines = [[name] for name in COMMANDS if name != "train"]
    for line in [*lines, *(["train", name] for name in TRAINING_DATA)]:
        with pytest.raises(SystemExit):
            main([*line, "--help"])
    assert len(flags) > 200
    assert [name for name, words in flags.items() if len(words) < 8] == []
    # Read by itself: not the end of a sentence that another flag's help begins.
    begun = re.compile("Of |Its |Their |The same |This |That |How: ")
    assert [name for name, words in flags.items() if begun.match(words)] == []


def test_every_data_set_is_trained_and_tested_on_and_has_presets_and_options():
    assert list(PRESETS) == list(TRAINING_DATA) == list(DATA_OPTIONS)
    assert list(TRAINED) == list(TEST_SETS) == list(DATA_OPTIONS)


def test_the_earlier_flag_of_the_observation_model_is_known():
    given = training_parser("bair").parse(["--sigma", "learned"])
    assert given.given(SVGConfig) == {}
    assert "--sigma" in training_parser("kth").format_help()


def test_advice_of_an_error_becomes_flags(capsys):
    with pytest.raises(SystemExit) as stop, one_line_errors():
        raise TrainingError("it broke", advice=("clip_norm", "root"))
    assert stop.value.code == 2
    assert last_error(capsys) == "it broke (see --clip-norm, --data-root)"


@pytest.mark.parametrize(
    "argv, words",
    [
        (["sing"], "no command 'sing'"),
        (["train"], "train needs a data set; choose one of ['bair'"),
        (["train", "mars"], "no data set 'mars'"),
        (["generate"], "CHECKPOINT"),
        (["train", "bair", "--zdim", "3"], "--zdim"),
        (["train", "bair", "--preset", "huge"], "'huge'"),
    ],
)
def test_a_wrong_command_ends_in_one_line(capsys, argv, words):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2 and words in last_error(capsys)


def test_the_program_lists_its_commands(capsys):
    main(["--help"])
    out = capsys.readouterr().out
    for name in ("train", "generate", "evaluate", "figures", "compare-elbos"):
        assert f"\n  {name} " in out
