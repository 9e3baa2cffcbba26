"""The names of the data sets, and packages that are missing when they are used."""

import sys

import pytest

from svg_pyro import data
from svg_pyro.data import make_simulated_push
from svg_pyro.data.bair.tfrecord import masked_crc
from svg_pyro.data.digits import load_scikit_digits
from svg_pyro.data.robots.hdf5_file import open_hdf5
from svg_pyro.data.robots.parquet import read_table
from svg_pyro.data.videos.decode import Source, decode
from svg_pyro.errors import DataError
from svg_pyro.util.optional import need


def test_every_public_name_is_listed_and_there():
    assert set(data.__all__) <= set(dir(data))
    assert set(data._MODULES) == set(data.__all__)
    for name in data.__all__:
        assert getattr(data, name).__module__ == data._MODULES[name]
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        data.Nothing  # noqa: B018


# Of a package, its module and what needs it.
NEEDED = {
    "av": ("av", lambda folder: next(decode(Source(folder / "x.mp4"), 8, 1))),
    "pymunk": ("pymunk", lambda folder: make_simulated_push(folder, 1, 1, workers=1)),
    "google-crc32c": ("google_crc32c", lambda folder: masked_crc(b"")),
    "pyarrow": ("pyarrow.parquet", lambda folder: read_table(folder / "x", bool)),
    "h5py": ("h5py", lambda folder: open_hdf5(folder / "x.hdf5")),
    "scikit-learn": ("sklearn.datasets", lambda folder: load_scikit_digits("test")),
}


@pytest.mark.parametrize("package", NEEDED)
def test_a_missing_package_is_one_line_that_names_it(package, tmp_path, monkeypatch):
    module, use = NEEDED[package]
    (tmp_path / "x.mp4").write_bytes(b"x")
    need.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError) as error:
        use(tmp_path)
    assert f"pip install {package}" in str(error.value)
    assert "\n" not in str(error.value)


def test_need_gives_the_module():
    assert need("json", "json", "a test") is sys.modules["json"]
    with pytest.raises(DataError, match=r"a test needs the package none.*pip install"):
        need("svg_pyro_none", "none", "a test")
