"""The KTH reader on small videos of the published names; brightness counts frames."""

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import train_kth
from PIL import Image

from svg_pyro.commands import sources
from svg_pyro.data.base import clip_rng
from svg_pyro.data.download.published import KTH_URL
from svg_pyro.data.videos import kth_files
from svg_pyro.data.videos.kth import KTH
from svg_pyro.data.videos.kth_files import ACTIONS, find_videos, read_intervals
from svg_pyro.errors import DataError

PREFACE = """
This is a preface of several lines, as in the published file.

Training:   person11, 12, 13, 14, 15, 16, 17, 18
Test:       person22, 02, 03, 05, 06, 07, 08, 09, 10

"""
# Out of order, overlapping, and beyond the end, as some of the published ones are.
LINES = {
    "person01_boxing_d1": [(1, 12), (13, 30)],
    "person07_walking_d2": [(1, 10), (31, 40), (21, 33)],
    "person20_walking_d1": [(5, 60)],
    "person21_boxing_d1": [(1, 20), (21, 40)],
    "person25_walking_d4": [(3, 17), (30, 40)],
}
FRAMES = 40


def write_avi(path, count=FRAMES, size=(160, 120)):
    """A grey video: frame k (from 0) has the brightness 20 + 5 k."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_000_000
        for k in range(count):
            image = np.full((size[1], size[0]), 20 + 5 * k, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, "gray")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def numbers(clip):
    """The numbers of a clip's frames, counted from 1 as in 00sequences.txt."""
    means = clip.float().mean((1, 2, 3))
    found = (means - 20) / 5 + 1
    assert (found - found.round()).abs().max() < 0.3
    return found.round().int().tolist()


def write_lines(path, lines):
    text = "".join(
        f"{name}\t\tframes\t{', '.join(f'{a}-{b}' for a, b in pairs)}  \n"
        for name, pairs in lines.items()
    )
    path.write_text(PREFACE + text + "\nperson13_handclapping_d3\t*missing*\n")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("kth")
    for name in LINES:
        write_avi(root / name.split("_")[1] / f"{name}_uncomp.avi")
    write_lines(root / "00sequences.txt", LINES)
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("frames")


def video_of(data, index):
    """The published name of the video of item `index`, and its person."""
    name = Path(data.name(index).split(",")[0]).name[: -len("_uncomp.avi")]
    return name, int(name[6:8])


def windows(data, epochs=1):
    """For each video, the frames of its clips: a set of tuples of frame numbers."""
    found = {}
    for epoch in range(epochs):
        for i in range(len(data)):
            frames = tuple(numbers(data.clip(i, epoch)))
            found.setdefault(video_of(data, i)[0], set()).add(frames)
    return found


def test_train_clips_lie_within_one_interval_and_all_places_are_reached(root, cache):
    data = KTH(root, "train", 5, cache=cache, seed=3)
    assert (data.channels, data.image_size, data.n_frames) == (1, 64, 5)
    # 2 + 3, 2 + 2 + 2 and 7 windows of 5 frames; the last interval is cut to 5-40.
    assert len(data) == 18
    expected = {
        name: {
            tuple(range(k, k + 5))
            for first, last in pairs
            for k in range(first, min(last, FRAMES) - 3)
        }
        for name, pairs in LINES.items()
        if int(name[6:8]) <= 20
    }
    assert windows(data, epochs=60) == expected
    assert data.name(2).split(",")[0].endswith("person07_walking_d2_uncomp.avi")
    for epoch in range(8):  # frames 1 to 10, so that there are six places
        drawn = 1 + int(clip_rng(3, epoch, 2).integers(6))
        assert numbers(data.clip(2, epoch))[0] == drawn


