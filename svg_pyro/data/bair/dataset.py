"""The BAIR robot pushing set (Ebert et al. 2017), read where it lies."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from svg_pyro.data.bair import FOLDER
from svg_pyro.data.bair import index as bair_index
from svg_pyro.data.bair.index import FLOATS
from svg_pyro.data.bair.tfrecord import RecordFile
from svg_pyro.data.bair.tfrecord import verify as verify_file
from svg_pyro.data.base import ClipDataset, clip_rng
from svg_pyro.errors import DataError
from svg_pyro.util.progress import progress

SPLITS = ("train", "test")
STARTS = ("random", "first")
_SIZE = 64
_MOST_OPEN = 256  # files at once; systems give a process 1,024 or so
_FRAME_BYTES = _SIZE * _SIZE * 3


class BairPush(ClipDataset):
    """Clips of a robot arm that pushes objects about a bin, 64x64, RGB.

    Reads the published TFRecord files, and those of `make_simulated_push`, by
    random access, by an index of where each frame lies.

    Parameters
    ----------
    root : str or Path
        The folder that holds ``softmotion30_44k/{train,test}/*.tfrecords``, that
        folder itself, or any folder with ``train`` and ``test`` in it.
    split : str
        "train" (a window at a random place) or "test" (the first frames).
    n_frames : int
        Frames in a clip; published records have 30.
    camera : str
        "aux1" (the one that papers use) or "main".
    seed : int
        Draws the windows of the train split, together with epoch and index.
    cache : str or Path, optional
        A folder in which to keep the index of each file between runs.
    start : str
        Where a clip of the train split starts in its record: "random", or "first",
        always at frame 0, as in the code that the paper's figures come from.
    actions : bool
        Whether clips come with the robot's actions, of length 4: the hand's
        displacement in three directions, and its closing.

    Raises
    ------
    DataError
        There is no such data set, it lacks the camera or has fewer frames, a file is
        truncated or corrupt, or an argument is none of those named above.
    """

    channels = 3
    image_size = _SIZE

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        n_frames: int = 12,
        *,
        camera: str = "aux1",
        seed: int = 0,
        cache: str | Path | None = None,
        start: str = "random",
        actions: bool = False,
    ) -> None:
        if split not in SPLITS:
            raise DataError(
                f"BairPush: unknown split {split!r}; there are 'train' and 'test'"
            )
        if n_frames < 1:
            raise DataError(f"BairPush: n_frames is {n_frames}; give at least 1")
        if start not in STARTS:
            raise DataError(f"BairPush: unknown start {start!r}; there are {STARTS}")
        self.action_dim = FLOATS["action"] if actions else 0
        self.split, self.n_frames, self.camera = split, n_frames, camera
        self.seed, self.start = seed, start
        self._files = find_files(root, split)
        bar = progress(
            self._files, desc=f"indexing {split}", unit="file", delay=1, leave=False
        )
        parts = [bair_index.load(path, camera, cache) for path in bar]
        self._index = bair_index.join(parts)
        self._sizes = [len(p.counts) for p in parts]
        self._starts = np.cumsum([0, *self._sizes])
        self._opened: dict[int, RecordFile] = {}
        self._check_frames()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": {}}  # each process opens the files itself

    def name(self, index: int) -> str:
        """The file and the record of video `index`."""
        file, record = self._place(index)
        return f"{self._files[file]}, record {record}"

    def clip(self, index: int, epoch: int = 0) -> torch.Tensor:
        """One clip of video `index`.

        Parameters
        ----------
        index : int
            The video, ``0 <= index < len(self)``.
        epoch : int
            In "train" a random window is drawn by ``(seed, epoch, index)``.

        Returns
        -------
        torch.Tensor
            uint8, shape ``(T, 3, 64, 64)``, values 0 to 255.
        """
        frames = np.empty((self.n_frames, _SIZE, _SIZE, 3), np.uint8)
        flat, data = frames.reshape(self.n_frames, -1), self._data(index)
        start = self._window(index, epoch)
        offsets = self._index.image[index, start : start + self.n_frames].tolist()
        for t, offset in enumerate(offsets):
            flat[t] = np.frombuffer(data.read(offset, _FRAME_BYTES), np.uint8)
        return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))

    def actions(self, index: int, epoch: int = 0) -> torch.Tensor:
        """See `ClipDataset.actions`: what a record has under a frame leads on from it.

        Raises
        ------
        DataError
            The record holds none.
        """
        return self._floats("action", index, epoch)[:-1]

    def clip_with_actions(self, index: int, epoch: int = 0) -> dict[str, torch.Tensor]:
        """One clip, with what the robot was told and where its hand was.

        Parameters
        ----------
        index, epoch : int
            As in `clip`.

        Returns
        -------
        dict
            "frames" as `clip` gives them; "actions", float32 ``(T, 4)``;
            "endeffector", float32 ``(T, 3)``.

        Raises
        ------
        DataError
            The record holds no actions or positions.
        """
        return {
            "frames": self.clip(index, epoch),
            "actions": self._floats("action", index, epoch),
            "endeffector": self._floats("endeffector_pos", index, epoch),
        }

    def _floats(self, key: str, index: int, epoch: int) -> torch.Tensor:
        """What a record has under `key` of each frame of a clip, ``(T, size)``."""
        start, size = self._window(index, epoch), FLOATS[key]
        window = slice(start, start + self.n_frames)
        offsets = getattr(self._index, key)[index, window]
        strides = getattr(self._index, key + "_stride")[index, window]
        if (offsets < 0).any():
            t = start + int(np.argmax(offsets < 0))
            raise DataError(
                f"{self.name(index)}: holds no {size} floats under {t}/{key}; "
                "read the frames alone with clip()"
            )
        data, values = self._data(index), np.empty((self.n_frames, size), np.float32)
        for t, (offset, stride) in enumerate(zip(offsets, strides, strict=True)):
            span = data.read(int(offset), int(stride) * (size - 1) + 4)
            values[t] = np.ndarray(size, "<f4", span, strides=(int(stride),))
        return torch.from_numpy(values)

    def _window(self, index: int, epoch: int) -> int:
        """First frame of the clip."""
        spare = int(self._index.counts[index]) - self.n_frames
        if self.split == "test" or self.start == "first" or spare == 0:
            return 0
        return int(clip_rng(self.seed, epoch, index).integers(spare + 1))

    def _place(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"video {index} of {len(self)}")
        file = int(np.searchsorted(self._starts, index, side="right")) - 1
        return file, int(index - self._starts[file])

    def _data(self, index: int) -> RecordFile:
        """The file that holds video `index`."""
        file = self._place(index)[0]
        if file not in self._opened:
            if len(self._opened) >= _MOST_OPEN:
                self._opened.clear()
            self._opened[file] = RecordFile(self._files[file])
        return self._opened[file]

    def _check_frames(self) -> None:
        shortest = int(self._index.counts.argmin())
        count = int(self._index.counts[shortest])
        if count < self.n_frames:
            raise DataError(
                f"{self.name(shortest)}: holds {count} frames, fewer than the "
                f"n_frames = {self.n_frames} asked for; ask for at most {count}"
            )


def find_files(root: str | Path, split: str) -> list[Path]:
    """The TFRecord files of a split, in the order of their numbers.

    Parameters
    ----------
    root : str or Path
        As `BairPush` takes it.
    split : str
        "train" or "test".

    Returns
    -------
    list of Path
        At least one.

    Raises
    ------
    DataError
        There is no such folder, or no TFRecord file in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the folder that holds {FOLDER}")
    folders = (root / FOLDER / split, root / split)
    for folder in folders:
        found = (p for p in folder.glob("*.tfrecords") if not p.name.startswith("."))
        # A pipe would be waited for; a dead link is reported when it is read.
        files = [p for p in found if p.is_file() or not p.exists()]
        if files:
            return sorted(files, key=_by_number)
    looked = " or ".join(f"{f.relative_to(root)}/*.tfrecords" for f in folders)
    raise DataError(
        f"{root}: holds no BAIR data (looked for {looked}); give the folder that holds "
        f"{FOLDER}, or make one with make_simulated_push or download_bair"
    )


def verify(root: str | Path) -> int:
    """Check the CRCs of every record of both splits.

    Parameters
    ----------
    root : str or Path
        As `BairPush` takes it.

    Returns
    -------
    int
        The number of records.

    Raises
    ------
    DataError
        Names the file, the record and the byte of the first fault.
    """
    files = [path for split in SPLITS for path in find_files(root, split)]
    bar: Iterable[Path] = progress(files, desc="verifying", unit="file")
    return sum(verify_file(path) for path in bar)


def _by_number(path: Path) -> tuple[list[int], str]:
    return [int(n) for n in re.findall(r"\d+", path.name)], path.name
