"""Folders of videos and their splits, and the example that trains on them."""

import json
import os
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import train_videos
from support.places import SHARED
from support.video_files import coded, folder_of, numbers, write_video

from svg_pyro.data.videos import frame_store
from svg_pyro.data.videos.folder import VideoFolder
from svg_pyro.data.videos.search import find_sources
from svg_pyro.errors import DataError

REAL = SHARED / "data" / "videos"


def videos_of(data):
    return {int(numbers(data.clip(i))[0]) for i in range(len(data))}


def names_in(path):
    root = Path(path).absolute()
    return [s.name.removeprefix(f"{root}/") for s in find_sources(path)]


def test_folders_are_searched(tmp_path):
    for name in (
        "b/x10.mp4",
        "b/x9.mp4",
        "a.AVI",
        "c d/é ö.webm",
        ".hidden/a.mp4",
        "b/.hidden.mp4",
        "notes.txt",
        "seq/1.png",
        "seq/2.PNG",
        "seq/film.gif",
        "run/checkpoint.pt",
        "run/pictures/final.gif",
        "empty/.keep",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"content")
    want = ["a.AVI", "b/x9.mp4", "b/x10.mp4", "c d/é ö.webm", "seq/film.gif"]
    assert names_in(tmp_path) == want
    assert {s.kind for s in find_sources(tmp_path)} == {"video"}
    assert [s.path for s in find_sources(tmp_path / "a.AVI")] == [tmp_path / "a.AVI"]


def test_links_and_loops_count_once(tmp_path):
    folder = folder_of(tmp_path / "videos", "ab")
    (folder / "loop").symlink_to(folder)
    (folder / "up").symlink_to(tmp_path)
    (folder / "again.npy").symlink_to(folder / "a.npy")
    os.link(folder / "b.npy", folder / "hard.npy")
    elsewhere = folder_of(tmp_path / "elsewhere", "c")
    (folder / "linked").symlink_to(elsewhere)
    assert names_in(folder) == ["a.npy", "b.npy", "linked/c.npy"]


def test_train_and_test_never_share_a_video(tmp_path):
    root = folder_of(tmp_path / "videos")
    parts = [
        VideoFolder(
            root,
            split,
            4,
            image_size=16,
            channels=1,
            cache=tmp_path / "cache",
            test_fraction=0.3,
        )
        for split in ("train", "test")
    ]
    assert [len(p) for p in parts] == [21, 9]  # 12 // 4 of each
    train, test = map(videos_of, parts)
    assert not train & test and train | test == set(range(10)) and len(test) == 3
    # The same in another place and order, and with another length of clips.
    root.rename(tmp_path / "elsewhere")
    moved = VideoFolder(
        tmp_path / "elsewhere",
        "test",
        9,
        image_size=16,
        channels=1,
        cache=tmp_path / "cache",
        test_fraction=0.3,
    )
    assert videos_of(moved) == test


@pytest.mark.parametrize(
    "fraction, count, n_test", [(0.1, 2, 1), (0.9, 2, 1), (0.1, 15, 2), (0.5, 15, 8)]
)
def test_sizes_of_the_splits(tmp_path, fraction, count, n_test):
    root = folder_of(tmp_path / "videos", "abcdefghijklmno"[:count])
    for split, n in (("train", count - n_test), ("test", n_test)):
        data = VideoFolder(
            root,
            split,
            12,
            image_size=16,
            channels=1,
            cache=tmp_path / "cache",
            test_fraction=fraction,
        )
        assert len(data) == n


def test_files_that_are_added_move_few_others(tmp_path):
    root, moved = folder_of(tmp_path / "videos"), 0
    before = None
    for name in [None, *"klmnopqrst"]:
        if name:
            (root / f"{name}.npy").write_bytes((root / "a.npy").read_bytes())
        data = VideoFolder(
            root,
            "test",
            12,
            image_size=16,
            channels=1,
            cache=tmp_path / "cache",
            test_fraction=0.3,
        )
        now = {data.name(i).split(",")[0] for i in range(len(data))}
        if before is not None:
            moved += len(before - now)
            assert len(before - now) <= 1
        before = now
    assert len(before) == 6 and moved < 6


