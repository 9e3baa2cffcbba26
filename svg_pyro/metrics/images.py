"""Distances between images: mean squared error, PSNR and SSIM.

SSIM is computed here, not by a library, because published numbers come from different
ones: windows, data ranges, sample covariances and crops differ by protocol, and
torchmetrics' is off the first code's by up to 0.06. Under both windows it is equal to
scikit-image's (a test's oracle), several times as fast.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from svg_pyro.errors import EvaluationError
from svg_pyro.metrics.checks import check_frames, check_samples


def clip_mse(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean squared error over a clip's frames, channels and pixels.

    Parameters
    ----------
    prediction, truth : torch.Tensor
        Shapes ``(*batch, T, C, H, W)`` that broadcast, values in [0, 1].

    Returns
    -------
    torch.Tensor
        Shape ``(*batch,)``.
    """
    return (prediction - truth).square().flatten(-4).mean(-1)


def psnr(mse: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio: -10 log10(mse).

    Equal frames have an infinite one; of a clip's error it is finite as soon as one
    pixel of one frame differs.

    Parameters
    ----------
    mse : torch.Tensor
        Mean squared errors of values in [0, 1], any shape.

    Returns
    -------
    torch.Tensor
        In dB, the same shape.
    """
    return -10 * mse.log10()


@dataclass(frozen=True)
class Window:
    """One kind of SSIM: a separable window and the constants that go with it.

    Wang et al. (2004), with means m, variances s and covariance s_xy under the window:

        SSIM = (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x + s_y + C2))

    with C1 = (0.01 L)^2 and C2 = (0.03 L)^2, in each channel by itself, averaged over
    the places where the window lies wholly inside the image. The constants are
    positive, so constant images a, b have one too: (2ab + C1) / (a^2 + b^2 + C1).

    Attributes
    ----------
    weights : tuple of float
        The window along one side; they sum to 1.
    data_range : float
        L.
    correction : float
        Factor of the variances and the covariance.
    """

    weights: tuple[float, ...]
    data_range: float
    correction: float

    @property
    def size(self) -> int:
        """Side in pixels."""
        return len(self.weights)


def _gaussian(size: int, sigma: float) -> tuple[float, ...]:
    weights = [math.exp(-((i - size // 2) ** 2) / (2 * sigma**2)) for i in range(size)]
    return tuple(w / sum(weights) for w in weights)


WINDOWS = {
    "uniform": Window((1 / 7,) * 7, data_range=2.0, correction=49 / 48),
    "gaussian": Window(_gaussian(11, 1.5), data_range=1.0, correction=1.0),
}


class FrameScores:
    """MSE, PSNR and SSIM of sampled frames against one truth.

    What depends on the truth alone is computed once, here. All is computed in float64:
    in float32 the variance of a bright flat region drowns in rounding, which can change
    its SSIM by 8e-4 (measured).

    Parameters
    ----------
    truth : torch.Tensor
        Float, shape ``(*batch, C, H, W)``, values in [0, 1].
    windows : sequence of str
        Which of `WINDOWS`.

    Raises
    ------
    EvaluationError
        The truth is not in [0, 1], or smaller than a window.
    """

    def __init__(
        self,
        truth: torch.Tensor,
        windows: Sequence[str] = tuple(WINDOWS),
    ) -> None:
        check_frames(truth, "true frames")
        self.shape, self.windows = truth.shape, tuple(windows)
        self._truth = truth.flatten(0, -3)
        height, width = truth.shape[-2:]
        self._chunk = max(1, _values_at_once(truth.device) // (height * width))
        # Memory taken once: from the allocator, chunk by chunk, it cost more time
        # than the arithmetic.
        self._planes = self._empty(3, self._chunk, height, width)
        self._room = torch.empty_like(self._planes)
        self._buffers: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._moments: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        for name in self.windows:
            self._prepare(name, WINDOWS[name])

    @torch.no_grad()
    def __call__(self, samples: torch.Tensor) -> dict[str, torch.Tensor]:
        """Score samples of the same frames.

        Parameters
        ----------
        samples : torch.Tensor
            Float, shape ``(N, *batch, C, H, W)``, values in [0, 1].

        Returns
        -------
        dict of str to torch.Tensor
            "mse"; "psnr" in dB, the mean over channels of each channel's; and
            "ssim_uniform", "ssim_gaussian". Shapes ``(N, *batch)``, float64.

        Raises
        ------
        EvaluationError
            The samples have another shape, or are not in [0, 1].
        """
        check_samples(samples, self.shape)
        names = ["mse", *(f"ssim_{name}" for name in self.windows)]
        shape = len(samples), len(self._truth)
        scores = {name: self._empty(*shape) for name in names}
        for n, sample in enumerate(samples):
            chunks = torch.split(sample.reshape(self._truth.shape), self._chunk)
            truths = torch.split(self._truth, self._chunk)
            for i, (x, y) in enumerate(zip(chunks, truths, strict=True)):
                start = i * self._chunk
                out = {k: v[n, start : start + len(x)] for k, v in scores.items()}
                self._score(x, y, i, out)
        scores["psnr"] = psnr(scores["mse"])
        return {k: v.view(-1, *self.shape[:-2]).mean(-1) for k, v in scores.items()}

    def _empty(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=torch.float64, device=self._truth.device)

    def _prepare(self, name: str, window: Window) -> None:
        """Memory for a window, and the truth's mean and variance under it."""
        rows, columns = (n - window.size + 1 for n in self.shape[-2:])
        if rows < 1 or columns < 1:
            raise EvaluationError(
                f"frames of {self.shape[-2]}x{self.shape[-1]} pixels are smaller than "
                f"the SSIM's {window.size}-pixel window; score larger frames"
            )
        self._buffers[name] = (
            self._empty(3, self._chunk, rows, self.shape[-1]),
            self._empty(4, self._chunk, rows, columns),
        )
        self._moments[name] = []
        for truth in torch.split(self._truth, self._chunk):
            y, square, unused = self._planes[:, : len(truth)]
            torch.mul(y.copy_(truth), y, out=square)
            unused.zero_()
            mean, square, _, _ = self._windowed(name, window, len(truth))
            variance = (square - mean.square()).mul_(window.correction)
            self._moments[name].append((mean.clone(), variance))

    def _score(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        i: int,
        out: dict[str, torch.Tensor],
    ) -> None:
        """Put the scores of chunk `i` of a sample into `out`."""
        planes = self._planes[:, : len(x)]
        x, y, square = planes[0].copy_(x), planes[2].copy_(y), planes[1]
        torch.sub(x, y, out=square)
        torch.mean(square.square_(), (-2, -1), out=out["mse"])
        torch.mul(x, x, out=square)
        torch.mul(x, y, out=planes[2])
        for name in self.windows:
            means = self._windowed(name, WINDOWS[name], len(x))
            places = _ssim(means, self._moments[name][i], WINDOWS[name])
            torch.mean(places, (-2, -1), out=out[f"ssim_{name}"])

    def _windowed(self, name: str, window: Window, count: int) -> torch.Tensor:
        """Means of `count` planes under a window, and room for one more result."""
        halfway, out = (buffer[:, :count] for buffer in self._buffers[name])
        planes, room = self._planes[:, :count], self._room[:, :count]
        if len(set(window.weights)) == 1:
            _sum(planes, window.size, -2, halfway, room)
            _sum(halfway, window.size, -1, out[:3], room[..., : halfway.shape[-2], :])
        else:
            _slide(planes, window.weights, -2, halfway)
            _slide(halfway, window.weights, -1, out[:3])
        out[:3].mul_(window.weights[0] ** 2)
        return out


