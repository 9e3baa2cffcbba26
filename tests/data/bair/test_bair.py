"""The BAIR reader on small files of the published layout."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from svg_pyro.data import BairPush, make_simulated_push
from svg_pyro.data.bair.dataset import verify
from svg_pyro.data.bair.tfrecord import write_records
from svg_pyro.data.base import clip_rng
from svg_pyro.errors import DataError


def field(number, data):
    size, out = len(data), b""
    while size > 127:
        out, size = out + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + out + bytes([size]) + data


def floats(value, packed):
    if packed:
        return field(1, np.asarray(value, "<f4").tobytes())
    return b"".join(b"\x0d" + struct.pack("<f", v) for v in value)


def example(rng, video, packed=True):
    """A record as other writers make it: keys in any order."""
    entries = []
    for t, frame in enumerate(video["frames"]):
        for camera in ("aux1", "main"):
            image = frame if camera == "aux1" else 255 - frame
            entries.append(
                (f"{t}/image_{camera}/encoded", field(1, field(1, image.tobytes())))
            )
        entries.append((f"{t}/action", field(2, floats(video["actions"][t], packed))))
        entries.append(
            (f"{t}/endeffector_pos", field(2, floats(video["positions"][t], packed)))
        )
    entries = [entries[i] for i in rng.permutation(len(entries))]
    return field(
        1, b"".join(field(1, field(1, k.encode()) + field(2, v)) for k, v in entries)
    )


def videos_of(rng, count, frames):
    return [
        {
            "frames": rng.integers(0, 256, (frames, 64, 64, 3), np.uint8),
            "actions": rng.normal(size=(frames, 4)).astype(np.float32),
            "positions": rng.normal(size=(frames, 3)).astype(np.float32),
        }
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small data set, and its videos by split."""
    root, rng, videos = tmp_path_factory.mktemp("bair"), np.random.default_rng(5), {}
    for split, sizes in (("train", (3, 2, 1)), ("test", (2,))):
        folder = root / "softmotion30_44k" / split
        folder.mkdir(parents=True)
        videos[split] = videos_of(rng, sum(sizes), 8)
        done = 0
        for start, size in zip((0, 64, 128), sizes, strict=False):
            part = videos[split][done : done + size]
            done += size
            path = folder / f"traj_{start}_to_{start + 63}.tfrecords"
            write_records(
                path, [example(rng, v, packed=i % 2 == 0) for i, v in enumerate(part)]
            )
    return root, videos


@pytest.mark.parametrize("below", ["", "softmotion30_44k"])
def test_test_clips_are_the_first_frames(made, below):
    root, videos = made
    data = BairPush(root / below, "test", n_frames=5)
    assert len(data) == 2
    assert (data.channels, data.image_size, data.n_frames) == (3, 64, 5)
    for i, video in enumerate(videos["test"]):
        clip = data.clip(i, epoch=3)
        assert clip.dtype == torch.uint8 and clip.is_contiguous()
        assert np.array_equal(clip.numpy(), video["frames"][:5].transpose(0, 3, 1, 2))


def test_train_windows_are_drawn_by_seed_epoch_and_index(made):
    root, videos = made
    data, starts = BairPush(root, "train", n_frames=5, seed=9), set()
    assert len(data) == 6
    for epoch in range(6):
        for i, video in enumerate(
            videos["train"]
        ):  # files in the order of their numbers
            start = int(clip_rng(9, epoch, i).integers(4))
            starts.add(start)
            got = data.clip_with_actions(i, epoch)
            window = slice(start, start + 5)
            expected = video["frames"][window].transpose(0, 3, 1, 2)
            assert np.array_equal(got["frames"].numpy(), expected)
            assert torch.equal(got["frames"], data.clip(i, epoch))
            assert np.array_equal(got["actions"].numpy(), video["actions"][window])
            assert np.array_equal(
                got["endeffector"].numpy(), video["positions"][window]
            )
            assert got["actions"].dtype == got["endeffector"].dtype == torch.float32
    assert starts == {0, 1, 2, 3}


def test_clips_for_training_may_start_at_the_first_frame(made):
    """As the code does that the paper's figures come from."""
    root, _ = made
    data = BairPush(root, "train", n_frames=5, seed=9, start="first")
    test = BairPush(root, "train", n_frames=8)  # the whole records
    for epoch in range(3):
        for i in range(len(data)):
            assert torch.equal(data.clip(i, epoch), test.clip(i)[:5])
    with pytest.raises(DataError, match="unknown start 'last'"):
        BairPush(root, start="last")


def test_the_other_camera(made):
    root, videos = made
    got = BairPush(root, "test", n_frames=8, camera="main").clip(1).numpy()
    assert np.array_equal(got, 255 - videos["test"][1]["frames"].transpose(0, 3, 1, 2))


def test_names_and_bounds(made):
    data = BairPush(made[0], "train", n_frames=2)
    assert data.name(4).endswith("traj_64_to_127.tfrecords, record 1")
    with pytest.raises(IndexError):
        data.clip(6)


