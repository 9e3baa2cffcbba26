"""What importing costs: heavy packages are loaded by those who use them."""

import subprocess
import sys

import pytest

from svg_pyro import data
from svg_pyro.errors import DataError
from svg_pyro.util.optional import need

HEAVY = (
    *("pymunk", "av", "sklearn", "scipy", "google_crc32c", "matplotlib", "jinja2"),
    *("pyarrow", "h5py"),
)


@pytest.mark.parametrize(
    "room", ["data", "training", "metrics", "plots", "evaluation", "planning"]
)
def test_importing_a_room_loads_no_heavy_package(room):
    code = f"import importlib, pkgutil, sys, svg_pyro.{room} as room\n"
    if room != "data":
        # With all files of the room. Those of data are loaded by the names asked for.
        code += (
            "for m in pkgutil.walk_packages(room.__path__, room.__name__ + '.'):\n"
            "    importlib.import_module(m.name)\n"
        )
    code += f"print(sorted(set(sys.modules) & set({HEAVY!r})))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert (out.stdout.strip(), out.returncode) == ("[]", 0), out.stderr


def test_every_public_name_is_listed_and_there():
    assert set(data.__all__) <= set(dir(data))
    assert set(data._MODULES) == set(data.__all__)
    for name in data.__all__:
        assert getattr(data, name).__module__ == data._MODULES[name]
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        data.Nothing  # noqa: B018


@pytest.mark.parametrize(
    "package, module, code",
    [
        (
            "av",
            "av",
            "from svg_pyro.data.videos.decode import *; "
            "from pathlib import Path; p = Path('x.mp4'); p.write_bytes(b'x'); "
            "next(decode(Source(p), 8, 1))",
        ),
        (
            "pymunk",
            "pymunk",
            "from svg_pyro.data import make_simulated_push as m; "
            "m('push', 1, 1, workers=1)",
        ),
        (
            "google-crc32c",
            "google_crc32c",
            "from svg_pyro.data.bair.tfrecord import *; masked_crc(b'')",
        ),
        (
            "pyarrow",
            "pyarrow.parquet",
            "from svg_pyro.data.robots.parquet import *; "
            "read_table(Path('x.parquet'), bool)",
        ),
        (
            "h5py",
            "h5py",
            "from svg_pyro.data.robots.hdf5_file import *; open_hdf5(Path('x.hdf5'))",
        ),
        (
            "scikit-learn",
            "sklearn",
            "from svg_pyro.data.digits import *; load_scikit_digits('test')",
        ),
    ],
)
def test_a_missing_package_is_one_line_that_names_it(package, module, code, tmp_path):
    script = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from svg_pyro.errors import DataError\n"
        f"try:\n    exec({code!r})\nexcept DataError as error:\n    print(error)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert out.stdout.count("\n") == 1, out.stdout + out.stderr
    assert f"pip install {package}" in out.stdout


def test_need_gives_the_module():
    assert need("json", "json", "a test") is sys.modules["json"]
    with pytest.raises(DataError, match=r"a test needs the package none.*pip install"):
        need("svg_pyro_none", "none", "a test")
