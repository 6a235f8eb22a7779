"""The server in one process, and an engine of deliveries, on each of the databases."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from server.app import close, create_app
from server.settings import Settings
from server.store.database import Database
from tests.stations import HeldSender, Station


@pytest.fixture
def app(new_database: Callable[[], str]) -> Iterator[Flask]:
    """Return a server with a database of its own, open to everybody."""
    made = create_app(Settings(database=new_database(), auth="open", allow_private_hooks=True))
    yield made
    close(made)


@pytest.fixture
def database(new_database: Callable[[], str]) -> Iterator[Database]:
    made = Database(new_database())
    yield made
    made.close()


@pytest.fixture
def station(database: Database) -> Iterator[Callable[..., Station]]:
    made: list[Station] = []

    def build(sender: Any = None, *, is_open: bool = True) -> Station:
        made.append(Station(database, sender or HeldSender(), is_open=is_open))
        return made[-1]

    yield build
    for one in made:
        if one.dispatch._thread.is_alive():  # type: ignore[attr-defined]
            one.dispatch.stop()