def test_drawn_by_class_each_action_video_interval_and_start_is_alike(root, cache):
    data = KTH(root, "train", 5, cache=cache, seed=3, draw="class")
    by_length = KTH(root, "train", 5, cache=cache, seed=3)
    assert len(data) == len(by_length)
    found = {}
    epochs = 100
    for epoch in range(epochs):
        for i in range(len(data)):
            segment, start = data.window(i, epoch)
            assert segment.start <= start <= segment.stop - 5
            found.setdefault(segment.source.path.name.split("_")[1], []).append(
                (segment.source, segment.start, start)
            )
    draws = epochs * len(data)
    for clips in found.values():
        # Four standard errors of a share, of actions and of one's videos.
        share = 1 / len(found)
        assert abs(len(clips) / draws - share) < 4 * (share / draws) ** 0.5
        sources = [source for source, _, _ in clips]
        for source in set(sources):
            part = 1 / len(set(sources))
            error = (part / len(clips)) ** 0.5
            assert abs(sources.count(source) / len(clips) - part) < 4 * error
    assert torch.equal(data.clip(3, 7), data.clip(3, 7))
    test = KTH(root, "test", 5, cache=cache, draw="class")
    assert torch.equal(test.clip(0), KTH(root, "test", 5, cache=cache).clip(0))


def test_test_clips_are_fixed_and_of_the_other_persons(root, cache):
    data = KTH(root, "test", 5, cache=cache)
    assert windows(data, epochs=3) == {
        name: {
            tuple(range(k, k + 5))
            for first, last in pairs
            for k in range(first, last - 3, 5)
        }
        for name, pairs in LINES.items()
        if int(name[6:8]) > 20
    }
    # The first clips, of which few are scored and drawn, are of several videos.
    names = [video_of(data, i)[0] for i in range(4)]
    assert names == ["person21_boxing_d1", "person25_walking_d4"] * 2


def test_stride_actions_and_persons(root, cache):
    data = KTH(root, n_frames=4, stride=3, cache=cache, actions=["walking"])
    found = windows(data, epochs=30)
    assert set(found) == {"person07_walking_d2", "person20_walking_d1"}
    for frames in set.union(*found.values()):
        assert set(np.diff(frames)) == {3}
    data = KTH(root, n_frames=5, cache=cache, persons=[1, 25])
    assert set(windows(data)) == {"person01_boxing_d1", "person25_walking_d4"}
    data = KTH(root, "test", 5, cache=cache, persons=[7])
    assert set(windows(data)) == {"person07_walking_d2"}


