"""Run the tests of the conformance checklist and print it row by row, on each database engine.

`make conformance` prints a table; the exit code is 1 if a row fails or has no test. A row's test
says which it is by `@pytest.mark.req("CRUD-01")`.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHECKLIST = ROOT / "tests" / "conformance" / "checklist.csv"
ENGINES = ("sqlite", "postgresql")


class Collector:
    """Notes the outcome of every test by row and engine; one without an engine counts for both."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.outcomes: dict[tuple[str, str], list[bool]] = defaultdict(list)
        self._rows: dict[str, list[tuple[str, str]]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note the rows of each test, and leave out the tests of none."""
        kept = []
        for item in items:
            rows = [row for mark in item.iter_markers("req") for row in mark.args[0].split()]
            if any(row in WANTED for row in rows):
                callspec = getattr(item, "callspec", None)
                kind = callspec.params.get("kind") if callspec else None
                engines = [kind] if kind in ENGINES else list(ENGINES)
                self._rows[item.nodeid] = [(row, engine) for row in rows for engine in engines]
                kept.append(item)
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test as passed when its call passed and nothing around it failed."""
        if report.when == "call" or report.failed:
            for key in self._rows.get(report.nodeid, ()):
                self.outcomes[key].append(report.passed)


def rows() -> list[dict[str, str]]:
    """Return the checklist: id, priority, requirement."""
    return list(csv.DictReader(CHECKLIST.read_text("utf-8").splitlines()))


MEASURED = frozenset({"SRC-29"})  # by make bench; a test of time would tell of the machine
WANTED = frozenset(row["id"] for row in rows())


def main() -> int:
    """Run and print; return the exit code."""
    collector = Collector()
    pytest.main(["-q", "--no-header", "--tb=line", str(ROOT / "tests")], plugins=[collector])
    failed = 0
    print("| row | P | requirement | SQLite | PostgreSQL |")
    print("|---|---|---|---|---|")
    for row in rows():
        told = [_told(row["id"], collector.outcomes[row["id"], engine]) for engine in ENGINES]
        failed += any("pass" not in one for one in told)
        print(f"| {row['id']} | {row['priority']} | {row['requirement']} | {' | '.join(told)} |")
    print(f"\n{len(rows())} rows, {failed} not passed")
    return 1 if failed else 0


def _told(row: str, outcomes: list[bool]) -> str:
    if row in MEASURED:
        return "pass: make bench"
    if not outcomes:
        return "no test"
    wrong = outcomes.count(False)
    return f"FAIL {wrong} of {len(outcomes)}" if wrong else f"pass ({len(outcomes)})"


if __name__ == "__main__":
    sys.exit(main())
