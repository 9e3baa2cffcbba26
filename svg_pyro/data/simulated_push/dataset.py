"""Make a simulated stand-in for the BAIR pushing set, in that set's own layout."""

import contextlib
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import types
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from svg_pyro.data.bair import FOLDER
from svg_pyro.data.bair.tfrecord import encode_example, write_records
from svg_pyro.data.download.disk import make_folder
from svg_pyro.data.simulated_push.camera import CAMERAS
from svg_pyro.data.simulated_push.renderer import render
from svg_pyro.data.simulated_push.simulator import simulate
from svg_pyro.errors import DataError
from svg_pyro.util.checks import check_whole
from svg_pyro.util.files import written_beside
from svg_pyro.util.locks import FolderLock
from svg_pyro.util.progress import progress

_CLIPS_PER_FILE = 64
_SETTINGS = "simulated_push.json"
_SPLITS = ("train", "test")
_VERSION = 1  # raise it when the same seed gives another picture


@dataclass(frozen=True)
class _Settings:
    """What the bytes of the files depend on, beside the number of clips."""

    seed: int
    n_frames: int
    cameras: tuple[str, ...]

    def note(self) -> str:
        """As it lies beside the files, to know them again."""
        return json.dumps({"version": _VERSION} | asdict(self), sort_keys=True) + "\n"


class _Job(NamedTuple):
    """A file to be made."""

    path: Path
    split: int  # its number
    first: int  # the number of its first clip
    size: int  # clips in it


def make_simulated_push(
    root: str | Path,
    n_train: int = 640,
    n_test: int = 128,
    *,
    n_frames: int = 30,
    camera: str | Sequence[str] = "aux1",
    seed: int = 0,
    workers: int | None = None,
) -> Path:
    """Simulate clips of a robot arm pushing blocks and store them like BAIR.

    Writes ``root/softmotion30_44k/{train,test}/traj_{a}_to_{b}.tfrecords`` with 64
    clips each. Clip i of a split depends on ``(seed, split, i)`` alone: the same
    arguments give the same bytes for any number of workers. Files that are
    already there from the same settings are kept, so an interrupted run goes on
    where it stopped; with other settings they are made again. Where another process
    makes clips in this folder, it is waited for.

    Parameters
    ----------
    root : str or Path
        The folder of the set, made where it does not exist.
    n_train : int
        Clips to train on, at least 1.
    n_test : int
        Clips for testing, at least 1; where more of the same settings are there, they
        stay.
    n_frames : int
        Frames in a clip, at least 1.
    camera : str or sequence of str
        The view or views that are drawn: "aux1", "main", or both.
    seed : int
        Draws the clips; 0 or more.
    workers : int, optional
        Processes that draw; 1 works in this process. By default one for each core.

    Returns
    -------
    Path
        `root`, for `BairPush`.

    Raises
    ------
    DataError
        An argument is out of range; the folder holds files from elsewhere or cannot
        be written; pymunk or google-crc32c is not installed; a worker process died.
    """
    root = Path(root)
    cameras = (camera,) if isinstance(camera, str) else tuple(camera)
    settings = _Settings(seed, n_frames, cameras)
    counts = {"train": n_train, "test": n_test}
    _check(settings, counts, "make_simulated_push: ")
    with _locked(root):
        jobs = _plan(root, counts, settings)
        if jobs:
            _run(jobs, settings, (os.cpu_count() or 1) if workers is None else workers)
    return root


def simulated_clip(
    index: int,
    n_frames: int = 30,
    *,
    split: str = "test",
    camera: str = "aux1",
    seed: int = 0,
) -> np.ndarray:
    """A clip of `make_simulated_push`, made in this process and not stored.

    Parameters
    ----------
    index : int
        The clip, 0 or more.
    n_frames : int
        Its frames, at least 1; `make_simulated_push` makes 30.
    split : str
        "train" or "test".
    camera : str
        The view: "aux1" or "main".
    seed : int
        Draws the clips; 0 or more.

    Returns
    -------
    numpy.ndarray
        uint8, shape ``(T, 64, 64, 3)``, values 0 to 255.

    Raises
    ------
    DataError
        An argument is out of range, or pymunk is not installed.
    """
    where = "simulated_clip: "
    check_whole("index", index, least=0, error=DataError, where=where)
    if split not in _SPLITS:
        raise DataError(f"{where}no split {split!r}; there are {_SPLITS}")
    settings = _Settings(seed, n_frames, (camera,))
    _check(settings, {}, where)
    clip_seed = [seed, _SPLITS.index(split), index]
    frames: np.ndarray = render(simulate(clip_seed, n_frames), clip_seed, camera)
    return frames


