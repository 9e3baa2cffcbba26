"""What a training step sees: for any number of workers, after a stop, on every rank."""

import itertools
import os
import re
import signal
import subprocess
import sys

import pytest
import torch
from torch.utils.data import DataLoader

from svg_pyro import ConfigError, DataError
from svg_pyro.data import MovingMNIST
from svg_pyro.data.base import ClipDataset
from svg_pyro.data.batches import batch_of, check_first_clip, clips_of
from svg_pyro.data.read_ahead import batches
from svg_pyro.util.reports import report_once


class Numbers(ClipDataset):
    """Clips that tell which video and epoch they are."""

    channels, image_size, n_frames = 1, 1, 2

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def clip(self, index, epoch=0):
        frames = torch.tensor([index, epoch], dtype=torch.uint8)
        return frames.reshape(2, 1, 1, 1)


class Vanished(Numbers):
    """A set of which one video cannot be read."""

    def clip(self, index, epoch=0):
        if index == 13:
            raise DataError("video 13 has vanished; put it back")
        return super().clip(index, epoch)


def drawn(count, batch_size, step, **options):
    """(epoch, video) of each clip of a batch."""
    frames, indices, *_ = batch_of(Numbers(count), batch_size, step, **options)
    assert frames[:, 0].flatten().tolist() == indices
    return list(zip(frames[:, 1].flatten().tolist(), indices, strict=True))


def test_every_epoch_visits_every_video_once():
    seen = [*itertools.chain.from_iterable(drawn(7, 3, step) for step in range(7))]
    assert sorted(seen) == [(e, i) for e in range(3) for i in range(7)]
    assert [e for e, _ in seen] == sorted(e for e, _ in seen)
    assert [i for _, i in seen[:7]] != [i for _, i in seen[7:14]]
    assert drawn(7, 3, 4) == seen[12:15]
    assert drawn(7, 7, 0, seed=1) != drawn(7, 7, 0)


