"""README and docs say what is so: Python runs, commands parse, files are there.

Python runs as it stands, but for the size of the model.
"""

import configparser
import importlib
import re
import shlex

import pytest
import torch
from pyro.infer.inspect import get_model_relations
from support.places import EXAMPLES, ROOT

from svg_pyro import SVG, SVGConfig
from svg_pyro.commands import main as commands
from svg_pyro.commands.parser import Parser
from svg_pyro.data import BairPush  # noqa: F401  # slow to load: not in a test's time
from svg_pyro.model import registry

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def blocks_of(text):
    """The Python blocks of a page, and the lines of its shell blocks."""
    fenced = _FENCE.findall(text)
    python = [code for language, code in fenced if language == "python"]
    shells = ("sh", "bash", "console")
    shell = "".join(code for language, code in fenced if language in shells)
    indented = re.findall(r"^    (.*)$", _FENCE.sub("", text), re.M)
    joined = re.sub(r"\\\n\s*", " ", "\n".join([*indented, shell]))
    lines = [re.sub(r"\s+# .*", "", line).strip() for line in joined.splitlines()]
    return python, [line for line in lines if line]


def commands_of(lines):
    """Commands as lists of words; of a loop its first round."""
    values = {}
    for line in lines:
        if assigned := re.fullmatch(r'(\w+)="(.*)"', line):
            values[assigned[1]] = assigned[2]
        elif loop := re.fullmatch(r"for (\w+) in (\S+).*; do", line):
            values[loop[1]] = loop[2]
        for command in line.split(" && "):
            command = re.sub(r"\$(\w+)", lambda m: values.get(m[1], m[0]), command)
            if re.match(r"(svg-pyro|python|pip|torchrun) ", command):
                yield shlex.split(command)


class _Parsed(BaseException):
    """The command line was understood: no more is asked."""


def parse(words, monkeypatch):
    """Give a command's words to its own parser."""
    original = Parser.parse

    def parse_only(self, argv=None):
        original(self, argv)
        raise _Parsed

    monkeypatch.setattr(Parser, "parse", parse_only)
    if words[0] == "svg-pyro":
        call = commands.main
    else:
        call = importlib.import_module(words[0].removesuffix(".py")).main
    with pytest.raises(_Parsed):
        call(words[1:])


def check_command(words, monkeypatch):
    if words[0] == "torchrun":
        words = ["python", *words[1:]]
        while words[1].startswith("--"):
            del words[1]
    if words[0] == "pip":
        config = configparser.ConfigParser()
        config.read(ROOT / "setup.cfg")
        extras = re.findall(r"\[([\w,]+)\]", " ".join(words))
        for extra in ",".join(extras).split(",") if extras else ():
            assert extra in config["options.extras_require"], extra
    elif words[0] == "svg-pyro":
        parse(words, monkeypatch)
    elif words[1] == "-m":
        assert words[2] in ("pytest", "svg_pyro"), words
    elif words[1].startswith("examples/"):
        assert (ROOT / words[1]).is_file(), words
        parse([words[1].removeprefix("examples/"), *words[2:]], monkeypatch)
    else:
        assert (ROOT / words[1]).is_file(), words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    python, _ = blocks_of(page.read_text(encoding="utf-8"))
    if not python:
        pytest.skip("no Python on this page")
    monkeypatch.chdir(tmp_path)
    preset = SVGConfig.preset.__func__

    def small(cls, name, **changes):
        changes = {"backbone": "dcgan", "width": 4, "rnn_size": 12, **changes}
        return preset(cls, name, **changes)

    monkeypatch.setattr(SVGConfig, "preset", classmethod(small))
    # What a page registers is not there for other tests.
    for kind, found in registry._factories.items():
        monkeypatch.setitem(registry._factories, kind, dict(found))
    names = {}
    for block in python:
        exec(block, names)
    _WHAT_COMES_OUT.get(page.name, lambda names: None)(names)


