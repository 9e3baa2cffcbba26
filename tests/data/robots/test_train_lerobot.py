"""The commands that train and test on a robot's recordings, and how they end."""

import json

import pytest
import train_lerobot
import train_videos
from support.robot_files import (
    TOP,
    WRIST,
    edit_info,
    write_aloha,
    write_lerobot,
    write_robomimic,
)
from support.video_files import folder_of

import svg_pyro
from svg_pyro.commands.held_out_data import add_test_data, find_test_data, find_test_set
from svg_pyro.commands.parser import Parser
from svg_pyro.config import SVGConfig
from svg_pyro.data import VideoFolder
from svg_pyro.data.robots.kinds import robot_clips_class
from svg_pyro.errors import ConfigError, DataError

TINY = (
    "--device cpu --width 4 --g-dim 8 --z-dim 3 --rnn-size 12 --batch-size 4 "
    "--n-past 2 "
    "--n-frames 4 --horizon 3 --num-samples 3 --test-clips 4 --pictures 1 --steps 2"
).split()


def last_line(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.slow
def test_the_example_trains(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_lerobot(tmp_path / "set", "v3.0", (12,) * 3, cameras=(TOP, WRIST))
    train_lerobot.main(["set", *TINY, "--camera", "top,wrist"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("2 steps, out runs/lerobot")
    assert lines[-1] == "open runs/lerobot/pictures/final_clip_1.gif"
    results = json.loads((tmp_path / "runs/lerobot/results.json").read_text())
    assert results["clips"] == 4  # two cameras of one episode, two clips each
    assert len(list((tmp_path / "runs" / "frames").glob("*.frames"))) == 4


def test_a_robots_recordings_are_tested_on_by_the_same_names(tmp_path):
    root = write_lerobot(tmp_path / "set", "v3.0", (12,) * 3, cameras=(TOP, WRIST))
    parser = Parser("Tests.")
    add_test_data(parser)
    flags = ["--data", "lerobot", "--cache", str(tmp_path / "c"), "--camera", "wrist"]

    def found(config, *more):
        asked = find_test_data(parser.parse([*flags, *more]), [])
        return find_test_set(asked, config, 5)

    with pytest.raises(ConfigError, match="needs --data-root ROOT"):
        found(SVGConfig(channels=3))
    place = "--data-root", str(root), "--stride", "2"
    data, words = found(SVGConfig(channels=3), *place)
    assert words == f"recordings of a robot in {root}, test"
    assert data.cameras == (WRIST,) and data.stride == 2 and data.split == "test"
    assert data.clip(0).shape == (5, 3, 64, 64) and data.action_dim == 0
    # A model that takes actions is tested with them.
    data, _ = found(SVGConfig(channels=3, action_dim=2), *place)
    assert data.action_dim == 2 and data.actions(0).shape == (4, 2)


@pytest.mark.slow
def test_hdf5_files_are_found_by_the_same_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_aloha(tmp_path / "set" / "below", (12,) * 3)
    flags = ["--camera", "cam_low", "--fit", "letterbox", "--actions"]
    train_lerobot.main(["set", *TINY, *flags])
    svg = svg_pyro.load("runs/lerobot/checkpoint.pt")
    assert svg.config.action_dim == 2 and svg.action_std.shape == (2,)
    assert capsys.readouterr().out.endswith("pictures/final_clip_1.gif\n")


@pytest.mark.parametrize(
    "flags, words",
    [
        (["none"], "none: holds no data set of robots: no meta/info.json (LeRobot)"),
        (["."], "a LeRobot data set is below it; give"),
        (["set", "--camera", "left"], "no camera 'left'; there are observation.images"),
        (["set", "--stride", "5"], "a clip of 4 at stride 5 takes 16"),
        (["bare", "--actions"], "bare: holds no actions"),
        (["old"], "codebase_version is 'v1.6'"),
        ([], "ROOT"),
    ],
)
def test_bad_input_ends_in_one_line_and_status_2(
    tmp_path, monkeypatch, capsys, flags, words
):
    monkeypatch.chdir(tmp_path)
    write_lerobot(tmp_path / "set", "v2.1")
    bare = write_lerobot(tmp_path / "bare", "v2.1")
    features = json.loads((bare / "meta/info.json").read_text())["features"]
    edit_info(bare, features={TOP: features[TOP]})
    edit_info(write_lerobot(tmp_path / "old", "v2.1"), codebase_version="v1.6")
    with pytest.raises(SystemExit) as stop:
        train_lerobot.main([*flags, *TINY])
    assert stop.value.code == 2 and words in last_line(capsys)


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
@pytest.mark.parametrize("place", ["", "set", "set/videos"])
def test_the_command_for_loose_videos_says_which_command_reads_them(
    tmp_path, capsys, version, place
):
    root = write_lerobot(tmp_path / "set", version)
    with pytest.raises(SystemExit) as stop:
        train_videos.main([str(tmp_path / place), *TINY])
    assert stop.value.code == 2
    line = last_line(capsys)
    assert f"{root}: is a LeRobot data set" in line
    assert line.endswith("LeRobot (see svg-pyro train lerobot)")


def test_robots_are_not_tested_on_as_loose_videos_either(tmp_path):
    folder_of(tmp_path / "videos", "ab")
    write_lerobot(tmp_path / "set", "v3.0")
    sizes = {"image_size": 16, "channels": 1, "cache": tmp_path / "cache"}
    with pytest.raises(DataError, match="is a LeRobot data set"):
        VideoFolder(
            tmp_path / "videos", "train", 4, test_path=tmp_path / "set", **sizes
        )
    VideoFolder(tmp_path / "videos", "train", 4, **sizes)


def test_a_folder_of_hdf5_files_has_its_command_named(tmp_path, capsys):
    # Of a length at which a longer line would lose its middle.
    tmp_path = tmp_path / ("a" * max(1, 100 - len(str(tmp_path))))
    tmp_path.mkdir()
    path = write_robomimic(tmp_path / "image.hdf5")
    for place, words in ((tmp_path, "it holds 1 of HDF5"), (path, "it is an HDF5")):
        with pytest.raises(SystemExit):
            train_videos.main([str(place), *TINY])
        line = last_line(capsys)
        assert "holds no video" in line and words in line
        assert line.endswith("RobotHDF5 (see svg-pyro train lerobot)")
    assert robot_clips_class(tmp_path).__name__ == "RobotHDF5"
