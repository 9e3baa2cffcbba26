"""The learned prior's uncertainty, and whether it knows when a digit bounces."""

from dataclasses import dataclass

import torch

from svg_pyro.errors import EvaluationError
from svg_pyro.model.svg import SVG
from svg_pyro.util.modes import evaluating
from svg_pyro.util.progress import progress
from svg_pyro.util.tensors import to_float


@dataclass(frozen=True)
class PriorStatistics:
    """How uncertain p(z_t given x_{1:t-1}) is for the frames t = 2..T of some clips.

    Attributes
    ----------
    entropy : torch.Tensor
        In nats, shape ``(B, T-1)``.
    scale : torch.Tensor
        Standard deviation, the mean over latent dimensions, shape ``(B, T-1)``.
    """

    entropy: torch.Tensor
    scale: torch.Tensor


def prior_statistics(
    svg: SVG, clips: torch.Tensor, *, batch_size: int = 8
) -> PriorStatistics:
    """The prior's uncertainty about each frame from the true frames before it.

    Parameters
    ----------
    svg : SVG
        A model with a prior.
    clips : torch.Tensor
        uint8, shape ``(B, T, C, H, W)``, T at least 2.
    batch_size : int
        Clips at a time.

    Returns
    -------
    PriorStatistics
        On the CPU.

    Raises
    ------
    EvaluationError
        If the model has no prior, its entropy has no closed form, or T is 1.
    """
    if svg.prior is None:
        raise EvaluationError("a deterministic predictor has no prior; give an SVG-LP")
    if svg.config.action_dim:
        raise EvaluationError("the prior depends on actions; give a model without any")
    if clips.shape[1] < 2:
        raise EvaluationError("clips of one frame: the prior is that of a next frame")
    device = next(svg.parameters()).device
    entropy, scale = [], []
    with torch.no_grad(), evaluating(svg):
        for part in progress(
            torch.split(clips, batch_size), desc="prior", unit="batch"
        ):
            h, _ = svg.encoder(to_float(part[:, :-1], device))
            z, _ = svg.prior(h)
            try:
                entropy.append(z.entropy().cpu())
            except NotImplementedError as error:
                raise EvaluationError(
                    f"the prior's {type(z).__name__} has no entropy in closed form; "
                    "give a model with another prior"
                ) from error
            scale.append(z.stddev.mean(-1).cpu())
    return PriorStatistics(torch.cat(entropy), torch.cat(scale))


def bounce_auc(entropy: torch.Tensor, bounces: torch.Tensor, first: int = 2) -> float:
    """How well the prior's entropy tells the frame after a bounce from the others.

    Parameters
    ----------
    entropy : torch.Tensor
        Of the prior of frames 2..T, shape ``(B, T-1)``.
    bounces : torch.Tensor
        bool ``(B, T, D)``, of `MovingMNIST.clip_with_bounces`: where velocities were
        drawn again. Frame t + 1 is then the one that cannot be foreseen.
    first : int
        The first frame that counts, counted from 1. No prior knows a velocity
        before frame 3, since it takes two frames to see one.

    Returns
    -------
    float
        See `auc`.

    Raises
    ------
    EvaluationError
        If no frame that counts follows a bounce, or all do.
    """
    after = bounces.any(-1)[:, :-1]
    return auc(entropy[:, first - 2 :], after[:, first - 2 :])


def auc(scores: torch.Tensor, positive: torch.Tensor) -> float:
    """Area under the ROC curve: the Mann-Whitney statistic, ties counted half.

    The share of pairs of a positive and a negative in which the positive scores
    higher (Hanley & McNeil 1982), by scikit-learn.

    Parameters
    ----------
    scores : torch.Tensor
        Any shape.
    positive : torch.Tensor
        bool, the same shape.

    Returns
    -------
    float
        In [0, 1]; 0.5 says nothing.

    Raises
    ------
    EvaluationError
        If a score is not finite, or there are no positives or no negatives.
    """
    scores, positive = scores.flatten(), positive.flatten()
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not scores.isfinite().all():
        raise EvaluationError("scores hold NaN or infinity; check the model")
    if ones == 0 or zeros == 0:
        raise EvaluationError(
            f"{ones} positives and {zeros} negatives cannot be told apart; give more "
            "or longer clips"
        )
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive.cpu().numpy(), scores.cpu().numpy()))
