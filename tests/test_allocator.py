"""Freed memory stays in the process: a large tensor's pages are not asked for again."""

import subprocess
import sys

import pytest

from svg_pyro.allocator import keep_freed_memory

FAULTS = """
import resource, torch
from svg_pyro.allocator import keep_freed_memory
KEEP
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(25_000_000).add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="the C library is not glibc")
def test_pages_are_faulted_once():
    """100 MB are 24,414 pages of 4 kB, or fewer where pages are huge."""
    counts = []
    for keep in ("", "assert keep_freed_memory()"):
        code = FAULTS.replace("KEEP", keep)
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        counts.append(int(out.stdout))
    given_back, kept = counts
    assert given_back > 40 and kept < given_back / 10
