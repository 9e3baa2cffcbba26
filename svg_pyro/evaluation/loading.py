"""Candidates from checkpoints, with names that differ."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation.candidates import LAST_FRAME, Candidate
from svg_pyro.evaluation.model_candidates import EnsembleCandidate, ModelCandidate
from svg_pyro.model import checkpoint, restoring
from svg_pyro.model.ensemble import Ensemble
from svg_pyro.model.sampler import Sampler
from svg_pyro.model.svg import SVG

_NAMES = {
    "learned": "SVG-LP",
    "learned-maps": "SVG-LP",
    "fixed": "SVG-FP",
    "none": "deterministic",
}
# Of which a model's name says nothing.
_PAPERS = {
    "guide": ("filtering", "filtering-maps", "none"),
    "observation": ("gaussian", "learned-sigma", "optimal-sigma"),
    "backbone": ("dcgan", "maps", "vgg"),
}


def load_candidates(
    specs: Sequence[str],
    device: torch.device,
    *,
    precision: str = "float32",
    compiled: bool = False,
) -> list[Candidate]:
    """The models of some checkpoints, with names that differ, then a baseline.

    Parameters
    ----------
    specs : sequence of str
        PATH or NAME=PATH. Without a name it is the paper's for the prior (SVG-LP,
        SVG-FP or deterministic) and names the parts that are not the paper's.
    device : torch.device
        Where the models are put.
    precision : str
        In which they work, one of `svg_pyro.config.PRECISIONS`.
    compiled : bool
        Whether what draws futures is compiled; see `svg_pyro.Sampler`.

    Returns
    -------
    list of Candidate
        The last one is `LAST_FRAME`.

    Raises
    ------
    CheckpointError
        There is no file at a path, it is no checkpoint that can be read, or its weights
        are not finite.
    EvaluationError
        A name is given twice.
    ConfigError
        The precision is unknown, or a model's networks cannot be compiled.
    """
    models = [_load(spec, device) for spec in specs]
    names = _distinct(models, [_split(spec)[0] for spec in specs])
    named = [replace(m, name=n) for m, n in zip(models, names, strict=True)]
    if compiled or precision != "float32":
        named = [
            replace(
                model,
                precision=precision,
                sampler=Sampler(model.svg, precision, compiled=compiled),
            )
            for model in named
        ]
    return [*named, LAST_FRAME]


def joined(
    candidates: Sequence[Candidate], name: str = "ensemble"
) -> EnsembleCandidate:
    """All models among some candidates as one predictor.

    Parameters
    ----------
    candidates : sequence of Candidate
        Of which two or more are models.
    name : str
        Of the ensemble.

    Raises
    ------
    EvaluationError
        There are fewer than two models, one has the name, or they are compiled or of
        another precision than float32.
    ConfigError
        The models differ in their frames or context.
    """
    models = [one for one in candidates if isinstance(one, ModelCandidate)]
    if len(models) < 2:
        raise EvaluationError(
            f"an ensemble needs 2 checkpoints or more; there are {len(models)}"
        )
    if any(one.name == name for one in candidates):
        raise EvaluationError(
            f"a checkpoint has the name {name!r}, which the ensemble takes; give it "
            "another, NAME=PATH"
        )
    if any(one.sampler is not None for one in models):
        raise EvaluationError(
            "an ensemble is computed in float32 and is not compiled; leave precision "
            "and compile out",
            advice=("precision", "compile"),
        )
    hashes = ",".join(one.sha256 or "" for one in models)
    return EnsembleCandidate(
        name,
        Ensemble([one.svg for one in models]),
        hashlib.sha256(hashes.encode()).hexdigest(),
    )


def _distinct(
    models: Sequence[ModelCandidate], given: Sequence[str | None]
) -> list[str]:
    """Names that differ: those that were not given take a folder's, or a number."""
    names = [model.name for model in models]
    taken = [*filter(None, given), LAST_FRAME.name]
    for name in taken:
        if taken.count(name) > 1:
            raise EvaluationError(
                f"two predictors have the name {name!r}; give each its own, NAME=PATH"
            )
    distinct = []
    for model, own in zip(models, given, strict=True):
        name = model.name
        if own is None and (name in taken or names.count(name) > 1):
            place = f"{name} ({Path(model.path or '').absolute().parent.name})"
            name, number = place, 2
            while name in taken:
                name, number = f"{place} {number}", number + 1
        distinct.append(name)
        taken.append(name)
    return distinct


def _split(spec: str) -> tuple[str | None, str]:
    """Name (or None) and path; a file whose own name has a = is a path."""
    name, equals, path = spec.partition("=")
    return (name, path) if equals and not Path(spec).exists() else (None, spec)


def _name_of(svg: SVG) -> str:
    """The paper's for its priors; it names the parts that are not the paper's."""
    prior = svg.names["prior"]
    others = [
        f"{kind} {svg.names[kind]}"
        for kind, known in _PAPERS.items()
        if svg.names[kind] not in known
    ]
    return ", ".join([_NAMES.get(prior, f"SVG, prior {prior}"), *others])


def _load(spec: str, device: torch.device) -> ModelCandidate:
    name, path = _split(spec)
    content = checkpoint.read(path, device)
    svg = restoring.from_content(content, path)
    # A folder or the name of a shipped model stands for a file.
    file = content.get("file", path)
    step = (content["training"] or {}).get("step")
    if step is None:
        step = content.get("about", {}).get("steps")
    return ModelCandidate(
        name=name or _name_of(svg),
        svg=svg,
        path=str(path),
        sha256=hashlib.sha256(Path(file).read_bytes()).hexdigest(),
        step=step,
    )
