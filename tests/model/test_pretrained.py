"""Folders of config.json and model.safetensors: whole, or one line that says why."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

import svg_pyro
from svg_pyro import SVG, CheckpointError, SVGConfig
from svg_pyro.model import pretrained, transfer
from svg_pyro.util.reports import report_once

CONFIG = SVGConfig(channels=1, width=2, g_dim=5, z_dim=2, rnn_size=6, n_past=2)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    svg = SVG(CONFIG).eval()
    svg_pyro.save_pretrained(svg, tmp_path / "model", {"steps": 7})
    return tmp_path / "model", svg


def message(call):
    with pytest.raises(CheckpointError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 300
    return text


def test_a_model_comes_back_as_it_was(folder):
    path, svg = folder
    for loaded in (svg_pyro.from_pretrained(path), svg_pyro.load(path)):
        assert loaded.config == svg.config and not loaded.training
        for name, value in svg.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], value), name
    about = pretrained.read_config(path)["about"]
    assert about == {"steps": 7}


def test_words_that_are_no_json_leave_nothing(folder, tmp_path):
    _, svg = folder
    about = {"steps": object()}
    said = message(lambda: svg_pyro.save_pretrained(svg, tmp_path / "new", about))
    assert "about cannot be written as JSON" in said
    assert not (tmp_path / "new").exists()


def test_a_run_s_folder_is_its_checkpoint(tmp_path, folder):
    _, svg = folder
    svg_pyro.save(svg, tmp_path / "run" / "checkpoint.pt")
    loaded = svg_pyro.load(tmp_path / "run")
    assert torch.equal(loaded.encoder.head[0].weight, svg.encoder.head[0].weight)


def test_shipped_models_are_loaded_by_name_and_others_named(monkeypatch, folder):
    path, svg = folder
    monkeypatch.setattr(pretrained, "_SHIPPED", path.parent)
    assert pretrained.shipped() == ["model"]
    assert svg_pyro.load("model").config == svg.config
    said = message(lambda: svg_pyro.load("modle"))
    assert "did you mean 'model'" in said and "ships (model)" in said


def test_a_name_that_is_here_and_ships_says_which_is_read(
    monkeypatch, folder, tmp_path, capsys
):
    path, svg = folder
    ships = tmp_path / "ships"
    torch.manual_seed(1)
    svg_pyro.save_pretrained(SVG(replace(CONFIG, g_dim=6)), ships / "model")
    monkeypatch.setattr(pretrained, "_SHIPPED", ships)
    monkeypatch.chdir(tmp_path)

    def said(g_dim):
        report_once.cache_clear()
        for load in (svg_pyro.load, svg_pyro.from_pretrained):
            assert load("model").config.g_dim == g_dim
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert f"that is {ships / 'model'}" in said(5)
    shutil.rmtree(path)
    path.mkdir()
    assert said(6) == "model: the model that ships; the folder here holds none"
    svg_pyro.save(svg, path / "checkpoint.pt")
    report_once.cache_clear()
    assert svg_pyro.load("model").config.g_dim == 5
    assert "not the model of that name that ships" in capsys.readouterr().err
    shutil.rmtree(path)
    svg_pyro.save(svg, path)  # a file of that name
    assert svg_pyro.load("model").config.g_dim == 5


def test_every_shipped_model_predicts():
    for name in pretrained.shipped():
        svg = svg_pyro.load(name)
        shape = svg.frame_shape
        context = torch.rand(1, svg.config.n_past, *shape)
        actions = None
        if svg.config.action_dim:
            actions = torch.zeros(1, svg.config.n_past + 1, svg.config.action_dim)
        futures = svg.predict(context, 2, 2, actions=actions)
        assert futures.shape == (2, 1, 2, *shape) and futures.isfinite().all()
        folder = pretrained._SHIPPED / name
        assert sum(p.stat().st_size for p in folder.iterdir()) < 8e6
        about = pretrained.read_config(folder)["about"]
        assert {"data", "command", "steps", "cpu_hours", "scores"} <= about.keys()


@pytest.mark.parametrize("fault", ["missing", "surplus", "misshaped", "nan"])
def test_tensors_that_do_not_fit_are_named(folder, fault):
    path, _ = folder
    config = path / pretrained.CONFIG_FILE
    # Of another program, which writes no checksums.
    config.write_text(config.read_text().replace('"sha256"', '"about"'))
    file = path / pretrained.WEIGHTS_FILE
    weights = load_file(file)
    name = "posterior.loc.weight"
    if fault == "missing":
        del weights[name]
    elif fault == "surplus":
        weights["extra"] = torch.zeros(3)
    elif fault == "misshaped":
        weights[name] = torch.zeros(3, 3)
    else:
        weights[name][0, 0] = float("nan")
    save_file(weights, file)
    said = message(lambda: svg_pyro.load(path))
    assert ("extra" if fault == "surplus" else name) in said
    if fault == "misshaped":
        assert "(3, 3) for (2, 6)" in said


def test_broken_files_are_one_line(folder, tmp_path):
    path, _ = folder
    weights = (path / pretrained.WEIGHTS_FILE).read_bytes()
    config = (path / pretrained.CONFIG_FILE).read_text()
    for cut in (0, 4, 100, len(weights) - 1):
        (path / pretrained.WEIGHTS_FILE).write_bytes(weights[:cut])
        assert "truncated" in message(lambda: svg_pyro.load(path))
    (path / pretrained.WEIGHTS_FILE).write_bytes(weights)
    for text in ("", "{", "[]", "{}", "[" * 100_000):
        (path / pretrained.CONFIG_FILE).write_text(text)
        message(lambda: svg_pyro.load(path))
    changed = json.loads(config)
    changed["config"]["widht"] = 3
    del changed["sha256"]
    (path / pretrained.CONFIG_FILE).write_text(json.dumps(changed))
    assert "did you mean 'width'" in message(lambda: svg_pyro.load(path))
    (path / pretrained.CONFIG_FILE).unlink()
    message(lambda: svg_pyro.load(path))
    shutil.rmtree(path)
    message(lambda: svg_pyro.from_pretrained(path))


def test_a_model_starts_from_other_weights(folder):
    _, svg = folder
    torch.manual_seed(1)
    other = SVG(CONFIG)
    transfer.start_from(other, svg)
    assert torch.equal(other.encoder.head[0].weight, svg.encoder.head[0].weight)
    wider = SVG(replace(CONFIG, z_dim=3))
    before = {k: v.clone() for k, v in wider.state_dict().items()}
    said = message(lambda: transfer.start_from(wider, svg))
    assert "other shapes" in said and "of 97 tensors 88 fit" in said
    for name, value in wider.state_dict().items():
        assert torch.equal(value, before[name]), name  # nothing half-loaded
