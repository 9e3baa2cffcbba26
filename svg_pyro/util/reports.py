"""Words for the user beside what a program prints."""

import functools
import sys

from tqdm import tqdm

from svg_pyro.util.words import printable


@functools.cache
def report_once(text: str) -> None:
    """Print to standard error what this process has not printed yet."""
    lines = [printable(line) for line in text.split("\n")]
    tqdm.write("\n".join(lines), file=sys.stderr)
