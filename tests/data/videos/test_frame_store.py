"""Decoded frames on disk: exact, made once, and safe from what can happen."""

import contextlib
import errno
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from PIL import Image
from support.video_files import coded, numbers, write_video

from svg_pyro.data.videos import frame_store
from svg_pyro.data.videos.decode import Source
from svg_pyro.data.videos.frame_store import FrameStore, report_skipped
from svg_pyro.errors import DataError
from svg_pyro.util.files import written_beside


@pytest.fixture
def source(tmp_path):
    """An array of 40 frames, 48x32, that tell their numbers."""
    np.save(tmp_path / "a.npy", coded(40))
    return Source(tmp_path / "a.npy", "array")


@pytest.fixture
def store(tmp_path, source):
    store = FrameStore(tmp_path / "cache", 16, 1)
    assert store.add([source]) == {}
    return store


def files(folder):
    return sorted(p.name for p in folder.iterdir() if p.name != ".lock")


def fail(*_):
    raise AssertionError("decoded again")


@pytest.mark.parametrize("start, n, stride", [(0, 40, 1), (3, 5, 1), (1, 6, 7)])
def test_a_window_is_exact(store, source, start, n, stride):
    frames = store.read(source, start, n, stride)
    assert frames.shape == (n, 16, 16, 1) and frames.dtype == np.uint8
    assert numbers(frames).tolist() == list(range(start, start + n * stride, stride))


@pytest.mark.parametrize("start, n, stride", [(-1, 2, 1), (39, 2, 1), (0, 5, 10)])
def test_a_window_outside_the_video(store, source, start, n, stride):
    with pytest.raises(DataError, match=r"a\.npy: frames .* it has 40"):
        store.read(source, start, n, stride)


def test_a_video_is_decoded_once(store, source, tmp_path, monkeypatch):
    monkeypatch.setattr(frame_store, "decode", fail)
    again = FrameStore(tmp_path / "cache", 16, 1)
    assert again.add([source]) == {} and again.count(source) == 40


@pytest.mark.parametrize(
    "size, channels, fit", [(8, 1, "crop"), (16, 3, "crop"), (16, 1, "stretch")]
)
def test_other_settings_are_kept_apart(store, source, tmp_path, size, channels, fit):
    other = FrameStore(tmp_path / "cache", size, channels, fit)
    other.add([source])
    assert len(files(tmp_path / "cache")) == 2
    assert other.read(source, 0, 1).shape == (1, size, size, channels)
    assert store.read(source, 0, 1).shape == (1, 16, 16, 1)


def test_a_changed_file_is_decoded_anew(store, source, tmp_path):
    np.save(source.path, coded(40)[::-1])  # as long, and perhaps within a clock's tick
    os.utime(source.path, ns=(1, 1))
    store.add([source])
    assert numbers(store.read(source, 0, 2)).tolist() == [39, 38]


