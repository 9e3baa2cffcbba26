"""A model from the content of a checkpoint, whose structure is looked at first."""

import dataclasses
from collections.abc import Container
from pathlib import Path
from typing import Any

import torch

from svg_pyro.config import SVGConfig
from svg_pyro.errors import CheckpointError, ConfigError, SVGError
from svg_pyro.model.registry import names, registered
from svg_pyro.model.svg import SVG
from svg_pyro.model.transfer import check_tensors
from svg_pyro.model.types import Part
from svg_pyro.util.words import one_line


def from_content(content: dict[str, Any], path: str | Path, **parts: Part) -> SVG:
    """Build the model that `read` gave the content of; raises as `load` does."""
    try:
        config = _as_it_was_called(SVGConfig.from_dict(content["config"]), content)
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


def _as_it_was_called(config: SVGConfig, content: dict[str, Any]) -> SVGConfig:
    """The configuration in the names of today.

    Over maps "mixture" was first what is "mixture-vector" now. A checkpoint says so by
    its class, see `_with_registered_parts`; a folder by the name alone.
    """
    named = content.get("parts")
    if (
        isinstance(named, dict)
        and named.get("prior") == "mixture"
        and config.dynamics == "maps"
    ):
        return dataclasses.replace(config, prior="mixture-vector")
    return config


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


def trained_on(content: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint, as `read` gives it, says of the training's data."""
    training, about = content.get("training"), content.get("about")
    for holder, name in (
        (content, "trained_on"),
        (training, "data"),
        (about, "trained_on"),
    ):
        stored = holder.get(name) if isinstance(holder, dict) else None
        if isinstance(stored, dict) and stored:
            return dict(stored)
    return {}