@pytest.mark.parametrize("size", [64, 128])
def test_160x120_is_squeezed_to_a_square(tmp_path, size):
    path = tmp_path / "person02_running_d3_uncomp.avi"
    image = np.zeros((120, 160), np.uint8)
    image[:, :16] = 200  # a tenth of the width, at the edge that a crop would cut off
    image[90:] = 100  # a quarter of the height
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.bit_rate = 4_000_000
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "gray")))
        container.mux(stream.encode())
    data = KTH(tmp_path, n_frames=3, image_size=size, cache=tmp_path / "frames")
    clip = data.clip(0)
    assert clip.shape == (3, 1, size, size) and clip.dtype == torch.uint8
    expected = np.asarray(
        Image.fromarray(image).resize((size, size), Image.Resampling.BOX), float
    )
    difference = np.abs(clip[1, 0].numpy() - expected)
    edges = np.zeros((size, size), bool)  # blurred by the codec and the scaling
    edges[:, round(size / 10) - 4 : round(size / 10) + 4] = True
    edges[size * 3 // 4 - 4 : size * 3 // 4 + 4] = True
    assert difference[~edges].max() < 12


def test_without_intervals_each_video_is_one(tmp_path, capsys):
    for name in ("person03_jogging_d1", "person24_jogging_d1"):
        write_avi(tmp_path / "deep" / "er" / f"{name}_uncomp.avi", 12)
    data = KTH(tmp_path, n_frames=5, cache=tmp_path / "frames")
    found = windows(data, epochs=30)["person03_jogging_d1"]
    assert found == {tuple(range(k, k + 5)) for k in range(1, 9)}
    KTH(tmp_path, "test", 5, cache=tmp_path / "frames")
    (line,) = capsys.readouterr().err.splitlines()
    assert "each whole video is one interval" in line and str(tmp_path) in line


def test_what_is_cut_bare_short_or_broken_is_said_in_one_line_each(tmp_path, capsys):
    root, cache = tmp_path / "walking", tmp_path / "frames"
    names = [f"person{p:02d}_walking_d1" for p in range(1, 6)]
    for name in names[:4]:
        write_avi(root / f"{name}_uncomp.avi", 20)
    (root / f"{names[4]}_uncomp.avi").write_bytes(b"RIFF no video at all")
    (root / "holiday.avi").write_bytes(b"nor this")
    lines = {names[0]: [(11, 25), (30, 40)], names[1]: [(1, 3), (5, 14)]}
    # Beside the folder, and with a second copy of a video that must not count.
    write_lines(tmp_path / "00sequences.txt", {**lines, names[2]: [(1, 10)]})
    (root / "copy").mkdir()
    shutil.copy(root / f"{names[0]}_uncomp.avi", root / "copy")
    data = KTH(root, n_frames=10, cache=cache)
    again = KTH(root, n_frames=10, cache=cache)
    said = capsys.readouterr().err
    assert windows(data, 20) == windows(again, 20)
    assert windows(data)[names[0]] == {tuple(range(11, 21))}
    assert set(windows(data)) == set(names[:4])
    assert [data.name(i).count("copy") for i in range(len(data))] == [0] * len(data)
    assert said.count("skipped 1 of 5 videos") == 1 and names[4] in said
    assert said.count("no line for 1 of 4 videos (person04_walking_d1 ...)") == 1
    assert said.count("2 intervals reach beyond their video's end") == 1
    assert f"{names[0]} 11-25 (has 20 frames), {names[0]} 30-40" in said
    assert said.count("1 of 5 intervals are shorter than the 10 frames") == 1
    assert "holiday" not in said


def test_a_video_that_breaks_off_keeps_its_first_frames(tmp_path, capsys):
    path = tmp_path / "person01_boxing_d4_uncomp.avi"
    write_avi(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    write_lines(tmp_path / "00sequences.txt", {"person01_boxing_d4": [(1, 6), (7, 40)]})
    data = KTH(tmp_path, n_frames=5, cache=tmp_path / "frames")
    said = capsys.readouterr().err
    assert path.name in said and "1 intervals reach beyond" in said
    frames = windows(data, epochs=40)["person01_boxing_d4"]
    assert {(1, 2, 3, 4, 5), (7, 8, 9, 10, 11)} <= frames
    assert not any({6, 7} <= set(f) for f in frames)


def test_reading_intervals(tmp_path):
    path = tmp_path / "00sequences.txt"
    path.write_bytes(
        b"A preface \xe9 about person11, 12\r\n\r\n"
        b"person07_handclapping_d2    \tframes\t1-102, 103-248,249 - 368, 5-9 \r\n"
        b"person13_handclapping_d3\t*missing*\r\n"
        b"  person21_boxing_d2 frames 113-162, 153-254,\r\n"
    )
    assert read_intervals(path) == {
        "person07_handclapping_d2": [(0, 102), (102, 248), (248, 368), (4, 9)],
        "person21_boxing_d2": [(112, 162), (152, 254)],
    }


@pytest.mark.parametrize(
    "line, words",
    [
        ("person01_boxing_d1\tframes\t1-95, 96", "is damaged"),
        ("person01_boxing_d1\tframes", "is damaged"),
        ("person01_boxing_d1", "is damaged"),
        ("person01_boxing_d1\t1-95", "is damaged"),
        ("person01_boxing_d1_uncomp.avi\tframes\t1-95", "is damaged"),
        ("person01_boxing_d1\tframes\t95-1", "is damaged"),
        ("person01_boxing_d1\tframes\t0-95", "is damaged"),
        ("person01_boxing_d1\tframes\t1-95 96-99", "is damaged"),
        ("person09_boxing_d1\tframes\t1-95", "for the second time"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, line, words):
    path = tmp_path / "00sequences.txt"
    path.write_text(f"\nperson09_boxing_d1 frames 1-9\n{line}\n")
    with pytest.raises(DataError) as caught:
        read_intervals(path)
    message = str(caught.value)
    assert f"{path}, line 3: " in message and words in message and "\n" not in message


def test_links_that_lead_round_and_hidden_folders(tmp_path):
    write_avi(tmp_path / "walking" / "person01_walking_d1_uncomp.avi", 3)
    write_avi(tmp_path / ".walking.7.part" / "person02_walking_d1_uncomp.avi", 3)
    (tmp_path / "walking" / "up").symlink_to(tmp_path)
    assert [p.suffix for p in kth_files._files(tmp_path)] == [".avi"]
    (video,) = find_videos(tmp_path)
    assert (video.person, video.action, video.scenario) == (1, "walking", 1)
    assert video.path == tmp_path / "walking" / "person01_walking_d1_uncomp.avi"


def test_errors(tmp_path, root, cache):
    def message(*arguments, **options):
        with pytest.raises(DataError) as caught:
            KTH(*arguments, cache=cache, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    for place in (tmp_path, tmp_path / "nowhere"):
        words = message(place)
        assert f"{place}: holds no KTH video" in words
        assert "person01_boxing_d1_uncomp.avi" in words and "download_kth" in words
    (tmp_path / "boxing.avi").write_bytes(b"x")
    assert "looked for person01_boxing_d1_uncomp.avi" in message(tmp_path)
    (tmp_path / "person01_boxing_d1_uncomp.avi").write_bytes(b"x")
    assert "none of its KTH videos can be read" in message(tmp_path)
    words = message(tmp_path, "test")
    assert "holds 1 KTH videos, none of them" in words and "download_kth" in words
    assert "persons 21 to 25 (looked for person21_boxing_d1_uncomp.avi" in words
    assert "unknown split 'valid'" in message(root, "valid")
    assert "unknown action 'dancing'" in message(root, actions=["dancing"])
    assert "no action" in message(root, actions=[])
    assert "persons are [0, 5]" in message(root, persons=[5, 0])
    assert "ask for shorter clips" in message(root, n_frames=50)


def test_the_actions_are_those_of_the_published_names():
    assert len(ACTIONS) == 6 and list(ACTIONS) == sorted(ACTIONS)


TINY = (
    "--device cpu --preset small --width 4 --g-dim 8 --z-dim 3 --rnn-size 12 "
    "--batch-size 2 --n-past 2 --n-frames 4 --horizon 3 --num-samples 2 "
    "--test-clips 3 --pictures 1 --steps 2"
).split()


@pytest.mark.slow
def test_the_example(tmp_path, root, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    train_kth.main([*TINY, "--data-root", str(root), "--actions", "boxing", "walking"])
    folder = tmp_path / "runs" / "kth"
    results = json.loads((folder / "results.json").read_text())
    assert results["clips"] == 3 and results["horizon"] == 3
    assert (folder / "pictures" / "final_clip_1.gif").exists()
    assert list((tmp_path / "runs" / "frames").glob("*.frames"))
    assert "best of 2 samples" in capsys.readouterr().out
    train_kth.main(
        [
            *TINY,
            "--data-root",
            str(root),
            "--out",
            "other",
            "--image-size",
            "128",
            "--cache",
            "kept",
            "--steps",
            "1",
        ]
    )
    assert list((tmp_path / "kept").glob("*.frames"))


@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "data/kth: holds no KTH video"),
        (["--data-root", "nowhere"], "(see --download, --data-root)"),
        (["--actions", "dancing"], "dancing"),
        (["--data-root", "ROOT", "--actions", "jogging"], "none of them of jogging"),
        (["--data-root", "ROOT", "--n-frames", "50"], "ask for shorter clips"),
        (["--data-root", "ROOT", "--channels", "3"], "channels"),
    ],
)
def test_bad_input_ends_in_one_line_and_status_2(
    tmp_path, root, flags, words, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        train_kth.main([*TINY, *(str(root) if f == "ROOT" else f for f in flags)])
    assert stop.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and words in line


def test_download_is_handed_the_folder_address_and_actions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = []

    def fetched(root, url, actions):
        asked.append((root, url, list(actions)))
        raise DataError("no network")

    monkeypatch.setattr(sources, "download_kth", fetched)
    with pytest.raises(SystemExit):
        train_kth.main([*TINY, "--download", "--actions", "boxing"])
    assert asked == [("data/kth", KTH_URL, ["boxing"])]
    with pytest.raises(SystemExit):
        train_kth.main([*TINY, "--download", "--url", "http://mirror/kth"])
    assert asked[1][1] == "http://mirror/kth"
