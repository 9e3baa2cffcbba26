"""The examples in docstrings do what they say."""

import doctest
import importlib

import pyro
import pyro.distributions as dist
import pytest
import torch
from support.places import ROOT

import svg_pyro

PACKAGE = ROOT / "svg_pyro"
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    given = {"svg_pyro": svg_pyro, "torch": torch, "pyro": pyro, "dist": dist}
    given["folder"] = tmp_path
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs=given, optionflags=flags)
    assert result.attempted > 0 and result.failed == 0


def test_some_module_has_examples():
    assert MODULES
