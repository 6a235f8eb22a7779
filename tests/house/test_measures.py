"""The house's own measures: sizes of modules and functions, docstrings, words we do not use."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("server", "bots", "sandbox", "fhir_profiles")
SOURCES = sorted(f for p in (*PACKAGES, "tools") for f in (ROOT / p).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MODULE_LIMIT, TEST_LIMIT, FUNCTION_LIMIT = 400, 600, 50
NAMES_WE_DO_NOT_USE = {"utils", "helpers", "common", "manager", "service", "base", "misc"}


def functions(file: Path) -> Iterator[ast.FunctionDef]:
    tree = ast.parse(file.read_text("utf-8"))
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("file", [*SOURCES, *TESTS], ids=lambda f: str(f.relative_to(ROOT)))
def test_no_module_is_too_long(file: Path) -> None:
    """A room that does not fit in a head is two rooms."""
    limit = TEST_LIMIT if file in TESTS else MODULE_LIMIT

    assert len(file.read_text("utf-8").splitlines()) <= limit


def test_no_function_is_too_long() -> None:
    """Fifty lines, docstring and all."""
    long = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
        for file in SOURCES
        for node in functions(file)
        if (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LIMIT
    ]

    assert [] == long


def test_no_room_has_an_empty_name() -> None:
    """Nothing is called by what it is not."""
    assert [] == [f for f in SOURCES if f.stem in NAMES_WE_DO_NOT_USE]


def test_every_test_states_its_promise() -> None:
    """A docstring in the user's terms."""
    silent = [
        f"{file.name}:{node.name}"
        for file in TESTS
        for node in functions(file)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]

    assert [] == silent


def test_no_todo_and_no_skip() -> None:
    """What is not done is not in the code; what is tested is tested everywhere."""
    words = ("TO" + "DO", "FIX" + "ME", "pytest.mark." + "skip", "pytest." + "skip(", "xf" + "ail(")
    found = [
        f"{file.relative_to(ROOT)}: {word}"
        for file in [*SOURCES, *TESTS]
        for word in words
        if word in file.read_text("utf-8")
    ]

    assert [] == found
