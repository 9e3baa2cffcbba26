"""Checkpoints: plain tensors and numbers, written beside and then renamed."""

import dataclasses
from collections.abc import Container
from pathlib import Path
from typing import Any

import torch

from svg_pyro.config import SVGConfig
from svg_pyro.errors import CheckpointError, ConfigError, SVGError
from svg_pyro.model.checkpoint_file import (
    FORMAT,
    VERSION,
    check_content,
    read_file,
)
from svg_pyro.model.official import PARTS, official_content
from svg_pyro.model.official_pickle import is_official
from svg_pyro.model.pretrained import (
    check_tensors,
    is_pretrained,
    read_pretrained,
    unknown,
)
from svg_pyro.model.registry import names, registered
from svg_pyro.model.svg import SVG
from svg_pyro.model.types import Part
from svg_pyro.util.files import written_beside
from svg_pyro.util.words import one_line, why_unreadable


def save(svg: SVG, path: str | Path, training: dict[str, Any] | None = None) -> None:
    """Write a model to a file that ``torch.load(..., weights_only=True)`` reads.

    The file appears under its name only when it is whole: a crash, a kill or a full
    disk leaves the earlier one as it was.

    Parameters
    ----------
    svg : SVG
        The model.
    path : str or Path
        The file's name; its folder is made.
    training : dict, optional
        What a training run needs to go on: tensors, numbers, text and containers
        of them.

    Raises
    ------
    CheckpointError
        When the file cannot be written.

    Examples
    --------
    >>> svg = SVG(SVGConfig(channels=1, width=4, g_dim=8, z_dim=3, rnn_size=12))
    >>> svg_pyro.save(svg, folder / "svg.pt")
    >>> svg_pyro.load(folder / "svg.pt").config == svg.config
    True
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": dataclasses.asdict(svg.config),
        "prior": type(svg.prior).__name__,
        "guide": type(svg.posterior).__name__,
        "observation": type(svg.observation).__name__,
        "weights": svg.state_dict(),
        "training": training,
        "trained_on": (training or {}).get("data", svg.trained_on),
    }
    path = Path(path)
    try:
        with written_beside(path) as beside:
            torch.save(content, beside)
    # PyTorch reports a full disk as RuntimeError.
    except (OSError, RuntimeError) as error:
        kept = "; the earlier one is unharmed" if path.exists() else ""
        raise CheckpointError(
            f"cannot write checkpoint {path}: {_first_line(error)}{kept}; "
            "free space or choose another folder"
        ) from error


def load(
    path: str | Path, map_location: str | torch.device = "cpu", **parts: Part
) -> SVG:
    """The model in a checkpoint, in evaluation mode.

    Parameters
    ----------
    path : str or Path
        A file that `save` wrote, the folder of a training run, a folder that
        `save_pretrained` wrote, the name of a model that ships with the package, or a
        file of the first code (see `load_official`).
    map_location : str or torch.device
        Where its weights go.
    **parts
        prior, guide, observation, backbone, predictor: modules of a user's own class,
        of the structure that was saved, as `SVG` takes them.

    Returns
    -------
    SVG
        In evaluation mode.

    Raises
    ------
    CheckpointError
        When there is no such file or name, it is not a checkpoint of this package, it
        is truncated, or it is of another architecture; a part of it is not registered
        and is not given.

    Examples
    --------
    >>> svg = SVG(SVGConfig(channels=1, width=4, g_dim=8, z_dim=3, rnn_size=12))
    >>> save(svg, folder / "svg.pt")
    >>> load(folder / "svg.pt", map_location="cpu").training
    False
    """
    return from_content(read(path, map_location), path, **parts)


def load_official(path: str | Path, map_location: str | torch.device = "cpu") -> SVG:
    """A model of the first code (github.com/edenton/svg), in evaluation mode.

    Its configuration has the options that reproduce that code. `load` takes such a file
    too.

    Parameters
    ----------
    path : str or Path
        A published file, or one that `export_official` wrote; see
        `svg_pyro.model.official`.
    map_location : str or torch.device
        Where its weights go.

    Returns
    -------
    SVG
        In evaluation mode.

    Raises
    ------
    CheckpointError
        When it is no such file, is damaged, or names what no file of the first code
        does. Nothing that is in it is run.
    """
    return from_content(_moved(official_content(path), map_location), path)


def from_pretrained(
    source: str | Path, map_location: str | torch.device = "cpu", **parts: Any
) -> SVG:
    """The model in a folder that `save_pretrained` wrote, on the hub, or shipped.

    Parameters
    ----------
    source : str or Path
        A folder; the name of a model that ships with the package, see `shipped`; or
        "owner/name" on the Hugging Face hub, for which the package huggingface_hub
        must be installed.
    map_location : str or torch.device
        Where its weights go.
    **parts
        As in `load`.

    Returns
    -------
    SVG
        In evaluation mode.

    Raises
    ------
    CheckpointError
        When there is no such model, a file is missing, broken or foreign, or tensors
        are missing, left over or of another shape.
    """
    content = read_pretrained(source)
    return from_content(content, content["file"], **parts).to(map_location)


def read(path: str | Path, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """The content of a checkpoint as `save` wrote it, whatever `load` was given.

    Beside what `save` wrote it has "file", the path that was read. Raises as `load`.
    """
    _check_place(map_location)
    if is_pretrained(path):
        return _moved(read_pretrained(path), map_location)
    path = run_checkpoint(path)
    if not path.is_file():
        raise CheckpointError(unknown(str(path)))
    try:
        with open(path, "rb") as file:
            content = read_file(file, map_location)
    # A file of another kind can make the unpickler fail in any way.
    except Exception as error:
        if is_official(path):
            return _moved(official_content(path), map_location)
        raise CheckpointError(
            f"{path} is not a readable checkpoint ({why_unreadable(error)}); "
            "it is truncated or of another program: choose another file"
        ) from error
    if isinstance(content, dict) and all(part in content for part in PARTS):
        return _moved(official_content(path), map_location)
    return {**check_content(content, path), "file": path}


def _check_place(where: str | torch.device) -> None:
    """Refuse a device that is not there, or holds no values."""
    try:
        kind = torch.device(where).type
    except (RuntimeError, TypeError):
        kind = "meta"
    if kind == "meta" or (kind == "cuda" and not torch.cuda.is_available()):
        raise CheckpointError(
            f"map_location is {one_line(where, 40)!r}, which is no device here; give "
            'torch.device("cpu"), or another that holds values'
        )


def _moved(content: dict[str, Any], where: str | torch.device) -> dict[str, Any]:
    weights = {name: value.to(where) for name, value in content["weights"].items()}
    return {**content, "weights": weights}


def trained_on(content: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint, as `read` gives it, says of the training's data."""
    training, about = content.get("training"), content.get("about")
    for holder, name in (
        (content, "trained_on"),
        (training, "data"),
        (about, "trained_on"),
    ):
        stored = (holder or {}).get(name)
        if isinstance(stored, dict) and stored:
            return dict(stored)
    return {}


