"""FVD: how far the distribution of predicted videos is from that of true ones.

The network is no part of this package: it is given by the path of a file.
"""

import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F

from svg_pyro.errors import EvaluationError
from svg_pyro.metrics.checks import check_frames, check_samples
from svg_pyro.metrics.moments import RunningCovariance
from svg_pyro.util.archives import verify_file
from svg_pyro.util.words import one_line, why_unreadable


class Fvd:
    """Frechet video distance (Unterthiner et al. 2018) over a stream of clips.

    The Frechet distance of two Gaussians fitted to features of true and of predicted
    videos. A published protocol says which videos: SRVP takes one sample of each clip,
    with the context's true frames before it.

    Parameters
    ----------
    network : str, Path or None
        A TorchScript file of a function from videos ``(B, 3, T, 224, 224)`` in [-1, 1]
        to features ``(B, F)``, usually an I3D trained on Kinetics-400. If it has the
        switches rescale, resize and return_features, as ``i3d_torchscript.pt`` of
        StyleGAN-V has, they are set to False, False and True. None is refused with
        what to give.
    size : int
        Frames are resized to this height and width, bilinearly by pixel centres. The
        first TensorFlow code samples from the pixels' corners: a slight difference.
    device : torch.device or str
        Where features are computed.

    Raises
    ------
    EvaluationError
        The file is missing, or no TorchScript.
    """

    def __init__(
        self,
        network: str | Path | None,
        *,
        size: int = 224,
        device: torch.device | str = "cpu",
    ) -> None:
        self._network = _load_script(network).eval().to(device)
        switches = {"rescale": False, "resize": False, "return_features": True}
        schema = self._network.forward.schema  # type: ignore[attr-defined]  # TorchScript
        known = {a.name for a in schema.arguments}
        self._switches = {k: v for k, v in switches.items() if k in known}
        self._size, self._device = size, device
        self.true, self.predicted = RunningCovariance(), RunningCovariance()

    @torch.no_grad()
    def update(self, truth: torch.Tensor, prediction: torch.Tensor) -> None:
        """Take in true videos and as many predicted ones.

        Parameters
        ----------
        truth, prediction : torch.Tensor
            Float, shape ``(B, T, C, H, W)``, C of 1 or 3, values in [0, 1].

        Raises
        ------
        EvaluationError
            Shapes differ, or values are not in [0, 1].
        """
        self.take(*self.features(truth, prediction))

    @torch.no_grad()
    def features(
        self, truth: torch.Tensor, prediction: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What `take` needs of videos, ``(B, F)`` on the CPU; arguments of `update`."""
        check_frames(truth, "true frames")
        check_samples(prediction[None], truth.shape)
        return self._features(truth).cpu(), self._features(prediction).cpu()

    def take(self, true: torch.Tensor, predicted: torch.Tensor) -> None:
        """Take in the features of videos, computed here or in another process."""
        self.true.update(true)
        self.predicted.update(predicted)

    @torch.no_grad()
    def check_length(self, n_frames: int) -> None:
        """Refuse clips that are too short for the network, before any is predicted.

        Parameters
        ----------
        n_frames : int
            T of the clips to come, context included.

        Raises
        ------
        EvaluationError
            The network gives no finite features ``(1, F)`` of a clip of this length.
        """
        reason = "gives no features"
        try:
            features = self._features(torch.zeros(1, n_frames, 3, 64, 64))
            if features.ndim == 2 and features.isfinite().all():
                return
        except RuntimeError as error:
            # TorchScript's errors begin with its own call stack.
            reason = one_line(str(error).strip().splitlines()[-1])
        raise EvaluationError(
            f"FVD: clips of {n_frames} frames do not fit the network ({reason}), most "
            "likely for being too short; predict more frames, or leave FVD out"
        )

    def value(self) -> float:
        """The distance so far; at least 0.

        Raises
        ------
        EvaluationError
            Fewer than two videos were given.
        """
        if self.true.count < 2:
            raise EvaluationError(
                f"FVD over {self.true.count} videos has no covariance; give at least 2"
            )
        true, predicted = self.true, self.predicted
        return frechet_distance(
            true.mean, true.covariance, predicted.mean, predicted.covariance
        )

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that `load_state_dict` needs to go on: tensors by name."""
        parts = {"true": self.true, "predicted": self.predicted}
        return {
            f"{k}/{n}": v for k, m in parts.items() for n, v in m.state_dict().items()
        }

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from where `state_dict` was taken."""
        for key, moments in (("true", self.true), ("predicted", self.predicted)):
            names = moments.state_dict()
            moments.load_state_dict({n: state[f"{key}/{n}"] for n in names})

    def _features(self, videos: torch.Tensor) -> torch.Tensor:
        batch, steps = videos.shape[:2]
        frames = videos.flatten(0, 1).to(self._device, torch.float32)
        frames = F.interpolate(
            frames, (self._size, self._size), mode="bilinear", align_corners=False
        )
        frames = frames.expand(-1, 3, -1, -1).reshape(
            batch, steps, 3, self._size, self._size
        )
        videos = 2 * frames.transpose(1, 2) - 1
        return cast(torch.Tensor, self._network(videos, **self._switches))


def frechet_distance(
    mean_a: torch.Tensor,
    covariance_a: torch.Tensor,
    mean_b: torch.Tensor,
    covariance_b: torch.Tensor,
) -> float:
    """Squared 2-Wasserstein distance of two Gaussians (Dowson & Landau 1982).

        ||m_a - m_b||^2 + tr(A) + tr(B) - 2 tr((A^(1/2) B A^(1/2))^(1/2))

    The last trace is a sum of roots of eigenvalues of a symmetric matrix, which stay
    real where rounding makes AB's complex.

    Parameters
    ----------
    mean_a, mean_b : torch.Tensor
        Shape ``(F,)``.
    covariance_a, covariance_b : torch.Tensor
        Symmetric, non-negative, shape ``(F, F)``; they may be singular.

    Returns
    -------
    float
        At least 0, in the features' unit squared.
    """
    values, vectors = torch.linalg.eigh(covariance_a.double())
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    product = torch.linalg.eigvalsh(root @ covariance_b.double() @ root)
    traces = covariance_a.trace() + covariance_b.trace()
    apart = (mean_a - mean_b).double().square().sum()
    distance = apart + traces - 2 * product.clamp(min=0).sqrt().sum()
    return float(distance.clamp(min=0))


def _load_script(path: str | Path | None) -> torch.jit.ScriptModule:
    if path is None or not Path(path).is_file():
        raise EvaluationError(
            f"FVD needs a TorchScript file of a video network (I3D): {path} is no "
            "file; give its path"
        )
    try:
        verify_file(path, packed=True)
        with warnings.catch_warnings():
            # Newer PyTorch calls TorchScript deprecated; the published I3D is in it.
            warnings.filterwarnings("ignore", ".*torch.jit.load.*deprecated.*")
            load = cast(Callable[..., torch.jit.ScriptModule], torch.jit.load)
            return load(path, map_location="cpu")
    # SVGError and BadZipFile are of its checksums, RuntimeError is PyTorch's.
    except (RuntimeError, OSError, zipfile.BadZipFile) as error:
        raise EvaluationError(
            f"FVD needs a TorchScript file of a video network (I3D): {path} is none "
            f"({why_unreadable(error)})"
        ) from None
