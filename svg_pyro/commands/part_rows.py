"""Rows of a comparison of parts: a file of them, and their table."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from svg_pyro.errors import ConfigError
from svg_pyro.evaluation.part_scores import PartScores
from svg_pyro.util.files import read_regular, written_beside
from svg_pyro.util.words import one_line

# Head, key of a row, and form of its number.
_COLUMNS = (
    ("bound/frame", "bound", ".0f"),
    ("bits/dim", "bits", ".2f"),
    ("KL", "kl", ".2f"),
    ("CRPS means", "crps_means", ".4f"),
    ("CRPS noise", "crps", ".4f"),
    ("spread/skill", "spread_skill_means", ".2f"),
    ("best dB", "psnr_best", ".2f"),
    ("mean dB", "psnr_mean", ".2f"),
    ("90% low", "coverage_low", ".3f"),
    ("90% high", "coverage_high", ".3f"),
    ("90% of means", "coverage_means", ".3f"),
    ("chi2/n", "chi_square", ".3f"),
    ("s", "seconds", ".0f"),
)
_NEEDED = {"data", "part", "seed", "steps", "init", *(key for _, key, _ in _COLUMNS)}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows that earlier calls wrote; none without a file."""
    if not path.exists():
        return []
    try:
        lines = read_regular(path).decode("utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
        if not all(isinstance(row, dict) and row.keys() >= _NEEDED for row in rows):
            raise ValueError("a line is not such a row")
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no file of rows ({one_line(error)})") from error
    return rows


def add_row(path: Path, row: dict[str, Any]) -> None:
    """Write a row behind the others; the file is whole at any time."""
    rows = [*read_rows(path), row]
    with written_beside(path) as beside:
        beside.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")


def table_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of a table: a row for each data set, steps and part, means over seeds."""
    groups: dict[tuple[str, int, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        key = row["data"], row["steps"], row["init"] or "", row["part"]
        groups.setdefault(key, []).append(row)
    lines = [["data", "steps", "part", "seeds", *(column[0] for column in _COLUMNS)]]
    for (data, steps, init, part), of_part in groups.items():
        name = part + (f" from {init}" if init else "")
        cells = [
            _cell([row[key] for row in of_part], form) for _, key, form in _COLUMNS
        ]
        lines.append([data, str(steps), name, str(len(of_part)), *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]


def _cell(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = f"{statistics.fmean(known):{form}}"
    if len(known) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(known):{form}}"


def words_of(row: dict[str, Any]) -> str:
    """A row in one line, for the terminal."""
    shown = ", ".join(
        f"{head} {_cell([row[key]], form)}" for head, key, form in _COLUMNS
    )
    return f"{row['data']}, {row['part']}, seed {row['seed']}: {shown}"


def columns_of(scores: PartScores) -> dict[str, Any]:
    """The columns of the table, and the coverage at each predicted frame."""
    noisy = scores.noisy
    covered = None if noisy is None else noisy.coverage
    means = scores.means.coverage
    return {
        "bound": scores.bound,
        "bits": scores.bits,
        "kl": scores.kl,
        "psnr_best": scores.psnr_best,
        "psnr_mean": scores.psnr_mean,
        "crps_means": scores.means.crps,
        "crps": None if noisy is None else noisy.crps,
        "spread_skill_means": scores.means.spread_skill,
        "spread_skill": None if noisy is None else noisy.spread_skill,
        "coverage": covered,
        "coverage_low": None if covered is None else min(covered),
        "coverage_high": None if covered is None else max(covered),
        "coverage_means": sum(means) / len(means),
        "chi_square": None if noisy is None else noisy.chi_square,
        "chi_square_means": scores.means.chi_square,
    }