def run_checkpoint(path: str | Path) -> Path:
    """The file of a checkpoint: the path itself, or the newest of a run's folder."""
    path = Path(path)
    if not path.is_dir():
        return path
    kept = sorted(path.glob("checkpoints/step_*.pt"), reverse=True)
    for inside in (path / "checkpoint.pt", *kept, path / "best.pt"):
        if inside.is_file():
            return inside
    return path


def from_content(content: dict[str, Any], path: str | Path, **parts: Part) -> SVG:
    """Build the model that `read` gave the content of; raises as `load` does."""
    try:
        config = SVGConfig.from_dict(content["config"])
    except ConfigError as error:
        raise CheckpointError(
            f"{path} holds a foreign configuration: {one_line(error, 160)}"
        ) from error
    try:
        # What the configuration claims can be much more than the file holds: shapes are
        # compared before memory is asked for.
        outline = None if parts else _outline(config)
        if outline is not None:
            other = _with_registered_parts(outline, content, path)
            if other is not None:
                return from_content(other, path)
            _check_structure(outline, content, path)
        svg = SVG(config, **parts)
    except ConfigError as error:
        raise CheckpointError(
            f"{path} cannot be built: {one_line(error, 160)}", advice=error.advice
        ) from error
    if outline is None:
        other = _with_registered_parts(svg, content, path, given=parts)
        if other is not None:
            return from_content(other, path, **parts)
        _check_structure(svg, content, path)
    restore_weights(svg, content, path)
    svg.trained_on = trained_on(content)
    device = next(iter(content["weights"].values())).device
    return svg.to(device).eval()


