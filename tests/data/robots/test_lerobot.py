"""LeRobot data sets of versions 2 and 3, written here as the format is published."""

import json
import os
import pickle

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from support.robot_files import (
    FPS,
    HAS_AV1,
    TOP,
    WRIST,
    actions_of,
    edit_info,
    edit_table,
    firsts_of,
    put_table,
    states_of,
    write_lerobot,
)
from support.video_files import coded, numbers, write_video

from svg_pyro.data import LeRobot
from svg_pyro.errors import DataError

LENGTHS = (9, 8, 7, 9)
VERSIONS = ("v2.1", "v3.0")
SMALL = {"image_size": 16, "channels": 1}
TABLE = {
    "v2.1": "data/chunk-000/episode_000000.parquet",
    "v3.0": "data/chunk-000/file-000.parquet",
}
VIDEO = {
    "v2.1": f"videos/chunk-000/{TOP}/episode_000000.mp4",
    "v3.0": f"videos/{TOP}/chunk-000/file-000.mp4",
}


def both(root, tmp_path, n_frames=4, **options):
    return [
        LeRobot(root, split, n_frames, cache=tmp_path / "cache", **SMALL, **options)
        for split in ("train", "test")
    ]


def opened(root, tmp_path, **options):
    """Both splits, so that whatever is broken is met."""
    return both(root, tmp_path, **options)


def refused(root, tmp_path, **options):
    with pytest.raises(DataError) as error:
        opened(root, tmp_path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def episode_of(number):
    return int(np.searchsorted(firsts_of(LENGTHS), number, side="right")) - 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["video", "image"])
def test_clips_actions_and_states_are_of_the_same_frames(tmp_path, version, kind):
    root = write_lerobot(tmp_path / "set", version, LENGTHS, kind=kind)
    seen = set()
    for data in both(root, tmp_path, camera="top"):
        assert (data.action_dim, data.state_dim, data.fps) == (2, 3, FPS)
        assert data.cameras == (TOP,) and data.camera_sizes == {TOP: (32, 48, 3)}
        for epoch in range(3):
            for i in range(len(data)):
                told = numbers(data.clip(i, epoch))
                first = int(told[0])
                assert told.tolist() == list(range(first, first + 4))
                assert episode_of(first) == episode_of(first + 3)
                actions, states = data.actions(i, epoch), data.states(i, epoch)
                np.testing.assert_array_equal(actions, actions_of(first, 3))
                np.testing.assert_array_equal(states, states_of(first, 4))
                assert str(actions.dtype) == str(states.dtype) == "torch.float32"
                assert f"episode {episode_of(first)}, {TOP}, frames" in data.name(i)
                seen.add(episode_of(first))
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_frame_of_an_episode_is_there_and_none_of_its_neighbours(
    tmp_path, version
):
    root = write_lerobot(tmp_path / "set", version, LENGTHS)
    found = {}
    for data in both(root, tmp_path, n_frames=1):
        for i in range(len(data)):
            for epoch in range(40):
                number = int(numbers(data.clip(i, epoch))[0])
                found.setdefault(data.name(i).split(", ")[1], set()).add(number)
    wanted = {
        f"episode {e}": set(range(first, first + LENGTHS[e]))
        for e, first in enumerate(firsts_of(LENGTHS))
    }
    assert found == wanted


def test_a_stride_takes_every_other_row_too(tmp_path):
    root = write_lerobot(tmp_path / "set", "v3.0", LENGTHS)
    data = both(root, tmp_path, n_frames=3, stride=3)[0]
    first = int(numbers(data.clip(0, 5))[0])
    assert numbers(data.clip(0, 5)).tolist() == [first, first + 3, first + 6]
    assert data.actions(0, 5)[:, 0].tolist() == [first, first + 3]
    assert data.states(0, 5)[:, 0].tolist() == [first, first + 3, first + 6]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_cameras_of_an_episode_are_on_one_side_of_the_split(tmp_path, version):
    root = write_lerobot(tmp_path / "set", version, (6,) * 6, cameras=(TOP, WRIST))
    train, test = (
        {tuple(data.name(i).split(", ")[1:3]) for i in range(len(data))}
        for data in both(root, tmp_path, camera=["top", WRIST], test_fraction=0.34)
    )
    assert len(train) == 8 and len(test) == 4
    assert not {episode for episode, _ in train} & {episode for episode, _ in test}
    assert {camera for _, camera in train} == {camera for _, camera in test} != {TOP}


