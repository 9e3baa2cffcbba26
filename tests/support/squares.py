"""A data set for the tests of training: bright squares that move steadily."""

import torch

from svg_pyro.data.base import ClipDataset, clip_rng


class Squares(ClipDataset):
    """Bright squares that move steadily: a data set for the training loop's tests."""

    channels, image_size = 1, 64

    def __init__(self, count=12, n_frames=5, seed=0):
        self.count, self.n_frames, self.seed = count, n_frames, seed

    def __len__(self):
        return self.count

    def clip(self, index, epoch=0):
        rng = clip_rng(self.seed, epoch, index)
        clip = torch.zeros(self.n_frames, 1, 64, 64, dtype=torch.uint8)
        (x, y), (dx, dy) = rng.integers(16, 32, 2), rng.integers(-2, 3, 2)
        for t in range(self.n_frames):
            clip[t, :, y + t * dy : y + t * dy + 12, x + t * dx : x + t * dx + 12] = 255
        return clip
