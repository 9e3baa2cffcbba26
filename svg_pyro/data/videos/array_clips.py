"""The clips of an array file as they are: a published test set."""

from pathlib import Path

import torch

from svg_pyro.data.base import ClipDataset
from svg_pyro.data.videos.first_frames import first_frames
from svg_pyro.data.videos.search import find_sources


class ArrayClips(ClipDataset):
    """The first frames of each video of an array file.

    For test sets that are one file: ``mnist_test_seq.npy`` of Srivastava et al. (2015),
    or those that SRVP's code makes (Franceschi et al. 2020:
    ``smmnist_test_2digits_64.npz``, ``svg_test_set_40.npz``).

    Parameters
    ----------
    path : str or Path
        The .npy or .npz file.
    n_frames : int
        Frames in a clip.
    image_size : int
        Height and width of a frame in pixels; frames of another size are scaled.
    channels : int
        1 (grey) or 3 (RGB).
    layout : str, optional
        Of the array, see `find_sources`.

    Raises
    ------
    DataError
        There is no such file or layout.
    """

    def __init__(
        self,
        path: str | Path,
        n_frames: int,
        *,
        image_size: int,
        channels: int = 1,
        layout: str | None = None,
    ) -> None:
        self._sources = find_sources(path, layout=layout)
        self.n_frames, self.image_size = n_frames, image_size
        self.channels = channels

    def __len__(self) -> int:
        return len(self._sources)

    def name(self, index: int) -> str:
        """The file, and the number of the video in it."""
        return self._sources[index].name

    def clip(self, index: int, epoch: int = 0) -> torch.Tensor:
        """The first frames of video `index`, the same in every epoch.

        Parameters
        ----------
        index : int
            The video, ``0 <= index < len(self)``.
        epoch : int
            Does not matter.

        Returns
        -------
        torch.Tensor
            uint8, shape ``(T, C, H, W)``, values 0 to 255.

        Raises
        ------
        DataError
            The video cannot be read, or has fewer frames than a clip.
        """
        size = self.image_size
        return first_frames(
            self._sources[index],
            self.n_frames,
            image_size=size,
            channels=self.channels,
        )
