"""Recordings of robots in HDF5 files of the two layouts that are common."""

import os

import h5py
import numpy as np
import pytest
from support.robot_files import (
    actions_of,
    firsts_of,
    states_of,
    write_aloha,
    write_robomimic,
)
from support.video_files import coded, numbers

from svg_pyro.data import RobotHDF5
from svg_pyro.errors import DataError

LENGTHS = (9, 8, 7, 9)


def both(root, tmp_path, **options):
    return [
        RobotHDF5(root, split, 4, cache=tmp_path / "cache", image_size=16, **options)
        for split in ("train", "test")
    ]


def refused(root, tmp_path, **options):
    with pytest.raises(DataError) as error:
        both(root, tmp_path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def check(sets, state_dim=3):
    seen = set()
    for data in sets:
        assert (data.action_dim, data.state_dim, data.channels) == (2, state_dim, 3)
        for i in range(len(data)):
            told = numbers(data.clip(i))
            first = int(told[0])
            episode = int(np.searchsorted(firsts_of(LENGTHS), first, "right")) - 1
            assert told.tolist() == list(range(first, first + 4))
            np.testing.assert_array_equal(data.actions(i), actions_of(first, 3))
            np.testing.assert_array_equal(data.states(i), states_of(first, 4))
            seen.add(episode)
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("camera", ["agentview", "robot0_eye_in_hand_image"])
def test_robomimic(tmp_path, camera):
    path = write_robomimic(tmp_path / "image.hdf5", LENGTHS)
    check(both(path, tmp_path, camera=camera))
    data = both(tmp_path, tmp_path, camera=camera)[0]
    assert data.camera_sizes == {
        "agentview_image": (32, 48, 3),
        "robot0_eye_in_hand_image": (32, 48, 3),
    }
    assert "image.hdf5 data/demo_" in data.name(0)


@pytest.mark.parametrize("encoded", [False, True])
def test_aloha(tmp_path, encoded):
    root = write_aloha(tmp_path / "set", LENGTHS, encoded=encoded)
    check(both(root, tmp_path, camera="cam_low"))


def test_the_colours_are_those_that_are_stored(tmp_path):
    root = write_aloha(tmp_path / "set")
    for path in root.glob("*"):
        with h5py.File(path, "a") as file:
            file["observations/images/cam_high"][...] = (200, 40, 60)
    clip = both(root, tmp_path, camera="cam_high")[0].clip(0)
    assert clip.float().mean((0, 2, 3)).tolist() == [200, 40, 60]


def test_the_cameras_of_an_episode_are_on_one_side_of_the_split(tmp_path):
    root = write_aloha(tmp_path / "set", (6,) * 6)
    train, test = (
        {tuple(data.name(i).split(", ")[1:3]) for i in range(len(data))}
        for data in both(
            root, tmp_path, camera=["cam_high", "cam_low"], test_fraction=0.34
        )
    )
    assert len(train) == 8 and len(test) == 4
    assert not {episode for episode, _ in train} & {episode for episode, _ in test}


def test_actions_may_be_missing(tmp_path):
    root = write_aloha(tmp_path / "set")
    for path in root.glob("*"):
        with h5py.File(path, "a") as file:
            del file["action"]
    assert both(root, tmp_path)[0].action_dim == 0
    assert "set: holds no actions" in refused(root, tmp_path, actions=True)


def change(path, name, values):
    with h5py.File(path, "a") as file:
        del file[name]
        if values is not None:
            file[name] = values


@pytest.mark.parametrize(
    "name, values, words",
    [
        (
            "observations/images/cam_high",
            coded(9),
            "9 frames can be read, and 8 should be there, episode_1.hdf5 among them",
        ),
        (
            "observations/images/cam_high",
            None,
            "cam_high has not filmed episode_1.hdf5",
        ),
        ("observations/images", None, "episode_1.hdf5: is of an unknown layout"),
        (
            "action",
            np.full((8, 2), np.nan),
            "episode_1.hdf5, frame 0: its action is not finite",
        ),
        ("action", np.zeros((8, 3)), "episode_1.hdf5 has 3 numbers in an action"),
        ("observations/qpos", np.zeros((9, 3)), "observations/qpos has 9 rows"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, name, values, words):
    root = write_aloha(tmp_path / "set")
    change(root / "episode_1.hdf5", name, values)
    assert words in refused(root, tmp_path, camera="cam_high")


CAMERA = "observations/images/cam_high"


@pytest.mark.parametrize(
    "name, made, words",
    [
        (
            "action",
            {"shape": (2**40, 2), "dtype": "f4", "chunks": (1024, 2)},
            "it claims 8796093022208 bytes, more than 4294967296",
        ),
        ("action", {"shape": (0, 2), "dtype": "f4"}, "action holds no row"),
        ("action", {"data": np.zeros((8, 2), complex)}, "it holds no real numbers"),
        ("action", {"data": np.full((8, 2), b"x")}, "it holds no real numbers"),
        (
            CAMERA,
            {"shape": (8, 2**20, 2**20, 3), "dtype": "u1", "chunks": (1, 64, 64, 3)},
            "cam_high has not filmed episode_1.hdf5",
        ),
        (CAMERA, {"shape": (8, 0, 48, 3), "dtype": "u1"}, "has not filmed episode_1"),
        (
            CAMERA,
            {"shape": (8, 32, 48, 3), "dtype": "u1", "external": "/dev/zero"},
            "has not filmed episode_1",
        ),
    ],
)
def test_claims_of_memory_and_what_is_elsewhere_are_refused(
    tmp_path, name, made, words
):
    root = write_aloha(tmp_path / "set")
    with h5py.File(root / "episode_1.hdf5", "a") as file:
        del file[name]
        file.create_dataset(name, **made)
    assert words in refused(root, tmp_path, camera="cam_high")


def test_a_pipe_among_the_files_is_passed_over(tmp_path):
    root = write_aloha(tmp_path / "set", LENGTHS)
    os.mkfifo(root / "episode_9.hdf5")
    check(both(root, tmp_path, camera="cam_low"))


def test_no_file_and_broken_files_are_refused(tmp_path):
    assert "none: no such file or folder" in refused(tmp_path / "none", tmp_path)
    (tmp_path / "empty").mkdir()
    assert "holds no HDF5 file" in refused(tmp_path / "empty", tmp_path)
    path = write_robomimic(tmp_path / "cut.hdf5")
    path.write_bytes(path.read_bytes()[:3000])
    assert "cut.hdf5: is no HDF5 file that can be read" in refused(path, tmp_path)
    assert "has no camera 'top'; there are cam_high (32x48), cam_low" in refused(
        write_aloha(tmp_path / "set"), tmp_path, camera="top"
    )
