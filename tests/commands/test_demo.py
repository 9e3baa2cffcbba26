"""svg-pyro demo: what the models that ship give, without training or network."""

import socket

import numpy as np
import pytest
import torch
from PIL import Image

from svg_pyro.commands.demo import held_out_clips
from svg_pyro.commands.main import main
from svg_pyro.data import BairPush, make_simulated_push


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the demo opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_futures_of_both_models_become_pictures_and_a_page(
    tmp_path, no_network, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    size = ["--clips", "2", "--num-samples", "3", "--horizon", "2"]
    main(["demo", *size, "--device", "cpu", "--out", "shown"])
    for model, n_past in (("smmnist-1", 5), ("push", 2)):
        with Image.open(tmp_path / "shown" / f"{model}.gif") as gif:
            assert gif.n_frames == n_past + 2
            # A line for each of 2 clips; truth and 3 samples, of 128 pixels each.
            assert gif.size == (4 * 134, 2 * 134 + 36)
    page = (tmp_path / "shown" / "demo.html").read_text()
    assert page.count("data:image/gif;base64,") == 2
    assert "prefers-color-scheme: dark" in page
    out = capsys.readouterr().out
    assert "push: 3 futures of 2 held-out clips of simulated robot pushing" in out
    assert out.splitlines()[-1].startswith("open shown/demo.html")


def test_the_clips_are_those_that_training_holds_out(tmp_path):
    root = make_simulated_push(tmp_path, n_train=1, n_test=2, workers=1)
    stored = BairPush(root, "test", 30)
    clips, words = held_out_clips("push", 2, 12)
    for index in range(2):
        np.testing.assert_array_equal(clips[index], stored.clip(index)[:12])
    assert words == "2 held-out clips of simulated robot pushing"


def test_a_long_clip_begins_as_a_short_one_does():
    short, _ = held_out_clips("push", 1, 12)
    long, _ = held_out_clips("push", 1, 33)
    assert long.shape == (1, 33, 3, 64, 64)
    assert torch.equal(short[:, :12], long[:, :12])


def test_an_unknown_model_is_refused_in_one_line(capsys):
    with pytest.raises(SystemExit) as left:
        main(["demo", "--model", "cats"])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "smmnist-1" in error
