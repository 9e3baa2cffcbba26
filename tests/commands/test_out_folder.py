"""Two commands at once, of which one must not write into the other's folder."""

import numpy as np
import pytest
from support.owner import owners

import svg_pyro
from svg_pyro import SVG
from svg_pyro.commands.main import main
from svg_pyro.commands.out_folder import own_folder
from svg_pyro.errors import ConfigError
from svg_pyro.util.files import free_folder
from svg_pyro.util.locks import FolderLock

COMMANDS = {
    "generate": "generate model.pt video.npy --horizon 1 --num-samples 1 --out out",
    "surprise": "surprise model.pt video.npy --num-samples 1 --out out",
    "evaluate": "evaluate model.pt --data smmnist --bundled-digits --out out",
    "plan": "plan --controller random --tasks 1 --out out",
    "figures": "figures prior --checkpoint a=model.pt --bundled-digits --out out",
    "demo": "demo --model smmnist-1 --clips 1 --num-samples 1 --out out",
    "compare-parts": "compare-parts --data digit --bundled-digits --out out",
}


@pytest.fixture
def here(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    svg_pyro.save(SVG(tiny), "model.pt")
    np.save("video.npy", np.random.default_rng(0).integers(0, 9, (6, 64, 64), np.uint8))
    return tmp_path


@pytest.fixture
def owner():
    with owners() as own:
        yield own


def test_a_folder_in_use_is_refused_by_every_command_that_writes_one(
    here, owner, capsys
):
    other = owner(here / "out")
    before = set(here.rglob("*"))
    for name, line in COMMANDS.items():
        if name == "plan":
            pytest.importorskip("gymnasium")
        with pytest.raises(SystemExit) as stop:
            main(line.split())
        error = capsys.readouterr().err.splitlines()[-1]
        assert stop.value.code == 2, name
        assert error.startswith("error: out is in use: a command that still"), error
    assert set(here.rglob("*")) == before
    other.kill()
    other.wait()
    main(COMMANDS["generate"].split())
    assert (here / "out" / "video.npz").exists()
    assert not (here / "out" / ".lock").exists()


def test_without_a_name_a_folder_in_use_is_passed_by(tmp_path, owner, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = owner(tmp_path / "runs" / "futures")
    with own_folder(None, "runs/futures") as out:
        assert str(out) == "runs/futures-2"
        (out / "video.gif").touch()
    with own_folder(None, "runs/futures") as out:
        assert str(out) == "runs/futures-3"
    assert not (tmp_path / "runs" / "futures-3").exists()
    other.kill()  # leaves its lock, and nothing else
    other.wait()
    with own_folder(None, "runs/futures") as out:
        assert str(out) == "runs/futures"


def test_a_folder_that_was_filled_since_it_was_looked_at_is_passed_by(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    acquire = FolderLock.acquire

    def late(self, *, wait=0.0):
        """The owner before has ended in this very moment."""
        had = acquire(self, wait=wait)
        if self.folder.name == "futures":
            (self.folder / "video.gif").touch()
        return had

    monkeypatch.setattr(FolderLock, "acquire", late)
    with own_folder(None, "runs/futures") as out:
        assert str(out) == "runs/futures-2"
    assert [f.name for f in (tmp_path / "runs" / "futures").iterdir()] == ["video.gif"]


def test_an_error_gives_the_folder_back(tmp_path):
    with pytest.raises(ConfigError), own_folder(str(tmp_path / "out")) as out:
        assert (out / ".lock").exists()
        raise ConfigError("no")
    assert list(tmp_path.iterdir()) == []
    assert free_folder(tmp_path / "out", besides={tmp_path / "out"}).name == "out-2"
