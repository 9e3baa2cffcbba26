"""Models as a folder of ``config.json`` and ``model.safetensors``, and those that ship.

That is the convention of the Hugging Face hub: nothing in such a folder can run code.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from svg_pyro.errors import CheckpointError
from svg_pyro.model.checked import check_model
from svg_pyro.model.svg import SVG
from svg_pyro.util.files import write_json, written_beside
from svg_pyro.util.reports import report_once
from svg_pyro.util.words import one_line

FORMAT = "svg_pyro model"
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
_LARGEST_CONFIG = 2**20  # characters
_SHIPPED = Path(__file__).parent / "weights"


def shipped() -> list[str]:
    """Names of the models whose weights come with the package."""
    return sorted(path.parent.name for path in _SHIPPED.glob(f"*/{CONFIG_FILE}"))


def save_pretrained(
    svg: SVG, folder: str | Path, about: dict[str, Any] | None = None
) -> None:
    """Write a model as ``config.json`` and ``model.safetensors``.

    Parameters
    ----------
    svg : SVG
        Of registered parts: only their names are written, not their code.
    folder : str or Path
        Made if need be.
    about : dict, optional
        What a reader should know: data, commands, steps, scores; goes into the JSON.

    Raises
    ------
    CheckpointError
        When the files cannot be written, or `about` holds what JSON does not.
    ConfigError
        When `svg` is no model.
    """
    from safetensors.torch import save as to_bytes

    check_model(svg)
    folder, known = Path(folder), svg.trained_on
    weights = {k: v.detach().cpu().contiguous() for k, v in svg.state_dict().items()}
    content = {
        "format": FORMAT,
        "version": 1,
        "config": dataclasses.asdict(svg.config),
        "parts": svg.names,
        "about": {**({"trained_on": known} if known else {}), **(about or {})},
    }
    try:
        json.dumps(content)  # before anything is written
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"about cannot be written as JSON ({one_line(error)}); give numbers, text, "
            "and lists and dicts of them"
        ) from error
    data = to_bytes(weights)
    content["sha256"] = {
        WEIGHTS_FILE: hashlib.sha256(data).hexdigest(),
        "config": _digest(content),
    }
    try:
        with written_beside(folder / WEIGHTS_FILE) as beside:
            beside.write_bytes(data)
        write_json(folder / CONFIG_FILE, content)
    except OSError as error:
        raise CheckpointError(
            f"cannot write {error.filename or folder}: {error.strerror or error}; "
            "free space or choose another folder"
        ) from error


def read_pretrained(source: str | Path) -> dict[str, Any]:
    """What a checkpoint's content would be, from a folder, the hub or a shipped model.

    Parameters
    ----------
    source : str or Path
        As `svg_pyro.from_pretrained` takes it.

    Returns
    -------
    dict
        "config", "parts" (their names), "weights" (tensors by name, on the CPU),
        "training" (None), "about" and "file", the path of the weights.

    Raises
    ------
    CheckpointError
        When there is no such model, or a file is missing, broken or foreign.
    """
    folder = _folder(source)
    content = read_config(folder)
    wanted = content.get("sha256", {}).get(WEIGHTS_FILE)
    return {
        "config": content["config"],
        "parts": content.get("parts"),
        "weights": _read_weights(folder / WEIGHTS_FILE, wanted),
        "training": None,
        "about": content.get("about", {}),
        "file": folder / WEIGHTS_FILE,
    }


def is_pretrained(source: str | Path) -> bool:
    """Whether a source is a folder of `save_pretrained`, or a shipped model's name.

    A file or a run's folder of that name in the current folder comes before the model
    that ships, one that holds no model does not; each is said.
    """
    path, name = Path(source), str(source)
    saved = (path / CONFIG_FILE).is_file()
    if name not in shipped() or not path.exists():
        return saved or name in shipped()
    if saved or run_checkpoint(path).is_file():
        report_once(
            f"{name}: read from the current folder, not the model of that name that "
            f"ships; that is {_SHIPPED / name}"
        )
        return saved
    report_once(f"{name}: the model that ships; the folder here holds none")
    return True


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


def read_config(folder: str | Path) -> dict[str, Any]:
    """The content of ``config.json``: "config", "parts" and "about".

    Parameters
    ----------
    folder : str or Path
        That `save_pretrained` wrote.

    Raises
    ------
    CheckpointError
        When it is missing, is no JSON, is not of this package, or was changed after it
        was written.
    """
    path = Path(folder) / CONFIG_FILE
    try:
        with open(path, encoding="utf-8") as file:
            content = json.loads(file.read(_LARGEST_CONFIG))
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder} holds no {CONFIG_FILE}; give a folder that save_pretrained wrote"
        ) from None
    except (ValueError, RecursionError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({one_line(error)}); fetch it again"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not of svg_pyro; give a folder that save_pretrained wrote"
        )
    if content.get("version") != 1 or not isinstance(content.get("config"), dict):
        raise CheckpointError(
            f"{path} is of version {one_line(content.get('version'), 20)}, this "
            "svg_pyro reads 1; install a newer svg_pyro"
        )
    sums = content.get("sha256", {})
    if not isinstance(sums, dict) or not isinstance(content.get("about", {}), dict):
        raise CheckpointError(
            f"{path}: sha256 or about is no object; fetch the file again"
        )
    if sums.get("config", _digest(content)) != _digest(content):
        raise CheckpointError(
            f"{path} was changed after it was written: the checksum of its config is "
            "another one; fetch it again, or take sha256 out if you changed it"
        )
    return content


def _digest(content: dict[str, Any]) -> str:
    """The SHA-256 of what a folder's ``config.json`` says of the model itself."""
    said = {key: content.get(key) for key in ("config", "parts")}
    text = json.dumps(said, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_weights(path: Path, sha256: object) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    if not path.is_file():
        raise CheckpointError(
            f"{path.parent} holds no {path.name}; give a folder that save_pretrained "
            "wrote"
        )
    try:
        data = path.read_bytes()
        weights: dict[str, torch.Tensor] = from_bytes(data)
    # Types that PyTorch does not have are a KeyError.
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({one_line(error)}); it is truncated or "
            "of another program: fetch it again"
        ) from error
    # After the reader, whose words say more of a file that was cut short.
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise CheckpointError(
            f"{path} is damaged: its checksum (SHA-256) is not the one in "
            f"{CONFIG_FILE}; fetch both again"
        )
    return weights


def _folder(source: str | Path) -> Path:
    path, name = Path(source), str(source)
    if name in shipped() and is_pretrained(source):
        return path if (path / CONFIG_FILE).is_file() else _SHIPPED / name
    if path.is_dir():
        return path
    if name.count("/") == 1 and not path.is_absolute() and not name.startswith("."):
        return _from_hub(name)
    raise CheckpointError(unknown(name))


def unknown(name: str) -> str:
    """What to say of a name that is no file, no folder and not shipped."""
    names = shipped()
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    there = f", or the name of a model that ships ({', '.join(names)})" if names else ""
    return f"no checkpoint at {name}; {hint}give the path of a saved one{there}"


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise CheckpointError(
            f"no folder {name}; to fetch it from the hub install huggingface_hub "
            "(pip install 'svg_pyro[hub]')"
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=[CONFIG_FILE, WEIGHTS_FILE]))
    # The hub's errors, those of HTTP clients and of sockets have no common class.
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(
            f"{name} is no folder here, and cannot be had from the hub ({reason})"
        ) from error
