"""Convolutions in the forms that cost least: the same weights and the same sums.

Every layer keeps the weight of the ordinary layer that it stands for, so that weights
can be imported and compared. Feature maps have their channels last in memory
(``torch.channels_last``), in which they are fastest on CPUs and on tensor cores.
"""

import torch
from torch import nn
from torch.nn import functional as F

from svg_pyro.model.networks.winograd import StridedConv

# Up to so many channels a 4x4 convolution with stride 2 is done on blocks of pixels:
# libraries pad a few channels to a whole register, and blocks have four times as many.
_FEW = 4
# From so many channels of the smaller map on, Winograd's form pays for its sums.
_MANY = 192


def fold(x: torch.Tensor) -> torch.Tensor:
    """``(*batch, C, h, w)`` as ``(N, C, h, w)``, channels last in memory.

    Copies at most once.
    """
    x = x.movedim(-3, -1).flatten(0, -4).movedim(-1, -3)
    x = x.contiguous(memory_format=torch.channels_last)
    if x.shape[1] > 1:
        return x
    # With one channel both orders are the same, and PyTorch would go on in the other.
    h, w = x.shape[-2:]
    return x.as_strided(x.shape, (h * w, 1, w, 1))


def _in_fewer_products(x: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether `StridedConv` is the faster one; `weight` is ``(small, large, 4, 4)``."""
    return (
        len(weight) >= _MANY
        and torch.is_grad_enabled()
        and x.dtype == torch.bfloat16
        and x.device.type == "cpu"
    )


def _blocks(kernel: torch.Tensor) -> torch.Tensor:
    """``F.pixel_unshuffle(kernel, 2)``, with its gradient in the kernel's layout."""
    kernel = kernel.unflatten(3, (2, 2)).unflatten(2, (2, 2))
    return kernel.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)


def _shrink(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """A 4x4 convolution with stride 2 and padding 1."""
    if weight.shape[1] > _FEW:
        if not _in_fewer_products(x, weight):
            return F.conv2d(x, weight, bias, 2, 1)
        y: torch.Tensor = StridedConv.apply(x, weight, False)
        return y.add_(bias.to(y.dtype)[:, None, None])
    # Over blocks of 2x2 pixels it is a 2x2 convolution.
    blocks = F.pixel_unshuffle(F.pad(x, (1, 1, 1, 1)), 2)
    blocks = blocks.contiguous(memory_format=torch.channels_last)
    return F.conv2d(blocks, _blocks(weight), bias)


def _enlarge(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A transposed 4x4 convolution with stride 2 and padding 1, without a bias."""
    if weight.shape[1] > _FEW:
        if not _in_fewer_products(x, weight):
            return F.conv_transpose2d(x, weight, None, 2, 1)
        y: torch.Tensor = StridedConv.apply(x, weight, True)
        return y
    # To blocks of 2x2 pixels it is a 2x2 convolution with the mirrored kernel.
    kernel = _blocks(weight).transpose(0, 1).flip(-2, -1)
    blocks = F.conv2d(x, kernel, padding=1)
    return F.pixel_shuffle(blocks, 2)[..., 1:-1, 1:-1]


class ShrinkingConv(nn.Conv2d):
    """A 4x4 convolution to half the height and width."""

    bias: torch.Tensor

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, before, 2h, 2w)`` to ``(N, after, h, w)``."""
        return _shrink(x, self.weight, self.bias)


class MapToVector(nn.Conv2d):
    """A convolution whose kernel is as large as its 4x4 input: a matrix product."""

    bias: torch.Tensor

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, before, 4, 4)`` to ``(N, after, 1, 1)``."""
        weight = self.weight.movedim(1, -1).flatten(1)
        y = F.linear(x.movedim(-3, -1).flatten(1), weight, self.bias)
        return y[..., None, None]


class VectorToMap(nn.ConvTranspose2d):
    """A transposed convolution of a 1x1 input to a 4x4 map: a matrix product."""

    bias: torch.Tensor

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 4)

    def forward(  # type: ignore[override]  # there is no choice of an output size
        self, x: torch.Tensor
    ) -> torch.Tensor:
        """``(N, before, 1, 1)`` to ``(N, after, 4, 4)``."""
        weight = self.weight.movedim(1, -1).flatten(1).t()
        y = F.linear(x.flatten(1), weight, self.bias.repeat(16))
        maps: torch.Tensor = y.unflatten(1, (4, 4, self.out_channels))
        return maps.movedim(-1, -3)


class SplitConvTranspose(nn.ConvTranspose2d):
    """A transposed 4x4 convolution of ``concat(d, s)`` to twice the height and width.

    It can be done in two halves, ``layer(concat(d, s)) = main(d) + skip(s)``, of which
    the skip half changes only with the frame that s comes from.

    Parameters
    ----------
    main, skip, out : int
        Channels of d, of s, and of the result.
    """

    bias: torch.Tensor

    def __init__(self, main: int, skip: int, out: int) -> None:
        super().__init__(main + skip, out, 4, 2, 1)
        self.split = main

    def main(self, d: torch.Tensor) -> torch.Tensor:
        """The half of d, ``(N, main, h, w)``, at twice its size."""
        return _enlarge(d, self.weight[: self.split])

    def skip(self, s: torch.Tensor) -> torch.Tensor:
        """The half of s, which is where the bias is."""
        # The bias lies with the skip half, which has fewer maps; by itself, since
        # oneDNN is slow at the gradient of a transposed convolution's bias.
        half = _enlarge(s, self.weight[self.split :])
        return half + self.bias.to(half.dtype)[:, None, None]


class SplitConv(nn.Conv2d):
    """A 3x3 convolution of ``concat(d, s)``, d at twice its size.

    In two halves as `SplitConvTranspose`. Of three taps over doubled pixels two
    always meet the same one, so that the main half is a transposed convolution of d as
    it is, with less than half the products.

    Parameters
    ----------
    main, skip, out : int
        Channels of d, of s, and of the result.
    """

    def __init__(self, main: int, skip: int, out: int) -> None:
        super().__init__(main + skip, out, 3, 1, 1)
        self.split = main
        self.kernel: torch.Tensor | None = (
            None  # of the main half, where the weight does not change
        )

    def main_kernel(self) -> torch.Tensor:
        """The main half's kernel as a transposed convolution, ``(main, out, 4, 4)``."""
        weight = self.weight[:, : self.split]
        # In one direction: after each pixel has been doubled, a tap of the 3-tap kernel
        # meets it twice, so that taps 2, 1 + 2, 0 + 1 and 0 are those of the 4-tap one.
        taps = torch.eye(3, dtype=weight.dtype, device=weight.device).flip(0)
        taps = F.pad(taps, (0, 0, 0, 1)) + F.pad(taps, (0, 0, 1, 0))
        taps = torch.kron(taps, taps).t()  # in both
        # Sums of weights, in the weights' own precision.
        with torch.autocast(weight.device.type, enabled=False):
            kernel = weight.reshape(-1, 9) @ taps
        return kernel.view(*weight.shape[:2], 4, 4).transpose(0, 1)

    def main(self, d: torch.Tensor) -> torch.Tensor:
        """The half of d, ``(N, main, h, w)``, at twice its size."""
        return _enlarge(d, self.main_kernel() if self.kernel is None else self.kernel)

    def skip(self, s: torch.Tensor) -> torch.Tensor:
        """The half of s, which is where the bias is."""
        return F.conv2d(s, self.weight[:, self.split :], self.bias, padding=1)
