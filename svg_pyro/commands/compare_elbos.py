"""Compare how noisy the gradients of Trace_ELBO and TraceMeanField_ELBO are."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pyro.infer import Trace_ELBO
from torch import Tensor

import svg_pyro
from svg_pyro import SVG
from svg_pyro.commands.datasets import BairOptions, ClipRequest, first_clips
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.fields import option
from svg_pyro.commands.own_parts import parsed
from svg_pyro.training.elbos import ELBOS
from svg_pyro.util.progress import progress
from svg_pyro.util.tensors import to_float

_DESCRIPTION = """\
Compare Trace_ELBO with TraceMeanField_ELBO on a trained model.

Both have the same mean; they differ in how noisy their gradients are. Prints, for each
part of the model, the ratio of the gradients' variances; it is infinite for a learned
prior, whose gradient has no noise when the KL is in closed form."""


@dataclass(frozen=True)
class CompareOptions:
    """Which model's gradients are compared, on what.

    Attributes
    ----------
    checkpoint : str
        checkpoint.pt of a training run, or the name of a model that ships.
    data_root : str or None
        Folder of robot-pushing clips; without it where training commands keep simulated
        ones.
    n_frames : int
        Frames in a clip.
    clips : int
        Clips in the batch.
    repeats : int
        Times that the gradients are drawn.
    """

    checkpoint: str = option(kind="positional", metavar="CHECKPOINT")
    data_root: str | None = option(None, metavar="DIR")
    n_frames: int = option(12, least=2)
    clips: int = option(8, least=1)
    repeats: int = option(40, least=2)


@one_line_errors()
def compare_elbos(
    argv: Sequence[str] | None = None, *, prog: str | None = None
) -> None:
    """Compare the gradients, as the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        Checkpoint and flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    options = parsed(CompareOptions, _DESCRIPTION, argv, prog=prog)
    svg = svg_pyro.load(options.checkpoint)
    request = ClipRequest("test", options.n_frames, svg.config)
    push = BairOptions()
    data = push.clips(request, options.data_root or push.simulated)
    frames = to_float(first_clips(data, options.clips).frames)
    torch.manual_seed(0)
    drawn = {
        k: gradients(svg, elbo(), frames, options.repeats) for k, elbo in ELBOS.items()
    }
    for name, (losses, _) in drawn.items():
        print(f"{name}: loss {losses.mean():.3f} +- {losses.std():.3f} nats a frame")
    for part, trace in drawn["trace"][1].items():
        ratio = trace.var(0).sum() / drawn["mean-field"][1][part].var(0).sum()
        print(f"{part}: gradient variance, trace / mean-field = {ratio:.3g}")


def gradients(
    svg: SVG, elbo: Trace_ELBO, frames: Tensor, repeats: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Gradients of the loss in nats a frame, drawn several times, by part.

    Parameters
    ----------
    svg : SVG
        The model.
    elbo : pyro.infer.Trace_ELBO
        The loss; `TraceMeanField_ELBO` is one.
    frames : torch.Tensor
        Shape ``(B, T, C, H, W)``, floats in [0, 1].
    repeats : int
        How many times they are drawn.

    Returns
    -------
    losses : torch.Tensor
        Shape ``(repeats,)``.
    parts : dict of str to torch.Tensor
        Name of the part to gradients, shape ``(repeats, parameters)``.
    """
    names, parameters = zip(*svg.named_parameters(), strict=True)
    count = frames.shape[0] * (frames.shape[1] - 1)
    losses: list[Tensor] = []
    parts: dict[str, list[Tensor]] = {}
    for _ in progress(range(repeats), desc=type(elbo).__name__, leave=False):
        loss = elbo.differentiable_loss(svg.model, svg.guide, frames) / count
        drawn = torch.autograd.grad(loss, parameters)
        losses.append(loss.detach())
        for part in dict.fromkeys(name.split(".")[0] for name in names):
            own = [
                gradient.flatten()
                for name, gradient in zip(names, drawn, strict=True)
                if name.startswith(part + ".")
            ]
            parts.setdefault(part, []).append(torch.cat(own))
    return torch.stack(losses), {k: torch.stack(v) for k, v in parts.items()}
