"""Freed memory stays in the process: a large tensor's pages are not asked for again."""

import subprocess
import sys

import pytest

from svg_pyro.util.allocator import keep_freed_memory

FAULTS = """
import resource, torch
from svg_pyro.util.allocator import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(25_000_000).add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(sum(faults() for _ in range(10)))
assert keep_freed_memory()
print(sum(faults() for _ in range(10)))
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="the C library is not glibc")
def test_pages_are_faulted_once():
    """100 MB ten times: all pages each time, or those of a few first times.

    A small block that lands in a freed large one makes the heap grow once more.
    """
    command = [sys.executable, "-c", FAULTS]
    out = subprocess.run(command, capture_output=True, text=True)
    given_back, kept = map(int, out.stdout.split())
    assert given_back > 400 and kept < given_back / 2
