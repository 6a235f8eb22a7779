"""Every row of the conformance checklist has a test that names it."""

import csv
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
ROWS = list(
    csv.DictReader((TESTS / "conformance" / "checklist.csv").read_text("utf-8").splitlines())
)
MARKED = {
    row
    for path in TESTS.rglob("test_*.py")
    if "node_modules" not in path.parts
    for rows in re.findall(r'mark\.req\("([^"]+)"\)', path.read_text("utf-8"))
    for row in rows.split()
}


@pytest.mark.parametrize("row", [row["id"] for row in ROWS])
def test_a_row_has_a_test(row: str) -> None:
    """`@pytest.mark.req` with its id stands somewhere."""
    assert row in MARKED | {"SRC-29"}  # a figure of make bench
