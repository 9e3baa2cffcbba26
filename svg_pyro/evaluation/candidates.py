"""What is evaluated: models from checkpoints, and baselines; and how they are sampled."""

import contextlib
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from svg_pyro.errors import EvaluationError, SVGError
from svg_pyro.model import checkpoint
from svg_pyro.model.svg import SVG
from svg_pyro.util.modes import evaluating, seeded

_NAMES = {"learned": "SVG-LP", "fixed": "SVG-FP", "none": "deterministic"}
_FUTURES, _NOISE, _LATENTS = range(3)  # streams of random numbers


@dataclass(frozen=True)
class Candidate:
    """A predictor that is evaluated.

    Attributes
    ----------
    name : str
    svg : SVG or None
        None repeats the last context frame.
    path, sha256 : str or None
        The checkpoint's file, and the hash of its content.
    step : int or None
        Training steps behind it, where the checkpoint says so.
    """

    name: str
    svg: SVG | None = None
    path: str | None = None
    sha256: str | None = None
    step: int | None = None

    @property
    def stochastic(self):
        """Whether two samples differ."""
        return self.svg is not None and self.svg.prior is not None

    def count(self, settings):
        """Samples that are drawn: one where all would be the same."""
        return settings.num_samples if self.stochastic else 1


COPY = Candidate("last frame repeated")


def load_candidates(specs, device):
    """The models of some checkpoints, with names that differ, and copying behind them.

    Parameters
    ----------
    specs : sequence of str
        PATH or NAME=PATH. Without a name it is the paper's for the prior: SVG-LP,
        SVG-FP or deterministic.
    device : torch.device

    Returns
    -------
    list of Candidate

    Raises
    ------
    CheckpointError
    EvaluationError
        A name is given twice, or weights are not finite.
    """
    found = [_load(spec, device) for spec in specs]
    given = [_split(spec)[0] for spec in specs]
    names = _distinct([c.name for c in found], given, [c.path for c in found])
    return [*(replace(c, name=name) for c, name in zip(found, names)), COPY]


def _distinct(names, given, paths):
    """Names that differ: those not given by the user take their folder's, or a number."""
    taken = [*filter(None, given), COPY.name]
    for name in taken:
        if taken.count(name) > 1:
            raise EvaluationError(
                f"two predictors have the name {name!r}; give each its own, NAME=PATH"
            )
    distinct = []
    for name, own, path in zip(names, given, paths):
        if own is None and (name in taken or names.count(name) > 1):
            place = f"{name} ({Path(path).absolute().parent.name})"
            name, number = place, 2
            while name in taken:
                name, number = f"{place} {number}", number + 1
        distinct.append(name)
        taken.append(name)
    return distinct


def _split(spec):
    """Name (or None) and path; a file whose own name has a = is a path."""
    name, equals, path = spec.partition("=")
    return (name, path) if equals and not Path(spec).exists() else (None, spec)


def _load(spec, device):
    name, path = _split(spec)
    content = checkpoint.read(path, device)
    svg = checkpoint.from_content(content, path)
    for key, weight in svg.state_dict().items():
        if not weight.isfinite().all():
            raise EvaluationError(
                f"{path}: weight {key} holds NaN or infinity; choose a checkpoint from "
                "before the training broke"
            )
    sha256 = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    step = (content["training"] or {}).get("step")
    return Candidate(name or _name(svg), svg, str(path), sha256, step)


def _name(svg):
    """The paper's for its priors, else one that names the part."""
    prior = svg.names["prior"]
    return _NAMES.get(prior, f"SVG, prior {prior}")


def sampled_futures(candidate, context, settings, first):
    """The futures of a batch of clips, a chunk of samples at a time.

    The draws are a function of the seed, the batch and the chunk alone, so that any
    chunk can be had again; the global random state is left alone.

    Parameters
    ----------
    candidate : Candidate
    context : torch.Tensor
        Shape ``(B, n, C, H, W)``, floats in [0, 1].
    settings : EvaluationSettings
    first : int
        Index of the batch's first clip in the test set.

    Yields
    ------
    torch.Tensor
        Shape ``(chunk, B, horizon, C, H, W)``.

    Raises
    ------
    EvaluationError
        The model breaks down (NaN).
    """
    horizon = settings.horizon
    if candidate.svg is None:
        yield context[:, -1:].expand(-1, horizon, -1, -1, -1)[None]
        return
    chunks = candidate.svg.futures(
        context, horizon, candidate.count(settings), chunk_size=settings.chunk_size
    )
    number = 0
    while True:
        seed = _seed(settings.seed, _FUTURES, first, number)
        with seeded(seed, context.device), _one_line_breakdown():
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk
        number += 1


def with_noise(svg, samples, settings, first):
    """Samples of frames, out of those of their means: cut to [0, 1]."""
    seed = _seed(settings.seed, _NOISE, first)
    with seeded(seed, samples.device), evaluating(svg), torch.no_grad():
        x_dist = svg.observation(*svg.observation.split(samples))
        return x_dist.sample().clamp_(0, 1)


def latents_of(settings, first, device):
    """A context in which the latents of a batch's likelihood are drawn."""
    return seeded(_seed(settings.seed, _LATENTS, first), device)


@contextlib.contextmanager
def _one_line_breakdown():
    """Turn PyTorch's report of a distribution that is not finite into one line."""
    try:
        yield
    except SVGError:
        raise
    except ValueError as error:
        raise EvaluationError(
            f"the model breaks down ({str(error).splitlines()[0]})"
        ) from error


def _seed(*numbers):
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
