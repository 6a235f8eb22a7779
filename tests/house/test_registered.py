"""Everything that belongs into a table is in it, and every name is this tree's."""

import importlib
from importlib import resources
from pathlib import Path

import pytest

from bots.connectors import CLEARINGHOUSES
from bots.registry import BOTS
from fhir_profiles import systems
from server import definitions
from server.operations import OPERATIONS

ROOT = Path(__file__).parents[2]
# Modules of the connectors package that are no clearinghouse.
SHARED = {
    "access", "backend_services", "breaker", "cds_hooks", "envelopes", "pace", "pas", "polls",
    "reviews", "route", "service_reviews", "tokens", "wire",
}  # fmt: skip


def modules(package: str) -> set[str]:
    return {f.stem for f in (ROOT / package).glob("*.py") if f.stem != "__init__"}


def test_every_bot_is_in_the_registry() -> None:
    """A file in handlers/ is a bot, by its name."""
    assert modules("bots/handlers") == {bot.name.replace("-", "_") for bot in BOTS}
    assert [bot.name for bot in BOTS] == sorted(bot.name for bot in BOTS)


def test_every_connector_is_in_its_table() -> None:
    """A file in connectors/ is a clearinghouse with recorded exchanges."""
    named = {build.__module__.rpartition(".")[2] for build in CLEARINGHOUSES.values()}

    assert modules("bots/connectors") - SHARED == named
    for name in named:
        assert list((ROOT / "fixtures/clearinghouses" / name).glob("*.json"))


def test_every_operation_is_in_its_table() -> None:
    """A file in operations/ is an operation."""
    named = {o.run.__module__.rpartition(".")[2] for o in OPERATIONS}
    assert modules("server/operations") - {"operation"} == named


@pytest.mark.parametrize("name", ["server", "bots", "sandbox", "fhir_profiles"])
def test_the_packages_are_this_tree(name: str) -> None:
    """Their names are common words: nothing else may stand in their place."""
    assert ROOT / name == Path(str(importlib.import_module(name).__file__)).parent


def test_the_console_scripts_exist() -> None:
    """What pyproject.toml promises can be called."""
    for module in ("server.cli", "bots.cli", "sandbox.cli"):
        assert callable(importlib.import_module(module).main)


def test_the_stored_numbers_of_types_do_not_move() -> None:
    """Types are stored by number: the list of R4 is closed, and sorted."""
    types = definitions.resource_types()

    assert (146, "Account", "VisionPrescription") == (len(types), types[0], types[-1])
    assert (31, 103) == (
        definitions.type_numbers()["Coverage"], definitions.type_numbers()["Patient"])  # fmt: skip


def test_every_search_parameter_of_ours_is_under_our_base() -> None:
    """Artefacts carry our canonical base."""
    folder = resources.files("fhir_profiles").joinpath("search_parameters")
    for file in folder.iterdir():
        assert f'"{systems.BASE}/SearchParameter/' in file.read_text("utf-8")
