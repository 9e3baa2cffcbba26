"""Clips that are changed a little in every epoch, for few videos."""

import hashlib

import numpy as np
import torch

from svg_pyro.data.base import ClipDataset, clip_rng
from svg_pyro.errors import DataError

_STREAM = 7  # apart from the numbers by which a data set draws its windows
_GAINS, _GAMMAS, _MOST_OFFSET = (0.6, 1.2), (0.7, 1.4), 0.15


class Augmented(ClipDataset):
    """A data set whose clips are mirrored, and have other colours, at random.

    A model that has seen few scenes remembers their backgrounds, and paints them over
    new ones. Of a scene that comes in other colours each time only what moves how can
    be learnt, and the rest is to be copied from the frames given.

    A clip is mirrored left to right in half of the draws, its channels change places,
    and each is stretched ::

        x' = clip(gain x^gamma + offset),   x in [0, 1]

    with a gamma from 0.7 to 1.4 for all channels, and a gain from 0.6 to 1.2 and an
    offset of at most 0.15 for each; the same for all frames of the clip.

    Parameters
    ----------
    data : ClipDataset
        The clips; without actions, whose directions a mirror would change.
    seed : int
        Draws the changes, with the epoch and the index; 0 or more.

    Raises
    ------
    DataError
        The data set has actions.
    """

    def __init__(self, data: ClipDataset, seed: int = 0) -> None:
        if data.action_dim:
            raise DataError(
                "clips with actions cannot be mirrored; leave the augmentation out"
            )
        self.data, self.seed = data, seed
        self.n_frames, self.channels = data.n_frames, data.channels
        self.image_size, self.min_frames = data.image_size, data.min_frames

    def __len__(self) -> int:
        return len(self.data)

    def name(self, index: int) -> str:
        """As the data set names it."""
        return self.data.name(index)

    def fingerprint(self) -> str:
        """Of the data set, and that it is augmented, and by which seed."""
        words = f"augmented {self.seed} {self.data.fingerprint()}"
        return hashlib.sha256(words.encode()).hexdigest()[:16]

    def clip(self, index: int, epoch: int = 0) -> torch.Tensor:
        """See `ClipDataset.clip`; changed by ``(seed, epoch, index)``."""
        clip = self.data.clip(index, epoch)
        rng = clip_rng(self.seed + _STREAM, epoch, index)
        if rng.random() < 0.5:
            clip = clip.flip(-1)
        return self._recoloured(clip, rng)

    def _recoloured(self, clip: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Other levels of each channel, by a table of all 256."""
        levels = np.linspace(0, 1, 256) ** rng.uniform(*_GAMMAS)
        gain = rng.uniform(*_GAINS, (self.channels, 1))
        offset = rng.uniform(-_MOST_OFFSET, _MOST_OFFSET, (self.channels, 1))
        table = np.clip(gain * levels + offset, 0, 1) * 255
        lookup = torch.from_numpy(table.round().astype(np.uint8))
        order = rng.permutation(self.channels)
        changed = [
            lookup[row][clip[:, channel].long()] for row, channel in enumerate(order)
        ]
        return torch.stack(changed, 1)