def _check(settings: _Settings, counts: dict[str, int], where: str) -> None:
    sizes = {f"n_{split}": count for split, count in counts.items()}
    sizes["n_frames"] = settings.n_frames
    for name, value in sizes.items():
        check_whole(name, value, least=1, error=DataError, where=where)
    check_whole("seed", settings.seed, least=0, error=DataError, where=where)
    unknown = [c for c in settings.cameras if c not in CAMERAS]
    if unknown or not settings.cameras:
        raise DataError(f"{where}unknown camera {unknown}; there are {CAMERAS}")


def _plan(root: Path, counts: dict[str, int], settings: _Settings) -> list[_Job]:
    """Clear what is of other settings away and list the files to be made."""
    note = root / FOLDER / _SETTINGS
    wanted = settings.note()
    same = note.is_file() and note.read_text() == wanted
    jobs: list[_Job] = []
    for number, split in enumerate(_SPLITS):
        folder = root / FOLDER / split
        make_folder(folder)
        if same and split == "test" and _clips_in(folder) >= counts[split]:
            continue  # of another run, which may be reading them
        files = {}
        for first in range(0, counts[split], _CLIPS_PER_FILE):
            size = min(_CLIPS_PER_FILE, counts[split] - first)
            path = folder / f"traj_{first}_to_{first + size - 1}.tfrecords"
            files[path] = _Job(path, number, first, size)
        _clear(folder, files if same else (), known=note.is_file())
        jobs += [job for path, job in files.items() if not path.exists()]
    if not same:
        with written_beside(note) as beside:
            beside.write_text(wanted)
    return jobs


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Have the folder for this process alone."""
    make_folder(root)
    lock = FolderLock(root)
    try:
        lock.acquire(wait=-1)
    except OSError as error:
        raise DataError(
            f"{root}: cannot be written to ({error.strerror or error}); give a folder "
            "that may be"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _clips_in(folder: Path) -> int:
    """Clips from the first on that lie in the files of a folder."""
    spans = {}
    for path in folder.glob("traj_*_to_*.tfrecords"):
        first, last = path.stem.split("_")[1::2]
        spans[int(first)] = int(last) + 1
    count = 0
    while count in spans:
        count = spans[count]
    return count


def _clear(folder: Path, keep: Container[Path], *, known: bool) -> None:
    for path in sorted(folder.glob("*.tfrecords")):
        if path in keep:
            continue
        if not known:  # most likely the real data set
            raise DataError(
                f"{path}: was not made by make_simulated_push, and would be mixed up "
                "with its clips; give another folder"
            )
        path.unlink()


def _run(jobs: list[_Job], settings: _Settings, workers: int) -> None:
    total = sum(job.size for job in jobs)
    with progress(total=total, unit="clip", desc="simulating") as bar:
        if workers <= 1:
            for job in jobs:
                numbers = range(job.first, job.first + job.size)
                examples = (_example(settings, job.split, n) for n in numbers)
                write_records(job.path, _counted(examples, bar))
            return
        # "spawn" is safe whatever threads the caller has started.
        context = multiprocessing.get_context("spawn")
        try:
            count = min(workers, total)
            with ProcessPoolExecutor(count, context, _leave_with_parent) as pool:
                make = partial(_example, settings)
                for job in jobs:
                    numbers = range(job.first, job.first + job.size)
                    splits = [job.split] * job.size
                    with _no_script():  # handing out work starts processes
                        made = pool.map(make, splits, numbers, chunksize=2)
                    write_records(job.path, _counted(made, bar))
        except BrokenProcessPool as error:
            raise DataError(
                "make_simulated_push: a worker process died, most likely for want of "
                "memory; give workers=1"
            ) from error


@contextlib.contextmanager
def _no_script() -> Iterator[None]:
    """Start processes that do not run the caller's script again: they need none of it.

    Python would do so in each, with all of its effects where nothing guards them.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _leave_with_parent() -> None:
    """End a worker whose parent was killed; it would wait for work for ever.

    Ctrl-C reaches the workers too, but it is the parent that answers it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _counted(
    examples: Iterable[bytes], bar: Any
) -> Iterator[bytes]:  # tqdm has no types
    for example in examples:
        yield example
        bar.update()


def _example(settings: _Settings, split: int, number: int) -> bytes:
    """One clip as a serialised tf.train.Example with BAIR's keys."""
    seed = [settings.seed, split, number]
    clip = simulate(seed, settings.n_frames)
    features: dict[str, bytes | np.ndarray] = {}
    for camera in settings.cameras:
        frames = render(clip, seed, camera)
        for t, frame in enumerate(frames):
            features[f"{t}/image_{camera}/encoded"] = frame.tobytes()
    for t, (grip, action) in enumerate(zip(clip.gripper, clip.actions, strict=True)):
        features[f"{t}/endeffector_pos"] = grip[:3].astype(np.float32)
        features[f"{t}/action"] = action
    return encode_example(features)
