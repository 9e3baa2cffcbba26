"""What a checkpoint knows of its data is the default, and what overrides it is said."""

import numpy as np
import pytest
import torch
from support.evaluations import TINY, awake
from support.video_files import folder_of

import svg_pyro
from svg_pyro.commands.datasets import DATA_OPTIONS
from svg_pyro.commands.evaluate import evaluate
from svg_pyro.commands.generate import generate
from svg_pyro.commands.train import train
from svg_pyro.commands.trained_on import trained_on
from svg_pyro.data import MovingMNIST, VideoFolder

SMALL = (
    "--device cpu --preset small --dynamics vector --backbone dcgan --width 2 "
    "--g-dim 4 --z-dim 2 --rnn-size 4 --batch-size 2 --n-past 2 --n-frames 3 "
    "--horizon 1 --num-samples 1 --test-clips 1 --pictures 0 --channels 1"
).split()
FEW = "--device cpu --num-samples 2 --shown 0 --horizon 2".split()


@pytest.fixture
def film(tmp_path, monkeypatch):
    """A film twice as wide as high, whose right half is bright."""
    monkeypatch.chdir(tmp_path)
    frames = np.zeros((12, 64, 128), np.uint8)
    frames[:, :, 64:] = 200
    frames += np.arange(12, dtype=np.uint8)[:, None, None]
    np.save("film.npy", frames)


def saved(name, **data):
    """A checkpoint of a run on some data."""
    svg_pyro.save(awake(TINY), name, training={"data": data, "step": 1})


def context(out):
    return np.load(f"{out}/film.npz")["context"][:, 0]


def test_generate_prepares_frames_as_the_training_did(film, capsys):
    saved("kth.pt", actions=["boxing"])  # as stored before "kind" was
    saved("own.pt", kind="videos", fit="letterbox", stride=4)
    generate(["kth.pt", "film.npy", *FEW, "--out", "kth"])
    assert "as in training: --fit stretch" in capsys.readouterr().out
    squeezed = context("kth")
    assert squeezed[0, :, :28].max() < 20 and squeezed[0, :, 36:].min() > 180
    generate(["own.pt", "film.npy", *FEW, "--out", "own"])
    assert "as in training: --fit letterbox, --stride 4" in capsys.readouterr().out
    boxed = context("own")
    assert boxed[0, 0].max() == 0 and boxed[1, 32, 10] == boxed[0, 32, 10] + 4


def test_a_flag_that_overrides_the_training_is_said(film, capsys):
    saved("own.pt", kind="videos", fit="stretch", stride=4)
    flags = ["--fit", "crop", "--stride", "1", "--out", "other"]
    generate(["own.pt", "film.npy", *FEW, *flags])
    out = capsys.readouterr().out
    assert "--fit crop takes the place of the training's --fit stretch" in out
    assert "--stride 1 takes the place of the training's --stride 4" in out
    assert "as in training" not in out
    given = context("other")
    assert given[1, 0, 0] == given[0, 0, 0] + 1


EVALUATED = (
    "--device cpu --clips 1 --num-samples 2 --horizon 2 --particles 1 "
    "--likelihood-clips 1 --pictures 0 --protocol srvp"
).split()


@pytest.mark.slow
def test_evaluate_tests_on_what_was_trained_on(film, capsys):
    digits = {"kind": "smmnist", "bundled_digits": True}
    saved("one.pt", num_digits=1, deterministic=True, **digits)
    saved("two.pt", num_digits=2, deterministic=True, **digits)
    evaluate(["one.pt", *EVALUATED, "--out", "one"])
    out = capsys.readouterr().out
    assert "training: --num-digits 1, --deterministic, --bundled-digits\n" in out
    assert "deterministic Moving MNIST of 1 digits" in out
    evaluate(["one.pt", *EVALUATED, "--out", "two", "--num-digits", "2"])
    assert "--num-digits 2 takes the place of the training's" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        evaluate(["one.pt", "two.pt", *EVALUATED, "--out", "both"])
    assert (
        "trained with --num-digits 1 and --num-digits 2; give"
        in capsys.readouterr().err
    )


def test_models_that_ship_say_what_they_were_trained_on():
    assert trained_on("smmnist-1")["num_digits"] == 1
    assert trained_on("push")["kind"] == "bair"


