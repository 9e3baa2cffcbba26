"""The names of the package: loaded when asked for, and those that are promised."""

import pickle
import subprocess
import sys

import pytest

import svg_pyro


def test_every_public_name_is_listed_and_there():
    assert set(svg_pyro._MODULES) == set(svg_pyro.__all__) <= set(dir(svg_pyro))
    for name in svg_pyro.__all__:
        module = svg_pyro._MODULES[name]
        assert getattr(svg_pyro, name).__module__.startswith(module)
    for room in svg_pyro._ROOMS:
        assert getattr(svg_pyro, room).__name__ == f"svg_pyro.{room}"
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        svg_pyro.Nothing  # noqa: B018


def test_a_star_import_brings_the_public_names():
    names = {}
    exec("from svg_pyro import *", names)
    assert set(svg_pyro.__all__) <= set(names)
    assert names["SVG"] is svg_pyro.SVG


def test_what_is_named_by_the_package_can_be_pickled(tiny):
    assert pickle.loads(pickle.dumps(tiny)) == tiny
    assert pickle.loads(pickle.dumps(svg_pyro.SVG)) is svg_pyro.SVG


HEAVY = (
    *("pymunk", "av", "sklearn", "scipy", "google_crc32c", "matplotlib", "jinja2"),
    *("pyarrow", "h5py"),
)
ROOMS = ("data", "training", "metrics", "plots", "evaluation", "planning")
# One process for all: what one room loads is still there after the next.
LOADED = f"""
import importlib, pkgutil, sys
import svg_pyro
print("torch" in sys.modules)
@svg_pyro.register("backbone", "mine")
def mine(config, extra_channels): ...
try:
    svg_pyro.register("backbone", "dcgan")(mine)
except svg_pyro.ConfigError as error:
    print(error)
for room in {ROOMS!r}:
    package = importlib.import_module("svg_pyro." + room)
    # With all files of the room. Those of data are loaded by the names asked for.
    if room != "data":
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
    print(room, *sorted(set(sys.modules) & set({HEAVY!r})))
"""


def test_what_is_imported_is_what_is_asked_for():
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    torch_there, taken, *rooms = done.stdout.splitlines()
    assert torch_there == "False"
    # Parts that come with the package have their names before anybody else can.
    assert taken.startswith("the name 'dcgan' of a backbone is taken")
    # Without any heavy package beside its name.
    assert rooms == [*ROOMS]