def test_without_a_name_the_first_camera_is_read_and_said(tmp_path, capsys):
    root = write_lerobot(tmp_path / "set", "v2.1", cameras=(TOP, WRIST))
    assert both(root, tmp_path)[0].cameras == (TOP,)
    said = capsys.readouterr().err
    assert said.count(f"camera {TOP} is read; there are also {WRIST} (32x48)") == 1


@pytest.mark.skipif(not HAS_AV1, reason="this PyAV has no AV1 encoder or decoder")
@pytest.mark.parametrize("version", VERSIONS)
def test_av1_is_read(tmp_path, version):
    root = write_lerobot(tmp_path / "set", version, LENGTHS, codec="libsvtav1")
    for data in both(root, tmp_path):
        told = numbers(data.clip(0))
        assert told.tolist() == list(range(int(told[0]), int(told[0]) + 4))
        np.testing.assert_array_equal(data.actions(0), actions_of(told[0], 3))


@pytest.mark.parametrize(
    "shape, names, size",
    [
        ([32, 48, 3], ["height", "width", "channel"], (32, 48, 3)),
        ([3, 32, 48], ["channels", "height", "width"], (32, 48, 3)),
        ([48, 32, 3], ["width", "height", "rgb"], (32, 48, 3)),
        ([3, 4, 3], ["channels", "height", "width"], (4, 3, 3)),
        ([3, 32, 48], None, (32, 48, 3)),
        ([32, 48, 1], None, (32, 48, 1)),
    ],
)
def test_sizes_are_read_by_the_names_of_the_axes(tmp_path, shape, names, size):
    root = write_lerobot(tmp_path / "set", "v2.1")
    features = json.loads((root / "meta/info.json").read_text())["features"]
    features[TOP] |= {"shape": shape, "names": names}
    edit_info(root, features=features)
    assert both(root, tmp_path)[0].camera_sizes == {TOP: size}


@pytest.mark.parametrize("version", VERSIONS)
def test_decoded_frames_are_kept(tmp_path, version):
    root = write_lerobot(tmp_path / "set", version, LENGTHS)
    both(root, tmp_path)
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").glob("*.frames")}
    assert len(kept) == (4 if version == "v2.1" else 2)
    both(root, tmp_path)
    again = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").glob("*.frames")}
    assert again == kept


def test_processes_that_read_ahead_get_the_same(tmp_path):
    data = both(write_lerobot(tmp_path / "set", "v3.0"), tmp_path)[0]
    copy = pickle.loads(pickle.dumps(data))
    assert copy.clip(0, 3).equal(data.clip(0, 3))
    assert copy.actions(0, 3).equal(data.actions(0, 3))


