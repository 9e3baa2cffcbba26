"""A small network in the place of FVD's."""

import warnings

import torch
from torch import nn


class Moving(nn.Module):
    """Stands for an I3D: a few statistics of a video, per channel."""

    def forward(self, x):
        return torch.cat(
            [x.mean((2, 3, 4)), (x[:, :, 1:] - x[:, :, :-1]).std((2, 3, 4))], 1
        )


def script(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated
        torch.jit.script(module).save(str(path))
    return path