@pytest.mark.slow
def test_workers_and_pickles_give_the_same_clips(made):
    data = BairPush(made[0], "train", n_frames=5)
    alone = torch.stack([data[i] for i in range(6)])
    loader = DataLoader(
        data, batch_size=2, num_workers=2, multiprocessing_context="spawn"
    )
    assert torch.equal(torch.cat(list(loader)), alone)
    copy = pickle.loads(pickle.dumps(data))
    assert torch.equal(copy.clip(3), alone[3])


def test_the_cache_is_used_and_renewed(made, tmp_path, monkeypatch):
    root, _ = made
    first = BairPush(root, "train", n_frames=5, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr("svg_pyro.data.bair.index.build", None)
    assert torch.equal(
        BairPush(root, "train", 5, cache=tmp_path).clip(2), first.clip(2)
    )
    monkeypatch.undo()
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(
        BairPush(root, "train", 5, cache=tmp_path).clip(2), first.clip(2)
    )


def test_a_changed_file_is_indexed_anew(tmp_path):
    path = tmp_path / "test" / "traj_0_to_1.tfrecords"
    path.parent.mkdir()
    rng = np.random.default_rng(0)
    for count in (1, 2):
        write_records(path, [example(rng, v) for v in videos_of(rng, count, 3)])
        assert len(BairPush(tmp_path, "test", 3, cache=tmp_path / "cache")) == count


def one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_errors_about_the_folder(tmp_path, made):
    with pytest.raises(DataError, match="no such folder"):
        BairPush(tmp_path / "nowhere")
    with pytest.raises(DataError) as caught:
        BairPush(tmp_path)
    assert "softmotion30_44k/train/*.tfrecords or train/*.tfrecords" in one_line(caught)
    with pytest.raises(DataError, match="unknown split 'valid'"):
        BairPush(made[0], "valid")


def test_errors_about_what_is_asked(made):
    with pytest.raises(DataError) as caught:
        BairPush(made[0], camera="left")
    assert (
        "record 0: holds no images of camera 'left'; there are: aux1, main"
        in one_line(caught)
    )
    with pytest.raises(DataError, match="holds 8 frames, fewer than the n_frames = 9"):
        BairPush(made[0], n_frames=9)


def test_images_of_another_size(tmp_path):
    (tmp_path / "test").mkdir()
    rng = np.random.default_rng(0)
    video = videos_of(rng, 1, 2)[0]
    video["frames"] = video["frames"][:, :32, :32]
    write_records(tmp_path / "test" / "a.tfrecords", [example(rng, video)])
    with pytest.raises(
        DataError, match="image 0 of camera aux1 has 3072 bytes, not 12288"
    ):
        BairPush(tmp_path, "test", 2)


def test_records_without_actions(tmp_path):
    (tmp_path / "test").mkdir()
    frames = [field(1, b"%d/image_aux1/encoded" % t) for t in range(2)]
    image = field(2, field(1, field(1, bytes(12288))))
    record = field(1, b"".join(field(1, f + image) for f in frames))
    write_records(tmp_path / "test" / "a.tfrecords", [record])
    data = BairPush(tmp_path, "test", 2)
    assert not data.clip(0).any()
    with pytest.raises(DataError, match="record 0: holds no 4 floats under 0/action"):
        data.clip_with_actions(0)


def test_damaged_files(made, tmp_path):
    whole = next((made[0] / "softmotion30_44k" / "test").iterdir()).read_bytes()
    path = tmp_path / "test" / "a.tfrecords"
    path.parent.mkdir()
    path.write_bytes(whole[:-1000])
    with pytest.raises(DataError, match=r"a.tfrecords, record 1, byte \d+: truncated"):
        BairPush(tmp_path, "test", 5)
    broken = bytearray(whole)
    broken[12] = 0xFF  # the first byte of the first message
    path.write_bytes(broken)
    with pytest.raises(
        DataError, match=r"record 0, byte 12: corrupt \(CRC does not match\)"
    ):
        BairPush(tmp_path, "test", 5)
    # Still a message, but the name of the first image has changed.
    path.write_bytes(whole.replace(b"0/image_aux1", b"0/image_bux1", 1))
    with pytest.raises(
        DataError, match=r"record 0, byte 12: corrupt \(CRC does not match\)"
    ):
        BairPush(tmp_path, "test", 5)


def test_verify_finds_a_flipped_pixel(made, tmp_path):
    root, _ = made
    assert verify(root) == 8
    for split in ("train", "test"):
        path = tmp_path / split / "a.tfrecords"
        path.parent.mkdir()
        data = bytearray(
            next((root / "softmotion30_44k" / "test").iterdir()).read_bytes()
        )
        path.write_bytes(data)
    data[len(data) // 4] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        DataError, match=r"test/a.tfrecords, record 0, byte 12: corrupt"
    ):
        verify(tmp_path)


def test_a_file_that_becomes_shorter_is_an_error_and_not_the_end(tmp_path):
    """Of a file mapped into memory it is a SIGBUS, which ends the process."""
    root = make_simulated_push(tmp_path, n_train=2, n_test=2, n_frames=3, workers=1)
    data = BairPush(root, "test", n_frames=3)
    data.clip(0)
    (path,) = [p for p in Path(root).rglob("*.tfrecords") if p.parent.name == "test"]
    os.truncate(path, 5000)
    for read in (data.clip, data.clip_with_actions):
        with pytest.raises(DataError, match="became shorter while it was in use"):
            read(1)
