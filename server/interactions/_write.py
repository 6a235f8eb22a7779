"""The one write path: version, index rows and events of a resource in one transaction."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fhir_profiles import codec
from server import definitions
from server.errors import BadRequest, NotFound, PreconditionFailed, Unprocessable
from server.interactions.engine import Engine
from server.search.index import Row, extract
from server.search.values import micros
from server.store import deliveries, resources
from server.store.index_rows import IndexRows
from server.store.resources import Current
from server.subscriptions import criteria, events
from server.validation import structure


@dataclass(frozen=True, slots=True)
class Saved:
    """A stored version. `body` is its exact JSON, None for a deletion; `updated` microseconds."""

    type: str
    id: str
    version: int
    updated: int
    body: bytes | None
    created: bool


@dataclass(frozen=True, slots=True)
class Incoming:
    """A checked body on its way into the store; `secret` is a Subscription's, kept apart."""

    type: str
    body: dict[str, Any]
    secret: str = ""


def check(engine: Engine, type_name: str, body: Any) -> Incoming:
    """Return a body that may be stored as `type_name`, before any transaction is opened.

    Raises NotFound for an unknown type, BadRequest where the body is of another type, and
    Unprocessable naming every wrong element.
    """
    if type_name not in definitions.type_numbers():
        raise NotFound("R4 has no such resource type.")
    if isinstance(body, dict) and body.get("resourceType", type_name) != type_name:
        raise BadRequest(f"Expected a {type_name}.", expression="resourceType")
    issues = structure.check(body)
    if issues:
        raise Unprocessable(issues=issues)
    return admit(engine, type_name, body)


def admit(engine: Engine, type_name: str, body: dict[str, Any]) -> Incoming:
    """Return a structurally valid body ready to store; raises what its own type refuses."""
    if type_name == "Subscription":
        private = engine.allow_private_hooks
        return Incoming(type_name, *criteria.accept(body, engine.base, allow_private=private))
    return Incoming(type_name, body)


class Writing:
    """An open write transaction: save and remove resources, read what they are now."""

    def __init__(self, engine: Engine, connection: sqlite3.Connection, trace: str) -> None:
        """Write on `connection`; `trace` follows the events of these writes."""
        self.connection = connection
        self._engine = engine
        self._trace = trace
        self._index = IndexRows(connection, engine.database.names, definitions.type_numbers())
        self.eventful = False

    def current(self, type_name: str, fhir_id: str) -> Current | None:
        """Return the newest version of Type/id as this transaction sees it."""
        return resources.current(self.connection, type_name, fhir_id)

    def save(
        self, incoming: Incoming, fhir_id: str, *, method: str, if_match: int | None = None
    ) -> Saved:
        """Store a new version, unless it says exactly what the current one says.

        Raises PreconditionFailed where `if_match` is not the current version.
        """
        before = self.current(incoming.type, fhir_id)
        _match(before, if_match)
        live = before is not None and not before.deleted
        if before is not None and before.body is not None and live:
            same = _stamped(incoming, fhir_id, before.version, before.updated)
            if codec.is_same(same, before.body) and not self._new_secret(incoming, before.rid):
                return Saved(
                    incoming.type,
                    fhir_id,
                    before.version,
                    before.updated,
                    before.body,
                    created=False,
                )
        updated = self._moment(before)
        version = before.version + 1 if before else 1
        body = _stamped(incoming, fhir_id, version, updated)
        saved = Saved(incoming.type, fhir_id, version, updated, body, created=not live)
        rid = self._put(saved, before, method)
        if incoming.type == "Subscription":
            self._subscription_changed(rid, incoming.secret)
        return saved

    def remove(self, type_name: str, fhir_id: str, *, if_match: int | None = None) -> Saved | None:
        """Delete Type/id; None if there is nothing to delete, or it is deleted already."""
        before = self.current(type_name, fhir_id)
        _match(before, if_match)
        if before is None or before.deleted:
            return None
        updated = self._moment(before)
        version = before.version + 1
        saved = Saved(type_name, fhir_id, version, updated, None, created=False)
        rid = self._put(saved, before, "DELETE")
        if type_name == "Subscription":
            self._subscription_changed(rid, "")
        return saved

    def _put(self, saved: Saved, before: Current | None, method: str) -> int:
        rid, vrid = resources.append(
            self.connection,
            type_name=saved.type,
            fhir_id=saved.id,
            before=before,
            updated=saved.updated,
            method=method,
            body=saved.body,
        )
        old = self._rows(before.body if before else None)
        new = self._rows(saved.body)
        self._index.change(saved.type, rid, removed=old - new, added=new - old)
        revived = before is None or before.deleted
        event = events.Event(
            type=saved.type,
            id=saved.id,
            interaction="delete" if saved.body is None else "create" if revived else "update",
            rid=rid,
            vrid=vrid,
            moment=moment(saved.updated),
            rows=old if saved.body is None else new,
            trace=self._trace,
        )
        found = events.record(self.connection, self._engine.hooks, event, self._engine.new_id)
        self.eventful = self.eventful or found
        return rid

    def _rows(self, body: bytes | None) -> frozenset[Row]:
        return extract(codec.decode(body), self._engine.base) if body else frozenset()

    def _moment(self, before: Current | None) -> int:
        return max(micros(self._engine.now()), before.updated + 1 if before else 0)

    def _new_secret(self, incoming: Incoming, rid: int) -> bool:
        if incoming.type != "Subscription" or incoming.secret == criteria.REDACTED:
            return False
        return incoming.secret != deliveries.secret_of(self.connection, rid)

    def _subscription_changed(self, rid: int, secret: str) -> None:
        if secret == criteria.REDACTED:
            secret = deliveries.secret_of(self.connection, rid)
        deliveries.changed(self.connection, rid, secret)


@contextmanager
def transaction(engine: Engine, trace: str) -> Iterator[Writing]:
    """Open a write transaction; after its commit the dispatcher hears of the events in it."""
    try:
        with engine.database.write() as connection:
            writing = Writing(engine, connection, trace)
            yield writing
    except BaseException:
        engine.hooks.forget()
        raise
    if writing.eventful:
        engine.wake()


def _match(before: Current | None, if_match: int | None) -> None:
    if if_match is None:
        return
    if before is None or before.deleted or before.version != if_match:
        raise PreconditionFailed("If-Match names another version than the current one.")


def _stamped(incoming: Incoming, fhir_id: str, version: int, updated: int) -> bytes:
    """Return the JSON to store: the body as sent, with our id and version in front."""
    meta = {
        **incoming.body.get("meta", {}),
        "versionId": str(version),
        "lastUpdated": instant(updated),
    }
    rest = {k: v for k, v in incoming.body.items() if k not in ("resourceType", "id", "meta")}
    return codec.encode({"resourceType": incoming.type, "id": fhir_id, "meta": meta, **rest})


def instant(updated: int) -> str:
    """Return microseconds since 1970 as a FHIR instant in UTC."""
    return moment(updated).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(updated: int) -> datetime:
    """Return microseconds since 1970 as an aware UTC datetime."""
    return datetime.fromtimestamp(updated // 1_000_000, UTC).replace(
        microsecond=updated % 1_000_000
    )