def test_other_videos_to_test_on(tmp_path):
    root = folder_of(tmp_path / "videos", "abcd")
    other = folder_of(root / "held out", "xy")
    for split, want in (("train", {"a", "b", "c", "d"}), ("test", {"x", "y"})):
        data = VideoFolder(
            root,
            split,
            12,
            image_size=16,
            channels=1,
            cache=tmp_path / "cache",
            test_path=other,
        )
        names = {Path(data.name(i).split(",")[0]).stem for i in range(len(data))}
        assert names == want
    one = VideoFolder(
        root / "a.npy",
        "train",
        12,
        image_size=16,
        channels=1,
        cache=tmp_path / "cache",
        test_path=root / "b.npy",
    )
    assert len(one) == 1
    with pytest.raises(DataError, match="every video in it is also in the test data"):
        VideoFolder(
            other,
            "train",
            12,
            image_size=16,
            channels=1,
            cache=tmp_path / "cache",
            test_path=root,
        )


def test_what_is_too_short_is_listed_once(tmp_path, capsys):
    root = folder_of(tmp_path / "videos", "abc")
    np.save(root / "short.npy", coded(3))
    for _ in range(2):
        data = VideoFolder(
            root,
            "train",
            2,
            image_size=16,
            channels=1,
            cache=tmp_path / "cache",
            stride=3,
            test_path=root / "a.npy",
        )
    assert videos_of(data) == {1, 2}
    assert capsys.readouterr().err.splitlines() == [
        f"{root}: 1 of 4 videos are in the test data, and not trained on",
        "left out 1 of 3 train videos, too short for a clip of 2 frames at stride 3:",
        f"  {root}/short.npy: 3 of 4",
    ]


def test_a_path_with_spaces_and_other_letters(tmp_path):
    root = tmp_path / "meine Vidéos 映像 100%03d"
    root.mkdir()
    for name in ("a b.mp4", "ü [1]#?.mp4", "%02d.mp4"):
        write_video(root / name, coded(8), "libx264")
    data = VideoFolder(
        root, "train", 8, image_size=16, channels=1, cache=tmp_path / "cä che"
    )
    for i in range(len(data)):
        assert numbers(data.clip(i)).tolist() == list(range(8))


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes that are no text")
def test_a_name_that_is_no_text(tmp_path, capsys):
    root = folder_of(tmp_path / "videos", "ab")
    whole = write_video(tmp_path / "a.mp4", coded(8), "libx264").read_bytes()
    for name, content in ((b"\xff.mp4", whole), (b"\xfe\n.mp4", b"")):
        (root / os.fsdecode(name)).write_bytes(content)
    data = VideoFolder(
        root,
        "train",
        8,
        image_size=16,
        channels=1,
        cache=tmp_path / "cache",
        test_path=root / "a.npy",
    )
    assert len(data) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


def one_line(path, tmp_path, split="train", **settings):
    with pytest.raises(DataError) as caught:
        VideoFolder(
            path,
            split,
            4,
            image_size=16,
            channels=1,
            cache=tmp_path / "cache",
            **settings,
        )
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_video(tmp_path):
    (tmp_path / "empty").mkdir()
    want = "give a folder of mp4, avi, mov, webm, mkv or gif files, image sequences, or"
    for folder, words in (
        ("empty", "holds no video"),
        ("none", "no such file or folder"),
    ):
        line = one_line(tmp_path / folder, tmp_path)
        assert line.startswith(f"{tmp_path / folder}: {words}; {want}")
    (tmp_path / "empty" / "notes.txt").write_text("words")
    assert "holds no video" in one_line(tmp_path / "empty", tmp_path)


def test_no_readable_video(tmp_path):
    root = tmp_path / "videos"
    root.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (root / name).touch()
    assert one_line(root, tmp_path) == (
        f"{root}: none of its 2 videos can be read; the first: {root}/a.mp4: "
        "the file is "
        "empty: zero bytes"
    )
    (root / "a.mp4").unlink()
    assert one_line(root, tmp_path).startswith(f"{root}/b.mp4: the file is empty")


def test_a_single_video_is_split_in_time_with_a_gap(tmp_path, capsys):
    frames = np.arange(200, dtype=np.uint8)[:, None, None].repeat(16, 1).repeat(16, 2)
    np.save(tmp_path / "one.npy", frames)
    frame_store.report_once.cache_clear()
    seen = {}
    for split in ("train", "test"):
        # The stretches are the same, however long the clips are.
        for length in (4, 9):
            clips = VideoFolder(
                tmp_path / "one.npy",
                split,
                length,
                image_size=16,
                channels=1,
                cache=tmp_path / "cache",
            )
            found = [clips.clip(i, e) for i in range(len(clips)) for e in range(40)]
            values = torch.stack(found)[..., 0, 0].unique()
            seen[split, length] = int(values.min()), int(values.max())
    for length in (4, 9):
        assert seen["train", length] == (0, 149)
        first, last = seen["test", length]
        assert first == 160 and 160 < last <= 199
    (said,) = capsys.readouterr().err.splitlines()
    assert "one.npy: is the only video, so it is split in time" in said
    assert "75% of its 200 frames" in said


