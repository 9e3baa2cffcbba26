"""The results of an evaluation as files: ``results.json`` and ``curves.csv``.

In JSON, "inf" is infinite (the PSNR of equal frames), null is not defined.
"""

import csv
import dataclasses
import json
import math
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation.results import CandidateResult, EvaluationResults
from svg_pyro.evaluation.settings import EvaluationSettings
from svg_pyro.util.files import read_regular, write_json, written_beside

COLUMNS = (
    "predictor",
    "protocol",
    "quantity",
    "kind",
    "frame",
    "mean",
    "half_width_95",
)


def write_results(results: EvaluationResults, path: str | Path) -> None:
    """Write all figures as JSON."""
    write_json(path, _for_json(results.asdict()), allow_nan=False)


def read_results(path: str | Path) -> EvaluationResults:
    """Read what `write_results` wrote.

    Parameters
    ----------
    path : str or Path
        A ``results.json``.

    Returns
    -------
    EvaluationResults
        Numbers that were not defined are NaN again.

    Raises
    ------
    EvaluationError
        The file cannot be read, or holds no results of an evaluation.
    """
    try:
        content = json.loads(read_regular(path))
        return EvaluationResults(
            version=content["svg_pyro"],
            data=content["data"],
            clips=content["clips"],
            settings=_from_json(EvaluationSettings, content["settings"]),
            candidates=_from_json(tuple[CandidateResult, ...], content["predictors"]),
        )
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {error.strerror}") from error
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        RecursionError,
    ) as error:
        raise EvaluationError(
            f"{path} holds no results of an evaluation; give a results.json"
        ) from error


def write_curves(results: EvaluationResults, path: str | Path) -> None:
    """Write every curve over time as CSV, a line for each predicted frame.

    Frames are counted from 1 in the clip; the first context frame is frame 1.
    """
    with (
        written_beside(path) as beside,
        open(
            beside, "w", newline="", encoding="utf-8", errors="backslashreplace"
        ) as file,
    ):
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for candidate in results.candidates:
            for curve in _curves(candidate, results.settings.n_past + 1):
                pairs = zip(curve.means, curve.half_widths, strict=True)
                for frame, pair in enumerate(pairs, curve.first):
                    numbers = ("" if math.isnan(v) else v for v in pair)
                    writer.writerow([candidate.name, *curve[:3], frame, *numbers])


class _Curve(NamedTuple):
    protocol: str
    quantity: str
    kind: str
    first: int  # frame
    means: Sequence[float]
    half_widths: Sequence[float]


def _curves(candidate: CandidateResult, start: int) -> Iterator[_Curve]:
    for protocol, metrics in candidate.scores.items():
        for metric, kinds in metrics.items():
            for kind, score in kinds.items():
                numbers = score.per_step, score.per_step_half_width
                yield _Curve(protocol, metric, kind, start, *numbers)
    judged, bounded = candidate.calibration, candidate.likelihood
    if judged is not None:
        none = [math.nan] * len(judged.crps)
        yield _Curve("", "crps", "", start, judged.crps, judged.crps_half_width)
        yield _Curve("", "spread_skill", "", start, judged.spread_skill, none)
        yield _Curve("", "diversity", "", start, judged.diversity, none)
    if bounded is not None:
        kl = bounded.kl
        yield _Curve("", "kl", "", 2, kl.per_step, kl.per_step_half_width)


def _for_json(value: Any) -> Any:  # any part of the results
    """Numbers that JSON lacks as text or null; tuples as lists."""
    if isinstance(value, dict):
        return {str(k): _for_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_for_json(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def _from_json(kind: Any, value: Any) -> Any:  # any part of the results
    """The inverse of `_for_json`, by the types of the dataclasses' fields."""
    if isinstance(kind, types.UnionType):
        if value is None:
            return None
        (kind,) = (k for k in typing.get_args(kind) if k is not types.NoneType)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = {name: _from_json(hints[name], v) for name, v in value.items()}
        return kind(**fields)  # type: ignore[operator]  # `kind` is a class
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return tuple(_from_json(arguments[0], v) for v in value)
    if origin is dict:
        return {k: _from_json(arguments[1], v) for k, v in value.items()}
    if kind is float:
        return math.nan if value is None else float(value)
    return value
