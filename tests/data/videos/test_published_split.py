"""Folders that come divided into training and testing."""

import numpy as np
import pytest
from support.video_files import coded, folder_of

from svg_pyro.data import VideoFolder


def numbers_in(root, split, tmp_path, n_frames=4):
    """Which of `folder_of`'s videos a split has, by the brightness of their frames."""
    data = VideoFolder(
        root, split, n_frames, image_size=16, channels=1, cache=tmp_path / "cache"
    )
    return {int(data.clip(i).float().mean()) for i in range(len(data))}


def divided(root, **parts):
    """Folders of videos, of which each has a brightness of its own."""
    for k, (name, count) in enumerate(parts.items()):
        folder = root / name.replace("__", "/")
        folder.mkdir(parents=True)
        for i in range(count):
            frames = np.full((8, 16, 16), 20 + 40 * k + 2 * i, np.uint8)
            np.save(folder / f"{i}.npy", frames)
    return root


@pytest.mark.parametrize(
    "train, test",
    [
        ("train", "test"),
        ("Training", "Testing"),
        ("train", "val"),
        ("clips_train", "clips_test"),
        ("sky__train__videos", "sky__test__videos"),
    ],
)
def test_a_published_pair_is_trained_and_tested_on_as_it_comes(
    tmp_path, capsys, train, test
):
    root = divided(tmp_path / "set", **{train: 7, test: 3})
    assert numbers_in(root, "train", tmp_path) == {20 + 2 * i for i in range(7)}
    # One of eight test clips was of a video that is not trained on.
    assert numbers_in(root, "test", tmp_path) == {60 + 2 * i for i in range(3)}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{root}: divided as it comes: 7 videos, as in ")
    assert train.split("__videos")[0].replace("__", "/") in line
    assert "and 3, as in" in line and "tested on" in line


def test_a_third_part_for_validation_is_left_out_and_said(tmp_path, capsys):
    root = divided(tmp_path / "set", train=4, test=2, val=3)
    assert numbers_in(root, "train", tmp_path) == {20, 22, 24, 26}
    assert numbers_in(root, "test", tmp_path) == {60, 62}
    assert "; 3 videos for validation are left out" in capsys.readouterr().err


def test_two_files_can_be_the_pair(tmp_path, capsys):
    root = tmp_path / "set"
    root.mkdir()
    np.save(root / "train.npy", coded(8))
    np.save(root / "test.npy", coded(8, first=20))
    train, test = (numbers_in(root, s, tmp_path) for s in ("train", "test"))
    assert max(train) < min(test)
    assert "divided as it comes: 1 videos, as in train.npy" in capsys.readouterr().err


@pytest.mark.parametrize(
    "names",
    [
        ["train", "cars"],  # no pair
        ["a__train", "b__test"],  # not side by side
        ["train one", "test drive"],  # no pair: they differ in more than the word
    ],
)
def test_other_folders_are_split_by_file_as_before(tmp_path, capsys, names):
    root = divided(tmp_path / "set", **dict.fromkeys(names, 5))
    train, test = (numbers_in(root, s, tmp_path) for s in ("train", "test"))
    assert len(train) == 9 and len(test) == 1 and not train & test
    assert capsys.readouterr().err == ""


def test_films_of_trains_are_films(tmp_path, capsys):
    root = folder_of(tmp_path / "set", ["train 1", "test 1", "train 2", "other"])
    assert len(numbers_in(root, "train", tmp_path)) == 3
    assert capsys.readouterr().err == ""
