"""Every row of the tables of faults names a test that is there."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"


def named(cell, file):
    """Files and tests of a cell; a name without a file is of the file before it."""
    for mark in re.findall(r"`([^`]+)`", cell):
        if mark.startswith("-m") or not re.search(r"\.py|::", mark):
            continue
        path, _, test = mark.partition("::")
        file = path or file
        yield file, test


@pytest.mark.parametrize("page", ["reliability.md", "faults_data.md"])
def test_each_row_names_tests_that_are_there(page):
    rows = [
        [cell.strip() for cell in line.strip("|\n ").split(" | ")]
        for line in (DOCS / page).read_text("utf-8").splitlines()
        if line.startswith("| ")
    ]
    file, missing, count = "", [], 0
    for cells in rows:
        if len(cells) != 3 or cells[2] == "Test":
            continue
        found = list(named(cells[2], file))
        if not found and cells[2] != "the same":
            missing.append(cells)
        for path, test in found:
            # A file in the folder of the one before may come without it.
            near = (TESTS / path, (TESTS / file).parent / path)
            there = [where for where in near if where.is_file()]
            file = str(there[0].relative_to(TESTS)) if there else path
            count += 1
            text = there[0].read_text("utf-8") if there else ""
            if not there or (test and f"def {test}(" not in text):
                missing.append((path, test))
    assert missing == [] and count > 20
