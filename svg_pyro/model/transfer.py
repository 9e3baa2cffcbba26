"""Weights of one model or file for another: all that it has, or what fits."""

from pathlib import Path

import torch

from svg_pyro.errors import CheckpointError
from svg_pyro.model.svg import SVG


def check_tensors(
    wanted: dict[str, torch.Tensor], given: dict[str, torch.Tensor], where: str | Path
) -> None:
    """Refuse weights that do not fit a model; nothing is loaded by half.

    Parameters
    ----------
    wanted, given : dict of str to torch.Tensor
        The model's own weights and those of a file, by name.
    where : str or Path
        The file, for the message.

    Raises
    ------
    CheckpointError
        When a tensor is missing, left over, of another shape, or not finite.
    """
    missing = [name for name in wanted if name not in given]
    surplus = [name for name in given if name not in wanted]
    shared = [name for name in wanted if name in given]
    misshaped = [n for n in shared if wanted[n].shape != given[n].shape]
    faults = []
    if missing:
        faults.append(_some("lacks", missing))
    if surplus:
        faults.append(_some("has beside it", surplus))
    if misshaped:
        name = misshaped[0]
        shapes = f"{tuple(given[name].shape)} for {tuple(wanted[name].shape)}"
        faults.append(_some("has in other shapes", misshaped) + f", {shapes}")
    if faults:
        raise CheckpointError(
            f"{where} does not fit the model: it {'; it '.join(faults)}; of "
            f"{len(wanted)} tensors {len(shared) - len(misshaped)} fit"
        )
    for name, tensor in given.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise CheckpointError(f"{where}: {name} holds NaN or infinity")


def _some(words: str, names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{words} {names[0]}{more}"


def start_from(svg: SVG, other: SVG, where: str = "the model given") -> None:
    """Give a new model the weights of another one of the same architecture.

    Parameters
    ----------
    svg : SVG
        That is to be trained on.
    other : SVG
        Whose weights it starts from.
    where : str
        What to call `other` in a message.

    Raises
    ------
    CheckpointError
        When a tensor is missing, left over or of another shape; nothing is changed.
    """
    weights = other.state_dict()
    check_tensors(svg.state_dict(), weights, where)
    svg.load_state_dict(weights)


def take_what_fits(svg: SVG, other: SVG) -> int:
    """Give a new model what it shares with another one of other parts.

    A tensor of the same name and shape is copied. Of a decoder with more output
    channels, as another observation model wants, those that the other has are copied.

    Parameters
    ----------
    svg : SVG
        That is to be trained on.
    other : SVG
        Whose weights it starts from.

    Returns
    -------
    int
        How many tensors were copied.
    """
    weights, copied = other.state_dict(), 0
    for name, tensor in svg.state_dict().items():
        given = weights.get(name)
        if given is None or given.dim() != tensor.dim():
            continue
        pairs = list(zip(given.shape, tensor.shape, strict=True))
        grown = name.startswith("decoder.") and all(old <= new for old, new in pairs)
        if given.shape == tensor.shape or grown:
            with torch.no_grad():
                tensor[tuple(slice(old) for old, _ in pairs)].copy_(given)
            copied += 1
    return copied