def ssim(
    prediction: torch.Tensor,
    truth: torch.Tensor,
    *,
    window: str = "gaussian",
) -> torch.Tensor:
    """Structural similarity of frames, see `Window`.

    Parameters
    ----------
    prediction, truth : torch.Tensor
        Float, shape ``(*batch, C, H, W)``, values in [0, 1].
    window : {"gaussian", "uniform"}
        "gaussian": 11x11, sigma 1.5, L = 1. "uniform": 7x7, L = 2, sample covariance,
        as scikit-image long had it for float images, which it took to lie in [-1, 1].

    Returns
    -------
    torch.Tensor
        Shape ``(*batch,)``, at most 1; float64.

    Raises
    ------
    EvaluationError
        The shapes do not fit, values are not in [0, 1], or a frame is smaller than the
        window.
    """
    return FrameScores(truth, (window,))(prediction[None])[f"ssim_{window}"][0]


def _values_at_once(device: torch.device) -> int:
    """Pixels of a chunk: what a core's cache holds, or what keeps a GPU busy."""
    return 2**16 if device.type == "cpu" else 2**22


def _slide(
    x: torch.Tensor,
    weights: Sequence[float],
    dim: int,
    out: torch.Tensor,
) -> None:
    """Sums of shifted `x`, weighted in proportion to the first weight.

    By shift and add, which is several times faster than a convolution in float64.
    """
    first, *rest = (x.narrow(dim, i, out.shape[dim]) for i in range(len(weights)))
    shares = [w / weights[0] for w in weights[1:]]
    torch.add(first, rest[0], alpha=shares[0], out=out)
    for shifted, share in zip(rest[1:], shares[1:], strict=True):
        out.add_(shifted, alpha=share)


def _sum(
    x: torch.Tensor,
    size: int,
    dim: int,
    out: torch.Tensor,
    room: torch.Tensor,
) -> None:
    """Sums of `size` (odd) shifted `x`: by pairs, with half the additions."""
    length = out.shape[dim]
    pairs = room.narrow(dim, 0, length + size - 2)
    first, second = (x.narrow(dim, i, pairs.shape[dim]) for i in (0, 1))
    torch.add(first, second, out=pairs)
    first, second = (pairs.narrow(dim, i, length) for i in (0, 2))
    torch.add(first, second, out=out)
    for i in range(4, size - 1, 2):
        out.add_(pairs.narrow(dim, i, length))
    out.add_(x.narrow(dim, size - 1, length))


def _ssim(
    means: torch.Tensor,
    truth: tuple[torch.Tensor, torch.Tensor],
    window: Window,
) -> torch.Tensor:
    """SSIM at each place; overwrites `means`, those of x, x^2 and xy, and room."""
    (mean_x, square, product, room), (mean_y, variance_y) = means, truth
    c1, c2 = ((k * window.data_range) ** 2 for k in (0.01, 0.03))
    luminance = torch.mul(mean_x, mean_y, out=room)
    covariance = product.sub_(luminance).mul_(window.correction)
    variances = square.addcmul_(mean_x, mean_x, value=-1).mul_(window.correction)
    variances.add_(variance_y).add_(c2)
    scale = mean_x.square_().addcmul_(mean_y, mean_y).add_(c1)
    luminance.mul_(2).add_(c1).mul_(covariance.mul_(2).add_(c2))
    return luminance.div_(scale.mul_(variances))
