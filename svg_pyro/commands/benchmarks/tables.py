"""Timing, tables and JSON of the benchmark."""

import statistics
import time
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]


def rate(
    function: Callable[[int], object],
    count: float = 1,
    *,
    seconds: float = 1.0,
    repeats: int = 5,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Median of how often a second something is done.

    Parameters
    ----------
    function : callable
        ``function(i)`` with i = 0, 1, ...; what it does once is `count` things.
    count : float
        See `function`.
    seconds : float
        Least time of all repeats together, after one that is not counted.
    repeats : int
        How often the rate is measured.
    clock : callable
        ``time.process_time`` counts the seconds of a core, whatever else runs.
    """
    calls, start = 0, clock()
    while clock() - start < seconds / repeats:
        function(calls)
        calls += 1
    rates = []
    for _ in range(repeats):
        start = clock()
        for i in range(calls):
            function(i)
        rates.append(calls * count / max(clock() - start, 1e-9))
    return statistics.median(rates)


def print_table(title: str, rows: list[Row]) -> None:
    """Rows of equal keys as a table of aligned columns."""
    print(f"\n{title}")
    cells = [[str(key) for key in rows[0]]]
    cells += [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        left, *others = (cell for cell in line)
        padded = [
            f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)
        ]
        print("  ".join([f"{left:<{widths[0]}}", *padded]))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
