"""The outbox: one row per Subscription and event, written with the resource version it tells of."""

from collections.abc import Iterable
from dataclasses import dataclass

from server import definitions
from server.store.connection import Connection
from server.store.resources import unpacked
from server.store.secrets import random_number
from server.store.statements import sql


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery whose time has come. `body` is the version that caused it, b"" for a deletion."""

    did: int
    subscription: int
    rid: int
    uid: str
    trace: str
    attempts: int
    method: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt: state `done`, `due` (again, at `due_at`) or `dead`."""

    did: int
    state: str
    attempts: int
    due_at: int
    status: int | None


def subscriptions(connection: Connection) -> list[tuple[int, bytes, str]]:
    """Return (row, body, secret) of every Subscription that is not deleted."""
    number = definitions.type_numbers()["Subscription"]
    rows = connection.execute(sql("subscriptions"), (number,))
    return [(rid, unpacked(body), secret) for rid, body, secret in rows]


def epochs(connection: Connection) -> tuple[int, int]:
    """Return two numbers, others whenever any Subscription, and any SearchParameter, changes.

    They never come again: what was read at a number that was undone is not taken for another's.
    """
    row = connection.execute(sql("epochs")).fetchone()
    return row[0], row[1]


def secret_of(connection: Connection, rid: int) -> str:
    """Return the kept secret of a Subscription, "" if it has none."""
    row = connection.execute(sql("secret"), (rid,)).fetchone()
    return str(row[0]) if row else ""


def changed(connection: Connection, rid: int, secret: str) -> None:
    """Note that the Subscription in row `rid` changed, and keep its secret."""
    connection.execute(sql("keep_secret"), (rid, secret))
    connection.execute(sql("next_epoch"), (random_number(),))


def add(  # noqa: PLR0913 the columns of a delivery
    connection: Connection,
    *,
    subscription: int,
    rid: int,
    vrid: int,
    uid: str,
    trace: str,
    due_at: int,
) -> None:
    """Add one delivery with the next event number of its Subscription, without gaps."""
    event = connection.execute(sql("next_event"), (subscription,)).fetchone()[0]
    row = (subscription, event, rid, vrid, uid, trace, due_at)
    connection.execute(sql("insert_delivery"), row)


def due(connection: Connection, now: int, limit: int, *, without: Iterable[int] = ()) -> list[Due]:
    """Return deliveries due at `now` (microseconds), oldest first.

    Of several for one Subscription and resource only the first is given: order is kept. Those of
    the Subscriptions `without` are left for later.
    """
    left = list(without)
    spared = f"AND d.sub NOT IN ({', '.join('?' * len(left))}) " if left else ""
    text = sql("due_deliveries").replace("AND NOT EXISTS", f"{spared}AND NOT EXISTS")
    rows = connection.execute(text, (now, *left, limit)).fetchall()
    return [
        Due(did, sub, rid, uid, trace, attempts, method, unpacked(body) if body else b"")
        for did, sub, rid, uid, trace, attempts, method, body in rows
    ]


def settle(connection: Connection, outcomes: Iterable[Outcome]) -> None:
    """Record the outcomes of attempts."""
    for one in outcomes:
        row = (one.state, one.attempts, one.due_at, one.status, one.did)
        connection.execute(sql("settle_delivery"), row)


def counts(connection: Connection) -> tuple[int, int]:
    """Return how many deliveries wait (for their first or a later attempt) and were given up."""
    waiting, dead = connection.execute(sql("delivery_counts")).fetchone()
    return waiting, dead