def _of_the_readme(names):
    assert names["futures"].shape == (20, 4, 28, 3, 64, 64)


def _of_data(names):
    assert names["clip"]["bounces"].shape == (30, 1)
    assert names["Noise"]().clip(3).shape == (12, 1, 64, 64)


def _of_generate(names):
    assert names["futures"].shape == (20, 2, 28, 3, 64, 64)
    assert names["means"].shape == (2, 11, 3, 64, 64)
    assert (names["low"] <= names["high"]).all()


def _of_streaming(names):
    assert names["guided"].frames.shape == (32, 4, 10, 3, 64, 64)
    assert names["score"].time == 12


def _of_parts(names):
    assert names["spread"].epistemic.shape == (1, 3, 3, 64, 64)
    assert names["gradient"].shape == (1, 2, 3, 64, 64)
    assert names["gradient"].norm() > 0


def _of_priors(names):
    assert names["svg"].names["prior"] == "MarkovPrior"


_WHAT_COMES_OUT = {
    "README.md": _of_the_readme,
    "data.md": _of_data,
    "generate.md": _of_generate,
    "streaming.md": _of_streaming,
    "priors.md": _of_priors,
    "parts.md": _of_parts,
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_are_understood(page, monkeypatch):
    _, lines = blocks_of(page.read_text(encoding="utf-8"))
    for words in commands_of(lines):
        with monkeypatch.context() as patched:
            check_command(words, patched)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_what_there_is(page):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"(?:python |`)((?:examples|docs)/\w+\.py)", text):
        below_tests = path.startswith("examples/test_")
        assert (ROOT / "tests" / path if below_tests else ROOT / path).exists(), path
    for path, name in re.findall(r"`([\w/]+/test_\w+\.py)::(\w+)`", text):
        test = ROOT / "tests" / path.removeprefix("tests/")
        assert f"def {name}(" in test.read_text(encoding="utf-8"), f"{path}::{name}"
    for name in re.findall(r"`svg-pyro ([\w-]+)", text):
        assert name in commands.COMMANDS, name
    links = re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", _FENCE.sub("", text))
    for link in links:
        assert (page.parent / link).exists(), link


def test_every_command_is_on_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in commands.COMMANDS:
        assert f"svg-pyro {name}" in text, name


def test_the_readme_is_short_and_its_tests_are_those_that_are_run():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    if (ROOT / ".ci" / "run").exists():
        (line,) = re.findall(r'pip install "\.\[test\]" && (.*)', text)
        assert line in (ROOT / ".ci" / "run").read_text()


def test_examples_are_thin_doors():
    doors = [p for p in EXAMPLES.glob("*.py") if "svg_pyro.commands" in p.read_text()]
    assert len(doors) >= 9
    for path in doors:
        assert len(path.read_text().splitlines()) < 40, path.name


def test_the_picture_of_the_plates_is_that_of_the_program(tiny):
    svg = SVG(tiny)
    relations = get_model_relations(svg.model, (torch.rand(2, 4, 1, 64, 64),))
    drawn = (ROOT / "docs" / "pictures" / "plates.svg").read_text(encoding="utf-8")
    titles = set(re.findall(r"<title>(.*?)</title>", drawn))
    edges = {
        f"{parent}&#45;&gt;{site}"
        for site, parents in relations["sample_sample"].items()
        for parent in parents
    }
    plates = {f"cluster_{name}" for name in relations["plate_sample"]}
    named = {*relations["sample_sample"], *plates, *edges}
    assert titles - {"%3", "distribution_description_node"} == named


def test_a_command_that_is_wrong_would_be_noticed(monkeypatch, capsys):
    for wrong in (
        "svg-pyro demo --clip-count 3",
        "python examples/train_bair.py --x 1",
    ):
        (words,) = commands_of([wrong])
        with pytest.raises(SystemExit):
            check_command(words, monkeypatch)
    assert capsys.readouterr().err.count("unrecognized arguments") == 2
