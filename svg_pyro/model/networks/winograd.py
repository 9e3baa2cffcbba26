r"""4x4 convolutions with stride 2 in nine sixteenths of their products.

Cut the padded map into blocks p_0, p_1, ... of two pixels. In one direction such a
convolution is then y_k = w_0 p_k + w_1 p_{k+1}, and three products give two results ::

    y_0 = m_0 + m_1          m_0 = w_0 (p_0 - p_1)
    y_1 = m_1 + m_2          m_1 = (w_0 + w_1) p_1
                             m_2 = w_1 (p_2 - p_1)

which is Winograd's F(2, 2) (Winograd 1980; Lavin & Gray, arXiv 1509.09308); in two
directions 9 products give 4 results. Read backwards, that is a transposed convolution,
and the gradients are of the same form: with A, B and K the linear maps below,

    convolution   A'(B x . K w)        transposed   B'(A x . K w)

where "." is nine matrix products. The large map has twice the height and width of the
small one, which must be even. The sums are rounded as well: in bfloat16 a result is off
by 0.6 to 0.8 % of its size, where sixteen products are off by 0.2 to 0.3 %.
"""

from typing import Any, TypeAlias

import torch
from torch.autograd.function import once_differentiable

Context: TypeAlias = Any  # PyTorch's, which takes any attribute

# In one direction: of w_0, w_1 the kernels of m_0, m_1, m_2.
_TAPS = (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)


class StridedConv(torch.autograd.Function):
    """A 4x4 convolution with stride 2 and padding 1, or a transposed one, no bias.

    Differentiable once. For the gradient of the weight it keeps what was multiplied, in
    place of the map itself: 9/4 of it.

    Parameters
    ----------
    x : torch.Tensor
        Shape ``(N, channels, h, w)``, channels last in memory; h and w a multiple of 4,
        or of 2 where `transposed`.
    weight : torch.Tensor
        As of the ordinary layer: ``(small channels, large channels, 4, 4)``. Its sums
        are made in its own precision, and cast to that of `x`.
    transposed : bool
        From the small map to the large one.
    """

    @staticmethod
    def forward(
        ctx: Context,
        x: torch.Tensor,
        weight: torch.Tensor,
        transposed: bool,
    ) -> torch.Tensor:
        """Multiply the tiles of the map with the kernels of the weight."""
        ctx.dtype, ctx.transposed = weight.dtype, transposed
        tiles = _of_small(x) if transposed else _of_large(x)
        kernels = _of_weight(weight, x.dtype)
        ctx.save_for_backward(tiles, kernels)
        if transposed:
            return _to_large(tiles @ kernels, x.shape)
        return _to_small(tiles @ kernels.mT, x.shape)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Context, gradient: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor, None]:
        """The gradients of x and of the weight."""
        tiles, kernels = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        small = tiles if ctx.transposed else _of_small(gradient)
        large = _of_large(gradient) if ctx.transposed else tiles
        of_x = None
        if ctx.needs_input_grad[0]:
            if ctx.transposed:
                of_x = _to_small(large @ kernels.mT, gradient.shape)
            else:
                of_x = _to_large(small @ kernels, gradient.shape)
        return of_x, _to_weight(small.mT @ large, ctx.dtype), None