def _outline(config: SVGConfig) -> SVG | None:
    """A model without memory, or None where a user's own part needs it to be made."""
    try:
        with torch.device("meta"):
            return SVG(config)
    except SVGError:
        raise
    except Exception:
        return None


def _with_registered_parts(
    svg: SVG, content: dict[str, Any], path: str | Path, given: Container[str] = ()
) -> dict[str, Any] | None:
    """The content under the names of its parts, or None where the model has them.

    Raises CheckpointError if a part has no name, and is not given.
    """
    used = {"prior": svg.prior, "guide": svg.posterior, "observation": svg.observation}
    for name, module in used.items():
        wanted = content.get(name, type(module).__name__)
        if wanted == type(module).__name__:
            continue
        own = None if name in given else _registered_class(name, wanted)
        if own is not None and own != content["config"].get(name):
            # It was given as an object, and its class has a name by now.
            return {**content, "config": {**content["config"], name: own}}
        raise CheckpointError(
            f"{path} was saved with {name} {one_line(wanted, 40)}, not "
            f"{type(module).__name__}; give {name}={one_line(wanted, 40)}(config), or "
            "register the class",
            advice=("parts",),
        )
    return None


def _registered_class(kind: str, class_name: str) -> str | None:
    """The name under which a class of this name is registered, if any is."""
    for name in names(kind):
        if getattr(registered(kind, name), "__name__", None) == class_name:
            return name
    return None


def _check_structure(svg: SVG, content: dict[str, Any], path: str | Path) -> None:
    """Refuse weights of other names or shapes than those of a model."""
    if "about" in content:
        check_tensors(svg.state_dict(), content["weights"], path)
    elif next(svg.parameters()).is_meta:
        shapes = {name: value.to("meta") for name, value in content["weights"].items()}
        _load_state(svg, shapes, path)


def restore_weights(svg: SVG, content: dict[str, Any], path: str | Path) -> None:
    """Copy a checkpoint's weights into a model.

    Parameters
    ----------
    svg : SVG
        Gets them; nothing is changed where they do not fit.
    content : dict
        Of `read`.
    path : str or Path
        The file, for messages.

    Raises
    ------
    CheckpointError
        When the weights are of another structure, of another type, or not finite.
    """
    own = svg.state_dict()
    for name, tensor in content["weights"].items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise CheckpointError(
                f"{path}: {name} holds NaN or infinity; use one from before the "
                "training broke"
            )
        if name in own and kind_of(own[name]) != kind_of(tensor):
            raise CheckpointError(
                f"{path}: {name} is of {tensor.dtype}, not {own[name].dtype}; use "
                "another checkpoint"
            )
    _load_state(svg, content["weights"], path)


def _load_state(svg: SVG, weights: dict[str, torch.Tensor], path: str | Path) -> None:
    try:
        svg.load_state_dict(weights)
    except RuntimeError as error:
        # The first line only says that there are errors.
        details = str(error).splitlines()[1:] or [str(error)]
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        raise CheckpointError(
            f"{path} is of another architecture: {details[0].strip()[:100]}{more}; "
            "build the model with the configuration in the checkpoint"
        ) from error


def kind_of(tensor: torch.Tensor) -> str:
    """Which of float, complex and whole: none may be cast to another in silence."""
    if tensor.is_complex():
        return "complex"
    return "float" if tensor.is_floating_point() else "whole"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
