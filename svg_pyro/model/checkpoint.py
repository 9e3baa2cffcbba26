"""Checkpoints: plain tensors and numbers, written beside and then renamed."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from svg_pyro.errors import CheckpointError
from svg_pyro.model.checkpoint_file import (
    FORMAT,
    VERSION,
    check_content,
    read_file,
)
from svg_pyro.model.official import PARTS, official_content
from svg_pyro.model.official_pickle import is_official
from svg_pyro.model.pretrained import (
    is_pretrained,
    read_pretrained,
    run_checkpoint,
    unknown,
)
from svg_pyro.model.restoring import from_content
from svg_pyro.model.svg import SVG
from svg_pyro.model.types import Part
from svg_pyro.util.files import written_beside
from svg_pyro.util.words import one_line, shown, why_unreadable

# What ``torch.load(..., weights_only=True)`` makes again; of numbers and text these
# very types: NumPy's float64 is a float, and is refused.
_PLAIN = (bool, int, float, str, bytes, type(None))
_TORCH = (torch.Tensor, torch.dtype, torch.device)


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
        When the file cannot be written, `svg` is no SVG, or `training` holds what such
        a file cannot be read with.

    Examples
    --------
    >>> config = svg_pyro.SVGConfig(channels=1, width=4, g_dim=8, rnn_size=12)
    >>> svg = SVG(config)
    >>> svg_pyro.save(svg, folder / "svg.pt")
    >>> svg_pyro.load(folder / "svg.pt").config == svg.config
    True
    """
    if not isinstance(svg, SVG):
        raise CheckpointError(f"save was given {type(svg).__name__}; give an SVG")
    _check_plain(training, "training")
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
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or _first_line(error)
        kept = "; the earlier one is unharmed" if path.exists() else ""
        raise CheckpointError(
            f"cannot write checkpoint {path}: {reason}{kept}; "
            "free space or choose another folder"
        ) from error


def _check_plain(value: object, where: str) -> None:
    """Refuse what would be written and then not read: anything that runs code."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            _check_plain(key, f"a key of {where}")
            _check_plain(one, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple, set)):
        for number, one in enumerate(value):
            _check_plain(one, f"{where}[{number}]")
    elif type(value) not in _PLAIN and not isinstance(value, _TORCH):
        raise CheckpointError(
            f"{where} is {type(value).__name__}, which a checkpoint does not hold; "
            "give tensors, numbers, text and containers of them"
        )


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
    >>> config = svg_pyro.SVGConfig(channels=1, width=4, g_dim=8, rnn_size=12)
    >>> svg = SVG(config)
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
    _check_place(map_location)
    _check_path(path)
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
    _check_place(map_location)
    _check_path(source)
    content = read_pretrained(source)
    return from_content(content, content["file"], **parts).to(map_location)


def read(path: str | Path, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """The content of a checkpoint as `save` wrote it, whatever `load` was given.

    Beside what `save` wrote it has "file", the path that was read. Raises as `load`.
    """
    _check_place(map_location)
    _check_path(path)
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
        usable = torch.device(where).type != "meta"
        torch.empty(0, device=where)
    # Each kind of device that is not there has a class of its own.
    except (RuntimeError, TypeError, AssertionError, NotImplementedError):
        usable = False
    if not usable or where is None:
        raise CheckpointError(
            f"map_location is {one_line(where, 40)!r}, which is no device here; give "
            'torch.device("cpu"), or another that holds values'
        )


def _check_path(path: object) -> None:
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise CheckpointError(
            f"{shown(path)} is no path; give that of a checkpoint, or the name of a "
            "model that ships"
        )


def _moved(content: dict[str, Any], where: str | torch.device) -> dict[str, Any]:
    weights = {name: value.to(where) for name, value in content["weights"].items()}
    return {**content, "weights": weights}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
