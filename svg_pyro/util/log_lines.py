"""The lines of ``metrics.jsonl``, among which a user may have written others."""

import json
import math


def parse_line(line: bytes) -> dict[str, float] | None:
    """The numbers of a line, `step` among them, or None where it is no such line.

    Parameters
    ----------
    line : bytes
        Of the file; values that are no finite numbers are left out.
    """
    try:
        found = json.loads(line)
    # Deep nesting is a RecursionError, a byte of another encoding a ValueError.
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    values = {key: value for key, value in found.items() if _is_number(value)}
    return values if "step" in values else None


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False
