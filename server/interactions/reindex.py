"""Holds the index against the bodies: every row that is missing is added, every other removed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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
            count, more, last = engine.database.transact(partial(_batch, engine, last))
            if not count:
                break
            looked_at += count
            changed += more
            progress(looked_at, max(whole, looked_at))
        if engine.database.transact(partial(_end, epoch), alone=True):
            return Reindexed(looked_at, changed)


def _batch(engine: Engine, last: int, connection: Connection) -> tuple[int, int, int]:
    """Index the resources behind a row; return how many, how many were not right, the last row."""
    found = resources.next_after(connection, last, BATCH)
    changed = sum(_anew(engine, connection, *row) for row in found)
    return len(found), changed, found[-1][0] if found else last


def _end(epoch: int, connection: Connection) -> bool:
    """Let all SearchParameters be searched by, unless one changed meanwhile; tell which."""
    if deliveries.epochs(connection)[1] != epoch:
        return False
    search_parameters.all_ready(connection)
    return True


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
