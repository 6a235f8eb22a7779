"""The server in one process, on each of the databases."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from server.app import close, create_app
from server.settings import Settings


@pytest.fixture
def app(new_database: Callable[[], str]) -> Iterator[Flask]:
    """Return a server with a database of its own, open to everybody."""
    made = create_app(Settings(database=new_database(), auth="open", allow_private_hooks=True))
    yield made
    close(made)
