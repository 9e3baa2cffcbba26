"""The lerobot package itself as writer and as reader, where it is installed.

Tried with 0.4.4, which writes version 3.0, and 0.3.3, which writes 2.1.
"""

import inspect
import json

import numpy as np
import pytest
from support.robot_files import (
    FPS,
    TOP,
    actions_of,
    firsts_of,
    put_json,
    states_of,
    write_lerobot,
)
from support.video_files import coded, numbers

from svg_pyro.data import LeRobot

REASON = "the lerobot package (over 1 GB with what it needs) is not installed"
LENGTHS = (9, 8, 7)


@pytest.fixture
def package(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # Imported when it is asked for: what it needs takes seconds.
    return pytest.importorskip("lerobot.datasets.lerobot_dataset", reason=REASON)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["video", "image"])
def test_what_the_package_writes_is_read_as_it_reads_it(tmp_path, package, kind):
    root = written(package.LeRobotDataset, tmp_path / "set", kind)
    compare(package.LeRobotDataset("a/b", root=root), root, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["video", "image"])
def test_the_package_reads_what_the_tests_write(tmp_path, package, kind):
    import pandas

    version = package.CODEBASE_VERSION
    root = write_lerobot(tmp_path / "set", version, LENGTHS, kind=kind)
    if version == "v2.1":
        put_json(root / "meta" / "tasks.jsonl", {"task_index": 0, "task": "a"})
        stats = [{"episode_index": e, "stats": {}} for e in range(len(LENGTHS))]
        lines = "\n".join(map(json.dumps, stats))
        (root / "meta" / "episodes_stats.jsonl").write_text(lines)
    else:
        tasks = pandas.DataFrame({"task_index": [0]}, index=["a"])
        tasks.to_parquet(root / "meta" / "tasks.parquet")
    compare(package.LeRobotDataset("a/b", root=root), root, tmp_path)


def compare(theirs, root, tmp_path):
    """Every frame of ours is theirs, by its row, its episode and its pixels."""
    seen, size = set(), 32
    for split in ("train", "test"):
        data = LeRobot(root, split, 1, image_size=size, cache=tmp_path / "cache")
        assert data.fps == theirs.fps and data.cameras == tuple(theirs.meta.camera_keys)
        for i in range(len(data)):
            for epoch in range(30):
                (frame,), (state,) = data.clip(i, epoch).float(), data.states(i, epoch)
                number = int(numbers(frame[None])[0])
                item = row_of(theirs, number)
                assert int(item["index"]) == number == state[0]
                assert f"episode {int(item['episode_index'])}," in data.name(i)
                np.testing.assert_array_equal(state, item["observation.state"])
                if TOP in item:  # the middle of it; conversions of colour differ
                    theirs_grey = item[TOP][:, 8:24, 8:24].mean() * 255
                    assert abs(theirs_grey - frame[:, 8:24, 8:24].mean()) < 2
                seen.add(number)
    assert seen == set(range(sum(LENGTHS)))
    longer = LeRobot(root, "train", 4, image_size=size, cache=tmp_path / "cache")
    first = int(longer.states(0, 1)[0, 0])
    wanted = [row_of(theirs, first + t)["action"].tolist() for t in range(3)]
    assert longer.actions(0, 1).tolist() == wanted


def row_of(theirs, number):
    """A row of theirs; without its video where the package finds no decoder."""
    try:
        return theirs[number]
    except (
        AttributeError,
        ImportError,
        RuntimeError,
    ):  # no torchcodec, torchvision 0.26
        return theirs.hf_dataset[number]


def written(cls, root, kind):
    """A data set of three episodes by the package."""
    axes = ["height", "width", "channels"]
    features = {
        TOP: {"dtype": kind, "shape": (64, 64, 3), "names": axes},
        "action": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
        "observation.state": {"dtype": "float32", "shape": (3,), "names": None},
    }
    made = cls.create("a/b", FPS, features, root=root, use_videos=kind == "video")
    for length, first in zip(LENGTHS, firsts_of(LENGTHS), strict=True):
        rows = zip(
            coded(length, 64, 64, first),
            actions_of(first, length),
            states_of(first, length).astype(np.float32),
            strict=True,
        )
        for frame, action, state in rows:
            values = {TOP: frame, "action": action, "observation.state": state}
            if "task" in inspect.signature(made.add_frame).parameters:
                made.add_frame(values, task="a")
            else:
                made.add_frame({**values, "task": "a"})
        made.save_episode()
    if hasattr(made, "finalize"):
        made.finalize()
    return root
