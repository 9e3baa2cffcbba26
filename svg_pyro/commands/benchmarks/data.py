"""How fast clips are read, a core, and what memory that takes."""

import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import torch

from svg_pyro.commands.benchmarks.tables import Row, rate
from svg_pyro.data import KTH, BairPush, MovingMNIST, VideoFolder
from svg_pyro.data.bair.tfrecord import encode_example, write_records
from svg_pyro.data.base import ClipDataset
from svg_pyro.data.batches import Batch
from svg_pyro.data.digits import load_scikit_digits
from svg_pyro.data.read_ahead import batches

# What is asked of each: frames a second, or clips.
TARGETS = {"Moving MNIST": 20_000, "BAIR": 12 * 5_000, "KTH": 5_000}
BATCH = 32
Make = Callable[[], ClipDataset]


def run() -> tuple[list[Row], list[Row]]:
    """Rows of the table: reading in one process, then by several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with TemporaryDirectory() as name:
            folder = Path(name)
            rows = [_row(words, *_sets(folder, words)) for words in MAKERS]
            rows += decoding(folder)
        return rows, ahead()
    finally:
        torch.set_num_threads(threads)


def _row(words: str, small: Make, large: Make) -> Row:
    """Frames and clips a second of random clips, and the memory of two sizes."""
    target = next((v for k, v in TARGETS.items() if words.startswith(k)), None)
    data = small()
    frames = rate(lambda i: data.clip(i % len(data), i), data.n_frames)
    return {
        "random clips": words,
        "frames/s": frames,
        "clips/s": frames / data.n_frames,
        "asked frames/s": target,
        "MB": _memory(small),
        "MB of 8 times the data": _memory(large),
    }


def _memory(make: Make) -> float:
    """Peak of the memory that a set takes while 100 clips are read; MB."""
    tracemalloc.start()
    data = make()
    for i in range(100):
        data.clip(i % len(data), i)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def _moving_mnist(folder: Path, times: int, num_digits: int) -> MovingMNIST:
    return MovingMNIST(load_scikit_digits("train"), num_digits=num_digits)


def _bair(folder: Path, times: int) -> BairPush:
    root = folder / f"bair{times}"
    rng = np.random.default_rng(0)
    for part in range(times):
        path = root / "train" / f"traj_{part * 32}_to_{part * 32 + 31}.tfrecords"
        if not path.exists():
            write_records(path, [_record(rng) for _ in range(32)])
    return BairPush(root, "train", 12, cache=folder / "index")


def _record(rng: np.random.Generator) -> bytes:
    frames = rng.integers(0, 256, (30, 64 * 64 * 3), np.uint8)
    return encode_example(
        {f"{t}/image_aux1/encoded": frame.tobytes() for t, frame in enumerate(frames)}
        | {f"{t}/action": np.zeros(4, np.float32) for t in range(30)}
        | {f"{t}/endeffector_pos": np.zeros(3, np.float32) for t in range(30)}
    )


def _kth(folder: Path, times: int, image_size: int) -> KTH:
    root = folder / f"kth{times}"
    for number in range(times):
        name = f"person{number % 20 + 1:02d}_walking_d{number // 20 + 1}_uncomp.avi"
        _film(root / name, "mpeg4", (160, 120), 300)
    return KTH(root, "train", 20, image_size=image_size, cache=folder / "frames")


def _own(folder: Path, times: int) -> VideoFolder:
    root = folder / f"own{times}"
    for number in range(2 * times):
        _film(root / f"{number}.mp4", "libx264", (320, 240), 150)
    return VideoFolder(
        root, "train", 20, image_size=64, channels=3, cache=folder / "frames"
    )


MAKERS = {
    "Moving MNIST, 1 digit": lambda folder, n: _moving_mnist(folder, n, 1),
    "Moving MNIST, 2 digits": lambda folder, n: _moving_mnist(folder, n, 2),
    "BAIR, 12 frames": _bair,
    "KTH, 20 frames, 64 px": lambda folder, n: _kth(folder, n, 64),
    "KTH, 20 frames, 128 px": lambda folder, n: _kth(folder, n, 128),
    "own mp4, 20 frames, 64 px, RGB": _own,
}


def _sets(folder: Path, words: str) -> tuple[Make, Make]:
    """The set, and one of eight times as much, made and read before they are timed."""
    small, large = (partial(MAKERS[words], folder, n) for n in (2, 16))
    for make in (small, large):
        make()
    return small, large


def _film(path: Path, codec: str, size: tuple[int, int], frames: int) -> None:
    """A film of a moving gradient with noise, 25 frames a second."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 40, (size[1], size[0], 3), np.uint8)
    ramp = np.arange(size[0], dtype=np.uint8)[:, None]
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for t in range(frames):
            image = av.VideoFrame.from_ndarray(np.roll(ramp, t, 0) + noise, "rgb24")
            film.mux(stream.encode(image))
        film.mux(stream.encode())


def decoding(folder: Path) -> list[Row]:
    """Frames a second while films are decoded for the first time."""

    def kth(cache: Path) -> None:
        KTH(folder / "kth2", "train", 20, cache=cache)

    def own(cache: Path) -> None:
        VideoFolder(
            folder / "own2", "train", 20, image_size=64, channels=3, cache=cache
        )

    rows, frames = [], 600
    for words, make in (("KTH avi, 160x120", kth), ("own mp4, 320x240", own)):
        start = time.process_time()
        make(folder / f"fresh {words}".replace("/", ""))
        rows.append(
            {
                "random clips": f"decoding once: {words}",
                "frames/s": frames / (time.process_time() - start),
                "clips/s": None,
                "asked frames/s": None,
                "MB": None,
                "MB of 8 times the data": None,
            }
        )
    return rows


def _next_of(read: Iterator[Batch], _: int) -> Batch:
    return next(read)


def ahead() -> list[Row]:
    """Moving MNIST in batches, read ahead by processes, by the clock on the wall."""
    data = MovingMNIST(load_scikit_digits("train"))
    rows = []
    for workers in (0, 1, 2):
        read = batches(data, BATCH, range(10_000), workers=workers)
        for _ in range(4):
            next(read)  # the processes have started
        frames = rate(
            partial(_next_of, read), BATCH * data.n_frames, clock=time.monotonic
        )
        del read  # its processes end
        rows.append({"workers": str(workers), "frames/s": frames})
    return rows
