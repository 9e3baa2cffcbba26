"""Clips that are cut from stretches of stored videos."""

import pickle

import numpy as np
import pytest
import torch
from support.video_files import coded, numbers
from torch.utils.data import DataLoader

from svg_pyro.data.base import clip_rng
from svg_pyro.data.videos.decode import Source
from svg_pyro.data.videos.frame_store import FrameStore
from svg_pyro.data.videos.segments import Segment, SegmentClips
from svg_pyro.errors import DataError


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


def whole(store, source):
    return Segment(source, 0, store.count(source))


def test_random_windows_reach_all_of_a_segment_and_do_not_leave_it(store, source):
    segments = [Segment(source, 3, 12), Segment(source, 20, 25)]
    data, starts = SegmentClips(store, segments, 5, seed=4), [set(), set()]
    assert len(data) == 2  # 9 // 5 and 5 // 5
    assert (data.n_frames, data.channels, data.image_size) == (5, 1, 16)
    for epoch in range(60):
        for i, (low, spare) in enumerate(((3, 4), (20, 0))):
            clip = data.clip(i, epoch)
            assert clip.shape == (5, 1, 16, 16) and clip.dtype == torch.uint8
            assert clip.is_contiguous()
            start = low + int(clip_rng(4, epoch, i).integers(spare + 1))
            assert numbers(clip).tolist() == list(range(start, start + 5))
            starts[i].add(start)
    assert starts == [{3, 4, 5, 6, 7}, {20}]


def test_the_items_of_a_long_segment_draw_apart(store, source):
    data = SegmentClips(store, [whole(store, source)], 5, seed=1)
    assert len(data) == 8
    first = [[int(numbers(data.clip(i, e))[0]) for i in range(8)] for e in (0, 1)]
    assert len(set(first[0])) > 4 and first[0] != first[1]


def test_fixed_windows_lie_side_by_side(store, source):
    segments = [
        Segment(source, 0, 11),
        Segment(source, 20, 24),
        Segment(source, 30, 40),
    ]
    data = SegmentClips(store, segments, 2, stride=3, random=False, seed=7)
    got = [numbers(data.clip(i, epoch=i)).tolist() for i in range(len(data))]
    # One of each segment, then the next ones; frames 8 to 10 and 38 to 39 are left.
    assert got == [[0, 3], [20, 23], [30, 33], [4, 7], [34, 37]]
    assert data.name(3) == f"{source.path}, frames 4 to 7"
    assert (
        SegmentClips(store, segments, 2, stride=3).name(0)
        == f"{source.path}, frames 0 to 10"
    )


def test_short_segments_are_left_out_and_listed(store, source):
    short, long = Segment(source, 0, 8), Segment(source, 8, 17)
    data = SegmentClips(store, [short, long], 5, stride=2, random=False)
    assert data.span == 9 and data.too_short == [short] and len(data) == 1
    assert numbers(data.clip(0)).tolist() == [8, 10, 12, 14, 16]


@pytest.mark.parametrize("random", [True, False])
def test_short_segments_give_shorter_clips_if_asked_for(store, source, random):
    segments = [Segment(source, 0, 4), Segment(source, 4, 10), Segment(source, 10, 28)]
    data = SegmentClips(
        store, segments, 5, stride=2, min_frames=3, random=random, seed=3
    )
    assert data.too_short == segments[:1] and data.min_frames == 3 and len(data) == 3
    shown = [
        numbers(data.clip(i, epoch)).tolist() for i in range(3) for epoch in (0, 1)
    ]
    assert [len(clip) for clip in shown] == [3, 3, 5, 5, 5, 5]
    assert all(clip[0] in (4, 5) and clip[-1] <= 9 for clip in shown[:2])
    for least in (1, 6):
        with pytest.raises(DataError, match=f"min_frames is {least}"):
            SegmentClips(store, segments, 5, min_frames=least)


@pytest.mark.parametrize("index", [-1, 1])
def test_an_index_outside(store, source, index):
    data = SegmentClips(store, [whole(store, source)], 40)
    with pytest.raises(IndexError):
        data.clip(index)


def test_clips_that_cannot_be_cut(store, source):
    with pytest.raises(DataError, match="40 frames; a clip of 9 at stride 5 takes 41"):
        SegmentClips(store, [whole(store, source), Segment(source, 0, 3)], 9, stride=5)
    with pytest.raises(DataError, match="no video"):
        SegmentClips(store, [], 2)
    for settings, words in (((0, 1), "n_frames is 0"), ((2, 0), "stride is 0")):
        with pytest.raises(DataError, match=words):
            SegmentClips(store, [whole(store, source)], settings[0], stride=settings[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")
def test_workers_and_pickles_give_the_same_clips(store, source):
    data = SegmentClips(store, [whole(store, source)], 5, seed=3)
    alone = torch.stack([data[i] for i in range(8)])
    assert len(set(numbers(alone[:, 0]).tolist())) > 3
    for workers in (1, 4):
        loader = DataLoader(
            data, batch_size=2, num_workers=workers, multiprocessing_context="spawn"
        )
        assert torch.equal(torch.cat(list(loader)), alone)


def test_pickles_are_small_and_hold_no_file(store, source):
    data = SegmentClips(store, [whole(store, source)], 5, seed=3)
    data.clip(0)
    stored = pickle.dumps(data)
    assert len(stored) < 5000
    assert torch.equal(pickle.loads(stored).clip(2, 6), data.clip(2, 6))


def test_no_file_stays_open(tmp_path):
    """A set of more videos than a process may open files."""
    resource = pytest.importorskip("resource", reason="needs a Unix system")
    np.save(tmp_path / "many.npy", np.zeros((300, 2, 8, 8, 1), np.uint8))
    sources = [Source(tmp_path / "many.npy", "array", None, i) for i in range(300)]
    store = FrameStore(tmp_path / "cache", 8, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        store.add(sources)
        data = SegmentClips(store, [whole(store, s) for s in sources], 2)
        assert sum(int(data.clip(i).sum()) for i in range(300)) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
