"""FVD: how far the distribution of predicted videos is from that of true ones.

The network is no part of this package: it is given by the path of a file.
"""

import warnings
from pathlib import Path

import torch
import torch.nn.functional as F

from svg_pyro.errors import EvaluationError
from svg_pyro.metrics.checks import check_frames, check_samples


class Moments:
    """Running mean and covariance of feature vectors, in float64.

    Portions are merged by the formula of Chan et al. (1979), which does not cancel.
    """

    def __init__(self):
        self.count, self.mean, self._squares = 0, 0.0, 0.0

    def update(self, features):
        """Take in vectors ``(K, F)``."""
        features = features.double().cpu()
        count, mean = len(features), features.mean(0)
        centred, apart = features - mean, mean - self.mean
        total = self.count + count
        between = torch.outer(apart, apart) * (self.count * count / total)
        self._squares = self._squares + centred.T @ centred + between
        self.mean = self.mean + apart * (count / total)
        self.count = total

    @property
    def covariance(self):
        """Divided by K - 1, shape ``(F, F)``."""
        return self._squares / (self.count - 1)

    def state_dict(self):
        """Tensors by name."""
        values = {"count": self.count, "mean": self.mean, "squares": self._squares}
        return {k: torch.as_tensor(v).clone() for k, v in values.items()}

    def load_state_dict(self, state):
        """Go on from where `state_dict` was taken."""
        self.count = int(state["count"])
        self.mean, self._squares = state["mean"].clone(), state["squares"].clone()


class Fvd:
    """Frechet video distance (Unterthiner et al. 2018) over a stream of clips.

    The Frechet distance of two Gaussians fitted to features of true and of predicted
    videos. A published protocol says which videos: SRVP takes one sample of each clip,
    with the context's true frames before it.

    Parameters
    ----------
    network : str or Path
        A TorchScript file of a function from videos ``(B, 3, T, 224, 224)`` in [-1, 1]
        to features ``(B, F)``, usually an I3D trained on Kinetics-400. If it has the
        switches rescale, resize and return_features, as ``i3d_torchscript.pt`` of
        StyleGAN-V has, they are set to False, False and True.
    size : int
        Frames are resized to this height and width, bilinearly by pixel centres. The
        first TensorFlow code samples from the pixels' corners: a slight difference.
    device : torch.device or str

    Raises
    ------
    EvaluationError
        The file is missing, or no TorchScript.
    """

    def __init__(self, network, size=224, device="cpu"):
        self._network = _load_script(network).eval().to(device)
        switches = {"rescale": False, "resize": False, "return_features": True}
        known = {a.name for a in self._network.forward.schema.arguments}
        self._switches = {k: v for k, v in switches.items() if k in known}
        self._size, self._device = size, device
        self.true, self.predicted = Moments(), Moments()

    @torch.no_grad()
    def update(self, truth, prediction):
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
        check_frames(truth, "true frames")
        check_samples(prediction[None], truth.shape)
        features = self._features(truth), self._features(prediction)
        self.true.update(features[0])
        self.predicted.update(features[1])

    def value(self):
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
        moments = (self.true, self.predicted)
        return frechet_distance(*(v for m in moments for v in (m.mean, m.covariance)))

    def state_dict(self):
        """All that `load_state_dict` needs to go on: tensors by name."""
        parts = {"true": self.true, "predicted": self.predicted}
        return {
            f"{k}/{n}": v for k, m in parts.items() for n, v in m.state_dict().items()
        }

    def load_state_dict(self, state):
        """Go on from where `state_dict` was taken."""
        for key, moments in (("true", self.true), ("predicted", self.predicted)):
            names = ("count", "mean", "squares")
            moments.load_state_dict({n: state[f"{key}/{n}"] for n in names})

    def _features(self, videos):
        batch, steps = videos.shape[:2]
        frames = videos.flatten(0, 1).to(self._device, torch.float32)
        frames = F.interpolate(
            frames, (self._size, self._size), mode="bilinear", align_corners=False
        )
        frames = frames.expand(-1, 3, -1, -1).unflatten(0, (batch, steps))
        return self._network(2 * frames.transpose(1, 2) - 1, **self._switches)


def frechet_distance(mean_a, covariance_a, mean_b, covariance_b):
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
    """
    values, vectors = torch.linalg.eigh(covariance_a.double())
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    product = torch.linalg.eigvalsh(root @ covariance_b.double() @ root)
    traces = covariance_a.trace() + covariance_b.trace()
    apart = (mean_a - mean_b).double().square().sum()
    return (apart + traces - 2 * product.clamp(min=0).sqrt().sum()).clamp(min=0).item()


def _load_script(path):
    if path is None or not Path(path).is_file():
        raise EvaluationError(
            f"FVD needs a TorchScript file of a video network (I3D): {path} is no file; "
            "give its path"
        )
    try:
        with warnings.catch_warnings():
            # Newer PyTorch calls TorchScript deprecated; the published I3D is in it.
            warnings.filterwarnings("ignore", ".*torch.jit.load.*deprecated.*")
            return torch.jit.load(path, map_location="cpu")
    except RuntimeError:
        raise EvaluationError(
            f"FVD needs a TorchScript file of a video network (I3D): {path} is none"
        ) from None
