"""The one contract between data sets and everything that uses them."""

import abc
import contextlib
import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Dataset

from svg_pyro.errors import DataError, SVGError
from svg_pyro.util.memory import is_exhausted
from svg_pyro.util.words import one_line, printable, shortened


class ClipDataset(Dataset[torch.Tensor], abc.ABC):
    """A set of videos from which clips of `n_frames` frames are cut.

    A subclass gives `__len__` and `clip`. A clip depends on
    ``(seed, epoch, index)`` alone, never on a shared random state, so that it is
    the same for any number of workers, after a resume and on every rank.

    Attributes
    ----------
    n_frames : int
        Frames in a clip.
    channels : int
        Colour channels of a frame, 1 or 3.
    image_size : int
        Height and width of a frame in pixels.
    action_dim : int
        Length of the actions that come with a clip; 0 without.
    min_frames : int or None
        Fewest frames of a clip, of a set whose clips may have fewer than `n_frames`;
        None: all have `n_frames`.
    """

    n_frames: int
    channels: int
    image_size: int
    _epoch: int = 0
    action_dim: int = 0
    min_frames: int | None = None

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of a frame."""
        return self.channels, self.image_size, self.image_size

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of videos."""

    @abc.abstractmethod
    def clip(self, index: int, epoch: int = 0) -> torch.Tensor:
        """One clip of video `index`.

        Parameters
        ----------
        index : int
            The video, ``0 <= index < len(self)``.
        epoch : int
            The pass over the data; another epoch may cut another window.

        Returns
        -------
        torch.Tensor
            uint8, shape ``(T, C, H, W)``, values 0 to 255; T is `n_frames`, or from
            `min_frames` on.
        """

    def actions(self, index: int, epoch: int = 0) -> torch.Tensor:
        """The actions of the clip that `clip` gives with the same arguments.

        Parameters
        ----------
        index, epoch : int
            As in `clip`.

        Returns
        -------
        torch.Tensor
            float32, shape ``(T - 1, action_dim)``, in the data's units: row i leads
            from frame i to frame i + 1, counted from 0.
        """
        return torch.zeros(self.n_frames - 1, self.action_dim)

    def name(self, index: int) -> str:
        """Words by which a person finds video `index`, for messages."""
        return f"clip {index}"

    def fingerprint(self) -> str:
        """A digest by which a resumed training knows whether it has the same clips.

        Of the number of videos and of the first, the last and the middle clip; a
        subclass may know better.
        """
        count = len(self)
        digest = hashlib.sha256(repr((count, self.n_frames)).encode())
        for index in sorted({0, count // 2, count - 1}) if count else ():
            with naming_clip(self, index):
                digest.update(np.ascontiguousarray(self.clip(index)).tobytes())
        return digest.hexdigest()[:16]

    def set_epoch(self, epoch: int) -> None:
        """Let ``dataset[index]`` cut the windows of another pass over the data.

        For a DataLoader over the set, before each pass, as samplers of PyTorch have
        it; a loader's persistent workers keep the epoch with which they began.

        Parameters
        ----------
        epoch : int
            The pass, counted from 0.
        """
        self._epoch = epoch

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.clip(index, self._epoch)


def name_of(dataset: ClipDataset, index: int) -> str:
    """A video's name in one line that is not too long, whatever the set's own says."""
    try:
        name = str(dataset.name(index))
    except Exception:  # of a data set's own code, where its clip is what matters
        name = f"clip {index}"
    return shortened(printable(" ".join(name.split())), 120)


@contextlib.contextmanager
def naming_clip(dataset: ClipDataset, index: int) -> Iterator[None]:
    """Say of which clip an error of a data set's own code is; it becomes the cause.

    Parameters
    ----------
    dataset : ClipDataset
        Whose `clip` or `actions` is called within.
    index : int
        The video.

    Raises
    ------
    DataError
        When that code raises anything but an error of this package, or for want of
        memory.
    """
    try:
        yield
    except SVGError:
        raise
    except Exception as error:
        if is_exhausted(error):
            raise
        name = name_of(dataset, index)
        which = name if str(index) in name else f"{name} (index {index})"
        raise of_own_code(dataset, which, error) from error


def of_own_code(dataset: ClipDataset, what: str, error: Exception) -> DataError:
    """The error of what a data set's own code was to give, in one line."""
    return DataError(
        f"{type(dataset).__name__}: {what} cannot be had: its own code raised "
        f"{type(error).__name__}: {one_line(error)}"
    )


def clip_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """A generator that is a function of ``(seed, epoch, index)`` alone."""
    return np.random.default_rng([seed, epoch, index])
