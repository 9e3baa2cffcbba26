"""What a checkpoint knows of its data, as the default of what is done with it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from svg_pyro.commands.datasets import DATA_OPTIONS
from svg_pyro.commands.fields import fields_of, flag_of
from svg_pyro.commands.parser import Flags
from svg_pyro.commands.settings import Run
from svg_pyro.data import ClipDataset
from svg_pyro.errors import ConfigError, EvaluationError
from svg_pyro.model import checkpoint, restoring

_T = TypeVar("_T")
# By what earlier checkpoints stored of their data it is known which data set it was.
_KINDS = {"num_digits": "smmnist", "camera": "bair", "actions": "kth", "fit": "videos"}


def trained_on(path: str) -> dict[str, Any]:
    """What a checkpoint's model was trained on.

    Parameters
    ----------
    path : str
        Whatever `svg_pyro.load` takes.

    Returns
    -------
    dict of str to Any
        "kind", the name of the data set, and its settings and preprocessing by the
        names of its options, such as "fit", "stride" and "num_digits"; empty where the
        file does not say.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint.
    """
    stored = restoring.trained_on(checkpoint.read(path))
    kinds = [kind for name, kind in _KINDS.items() if name in stored]
    kind = stored.get("kind", kinds[0] if kinds else None)
    if not isinstance(kind, str) or kind not in DATA_OPTIONS:
        return {}
    return {**DATA_OPTIONS[kind].preprocessing, **stored, "kind": kind}


def preprocessing(path: str) -> dict[str, Any]:
    """The "fit" and the "stride" that a checkpoint's model was trained with, if known.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint.
    """
    return {k: v for k, v in trained_on(path).items() if k in ("fit", "stride")}


def agreed(known: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """What some checkpoints were trained on, where it must be the same.

    Parameters
    ----------
    known : sequence of mapping
        Of `trained_on`, one for each checkpoint.
    names : sequence of str
        The settings that are asked for.

    Raises
    ------
    EvaluationError
        If two of them differ in one.
    """
    result: dict[str, Any] = {}
    for name in names:
        values = [stored[name] for stored in known if name in stored]
        if any(value != values[0] for value in values):
            key = "data" if name == "kind" else name
            words = " and ".join(dict.fromkeys(_said(key, value) for value in values))
            raise EvaluationError(
                f"the checkpoints were trained with {words}; give one for all"
            )
        if values:
            result[name] = values[0]
    return result


def as_trained(flags: Flags, cls: type[_T], stored: Mapping[str, Any]) -> _T:
    """Options, of which those that were not given are those of the training.

    Prints which they are, and which ones that were given take the place of others.

    Parameters
    ----------
    flags : Flags
        Of a parser with the fields of `cls`.
    cls : type
        A dataclass.
    stored : mapping of str to Any
        Of `trained_on`.
    """
    given = flags.given(cls)
    fields = {field.name: field.default for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    known = _converted(cls, stored)
    for name, value in known.items():
        if name in given and given[name] != value:
            print(
                f"{_said(name, given[name])} takes the place of the training's "
                f"{_said(name, value)}"
            )
    taken = {name: value for name, value in known.items() if name not in given}
    usual = {"fit": "crop", "stride": 1}
    told = [
        _said(name, value)
        for name, value in taken.items()
        if value != (usual.get(name) if fields[name] is None else fields[name])
    ]
    if told:
        print(f"as in training: {', '.join(told)}")
    return flags.make(cls, **taken)


def options_of(data: Mapping[str, Any], flags: Flags, cls: type[_T]) -> _T:
    """A data set's options: those of a run's data, and for the rest the flags'."""
    return flags.make(cls, **_converted(cls, data))


def _converted(cls: type, stored: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says of a class's fields, once it is of their types and choices."""
    fields = {field.name: field for field in fields_of(cls)}
    return {
        name: fields[name].convert(_listed(value), "what the model saw")
        for name, value in stored.items()
        if name in fields and value is not None
    }


def check_same_clips(run: Run, clips: ClipDataset) -> dict[str, Any]:
    """What a checkpoint is to say of the training clips; other clips are told.

    Parameters
    ----------
    run : Run
        Its data holds what the checkpoint says that is resumed, if one is.
    clips : ClipDataset
        Of the training split.

    Raises
    ------
    ConfigError
        If the run that is resumed was trained on other clips, and these were not asked
        for.
    """
    seen = {"clips": len(clips), "fingerprint": clips.fingerprint()}
    before = run.data.get("fingerprint", seen["fingerprint"])
    if before != seen["fingerprint"]:
        then, now = run.data["clips"], seen["clips"]
        words = (
            f"{run.out} was trained on {then} clips and these are {now}"
            if then != now
            else f"{run.out} was trained on other clips, also {now}"
        )
        words += ": files were added, removed or changed, or it is another folder"
        if not run.options.other_data:
            raise ConfigError(
                f"{words}; give --other-data to go on with these, or the clips of then"
            )
        print(f"{words}; goes on with these")
    return {**run.data, **seen}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _said(name: str, value: object) -> str:
    """A setting as it is written on a command line."""
    if isinstance(value, bool):
        return flag_of(name if value else f"no_{name}")
    words = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
    return f"{flag_of(name)} {words}"
