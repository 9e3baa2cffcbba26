"""Files that are no videos, lie, break off or vanish: reported once and skipped."""

import re
import shutil

import numpy as np
import pytest
from support.video_files import (
    coded,
    cut,
    folder_of,
    frames_of,
    numbers,
    rough,
    set_avi_length,
    write_sound,
    write_video,
)

from svg_pyro.data.videos import folder as video_folder
from svg_pyro.data.videos.decode import Source, decode
from svg_pyro.data.videos.folder import VideoFolder
from svg_pyro.errors import DataError


def make_broken(root):
    """One file of each kind, and the words that are said of it."""
    (root / "zero.mp4").touch()
    (root / "words.mp4").write_text("This is a text.\n" * 100)
    write_sound(root / "sound.mp4")
    cut(write_video(root / "cut.mp4", coded(20), "libx264"), 0.5)
    (root / "noise.mkv").write_bytes(np.random.default_rng(0).bytes(5000))
    (root / "dead.mp4").symlink_to(root / "nowhere.mp4")
    (root / "folder.mp4").mkdir()
    np.save(root / "floats.npy", np.zeros((3, 8, 8)))
    (root / "images").mkdir()
    (root / "images" / "1.png").touch()
    return {
        "zero.mp4": "the file is empty: zero bytes",
        "words.mp4": "not a video that can be decoded (Invalid data",
        "sound.mp4": "the file holds no video, only sound or text",
        "cut.mp4": "not a video that can be decoded (Invalid data",
        "noise.mkv": "not a video that can be decoded (",
        "dead.mp4": "No such file or directory",
        "floats.npy": "holds float64; save it as uint8",
        "images": "1.png: not a readable image",
    }


def test_broken_files_are_reported_once_and_skipped(tmp_path, capfd):
    root = folder_of(tmp_path / "videos")
    broken = make_broken(root)
    for split, n_frames in (("train", 4), ("test", 4), ("test", 6)):
        data = VideoFolder(
            root, split, n_frames, image_size=16, channels=1, cache=tmp_path / "cache"
        )
        assert len(data) == {"train": 9, "test": 1}[split] * (12 // n_frames)
    out, err = capfd.readouterr()  # of FFmpeg too
    head, *lines = err.splitlines()
    assert head == f"skipped {len(broken)} of {len(broken) + 10} videos:" and not out
    assert len(lines) == len(broken)
    for name, words in broken.items():
        (line,) = [line for line in lines if line.startswith(f"  {root / name}: ")]
        assert words in line


@pytest.mark.parametrize("promised", [5, 1000])
def test_a_header_that_lies(tmp_path, capsys, promised):
    path = write_video(tmp_path / "a.avi", coded(40))
    set_avi_length(path, promised)
    other = folder_of(tmp_path / "other", "a")
    for _ in range(2):
        data = VideoFolder(
            path,
            "train",
            40,
            image_size=16,
            channels=1,
            cache=tmp_path / "cache",
            test_path=other,
        )
    assert numbers(data.clip(0)).tolist() == list(range(40))
    said = f"{path}: only 40 frames can be read (its header promises 1000)\n"
    assert capsys.readouterr().err == (said if promised == 1000 else "")


@pytest.mark.parametrize(
    "ending, codec", [(".mkv", "libx264"), (".avi", "mjpeg"), (".webm", "libvpx-vp9")]
)
def test_a_video_that_breaks_off(tmp_path, capsys, ending, codec):
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(tmp_path / f"a{ending}", rough(40), codec, pix_fmt)
    cut(path, 0.6)
    other = folder_of(tmp_path / "other", "a")
    data = VideoFolder(
        path,
        "train",
        5,
        image_size=16,
        channels=1,
        cache=tmp_path / "cache",
        test_path=other,
    )
    whole = data.clip(0, 0), data.clip(1, 0)
    (line,) = capsys.readouterr().err.splitlines()
    count = int(re.match(rf"{path}: only (\d+) frames can be read \(", line)[1])
    assert 10 <= count < 38 and len(data) == count // 5
    for clip in whole:
        start = numbers(clip)[0]
        assert numbers(clip).tolist() == list(range(int(start), int(start) + 5))


def spoil(path, frame, n_frames):
    """Write noise over the middle of one frame of a file of frames of one size."""
    data = bytearray(path.read_bytes())
    middle = int(len(data) * (frame + 0.5) / n_frames)
    data[middle : middle + 300] = np.random.default_rng(0).bytes(300)
    path.write_bytes(data)


def test_noise_in_the_middle_of_a_video(tmp_path):
    """What comes after a gap is not joined to what came before it."""
    path = write_video(tmp_path / "a.mov", rough(40), "png", "rgb24")
    spoil(path, 20, 40)
    frames = decode(Source(path), 16, 1)
    assert numbers([next(frames) for _ in range(20)]).tolist() == list(range(20))
    with pytest.raises(DataError, match=r"a\.mov: only 20 frames can be read \("):
        next(frames)


def test_noise_at_the_start_of_a_video(tmp_path):
    path = write_video(tmp_path / "a.mov", rough(40), "png", "rgb24")
    spoil(path, 0, 40)
    assert numbers(frames_of(path)).tolist() == list(range(1, 40))


def test_a_file_that_vanishes_between_search_and_decoding(
    tmp_path, capsys, monkeypatch
):
    root = folder_of(tmp_path / "videos", "abc")
    find = video_folder.find_sources

    def finding(path, **options):
        found = find(path, **options)
        (root / "b.npy").unlink()
        return found

    monkeypatch.setattr(video_folder, "find_sources", finding)
    data = VideoFolder(
        root, "train", 12, image_size=16, channels=1, cache=tmp_path / "cache"
    )
    assert len(data) == 1
    assert capsys.readouterr().err.splitlines() == [
        "skipped 1 of 3 videos:",
        f"  {root}/b.npy: No such file or directory",
    ]


def test_a_file_that_vanishes_between_indexing_and_reading(tmp_path):
    root = folder_of(tmp_path / "videos", "ab")
    data = VideoFolder(
        root, "train", 4, image_size=16, channels=1, cache=tmp_path / "cache"
    )
    before = data.clip(0)
    shutil.rmtree(root)
    assert (data.clip(0) == before).all()


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile secret.mp4\n",
    ],
)
def test_a_play_list_in_disguise_opens_no_other_file(tmp_path, text):
    write_video(tmp_path / "secret.mp4", coded(5), "libx264")
    (tmp_path / "a.mp4").write_text(text)
    with pytest.raises(DataError, match=r"a\.mp4: not a video that can be decoded"):
        next(decode(Source(tmp_path / "a.mp4"), 16, 1))
