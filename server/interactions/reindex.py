"""Holds the index against the bodies: every row that is missing is added, every other removed."""

from collections.abc import Callable
from dataclasses import dataclass

from fhir_profiles import codec
from server import definitions
from server.interactions.engine import Engine
from server.search.index import extract
from server.store import deliveries, resources, search_parameters
from server.store.connection import Connection
from server.store.index_rows import IndexRows

BATCH = 100
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Reindexed:
    """How many resources were looked at, and the index rows of how many were not right."""

    looked_at: int
    changed: int


def is_due(engine: Engine) -> bool:
    """Tell whether resources were indexed by an older release."""
    with engine.database.read() as connection:
        return resources.count_older_plan(connection) > 0


def reindex(engine: Engine, progress: Progress) -> Reindexed:
    """Index every resource anew, in batches, while others read and write.

    `progress` hears how many of how many are done. At the end every stored SearchParameter can be
    searched by. May be run at any time, and again after it was broken off.
    """
    while True:
        with engine.database.read() as connection:
            epoch = deliveries.epochs(connection)[1]
            whole = resources.count_all(connection)
        looked_at, changed, last = 0, 0, 0
        while True:
            with engine.database.write() as connection:
                found = resources.next_after(connection, last, BATCH)
                changed += sum(_anew(engine, connection, *row) for row in found)
            if not found:
                break
            looked_at += len(found)
            last = found[-1][0]
            progress(looked_at, max(whole, looked_at))
        with engine.database.write() as connection:
            connection.hold("SELECT epoch FROM subscription_epoch", ())  # no change meanwhile
            if deliveries.epochs(connection)[1] == epoch:
                search_parameters.all_ready(connection)
                return Reindexed(looked_at, changed)


def _anew(
    engine: Engine, connection: Connection, rid: int, number: int, body: bytes | None
) -> bool:
    """Put the index rows of one resource right; tell whether they were not."""
    known = engine.registry.parameters(connection)
    rows = extract(codec.decode(body), known, engine.base) if body else frozenset()
    index = IndexRows(connection, engine.database.names)
    changed = index.replace(definitions.type_name(number), rid, rows)
    resources.set_plan(connection, rid)
    return changed
