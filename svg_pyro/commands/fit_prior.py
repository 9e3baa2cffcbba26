"""Fit a prior of another name to a model that is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import svg_pyro
from svg_pyro import SVG
from svg_pyro.commands.datasets import BairOptions, ClipRequest, first_clips
from svg_pyro.commands.devices import choose_device
from svg_pyro.commands.endings import one_line_errors
from svg_pyro.commands.fields import option
from svg_pyro.commands.own_parts import parsed
from svg_pyro.commands.train_report import futures_line, scored
from svg_pyro.data import ClipDataset
from svg_pyro.data.batches import Batch
from svg_pyro.training.prior_fit import PriorFit, fit_prior, with_other_prior
from svg_pyro.util.files import check_writable

_DESCRIPTION = """\
Fit a prior to a model that is trained, and write the model with it.

Only the prior is trained, to the latents that the guide infers of training clips of
robot pushing; all else stays as it is. A mixture makes futures fork where one Gaussian
has them tremble about their mean."""


@dataclass(frozen=True)
class FitOptions:
    """Which model gets which prior.

    Attributes
    ----------
    checkpoint : str
        checkpoint.pt of a training run, or the name of a model that ships.
    out : str
        File of the model with its new prior.
    prior : str
        Name of the prior, as train has them; the model's own name goes on with its own.
    data_root : str or None
        Folder of training clips; without it where training commands keep simulated
        ones.
    n_frames : int
        Frames in a clip.
    steps : int
        Gradient steps.
    batch_size : int
        Clips in a step.
    lr : float
        Adam's learning rate at the start; a cosine takes it to 0.
    seed : int
        Seed of the prior's weights and of the clips' order.
    test_clips : int
        Held-out clips whose futures are scored, with the prior before and the new one;
        0: none.
    horizon : int
        Predicted frames of the held-out clips.
    num_samples : int
        Futures of each clip.
    device : str or None
        cuda or cpu; without it cuda where there is one.
    """

    checkpoint: str = option(kind="positional", metavar="CHECKPOINT")
    out: str = option("fitted.pt", metavar="FILE")
    prior: str = "mixture"
    data_root: str | None = option(None, metavar="DIR")
    n_frames: int = option(12, least=2)
    steps: int = option(PriorFit.steps, least=1)
    batch_size: int = option(PriorFit.batch_size, least=1)
    lr: float = PriorFit.lr
    seed: int = option(0, least=0)
    test_clips: int = option(128, least=0)
    horizon: int = option(10, least=1)
    num_samples: int = option(20, least=2)
    device: str | None = None


@one_line_errors()
def fit_a_prior(argv: Sequence[str] | None = None, *, prog: str | None = None) -> None:
    """Fit a prior, as the command line says.

    Parameters
    ----------
    argv : sequence of str, optional
        Checkpoint and flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.
    """
    options = parsed(FitOptions, _DESCRIPTION, argv, prog=prog)
    # What cannot be done is said before the work.
    fit = PriorFit(options.steps, options.batch_size, options.lr, seed=options.seed)
    check_writable(options.out)
    device = choose_device(options.device)
    before = svg_pyro.load(options.checkpoint, map_location=device)
    svg = before
    if options.prior != before.config.prior:
        svg = with_other_prior(before, options.prior, seed=options.seed)
    held_out = None
    if options.test_clips:
        held_out = first_clips(_clips(before, options, "test"), options.test_clips)
    _score(before, held_out, options)
    kl = fit_prior(svg, _clips(svg, options, "train"), fit)
    svg_pyro.save(svg, options.out)
    print(f"prior {svg.names['prior']}: KL {kl:.2f} nats a frame on training clips")
    _score(svg, held_out, options)
    print(f"wrote {options.out}")


def _clips(svg: SVG, options: FitOptions, split: str) -> ClipDataset:
    """Clips to train on, or those of a context and the predicted frames."""
    root = Path(options.data_root or BairOptions().simulated)
    length = options.n_frames
    if split == "test":
        length = svg.config.n_past + options.horizon
    request = ClipRequest(split, length, svg.config, options.seed)
    return BairOptions().clips(request, root)


def _score(svg: SVG, clips: Batch | None, options: FitOptions) -> None:
    """Print how good futures of held-out clips are, if any are to be scored."""
    if clips is None:
        return
    scores = scored(svg, clips, num_samples=options.num_samples)
    print(f"prior {svg.names['prior']}: {futures_line(scores, options.horizon)}")
    print(f"spread over skill {scores.spread_skill:.2f}")
