"""Ticks of the clock that fire once, however many processes hear them."""

from server.store.connection import Connection
from server.store.statements import sql


def take(connection: Connection, name: str, slot: int) -> bool:
    """Tell whether the tick `slot` of `name` is ours: nobody had it, or one after it, before."""
    return connection.execute(sql("take_tick"), (name, slot)).fetchone() is not None
