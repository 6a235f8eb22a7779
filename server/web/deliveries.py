"""The operator's pages of deliveries: what waits, what was given up, each attempt, send again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import codec, elements, systems
from server import definitions
from server.errors import NotFound
from server.interactions import _write, search
from server.interactions._write import Origin, Writing
from server.interactions.engine import Engine
from server.search import values
from server.store import deliveries
from server.store.connection import Connection
from server.store.deliveries import Due

LIMIT, ROW_DIGITS = 50, 19
# What people read for a state, and how it looks (see site.css).
STATES = {
    "due": ("Waiting", "open", "…"),
    "held": ("Held", "look", "!"),
    "dead": ("Given up", "bad", "×"),
    "done": ("Delivered", "good", "✓"),
}
_OUTCOMES = {"0": ("Taken", "good", "✓"), "4": ("Failed, again later", "look", "!")}
_FAILED = ("Failed for good", "bad", "×")


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery in the list. `state` is words, look and sign."""

    uid: str
    subscription: str
    event: int
    resource: str
    state: tuple[str, str, str]
    attempts: int
    status: int | None
    reason: str
    at: datetime
    next: datetime | None
    may_go_again: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, as its AuditEvent tells."""

    at: datetime
    outcome: tuple[str, str, str]
    text: str
    wrote: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """The list with the filters it was asked by; `before` leads to older ones, "" if none."""

    rows: list[Row]
    filters: Mapping[str, str]
    before: str
    counts: tuple[int, int, int]


def listing(engine: Engine, asked: Mapping[str, str], zone: ZoneInfo) -> Listing:
    """Return deliveries, newest first, by `state`, `subscription` and `resource` (Type or Type/id).

    What is asked wrongly finds nothing.
    """
    filters = {name: asked.get(name, "").strip() for name in ("state", "subscription", "resource")}
    before = asked.get("before", "")
    with engine.database.read() as connection:
        names = _names(engine, connection)
        wanted = _wanted(filters, names)
        found: list[Due] = []
        if wanted is not None:
            place = int(before) if before.isdecimal() and len(before) < ROW_DIGITS else None
            found = deliveries.listed(connection, wanted, before=place, limit=LIMIT + 1)
        counts = deliveries.counts(connection)
    rows = [_row(due, names, zone) for due in found[:LIMIT]]
    older = str(found[LIMIT - 1].did) if len(found) > LIMIT else ""
    return Listing(rows, filters, older, counts)


def one(engine: Engine, uid: str, zone: ZoneInfo) -> tuple[Row, list[Attempt]]:
    """Return a delivery and its attempts, the newest first. Raises NotFound where there is none."""
    with engine.database.read() as connection:
        due = deliveries.by_uid(connection, uid)
        names = _names(engine, connection)
        if due is None:
            raise NotFound("There is no such delivery.")
        sent_as = deliveries.notification_uid(connection, due)
    about = ("entity:identifier", f"{systems.DELIVERY}|{sent_as}")
    page = search.search(engine, "AuditEvent", [about, ("_sort", "-date"), ("_count", "100")])
    attempts = [_attempt(codec.decode(match.body), zone) for match in page.matches]
    return _row(due, names, zone), attempts


def again(engine: Engine, uid: str) -> None:
    """Let a delivery go out once more, if it was taken or given up."""

    def work(writing: Writing) -> None:
        due = deliveries.by_uid(writing.connection, uid)
        if due is not None and due.is_over:
            writing.send_again([due])

    _write.transact(engine, Origin(engine.new_id()), work)


def _names(engine: Engine, connection: Connection) -> dict[int, str]:
    return {rid: hook.id for rid, hook in engine.hooks.by_row(connection).items()}


def _wanted(filters: Mapping[str, str], names: Mapping[int, str]) -> dict[str, object] | None:
    wanted: dict[str, object] = {}
    if filters["state"] in STATES:
        wanted["state"] = filters["state"]
    if filters["subscription"]:
        wish = filters["subscription"].removeprefix("Subscription/")
        rows = [rid for rid, name in names.items() if name == wish]
        if not rows:
            return None
        wanted["sub"] = rows[0]
    kind, _, fhir_id = filters["resource"].partition("/")
    if kind:
        if kind not in definitions.type_numbers():
            return None
        wanted["type"] = definitions.type_numbers()[kind]
    if fhir_id:
        wanted["fhir_id"] = fhir_id
    return wanted


def _row(due: Due, names: Mapping[int, str], zone: ZoneInfo) -> Row:
    return Row(
        uid=due.uid,
        subscription=names.get(due.subscription, "deleted"),
        event=due.event,
        resource=f"{due.type}/{due.id}",
        state=STATES[due.state],
        attempts=due.attempts,
        status=due.status,
        reason=due.reason,
        at=values.moment(due.at).astimezone(zone),
        next=values.moment(due.due_at).astimezone(zone) if due.state == "due" else None,
        may_go_again=due.is_over,
    )


def _attempt(audit: dict[str, Any], zone: ZoneInfo) -> Attempt:
    created = (e for e in audit.get("entity", []) if "lifecycle" in e)
    return Attempt(
        at=datetime.fromisoformat(audit["recorded"]).astimezone(zone),
        outcome=_OUTCOMES.get(audit.get("outcome", ""), _FAILED),
        text=audit.get("outcomeDesc", ""),
        wrote=tuple(elements.reference(entity["what"]) for entity in created),
    )
