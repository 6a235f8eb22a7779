"""What tests lean on: both databases, markers that open the network to loopback, hypothesis."""

import os
from collections.abc import Callable, Iterator

import hypothesis
import pytest

from tests import databases
from tests.programs import Programs

hypothesis.settings.register_profile("dev", max_examples=50, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=300, deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")

LOOPBACK = ["127.0.0.1", "localhost", "::1"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests that start programs, browsers or Node talk to this machine, and to no other."""
    for item in items:
        if any(item.get_closest_marker(name) for name in ("loopback", "browser", "node")):
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL for the whole session."""
    with databases.postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session", params=databases.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The database engine; a test that uses it, however indirectly, runs once on each."""
    return str(request.param)


@pytest.fixture(scope="session")
def new_database(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], str]:
    """Makes new, empty databases and returns their URLs."""
    server = request.getfixturevalue("postgres") if kind == "postgresql" else ""
    folder = tmp_path_factory.mktemp(kind)
    return lambda: databases.new(kind, folder, server)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    """A receiver of deliveries, in a process of its own."""
    started = Programs(tmp_path_factory.mktemp("receiver"))
    try:
        started.start("receiver")
        yield started
    finally:
        started.stop()
