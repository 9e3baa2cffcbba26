"""What lies in a checkpoint's file, believed only when its checksums are right."""

from pathlib import Path
from typing import Any, BinaryIO

import torch

from svg_pyro.errors import CheckpointError
from svg_pyro.util.archives import ZIP, verify_archive
from svg_pyro.util.words import one_line

FORMAT = "svg_pyro checkpoint"
VERSION = 2  # 2: `observation` and `guide` in the configuration, where 1 has `sigma`


def read_file(file: BinaryIO, map_location: str | torch.device) -> Any:
    """What ``torch.save`` wrote, if not a bit of it has changed since.

    Parameters
    ----------
    file : binary file
        At its beginning. One file for both readers: its name may get another
        content meanwhile.
    map_location : str or torch.device
        Where tensors go.

    Raises
    ------
    Exception
        Of any class, where it is damaged, or of another program.
    """
    if file.read(len(ZIP)) != ZIP:
        raise CheckpointError("it is no archive of torch.save")
    verify_archive(file)
    file.seek(0)
    return torch.load(file, map_location=map_location, weights_only=True)


def check_content(content: Any, path: str | Path) -> dict[str, Any]:
    """Refuse what is no checkpoint of this package, or lacks a part of one.

    Parameters
    ----------
    content : object
        Of `read_file`.
    path : str or Path
        The file, for messages.

    Returns
    -------
    dict
        The same.

    Raises
    ------
    CheckpointError
        When it is of another program or a newer version, a key is missing or of
        another type, or a tensor claims more values than are stored.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint of svg_pyro; give one that svg_pyro.save wrote"
        )
    version = content.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CheckpointError(_damaged(path, "version", "a number from 1 on"))
    if version > VERSION:
        raise CheckpointError(
            f"{path} is of checkpoint version {version}, this svg_pyro "
            f"reads up to {VERSION}; install a newer svg_pyro"
        )
    for key in ("config", "weights"):
        values = content.get(key)
        if not isinstance(values, dict) or not all(isinstance(k, str) for k in values):
            raise CheckpointError(_damaged(path, key, "a dict with names"))
    if not isinstance(content.get("training", 0), dict | None):
        raise CheckpointError(_damaged(path, "training", "a dict or None"))
    for key in ("prior", "guide", "observation"):
        if not isinstance(content.get(key, ""), str):
            raise CheckpointError(_damaged(path, key, "a name"))
    for name, tensor in content["weights"].items():
        check_tensor(name, tensor, path)
    return content


def check_tensor(name: str, tensor: object, path: str | Path) -> None:
    """Refuse what is no dense tensor, or claims more values than are stored.

    Parameters
    ----------
    name : str
        For the message.
    tensor : object
        Of a file.
    path : str or Path
        The file, for the message.

    Raises
    ------
    CheckpointError
        When it is not that.
    """
    shown = one_line(name, 60)
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
        raise CheckpointError(_damaged(path, shown, "a dense tensor"))
    # One stored value can stand for any number of them, by strides of 0.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise CheckpointError(
            f"{path}: {shown} claims {tensor.numel()} values, more than are stored"
        )


def _damaged(path: str | Path, key: str, wanted: str) -> str:
    return f"{path} is damaged: its {key} is missing or not {wanted}; use another file"