@pytest.mark.slow
def test_a_run_is_resumed_with_its_own_data_or_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "clips", "abcdef")
    base = ["clips", *SMALL, "--out", "run"]
    train("videos", [*base, "--steps", "1", "--stride", "2"])
    assert trained_on("run/checkpoint.pt")["stride"] == 2
    again = ["clips", "--device", "cpu", "--out", "run", "--resume", "--test-clips"]
    again += ["1", "--pictures", "0", "--num-samples", "1", "--horizon", "1"]
    # The stride need not be given again.
    train("videos", [*again, "--steps", "2"])
    assert "which keeps its own" not in capsys.readouterr().out
    train("videos", [*again, "--steps", "2", "--preset", "paper"])
    said = capsys.readouterr().out
    assert "the run in run, which keeps its own: --" in said
    with pytest.raises(SystemExit):
        train("videos", [*again, "--steps", "3", "--stride", "1"])
    assert "--stride is 1, and 2 in the run in run" in capsys.readouterr().err
    # A file more, and other files of the same number.
    folder_of(tmp_path / "clips", "abcdefgh")
    with pytest.raises(SystemExit):
        train("videos", [*again, "--steps", "3"])
    error = capsys.readouterr().err.splitlines()[-1]
    assert "run was trained on 10 clips and these are 14" in error
    assert "give --other-data" in error
    train("videos", [*again, "--steps", "3", "--other-data"])
    assert "goes on with these" in capsys.readouterr().out
    train("videos", [*again, "--steps", "4"])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "clips").rename(tmp_path / "elsewhere" / "clips")
    # The same clips elsewhere are the same.
    train("videos", ["elsewhere/clips", *again[1:], "--steps", "5"])


def test_a_fingerprint_tells_other_clips_and_not_another_place(tmp_path):
    def of(root):
        return VideoFolder(
            root, "train", 4, image_size=16, channels=1, cache=tmp_path / "cache"
        ).fingerprint()

    first = of(folder_of(tmp_path / "a", "abc"))
    assert of(folder_of(tmp_path / "elsewhere" / "b", "abc")) == first
    assert of(folder_of(tmp_path / "c", "abx")) != first
    assert of(folder_of(tmp_path / "d", "abcd")) != first
    digits = torch.zeros(3, 28, 28, dtype=torch.uint8)
    others = digits.clone()
    others[1, 3, 4] = 1
    assert MovingMNIST(digits).fingerprint() == MovingMNIST(digits).fingerprint()
    assert MovingMNIST(digits).fingerprint() != MovingMNIST(others).fingerprint()


def test_every_data_set_stores_the_name_that_it_is_known_by():
    for name, options in DATA_OPTIONS.items():
        assert options.kind == name


@pytest.mark.parametrize("form", ["file", "folder"])
def test_what_was_trained_on_is_kept_when_a_model_is_stored_again(tmp_path, form):
    data = {"kind": "videos", "fit": "letterbox", "stride": 4}
    saved(tmp_path / "run.pt", **data)
    svg = svg_pyro.load(tmp_path / "run.pt")
    assert svg.trained_on == data
    store = {"file": svg_pyro.save, "folder": svg_pyro.save_pretrained}[form]
    store(svg, tmp_path / "again")
    assert svg_pyro.load(tmp_path / "again").trained_on == data
    assert trained_on(str(tmp_path / "again"))["stride"] == 4
    svg_pyro.save(svg_pyro.SVG(TINY), tmp_path / "new.pt")
    assert svg_pyro.load(tmp_path / "new.pt").trained_on == {}


@pytest.mark.parametrize(
    "data, words",
    [
        ({"stride": "x"}, "what the model saw: stride is 'x'; give a whole number"),
        ({"stride": True}, "what the model saw: stride is True"),
        ({"stride": -3}, "--stride is -3; give 1 or more"),
        ({"stride": 10**30}, "stride is a number beyond 10**15"),
        ({"fit": 5}, "what the model saw: fit is 5; choose one of"),
        ({"fit": "\x1b[2J"}, "fit is '\\x1b[2J'; choose one of"),
    ],
)
def test_what_a_file_says_of_its_data_is_not_believed(film, capsys, data, words):
    saved("foreign.pt", kind="videos", **data)
    with pytest.raises(SystemExit) as stop:
        generate(["foreign.pt", "film.npy", *FEW, "--out", "own"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2 and words in line and line.isprintable()


@pytest.mark.parametrize("data", [{"kind": [5]}, {"kind": "\x1b[2J"}, {"kind": 7}])
def test_of_a_data_set_that_is_not_known_nothing_is_taken(film, capsys, data):
    saved("foreign.pt", **data)
    generate(["foreign.pt", "film.npy", *FEW, "--out", "own"])
    assert "as in training" not in capsys.readouterr().out