def _map(
    like: torch.Tensor, n: int, channels: int, height: int, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A new map, channels last in memory, and a view of it with channels last."""
    # Not a view of something else: autograd lets such results be written to in place.
    y = torch.empty(
        (n, channels, height, width),
        dtype=like.dtype,
        device=like.device,
        memory_format=torch.channels_last,
    )
    return y, y.movedim(1, -1)


def _of_large(x: torch.Tensor) -> torch.Tensor:
    """B: ``(N, C, 2h, 2w)`` to what is multiplied, ``(9, N h/2 w/2, 4C)``."""
    x = x.movedim(1, -1)
    n, height, width, channels = x.shape
    rows, columns = height // 4, width // 4
    tiles = x.new_empty(3, 3, n, rows, columns, 2, 2, channels)
    places = tiles.transpose(4, 5)  # as the pixels lie: row, its half, column, its half
    first = x.new_empty(2, n, height, columns, 2, channels)
    _differences(x, 2, first[0], first[1])
    middle = _blocks(x, 2)[0]
    for source, to in zip((first[0], middle, first[1]), places, strict=True):
        _differences(source, 1, to[0], to[2])
        to[1].copy_(_blocks(source, 1)[0])
    return tiles.view(9, -1, 4 * channels)


def _to_large(products: torch.Tensor, small: torch.Size) -> torch.Tensor:
    """B', of products of a small map of the shape `small`: ``(N, C, 2h, 2w)``."""
    n, _, height, width = small
    rows, columns, channels = height // 2, width // 2, products.shape[-1] // 4
    tiles = products.view(3, 3, n, rows, columns, 2, 2, channels).transpose(4, 5)
    first = products.new_empty(3, n, 2 * height, columns, 2, channels)
    for source, to in zip(tiles, first, strict=True):
        _assemble(source, 1, to)
    y, places = _map(products, n, channels, 2 * height, 2 * width)
    _assemble(first, 2, places)
    return y


def _blocks(x: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The blocks p_1 of all tiles, and p_2 of all but the last, which are p_0 next."""
    quarters = x.unflatten(dim, (-1, 4))
    inner = x.narrow(dim, 3, x.shape[dim] - 4).unflatten(dim, (-1, 4))
    return quarters.narrow(dim + 1, 1, 2), inner.narrow(dim + 1, 0, 2)


def _differences(
    x: torch.Tensor, dim: int, before: torch.Tensor, after: torch.Tensor
) -> None:
    """p_0 - p_1 and p_2 - p_1; at the edges p_0 and p_2 are one pixel and padding."""
    middle, inner = _blocks(x, dim)
    more = inner.shape[dim]
    torch.sub(inner, middle.narrow(dim, 1, more), out=before.narrow(dim, 1, more))
    torch.sub(inner, middle.narrow(dim, 0, more), out=after.narrow(dim, 0, more))
    top, bottom = before.select(dim, 0), after.select(dim, more)
    torch.neg(x.select(dim, 1), out=top.select(dim, 0))
    torch.sub(x.select(dim, 0), x.select(dim, 2), out=top.select(dim, 1))
    torch.sub(x.select(dim, -1), x.select(dim, -3), out=bottom.select(dim, 0))
    torch.neg(x.select(dim, -2), out=bottom.select(dim, 1))


def _assemble(products: torch.Tensor, dim: int, y: torch.Tensor) -> None:
    """The transpose of `_differences` and the copy of p_1, into `y`."""
    before, same, after = products
    middle, inner = _blocks(y, dim)
    more = inner.shape[dim]
    torch.sub(same, before, out=middle).sub_(after)
    torch.add(after.narrow(dim, 0, more), before.narrow(dim, 1, more), out=inner)
    y.select(dim, 0).copy_(before.select(dim, 0).select(dim, 1))
    y.select(dim, -1).copy_(after.select(dim, more).select(dim, 0))


def _of_small(x: torch.Tensor) -> torch.Tensor:
    """A: ``(N, K, h, w)`` to what is multiplied, ``(9, N h/2 w/2, K)``."""
    x = x.movedim(1, -1)
    n, height, width, channels = x.shape
    pairs = x.view(n, height // 2, 2, width // 2, 2, channels)
    tiles = x.new_empty(3, 3, n, height // 2, width // 2, channels)
    first, last = pairs[:, :, 0], pairs[:, :, 1]
    for row, source in enumerate((first, first + last, last)):
        left, right = source[..., 0, :], source[..., 1, :]
        tiles[0, row].copy_(left)
        torch.add(left, right, out=tiles[1, row])
        tiles[2, row].copy_(right)
    return tiles.view(9, -1, channels)


def _to_small(products: torch.Tensor, large: torch.Size) -> torch.Tensor:
    """A', of products of a large map of the shape `large`: ``(N, K, h, w)``."""
    n, rows, columns, channels = (
        large[0],
        large[2] // 4,
        large[3] // 4,
        products.shape[-1],
    )
    tiles = products.view(3, 3, n, rows, columns, channels)
    half = products.new_empty(3, n, rows, columns, 2, channels)
    torch.add(tiles[0], tiles[1], out=half[..., 0, :])
    torch.add(tiles[1], tiles[2], out=half[..., 1, :])
    y, places = _map(products, n, channels, 2 * rows, 2 * columns)
    half, places = half.flatten(3, 4), places.unflatten(1, (rows, 2))
    torch.add(half[0], half[1], out=places[:, :, 0])
    torch.add(half[1], half[2], out=places[:, :, 1])
    return y


def _taps(weight: torch.Tensor) -> torch.Tensor:
    """``(9, 4)``: nine kernels of the four blocks of a 4x4 one, columns outermost."""
    taps = torch.tensor(_TAPS, dtype=weight.dtype, device=weight.device)
    return torch.kron(taps, taps)


def _of_weight(weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """K: ``(K, C, 4, 4)`` to kernels ``(9, K, 4C)``, summed in their own precision."""
    k, c = weight.shape[:2]
    blocks = weight.flatten(2).mT.contiguous().view(k, 2, 2, 2, 2, c)
    blocks = blocks.permute(3, 1, 0, 2, 4, 5).reshape(4, -1)
    with torch.autocast(weight.device.type, enabled=False):
        return (_taps(weight) @ blocks).to(dtype).view(9, k, 4 * c)


def _to_weight(kernels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """K': ``(9, K, 4C)`` to the gradient of a weight, ``(K, C, 4, 4)``."""
    k, c = kernels.shape[1], kernels.shape[2] // 4
    kernels = kernels.flatten(1).to(dtype)
    blocks = (_taps(kernels).mT @ kernels).view(2, 2, k, 2, 2, c)
    blocks = blocks.permute(2, 1, 3, 0, 4, 5).reshape(k, 16, c)
    taps: torch.Tensor = blocks.mT.unflatten(2, (4, 4))
    return taps