def test_actions_may_be_left_unread_or_asked_for(tmp_path):
    root = write_lerobot(tmp_path / "set", "v2.1")
    without = both(root, tmp_path, actions=False)[0]
    assert without.action_dim == 0
    with pytest.raises(DataError, match="holds no actions, or they were not asked"):
        without.actions(0)
    features = json.loads((root / "meta/info.json").read_text())["features"]
    del features["action"]
    edit_info(root, features=features)
    assert both(root, tmp_path)[0].action_dim == 0
    assert "set: holds no actions" in refused(root, tmp_path, actions=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_missing_file_is_named(tmp_path, version):
    root = write_lerobot(tmp_path / "set", version)
    for path in (VIDEO[version], TABLE[version]):
        (root / path).rename(root / "away")
        said = refused(root, tmp_path)
        assert f"{path}: no such file, and episode " in said
        (root / "away").rename(root / path)
    part = "meta/episodes.jsonl" if version == "v2.1" else "meta/episodes/chunk-000"
    (root / part).rename(root / "away")
    assert part.removesuffix("/chunk-000") in refused(root, tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_part_of_the_list_of_episodes_that_is_missing_is_noticed(tmp_path, version):
    root = write_lerobot(tmp_path / "set", version)
    edit_info(root, total_episodes=5)
    assert "lists 3 episodes, and info.json promises 5" in refused(root, tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
def test_fewer_frames_than_rows_are_refused(tmp_path, version):
    root = write_lerobot(tmp_path / "set", version)
    count = {"v2.1": 9, "v3.0": 17}[version]
    write_video(root / VIDEO[version], coded(count - 1), "libx264")
    assert " frames there and " in refused(root, tmp_path)
    write_video(root / VIDEO[version], coded(count), "libx264")
    table = root / TABLE[version]
    put_table(table, pq.read_table(table).slice(1))
    assert "episode 0 has 8 rows, and 9 frames in the list" in refused(root, tmp_path)


def test_a_frame_that_is_not_shown_at_its_time_is_refused(tmp_path):
    root = write_lerobot(tmp_path / "set", "v2.1")
    times = [40 * t + 30 * (t > 3) for t in range(9)]
    write_video(root / VIDEO["v2.1"], coded(9), "libx264", times=times)
    assert "episode 0, frame 4: is shown 0.030 s off" in refused(root, tmp_path)
    times = [40 * t + 10 * (t > 3) for t in range(9)]
    write_video(root / VIDEO["v2.1"], coded(9), "libx264", times=times)
    opened(root, tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_action_that_is_not_finite_is_refused(tmp_path, version, bad):
    root = write_lerobot(tmp_path / "set", version)
    table = root / TABLE[version]
    actions = pq.read_table(table)["action"].to_pylist()
    actions[4][1] = bad
    edit_table(table, action=actions)
    said = refused(root, tmp_path)
    assert f"{TABLE[version]}: episode 0, frame 4: its action is not finite" in said
    opened(root, tmp_path, actions=False)


@pytest.mark.parametrize(
    "column, values, words",
    [
        ("action", None, "has no column 'action'"),
        ("action", [[1.0]] * 9, "holds 1 numbers, and info.json says 2"),
        ("action", [[1.0, 2.0]] * 8 + [None], "'action' has rows without a value"),
        ("action", [[1.0, 2.0]] * 8 + [[1.0]], "'action' are not equally long"),
        ("action", [["a", "b"]] * 9, "holds string, no numbers"),
        ("episode_index", None, "has no column 'episode_index'"),
        ("timestamp", [0.04 * t for t in range(8)] + [float("nan")], "frame 8: is"),
        ("frame_index", [*range(1, 9), 0], "not in the order of frame_index"),
    ],
)
def test_a_table_that_is_not_as_promised_is_refused(tmp_path, column, values, words):
    root = write_lerobot(tmp_path / "set", "v2.1")
    edit_table(root / TABLE["v2.1"], **{column: values})
    assert words in refused(root, tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
def test_rows_without_their_number_and_time_count_as_they_come(tmp_path, version):
    root = write_lerobot(tmp_path / "set", version, LENGTHS)
    for path in root.glob("data/*/*.parquet"):
        edit_table(path, frame_index=None, timestamp=None)
    for data in both(root, tmp_path):
        first = int(numbers(data.clip(0))[0])
        np.testing.assert_array_equal(data.actions(0), actions_of(first, 3))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"codebase_version": "v1.6"}, "is 'v1.6'; v2.0, v2.1, v3.0 are read"),
        ({"codebase_version": None}, "codebase_version is None"),
        ({"fps": 0}, "fps is 0"),
        ({"features": None}, "has no features"),
        ({"features": {TOP: {"dtype": "video"}}}, f"{TOP!r} has the shape None"),
        ({"features": {TOP: {"dtype": "video", "shape": [3]}}}, "has the shape [3]"),
        ({"features": {}}, "no camera has filmed"),
        ({"video_path": None}, "its video_path cannot be filled in"),
        ({"data_path": "{nothing}"}, "its data_path cannot be filled in"),
        ({"chunks_size": 0}, "chunks_size is 0"),
    ],
)
def test_a_description_that_cannot_be_right_is_refused(tmp_path, change, words):
    root = write_lerobot(tmp_path / "set", "v2.1")
    edit_info(root, **change)
    assert words in refused(root, tmp_path)


def test_no_description_and_a_broken_one_are_refused(tmp_path):
    assert "meta/info.json: No such file" in refused(tmp_path, tmp_path)
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text("{")
    assert "is not JSON" in refused(tmp_path, tmp_path)


def test_unknown_cameras_and_splits_are_refused_by_name(tmp_path):
    root = write_lerobot(tmp_path / "set", "v2.1", cameras=(TOP, "other.top"))
    said = refused(root, tmp_path, camera="left")
    assert f"has no camera 'left'; there are {TOP} (32x48), other.top (32x48)" in said
    assert "'top' may be" in refused(root, tmp_path, camera="top")
    with pytest.raises(DataError, match="unknown split 'val'"):
        LeRobot(root, "val", camera=TOP, cache=tmp_path / "cache")
    assert "test_fraction is 1" in refused(root, tmp_path, camera=TOP, test_fraction=1)
    alone = write_lerobot(tmp_path / "one", "v2.1", (5,))
    assert "holds one episode" in refused(alone, tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", [VIDEO, TABLE])
def test_a_broken_file_is_refused_in_one_line(tmp_path, version, path):
    root = write_lerobot(tmp_path / "set", version)
    (root / path[version]).write_bytes(b"no such thing" * 40)
    assert path[version] in refused(root, tmp_path)


def test_a_frame_lost_in_a_shared_video_is_refused(tmp_path):
    # All episodes after it would have the frames of others' rows.
    root = write_lerobot(tmp_path / "set", "v3.0", codec="mpeg4")
    path = root / VIDEO["v3.0"]
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    start, size = places[3]
    data[start : start + size] = b"\xff" * size
    path.write_bytes(data)
    assert " frames can be read, and 17 should be there, episode" in refused(
        root, tmp_path
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_an_image_that_is_not_there_is_refused(tmp_path, version):
    root = write_lerobot(tmp_path / "set", version, kind="image")
    table = root / TABLE[version]
    pictures = pq.read_table(table)[TOP].to_pylist()
    pictures[2]["bytes"] = None
    edit_table(table, **{TOP: pictures})
    said = refused(root, tmp_path)
    assert f"{TABLE[version]}:{TOP}: " in said and "2 frames" in said


def test_too_short_episodes_are_left_out_and_counted(tmp_path, capsys):
    root = write_lerobot(tmp_path / "set", "v3.0", (9, 3, 9, 9))
    data = both(root, tmp_path, n_frames=5, test_fraction=0.5)
    names = {d.name(i).split(", ")[1] for d in data for i in range(len(d))}
    assert names == {"episode 0", "episode 2", "episode 3"}
    said = capsys.readouterr().err
    assert said.count("left out 1 of 2") == 1 and "episode 1, has 3" in said


def test_numbers_and_texts_beyond_all_are_shown_short(tmp_path):
    root = write_lerobot(tmp_path / "set", "v2.1")
    path = root / "meta" / "episodes.jsonl"
    lines = path.read_text().splitlines()
    for key in ("length", "episode_index"):
        row = json.loads(lines[0]) | {key: 1e300}
        path.write_text("\n".join([json.dumps(row), *lines[1:]]))
        said = refused(root, tmp_path)
        assert "a number beyond 10**15" in said and len(said) < 300
    path.write_bytes(b'{"episode_index": \xff' + 999 * b" ")
    assert "cannot be understood" in refused(root, tmp_path)
    assert len(refused(root, tmp_path)) < 300


@pytest.mark.parametrize("name", ["info.json", "episodes.jsonl"])
def test_a_description_of_endless_depth_or_that_is_a_pipe_is_refused(tmp_path, name):
    root = write_lerobot(tmp_path / "set", "v2.1")
    path = root / "meta" / name
    path.write_text(60_000 * "[")
    assert name in refused(root, tmp_path)
    path.unlink()
    os.mkfifo(path)
    assert "is no regular file" in refused(root, tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_arrow_says_in_lines_is_one_line(tmp_path, version):
    root = write_lerobot(tmp_path / "set", version)
    path = root / TABLE[version]
    good = path.read_bytes()
    refusals = 0
    for place in range(4, 200, 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 255]) + good[place + 1 :])
        try:
            both(root, tmp_path)
        except DataError as error:
            refusals += 1
            assert "\n" not in str(error) and len(str(error)) < 300
    assert refusals > 5
