"""LPIPS: a distance of images by the features of a trained network.

The weights are no part of this package: they are given by the paths of files.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import nn

from svg_pyro.errors import EvaluationError
from svg_pyro.metrics.checks import check_frames, check_samples
from svg_pyro.util.archives import verify_file
from svg_pyro.util.words import why_unreadable


class _Net(NamedTuple):
    """A network of torchvision: layers that are compared, and their channels."""

    name: str
    compared: tuple[int, ...]
    channels: tuple[int, ...]
    least: int  # height and width from which on every layer has an output


_NETS = {
    "alex": _Net("alexnet", (1, 4, 7, 9, 11), (64, 192, 384, 256, 256), 31),
    "vgg": _Net("vgg16", (3, 8, 15, 22, 29), (64, 128, 256, 512, 512), 16),
}
# ImageNet's mean and deviation of colours in [-1, 1], as the authors' code rounds them.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class Lpips:
    """Learned perceptual image patch similarity (Zhang et al. 2018), version 0.1.

    With features f_l of the two images, of unit length along channels, and weights w_l,

        d = sum_l mean_{h,w} sum_c w_lc (f_lc(x) - f_lc(y))^2.

    Parameters
    ----------
    backbone : str, Path or None
        Weights of torchvision's ``alexnet`` or ``vgg16``: its state dict, or that of
        its ``features``. None is refused with what to give.
    heads : str, Path or None
        The w_l: a state dict with ``lin0.model.1.weight`` to ``lin4.model.1.weight``,
        such as ``weights/v0.1/alex.pth`` of the authors' code.
    net : {"alex", "vgg"}
        The papers on video prediction report "alex".
    device : torch.device or str
        Where features are computed.

    Raises
    ------
    EvaluationError
        A file is missing or holds something else, or there is no such network.
    """

    def __init__(
        self,
        backbone: str | Path | None,
        heads: str | Path | None,
        *,
        net: str = "alex",
        device: torch.device | str = "cpu",
    ) -> None:
        if net not in _NETS:
            raise EvaluationError(f"LPIPS has no network {net!r}; give 'alex' or 'vgg'")
        self._compared, self._least = _NETS[net].compared, _NETS[net].least
        self._layers = _load_backbone(backbone, net).to(device)
        self._heads = [head.to(device) for head in _load_heads(heads, net)]
        self._shift, self._scale = (
            torch.tensor(values, dtype=torch.float32, device=device).view(3, 1, 1)
            for values in (_SHIFT, _SCALE)
        )

    @torch.no_grad()
    def __call__(self, prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """The distance of each pair of frames.

        Parameters
        ----------
        prediction, truth : torch.Tensor
            Float, shape ``(*batch, C, H, W)``, C of 1 or 3, values in [0, 1].

        Returns
        -------
        torch.Tensor
            Shape ``(*batch,)``; 0 for equal frames.

        Raises
        ------
        EvaluationError
            As `against`, or the shapes do not fit.
        """
        return self.against(truth)(prediction[None])[0]

    def against(
        self,
        truth: torch.Tensor,
        *,
        chunk: int = 64,
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """A function that scores samples ``(N, *truth)``; see `Curves`.

        Parameters
        ----------
        truth : torch.Tensor
            Float, shape ``(*batch, C, H, W)``, C of 1 or 3, values in [0, 1].
        chunk : int
            Frames at a time; the truth's features are computed once for all samples of
            a call.

        Returns
        -------
        callable
            From samples to distances ``(N, *batch)``.

        Raises
        ------
        EvaluationError
            Values are not in [0, 1], or frames are too small for the network or not of
            1 or 3 channels.
        """
        check_frames(truth, "true frames")
        channels, height, width = truth.shape[-3:]
        if channels not in (1, 3) or min(height, width) < self._least:
            raise EvaluationError(
                f"LPIPS compares frames of 1 or 3 channels and at least {self._least} "
                f"pixels a side, not {channels} of {height}x{width}"
            )
        frames = truth.reshape(-1, channels, height, width)

        @torch.no_grad()
        def score(samples: torch.Tensor) -> torch.Tensor:
            check_samples(samples, truth.shape)
            scores = torch.empty(len(samples), len(frames), device=self._shift.device)
            for start in range(0, len(frames), chunk):
                part = slice(start, start + chunk)
                features = self._features(frames[part])
                for n, sample in enumerate(samples):
                    sampled = self._features(sample.reshape(frames.shape)[part])
                    scores[n, part] = self._distance(sampled, features)
            return scores.view(-1, *truth.shape[:-3]).to(truth.device)

        return cast(Callable[[torch.Tensor], torch.Tensor], score)

    def _distance(
        self,
        features: list[torch.Tensor],
        others: list[torch.Tensor],
    ) -> torch.Tensor:
        layers = zip(features, others, self._heads, strict=True)
        parts = [(w * (f - g).square()).sum(1).mean((-2, -1)) for f, g, w in layers]
        return torch.stack(parts).sum(0)

    def _features(self, frames: torch.Tensor) -> list[torch.Tensor]:
        """Unit features of each layer, ``(K, channels, h, w)``."""
        x = (2 * frames.to(self._shift) - 1 - self._shift) / self._scale
        features = []
        for i, layer in enumerate(self._layers):
            x = layer(x)
            if i in self._compared:
                features.append(x / (x.norm(dim=1, keepdim=True) + 1e-10))
        return features


def _load_backbone(path: str | Path | None, net: str) -> nn.Sequential:
    """The convolutions up to the last layer that is compared."""
    # An import of a second, for a metric that is rarely asked for.
    from torchvision import models

    name, compared = _NETS[net].name, _NETS[net].compared
    state = _read(path, f"the weights of torchvision's {name}")
    state = {
        k.removeprefix("features."): v
        for k, v in state.items()
        if not k.startswith("classifier.")
    }
    # Without memory or random weights for the layers that are not needed.
    with torch.device("meta"):
        features: nn.Sequential = getattr(models, name)(weights=None).features
        layers = features[: compared[-1] + 1]
    try:
        layers.load_state_dict(state, assign=True)
    except (RuntimeError, AttributeError) as error:
        raise EvaluationError(
            f"{path} holds no weights of torchvision's {name} "
            f"({why_unreadable(error)}); give those of net {net!r}"
        ) from None
    return layers.float().eval().requires_grad_(False)


def _load_heads(path: str | Path | None, net: str) -> list[torch.Tensor]:
    """The weights of each layer's channels, ``(channels, 1, 1)``."""
    state = _read(path, f"the linear heads of {net!r}")
    heads = []
    for i, channels in enumerate(_NETS[net].channels):
        key = f"lin{i}.model.1.weight"
        weight = state.get(key)
        if weight is None or weight.numel() != channels:
            raise EvaluationError(
                f"{path} has no {key} of {channels} values; give the LPIPS heads of "
                f"net {net!r}"
            )
        heads.append(weight.detach().float().reshape(channels, 1, 1))
    return heads


def _read(path: str | Path | None, what: str) -> dict[str, torch.Tensor]:
    """A state dict from a file."""
    if path is None or not Path(path).is_file():
        raise EvaluationError(f"LPIPS needs {what}: {path} is no file; give its path")
    try:
        verify_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    # A file of another kind can make the unpickler fail in any way.
    except Exception as error:
        raise EvaluationError(
            f"LPIPS needs {what}: {path} cannot be read ({why_unreadable(error)})"
        ) from error
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise EvaluationError(f"LPIPS needs {what}: {path} holds no state dict")
    return state