def test_a_single_video_that_is_too_short_says_so(tmp_path):
    root = folder_of(tmp_path / "videos", "a")
    (root / "b.mp4").touch()
    assert one_line(root, tmp_path) == (
        f"{root}/a.npy: is the only video, and the 20% of its 12 frames that are kept "
        "for testing are 2; a clip takes 4: give a longer video, shorter clips, or "
        "others to test on (test_path)"
    )


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"split": "valid"}, "unknown split 'valid'"),
        ({"fit": "squash"}, "no fit 'squash'"),
        ({"test_fraction": 1.0}, "test_fraction is 1.0"),
        ({"stride": 0}, "stride is 0"),
        ({"stride": 9}, "12 frames; a clip of 4 at stride 9 takes 28"),
        ({"test_path": "nowhere"}, "nowhere: no such file"),
    ],
)
def test_settings_out_of_range(tmp_path, settings, words):
    root = folder_of(tmp_path / "videos", "ab")
    assert words in one_line(root, tmp_path, **settings)


def test_the_users_folder_is_left_as_it_was(tmp_path):
    root = folder_of(tmp_path / "videos", "ab")
    before = sorted(p.name for p in root.iterdir())
    VideoFolder(
        root, "train", 4, image_size=16, channels=1, cache=tmp_path / "cache"
    ).clip(0)
    assert sorted(p.name for p in root.iterdir()) == before


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the natural videos of shared/")
def test_real_videos(tmp_path, capsys):
    """What a plain decoder gives, in number and in mean brightness."""
    sources = find_sources(REAL)
    assert len(sources) >= 2
    store = frame_store.FrameStore(tmp_path, 64, 1, "stretch")
    assert store.add(sources) == {} and capsys.readouterr().err == ""
    for source in sources:
        with av.open(str(source.path)) as container:
            grey = [f.to_image().convert("L") for f in container.decode(video=0)]
        assert store.count(source) == len(grey)
        stored = store.read(source, 0, len(grey))
        means = [np.asarray(g).mean() for g in grey]
        assert np.abs(stored.mean((1, 2, 3)) - means).max() < 1


TINY = (
    "--device cpu --width 4 --g-dim 8 --z-dim 3 --rnn-size 12 --batch-size 4 "
    "--n-past 2 "
    "--n-frames 4 --horizon 3 --num-samples 3 --test-clips 4 --pictures 1 --steps 2"
).split()


def test_the_example(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        write_video(tmp_path / f"my {name}.mp4", coded(16), "libx264")
    (tmp_path / "my d.mp4").touch()
    for flags, out in (
        (["--channels", "1"], "videos"),  # the first run's pictures lie below "." now
        (["--stride", "2", "--fit", "letterbox"], "videos-2"),
    ):
        frame_store.report_once.cache_clear()  # as another process has it
        train_videos.main([".", *TINY, *flags])
        said = capsys.readouterr()
        lines = said.out.splitlines()
        assert lines[0].endswith(f"2 steps, out runs/{out}")
        assert lines[-1] == f"open runs/{out}/pictures/final_clip_1.gif"
        assert "skipped 1 of 4 videos:" in said.err.splitlines()
        assert said.err.count("my d.mp4: the file is empty: zero bytes") == 1
        folder = tmp_path / "runs" / out
        assert json.loads((folder / "results.json").read_text())["clips"] >= 1
    assert len(list((tmp_path / "runs" / "frames").glob("*.frames"))) == 6


@pytest.mark.parametrize(
    "flags, words",
    [
        (["none"], "none: no such file or folder"),
        (["."], "the only video"),
        ([".", "--test-data", "none"], "none: no such file or folder"),
        (
            [".", "--test-data", "../other", "--stride", "5"],
            "a clip of 4 at stride 5 takes 16",
        ),
        ([".", "--fit", "squash"], "invalid choice: 'squash'"),
        ([], "DIR"),
    ],
)
def test_bad_input_ends_in_one_line_and_status_2(
    tmp_path, monkeypatch, capsys, flags, words
):
    monkeypatch.chdir(folder_of(tmp_path / "videos", "a"))
    folder_of(tmp_path / "other", "b")
    with pytest.raises(SystemExit) as stop:
        train_videos.main([*TINY, *flags])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line
