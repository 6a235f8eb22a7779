"""The pages of docs/ that show commands: they run, and print what the page says."""

import re
from pathlib import Path

import pytest

from tests import documents
from tests.programs import Programs

pytestmark = pytest.mark.loopback
DAY = re.compile(r"\d{4}-\d\d-\d\d")


def test_the_page_about_access_is_true(tmp_path: Path) -> None:
    """Keys, clients, tokens and what they let through."""
    programs = Programs(tmp_path, settings={"INFORCE_AUTH": "smart"})
    try:
        programs.start("server")
        printed, told = documents.ran("access.md", programs, tmp_path)
    finally:
        programs.stop()
    assert told == printed


def test_the_page_about_checks_is_true(tmp_path: Path) -> None:
    """Checks on demand, a failing route, what the sandbox was asked; only today's date differs."""
    with Programs(tmp_path).running() as programs:
        printed, told = documents.ran("checks.md", programs)
    assert DAY.sub("day", told) == DAY.sub("day", printed)
