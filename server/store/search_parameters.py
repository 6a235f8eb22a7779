"""The SearchParameter resources in force, and whether every resource is indexed for each."""

from server.store.connection import Connection
from server.store.packing import unpacked
from server.store.secrets import random_number
from server.store.statements import sql


def stored(connection: Connection) -> list[tuple[bytes, bool]]:
    """Return (body, ready) of every SearchParameter that is not deleted."""
    rows = connection.execute(sql("parameter_resources")).fetchall()
    return [(unpacked(body), bool(ready)) for body, ready in rows]


def changed(connection: Connection, rid: int) -> None:
    """Note that the SearchParameter in row `rid` changed: it waits to be indexed."""
    connection.execute(sql("keep_parameter"), (rid, 0))
    connection.execute(sql("next_parameter_epoch"), (random_number(),))


def all_ready(connection: Connection) -> None:
    """Note that every resource is indexed for every SearchParameter."""
    connection.execute(sql("parameters_ready"))
    connection.execute(sql("next_parameter_epoch"), (random_number(),))
