"""How far files were loaded."""

from server.store.connection import Connection
from server.store.statements import sql


def done(connection: Connection, source: str) -> int:
    """Return how many items of a source were loaded, 0 if none."""
    row = connection.execute(sql("loaded"), (source,)).fetchone()
    return int(row[0]) if row else 0


def keep(connection: Connection, source: str, count: int) -> None:
    """Note that `count` items of a source are loaded."""
    connection.execute(sql("keep_loaded"), (source, count))