def test_an_image_that_is_added_to_a_sequence_is_seen(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    store = FrameStore(tmp_path / "cache", 16, 1)
    for n in (1, 2):
        Image.fromarray(coded(1, first=n)[0]).save(folder / f"{n}.png")
        store.add([Source(folder, "images")])
        assert store.count(Source(folder, "images")) == n


def test_a_spoiled_stored_file_is_made_again(store, source, tmp_path):
    (stored,) = (tmp_path / "cache").glob("*.frames")
    stored.write_bytes(stored.read_bytes()[:-7])
    again = FrameStore(tmp_path / "cache", 16, 1)
    again.add([source])
    assert numbers(again.read(source, 39, 1)) == [39]


def test_an_interrupted_call_goes_on(tmp_path, monkeypatch):
    sources = []
    for name in "abc":
        np.save(tmp_path / f"{name}.npy", coded(3))
        sources.append(Source(tmp_path / f"{name}.npy", "array"))
    decode, seen = frame_store.decode, []

    def interrupted(source, *settings, **_):
        seen.append(source)
        if len(seen) == 2:
            yield next(decode(source, *settings))
            raise KeyboardInterrupt
        yield from decode(source, *settings)

    monkeypatch.setattr(frame_store, "decode", interrupted)
    store = FrameStore(tmp_path / "cache", 16, 1)
    with pytest.raises(KeyboardInterrupt):
        store.add(sources)
    assert len(files(tmp_path / "cache")) == 1  # nothing half-written
    assert store.add(sources) == {}
    assert seen == [sources[0], sources[1], sources[1], sources[2]]
    assert [store.count(s) for s in sources] == [3, 3, 3]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk(tmp_path, source, store, monkeypatch):
    np.save(tmp_path / "b.npy", coded(40))
    second = Source(tmp_path / "b.npy", "array")

    @contextlib.contextmanager
    def on_a_full_disk(path):
        with written_beside(path) as beside:
            beside.symlink_to("/dev/full")
            yield beside

    before = files(tmp_path / "cache")
    monkeypatch.setattr(frame_store, "written_beside", on_a_full_disk)
    with pytest.raises(DataError, match="cache: the disk is full; 0 of 1 videos"):
        store.add([second])
    assert files(tmp_path / "cache") == before
    monkeypatch.undo()
    assert store.add([second]) == {}


def test_the_room_that_is_needed_is_told(tmp_path, monkeypatch):
    sources = []
    for i in range(4):
        np.save(tmp_path / f"{i}.npy", coded(40))
        sources.append(Source(tmp_path / f"{i}.npy", "array"))
    decode = frame_store.decode

    def full(source, *settings, **_):
        if source == sources[2]:
            raise OSError(errno.ENOSPC, "No space left on device")
        yield from decode(source, *settings)

    monkeypatch.setattr(frame_store, "decode", full)
    with pytest.raises(DataError) as caught:  # a video is 40 * 128 * 128 * 3 bytes
        FrameStore(tmp_path / "cache", 128, 3).add(sources)
    assert "2 of 4 videos are stored in 4 MB, all need about 8 MB" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_users_file_may_vanish_after_decoding(store, source):
    source.path.unlink()
    assert numbers(store.read(source, 7, 1)) == [7]


def test_a_stored_file_that_vanishes(store, source, tmp_path):
    (stored,) = (tmp_path / "cache").glob("*.frames")
    stored.unlink()
    with pytest.raises(DataError, match=r"stored frames of .*a\.npy cannot be read"):
        store.read(source, 0, 1)


def test_a_file_that_vanishes_before_and_while_it_is_decoded(
    store, source, tmp_path, monkeypatch
):
    for name in "bc":
        np.save(tmp_path / f"{name}.npy", coded(3))
    gone, going = (Source(tmp_path / f"{n}.npy", "array") for n in "bc")
    gone.path.unlink()
    decode = frame_store.decode

    def vanishing(source, *settings, **more):
        source.path.unlink()
        yield from decode(source, *settings, **more)

    monkeypatch.setattr(frame_store, "decode", vanishing)
    skipped = store.add([source, gone, going])
    assert list(skipped) == [gone, going]
    for s in (gone, going):
        assert skipped[s] == f"{s.path}: No such file or directory"


def test_a_folder_that_cannot_be_made(tmp_path, source):
    with pytest.raises(OSError) as caught:
        FrameStore(source.path / "cache", 16, 1).add([source])
    assert "cache" in caught.value.filename  # what the command line prints


def test_an_unknown_fit(tmp_path):
    with pytest.raises(DataError, match="no fit 'squash'; choose one of crop, "):
        FrameStore(tmp_path, 16, 1, "squash")


def test_what_breaks_off_is_kept_and_said_in_each_run(tmp_path, capsys):
    frames = coded(20)
    path = write_video(tmp_path / "a.mkv", frames, "ffv1")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for _ in range(2):
        frame_store.report_once.cache_clear()  # as another process has it
        store = FrameStore(tmp_path / "cache", 16, 1)
        for _ in range(2):
            assert store.add([Source(path)]) == {}
        (line,) = capsys.readouterr().err.splitlines()
        count = store.count(Source(path))
        assert 0 < count < 15
        assert line.startswith(f"{path}: only {count} frames can be read")
    kept = store.read(Source(path), 0, count)
    assert numbers(kept).tolist() == list(range(count))


def test_a_note_does_not_outlive_the_fault(store, source, monkeypatch, capsys):
    """As after an update of the decoder."""
    decode = frame_store.decode

    def breaking(source, *settings, **_):
        yield next(decode(source, *settings))
        raise DataError(f"{source.name}: only 1 frames can be read")

    for decoder, count, said in ((breaking, 1, 1), (decode, 40, 0)):
        (stored,) = store.folder.glob("*.frames")
        stored.unlink()
        monkeypatch.setattr(frame_store, "decode", decoder)
        frame_store.report_once.cache_clear()
        store.add([source])
        assert store.count(source) == count
        assert len(capsys.readouterr().err.splitlines()) == said


def test_the_report_is_printed_once(capsys):
    skipped = {Source("x.mp4"): "x.mp4: zero bytes", Source("y.mp4"): "y.mp4: no video"}
    for _ in range(3):
        report_skipped(skipped, 20)
    report_skipped({}, 20)
    assert capsys.readouterr().err.splitlines() == [
        "skipped 2 of 20 videos:",
        "  x.mp4: zero bytes",
        "  y.mp4: no video",
    ]


def test_a_second_run_waits_and_decodes_nothing_again(
    tmp_path, source, monkeypatch, capsys
):
    """Two stores stand for two processes: a lock is of the open file."""
    pytest.importorskip("fcntl", reason="needs file locks")
    decode, begun, waits, decoded = frame_store.decode, Event(), Event(), []

    def slowly(source, *settings, **_):
        decoded.append(source)
        begun.set()
        assert waits.wait(60)
        yield from decode(source, *settings)

    def said(text):
        assert (
            text == f"{tmp_path / 'both'}: waiting for another run that decodes into it"
        )
        waits.set()

    monkeypatch.setattr(frame_store, "decode", slowly)
    monkeypatch.setattr(frame_store, "report_once", said)
    stores = [FrameStore(tmp_path / "both", 16, 1) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(stores[0].add, [source])
        assert begun.wait(60)
        second = pool.submit(stores[1].add, [source])
        assert first.result(60) == second.result(60) == {}
    assert decoded == [source]
    assert [s.count(source) for s in stores] == [40, 40]
