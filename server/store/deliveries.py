"""The event log and outbox: a row per Subscription and event, written with the version it tells of.

Rows of a Subscription are numbered without gaps. A row is `due` until it is delivered (`done`) or
given up (`dead`); while its Subscription is in error or not yet active it is `held`. The deliveries
of one Subscription about one resource are a lane: they go out in order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_profiles import codec
from server import definitions
from server.store.connection import Connection
from server.store.packing import unpacked
from server.store.secrets import random_number
from server.store.statements import sql

REAL_TIME, BATCH = 0, 1  # priorities: the smaller goes first
Lane = tuple[int, int, int]  # Subscription row, resource row, priority


@dataclass(frozen=True, slots=True)
class Due:
    """One event for one Subscription. `body` is the version that caused it, b"" for a deletion.

    `created` tells that the resource was not there before.

    `at` is the moment of the event and `due_at` that of the next attempt (or of the last, when
    done), in microseconds since 1970; `head` is the first row of the notification that it was last
    sent in, None before.
    """

    did: int
    subscription: int
    event: int
    rid: int
    uid: str
    trace: str
    attempts: int
    depth: int
    at: int
    due_at: int
    head: int | None
    state: str
    status: int | None
    reason: str
    type: str
    id: str
    version: int
    method: str
    created: bool
    body: bytes

    @property
    def is_over(self) -> bool:
        """Tell whether no attempt is to come: it was taken or given up, and may be sent again."""
        return self.state in ("done", "dead")


@dataclass(frozen=True, slots=True)
class New:
    """An event to be recorded: of version row `vrid` of resource row `rid`, for a Subscription.

    `reason` says why it will not be delivered, "" where it will; `is_held` that it has to wait.
    """

    subscription: int
    rid: int
    vrid: int
    uid: str
    trace: str
    at: int
    depth: int
    priority: int
    is_held: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt: state `done`, `due` (again, at `due_at`) or `dead`."""

    did: int
    state: str
    attempts: int
    due_at: int
    status: int | None
    reason: str = ""
    head: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A Subscription that is not deleted: its rows, its secret, and what its client may do now."""

    rid: int
    vrid: int
    secret: str
    scopes: str


def subscriptions(connection: Connection) -> list[Kept]:
    """Return every Subscription that is not deleted, in the order of their rows."""
    number = definitions.type_numbers()["Subscription"]
    return [Kept(*row) for row in connection.execute(sql("subscriptions"), (number,)).fetchall()]


def epochs(connection: Connection) -> tuple[int, int]:
    """Return two numbers, others whenever any Subscription, and any SearchParameter, changes.

    They never come again: what was read at a number that was undone is not taken for another's.
    """
    row = connection.execute(sql("epochs")).fetchone()
    return row[0], row[1]


def kept_of(connection: Connection, rid: int) -> tuple[str, str]:
    """Return the secret of a Subscription and the client that answers for it, "" for none."""
    row = connection.execute(sql("kept"), (rid,)).fetchone()
    return (str(row[0]), str(row[1])) if row else ("", "")


def events_so_far(connection: Connection, rid: int) -> int:
    """Return how many events a Subscription has had since it was first stored."""
    row = connection.execute(sql("events_so_far"), (rid,)).fetchone()
    return int(row[0]) if row else 0


def changed(connection: Connection, rid: int, secret: str, client: str) -> None:
    """Note that the Subscription in row `rid` changed; keep its secret and who answers for it.

    Where nobody does now, "", whoever did before still does.
    """
    connection.execute(sql("keep_secret"), (rid, secret, client))
    connection.execute(sql("next_epoch"), (random_number(),))


def hold(connection: Connection, rid: int) -> None:
    """Let what waits for a Subscription wait until it is released."""
    connection.execute(sql("hold_deliveries"), (rid,))


def release(connection: Connection, rid: int, now: int) -> list[Lane]:
    """Let go what was held for a Subscription; return the lane of each delivery, in order."""
    lanes = [tuple(row) for row in connection.execute(sql("held_lanes"), (rid,)).fetchall()]
    connection.execute(sql("release_deliveries"), (now, rid))
    return lanes


def drop(connection: Connection, rid: int, now: int, reason: str) -> None:
    """Give up what waits for a Subscription."""
    connection.execute(sql("drop_deliveries"), (now, reason, rid))


def lanes_due(connection: Connection) -> list[Lane]:
    """Return the lane of every delivery that waits, in order."""
    return [tuple(row) for row in connection.execute(sql("lanes_due")).fetchall()]


def add(connection: Connection, events: Iterable[New]) -> None:
    """Add deliveries, each with the next event number of its Subscription, without gaps."""
    for new in events:
        connection.execute(sql("count_event"), (new.subscription,))
        state = "dead" if new.reason else "held" if new.is_held else "due"
        connection.execute(
            sql("insert_delivery"),
            (new.subscription, new.subscription, new.rid, new.vrid, new.uid, new.trace, state,
             new.at, new.at, new.depth, new.priority, new.reason),
        )  # fmt: skip


def due(
    connection: Connection,
    now: int,
    limit: int,
    *,
    known: Iterable[int] = (),
    without: Iterable[int] = (),
) -> list[Due]:
    """Return deliveries due at `now` (microseconds), real-time before batch, then oldest first.

    Of several for one Subscription and resource only the first is given: order is kept. The rows
    `known` are not given again, and those of the Subscriptions `without` are left for later.
    """
    rows, subscriptions = (codec.encode(list(each)).decode() for each in (known, without))
    return _found(connection, sql("where_due"), (now, rows, subscriptions, limit))


def first_of_lane(connection: Connection, subscription: int, rid: int) -> Due | None:
    """Return what goes next to a Subscription about one resource, whenever it is due."""
    found = _found(connection, sql("where_lane"), (subscription, rid))
    return found[0] if found else None


def first_of(connection: Connection, subscription: int) -> Due | None:
    """Return what goes next to a Subscription, whenever it is due."""
    found = _found(connection, sql("where_subscription"), (subscription,))
    return found[0] if found else None


def batch(connection: Connection, first: Due, limit: int) -> list[Due]:
    """Return the events that go out in one notification with `first`.

    What was tried together stays together: its id stands for these events.
    """
    if first.head is not None:
        return _found(connection, sql("where_head"), (first.subscription, first.head))
    return _found(connection, sql("where_never_sent"), (first.subscription, first.did, limit))


def by_uid(connection: Connection, uid: str) -> Due | None:
    """Return a delivery by its id."""
    found = _found(connection, sql("where_uid"), (uid,))
    return found[0] if found else None


def notification_uid(connection: Connection, due: Due) -> str:
    """Return the id under which an event was last sent: that of the first one sent with it."""
    if due.head is None or due.head == due.did:
        return due.uid
    found = _found(connection, sql("where_row"), (due.head,))
    return found[0].uid if found else due.uid


def numbered(
    connection: Connection, subscription: int, since: int, until: int, limit: int
) -> list[Due]:
    """Return the events of a Subscription by their numbers, both ends included."""
    return _found(connection, sql("where_number"), (subscription, since, until, limit))


def listed(
    connection: Connection, wanted: dict[str, object], *, before: int | None, limit: int
) -> list[Due]:
    """Return deliveries, newest first, behind row `before`.

    `wanted` may hold state, sub, type (a number), fhir_id, and since and until (microseconds).
    """
    tests = {
        "state": "d.state = ?", "sub": "d.sub = ?", "type": "r.type = ?",
        "fhir_id": "r.fhir_id = ?", "since": "d.at >= ?", "until": "d.at <= ?",
    }  # fmt: skip
    parts = [tests[name] for name in wanted] + (["d.did < ?"] if before is not None else [])
    where = f"WHERE {' AND '.join(parts)} " if parts else ""
    args = [*wanted.values(), *([before] if before is not None else []), limit]
    return _found(connection, f"{where}ORDER BY d.did DESC LIMIT ?", args)


def _found(connection: Connection, where: str, args: Sequence[object]) -> list[Due]:
    rows = connection.execute(f"{sql('delivery_rows')} {where}", args).fetchall()
    return [_due(row) for row in rows]


def _due(row: tuple[Any, ...]) -> Due:
    *known, kind, fhir_id, version, method, created, body = row
    text = unpacked(body) if body else b""
    values = (*known, definitions.type_name(kind), fhir_id, version, method, bool(created), text)
    return Due(*values)


def settle(connection: Connection, outcomes: Iterable[Outcome]) -> None:
    """Record the outcomes of attempts; what was given up meanwhile stays given up."""
    for one in outcomes:
        connection.execute(
            sql("settle_delivery"),
            (one.state, one.state, one.attempts, one.due_at, one.status, one.reason, one.head,
             one.did),
        )  # fmt: skip


def send_again(connection: Connection, did: int, now: int) -> None:
    """Let a delivery be due once more, as it was, with all attempts before it."""
    connection.execute(sql("send_again"), (now, did))


def remove_done(connection: Connection, before: int, limit: int) -> int:
    """Forget deliveries that were taken before a moment; return how many, at most `limit`."""
    return len(connection.execute(sql("delete_done"), (before, limit)).fetchall())


def counts(connection: Connection) -> tuple[int, int, int]:
    """Return how many deliveries wait, were given up, and are held."""
    waiting, dead, held = connection.execute(sql("delivery_counts")).fetchone()
    return waiting, dead, held