def test_a_small_set_fills_a_batch_with_several_epochs():
    assert drawn(2, 5, 0, seed=3) == drawn(2, 5, 0, seed=3)
    assert sorted(drawn(2, 6, 1)) == [(e, i) for e in (3, 4, 5) for i in (0, 1)]


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_ranks_share_a_batch_without_overlap(ranks):
    whole = drawn(50, 12, 9)
    parts = [drawn(50, 12, 9, rank=r, ranks=ranks) for r in range(ranks)]
    assert [len(part) for part in parts] == [12 // ranks] * ranks
    assert sorted(itertools.chain(*parts)) == sorted(whole) and len(set(whole)) == 12
    assert all(whole[r::ranks] == part for r, part in enumerate(parts))


def test_a_batch_that_cannot_be_shared():
    with pytest.raises(ConfigError, match="make batch_size a multiple of 5"):
        batch_of(Numbers(20), 12, 0, ranks=5)


def test_an_empty_set():
    with pytest.raises(DataError, match="holds no video"):
        batch_of(Numbers(0), 2, 0)


@pytest.mark.slow
# PyTorch finds four processes too many for two cores.
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_and_a_stop_change_nothing():
    """0, 1 and 4 processes, and a start in the middle, read the same clips."""
    digits = torch.randint(0, 256, (5, 28, 28), dtype=torch.uint8)
    data = MovingMNIST(digits, n_frames=3)
    want = [batch_of(data, 4, step, seed=2) for step in range(6)]
    for workers, start in ((0, 0), (1, 0), (4, 3)):
        before = torch.get_rng_state()
        read = list(batches(data, 4, range(start, 6), seed=2, workers=workers))
        assert torch.equal(torch.get_rng_state(), before)
        assert len(read) == 6 - start
        for got, wanted in zip(read, want[start:], strict=True):
            assert got.indices == wanted.indices and got.actions is None
            assert torch.equal(got.frames, wanted.frames)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_while_reading_is_one_line(workers):
    with pytest.raises(DataError) as caught:
        list(batches(Vanished(20), 4, range(5), workers=workers))
    assert str(caught.value) == "video 13 has vanished; put it back"


class Raises(Numbers):
    """A set whose own code fails at one video, and at its name."""

    def clip(self, index, epoch=0):
        if index == 13:
            raise KeyError("frames")
        return super().clip(index, epoch)

    def name(self, index):
        return f"take {['a', 'b'][index]}"  # of no other index


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_set_s_own_code_raises_names_set_index_and_error(workers):
    with pytest.raises(DataError) as caught:
        list(batches(Raises(20), 4, range(5), workers=workers))
    assert str(caught.value) == (
        "Raises: clip 13 cannot be had: its own code raised KeyError: 'frames'"
    )
    if not workers:
        assert isinstance(caught.value.__cause__, KeyError)


def test_a_name_without_the_index_comes_with_it():
    class Named(Raises):
        def name(self, index):
            return "the last take"

    with pytest.raises(DataError, match=r"^Named: the last take \(index 13\) cannot"):
        clips_of(Named(20), [13])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"__len__": lambda self: 1 // 0}, "its length cannot be had"),
        ({"channels": None}, "channels is None"),
        ({"image_size": 64.0}, "image_size is 64.0"),
        ({"action_dim": 2, "actions": lambda *_: 1 // 0}, "clip 0 cannot be had"),
    ],
)
def test_other_faults_of_a_set_s_own_code_are_one_line(changes, words):
    with pytest.raises(DataError, match=f"^Broken: {words}"):
        batch_of(type("Broken", (Numbers,), changes)(1), 1, 0)


def test_memory_that_is_out_is_not_blamed_on_the_set():
    def out_of_it(*_):
        raise MemoryError

    with pytest.raises(MemoryError):
        clips_of(type("Large", (Numbers,), {"clip": out_of_it})(1), [0])


class Dies(Numbers):
    """A set whose reader is killed, as for want of memory."""

    def clip(self, index, epoch=0):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_is_said_in_one_line():
    with pytest.raises(DataError, match=r"has died.*ask for fewer workers"):
        list(batches(Dies(4), 2, range(2), workers=1))


@pytest.mark.slow
def test_a_worker_that_dies_disturbs_nothing_but_the_reading():
    """PyTorch's own handler raises in the middle of whatever the program does."""
    before = signal.getsignal(signal.SIGCHLD)
    reading = batches(Numbers(4), 2, range(2), workers=1)
    next(reading)
    assert signal.getsignal(signal.SIGCHLD) is before
    reading.close()


UNGUARDED = """
import sys
sys.path[:0] = {path}
from test_batches import Numbers
from svg_pyro import SVGError
from svg_pyro.data.read_ahead import batches
try:
    list(batches(Numbers(4), 2, range(2), workers=1))
except SVGError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_script_without_a_guard_is_said_in_one_line(tmp_path):
    script = tmp_path / "script.py"
    folders = [os.path.dirname(__file__), *sys.path]
    script.write_text(UNGUARDED.format(path=folders))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    (line,) = done.stdout.splitlines()
    assert 'if __name__ == "__main__":' in line and "memory" not in line
    assert done.stderr == ""


@pytest.mark.parametrize(
    "data, words",
    [
        ([torch.zeros(3, 1, 64, 64)], "the data are a list; give a svg_pyro.data.Clip"),
        (None, "the data are a NoneType"),
        (Numbers(0), "holds no video"),
    ],
)
def test_what_is_no_set_of_clips_is_said(data, words):
    with pytest.raises(DataError, match=words):
        batch_of(data, 1, 0)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"n_frames": None}, "Numbers: n_frames is None; give a whole number"),
        ({"min_frames": 0}, "Numbers: min_frames is 0"),
        ({"n_frames": 7}, r"uint8 tensor \(T, C, H, W\) = \(7, "),
        ({"name": lambda index: 500 * "a\n"}, r"Numbers: a a .*\.\.\..* is a None"),
    ],
)
def test_the_first_clip_is_looked_at_before_the_training(changes, words):
    numbers = Numbers(4)
    if "name" in changes:
        numbers.clip = lambda index, epoch: None
    for name, value in changes.items():
        setattr(numbers, name, value)
    with pytest.raises(DataError, match=words) as caught:
        check_first_clip(numbers)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_clip_of_zeros_and_ones_is_said_to_be_black(capsys):
    report_once.cache_clear()
    numbers = Numbers(4)
    check_first_clip(numbers)
    assert capsys.readouterr().err == ""
    clip = torch.zeros_like(numbers.clip(0))
    clip[0] = 1
    numbers.clip = lambda index, epoch: clip
    check_first_clip(numbers)
    assert "clip 0 has no value above 1, which is black" in capsys.readouterr().err


def test_a_loader_over_a_set_can_set_its_epoch():
    numbers = Numbers(3)
    assert [x[1].item() for x in DataLoader(numbers, batch_size=None)] == [0, 0, 0]
    numbers.set_epoch(4)
    assert [x[1].item() for x in DataLoader(numbers, batch_size=None)] == [4, 4, 4]


class Wrong(Numbers):
    """A set of one's own that does not keep the contract."""

    def __init__(self, clip):
        super().__init__(4)
        self.given = clip

    def clip(self, index, epoch=0):
        return self.given


@pytest.mark.parametrize(
    "clip, words",
    [
        (torch.zeros(2, 1, 1, 1), r"is float32 \(2, 1, 1, 1\)"),
        (torch.zeros(3, 1, 1, 1, dtype=torch.uint8), r"is uint8 \(3, 1, 1, 1\)"),
        (torch.zeros(2, 1, 1, dtype=torch.uint8), r"is uint8 \(2, 1, 1\)"),
        (torch.zeros(2, 1, 1, 3, dtype=torch.uint8), r"is uint8 \(2, 1, 1, 3\)"),
        ([[0]], "is a list"),
        (torch.zeros(2, 1, 1, 1, dtype=torch.uint8).to_sparse(), "without values"),
        (torch.zeros(2, 1, 1, 1, dtype=torch.uint8, device="meta"), "without values"),
    ],
)
def test_a_clip_that_breaks_the_contract_is_named(clip, words):
    wanted = r"Wrong: clip \d .*uint8 tensor \(T, C, H, W\) = \(2, 1, 1, 1\)"
    for workers in (0, 1) if isinstance(clip, list) else (0,):
        with pytest.raises(DataError, match=words) as caught:
            next(batches(Wrong(clip), 2, range(2), workers=workers))
        assert re.match(wanted, str(caught.value)) and "\n" not in str(caught.value)


class Cut(Numbers):
    """Clips of one frame or two, with actions."""

    min_frames, action_dim = 1, 3

    def clip(self, index, epoch=0):
        return super().clip(index, epoch)[: 1 + index % 2]

    def actions(self, index, epoch=0):
        return torch.ones(index % 2, 3)


def test_shorter_clips_are_padded_with_zeros_and_their_lengths_told():
    batch = batch_of(Cut(6), 4, 1, seed=2)
    lengths = [1 + index % 2 for index in batch.indices]
    assert batch.lengths.tolist() == lengths and batch.frames.shape[:2] == (4, 2)
    assert batch.actions.sum((1, 2)).tolist() == [3.0 * (n - 1) for n in lengths]
    assert all(
        clip[n:].sum() == 0 for clip, n in zip(batch.frames, lengths, strict=True)
    )
    assert batch.first(3).lengths.tolist() == lengths[:3]
    assert batch_of(Numbers(6), 4, 1).lengths is None


def test_clips_shorter_than_promised_are_refused():
    data = Cut(6)
    data.min_frames = 2
    with pytest.raises(DataError, match=r"is uint8 \(1, 1, 1, 1\).* or from 2 frames"):
        batch_of(data, 6, 0)
