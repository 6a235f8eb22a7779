"""The one write path: version, index rows and events of a resource in one transaction."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from fhir_profiles import codec
from server import definitions
from server.access.caller import ANYBODY, Caller
from server.errors import (
    BadRequest,
    Conflict,
    Issue,
    MethodRefused,
    NotFound,
    PreconditionFailed,
    Unprocessable,
)
from server.interactions._outbox import Outbox
from server.interactions.engine import Engine
from server.search import parameters
from server.search.index import Row, extract
from server.search.parameters import Parameters
from server.search.values import instant, micros, moment
from server.store import deliveries, resources, search_parameters
from server.store.connection import Connection, Contention
from server.store.deliveries import Due
from server.store.index_rows import IndexRows
from server.store.resources import Current
from server.subscriptions import criteria, events, hook
from server.subscriptions.criteria import Door
from server.validation import check as validation

T = TypeVar("T")


class _Defines(Exception):
    """The work changes what all writes go by, and has to run again with no other beside it."""


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
    """A checked body on its way into the store; `secret` is a Subscription's, kept apart.

    All that takes time is made ahead, while nobody waits for the writer: `members` is the JSON of
    all but type, id and meta; `rows` are the index rows by the search parameters `known`.
    """

    type: str
    body: dict[str, Any]
    secret: str
    members: bytes
    known: Parameters
    rows: frozenset[Row]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a write comes from: its trace, and a Provenance to store with it (X-Provenance).

    `depth` is how many deliveries led to it, 0 for a person's; `priority` that of its own
    deliveries; `caller` who asked for it. Source: FHIR R4 provenance.html#header.
    """

    trace: str
    provenance: Incoming | None = None
    depth: int = 0
    priority: int = deliveries.REAL_TIME
    caller: Caller = ANYBODY


def known_type(type_name: str) -> None:
    """Raise NotFound unless R4 has this resource type."""
    if type_name not in definitions.type_numbers():
        raise NotFound("R4 has no such resource type.")


def check(engine: Engine, type_name: str, body: Any, known: Parameters | None = None) -> Incoming:
    """Return a body that may be stored as `type_name`.

    `known` are the search parameters in force, where a transaction is open already. Raises
    NotFound for an unknown type, BadRequest where the body is of another type, and Unprocessable
    naming every wrong element.
    """
    known_type(type_name)
    if isinstance(body, dict) and body.get("resourceType", type_name) != type_name:
        raise BadRequest(f"Expected a {type_name}.", expression="resourceType")
    issues = validation.check(body)
    if issues:
        raise Unprocessable(issues=issues)
    return admit(engine, type_name, body, known)


def admit(
    engine: Engine, type_name: str, body: dict[str, Any], known: Parameters | None = None
) -> Incoming:
    """Return a valid body ready to store; raises what its own type refuses."""
    if type_name == "Subscription":
        if known is None:
            with engine.database.read() as connection:
                known = engine.registry.parameters(connection)
        kept, secret = criteria.accept(body, Door(engine.base, known, engine.policy))
        return _made_ready(engine, type_name, kept, secret, known)
    if type_name == "SearchParameter" and body["status"] == "active":
        found = [
            Issue("not-supported", text, f"SearchParameter.{element}")
            for element, text in parameters.problems(body)
        ]
        if found:
            raise Unprocessable(issues=found)
    return _made_ready(engine, type_name, body, "", known or engine.registry.latest)


def ready(engine: Engine, type_name: str, body: dict[str, Any], *, secret: str = "") -> Incoming:
    """Return a body of our own making ready to store."""
    return _made_ready(engine, type_name, body, secret, engine.registry.latest)


def _made_ready(
    engine: Engine, type_name: str, body: dict[str, Any], secret: str, known: Parameters
) -> Incoming:
    members = {k: v for k, v in body.items() if k not in ("resourceType", "id", "meta")}
    rows = extract(body, known, engine.base)
    return Incoming(type_name, body, secret, codec.encode(members), known, rows)


class Writing:
    """An open write transaction: save and remove resources, read what they are now."""

    def __init__(self, engine: Engine, connection: Connection, origin: Origin) -> None:
        """Write on `connection`; trace and depth of `origin` follow the events of these writes."""
        self.connection = connection
        self._engine = engine
        self._caller = origin.caller
        self._index = IndexRows(connection, engine.database.names)
        # Read at once, which on PostgreSQL waits for the turn: the moment of a write is after it.
        self._epochs = deliveries.epochs(connection)
        self._outbox = Outbox(engine, connection, (origin.trace, origin.depth, origin.priority))

    @property
    def parameters(self) -> Parameters:
        """The search parameters in force."""
        return self._engine.registry.at(self.connection, self._epochs[1])

    def current(self, type_name: str, fhir_id: str) -> Current | None:
        """Return the newest version of Type/id; nobody else changes it before we are done."""
        return resources.current(self.connection, type_name, fhir_id, lock=True)

    def alone(self, type_name: str) -> None:
        """Let conditional writes of a type wait for each other until this one commits."""
        self.connection.guard(definitions.type_numbers()[type_name])

    def create(self, incoming: Incoming, fhir_id: str) -> Saved:
        """Store the first version under an id that is new."""
        return self._store(incoming, fhir_id, None, "POST")

    def save(
        self, incoming: Incoming, fhir_id: str, *, method: str, if_match: int | None = None
    ) -> Saved:
        """Store a new version, unless it says exactly what the current one says.

        Raises PreconditionFailed where `if_match` is not the current version.
        """
        before = self.current(incoming.type, fhir_id)
        match(before, if_match)
        if before is not None and before.body is not None:
            same = _stamped(incoming, fhir_id, before.version, before.updated)
            if codec.is_same(same, before.body) and not self._is_other(incoming, before.rid):
                version, updated = before.version, before.updated
                return Saved(incoming.type, fhir_id, version, updated, before.body, created=False)
        return self._store(incoming, fhir_id, before, method)

    def remove(self, type_name: str, fhir_id: str, *, if_match: int | None = None) -> Saved | None:
        """Delete Type/id; None if there is nothing to delete, or it is deleted already."""
        before = self.current(type_name, fhir_id)
        match(before, if_match)
        if before is None or before.deleted:
            return None
        updated = self._moment(before)
        saved = Saved(type_name, fhir_id, before.version + 1, updated, None, created=False)
        self._put(saved, before, "DELETE", None)
        return saved

    def note(self, incoming: Incoming) -> None:
        """Store an AuditEvent of ours, which is no event itself: telling of it would never end."""
        saved = self._first(incoming, self._engine.new_id())
        self._put(saved, None, "POST", incoming, is_event=False)

    def send_again(self, dues: Iterable[Due]) -> None:
        """Let deliveries go out once more, as they were, with the whole schedule before them."""
        self._outbox.send_again(dues, micros(self._engine.now()))

    def tell_again(self, type_name: str, fhir_id: str, only: str) -> int:
        """Make a new event of the current version for each Subscription it concerns; count them.

        With `only`, an id, for no other Subscription. Raises NotFound where there is no version.
        """
        current = self.current(type_name, fhir_id)
        if current is None:
            raise NotFound(f"There is no {type_name} with this id.")
        newest, *older = resources.history(
            self.connection, (type_name, fhir_id), resources.Span(), before=None, limit=2
        )
        body = codec.decode(newest.body) if newest.body is not None else None
        previous = codec.decode(older[0].body) if older and older[0].body is not None else None
        event = events.Event(
            type=type_name,
            id=fhir_id,
            interaction=_interaction(newest.body, was_there=not newest.created),
            rid=current.rid,
            vrid=newest.row,
            moment=moment(newest.updated),
            before=self._rows(previous) if previous is not None else None,
            after=self._rows(body) if body is not None else None,
            previous=previous,
            body=newest.body,
        )
        now = micros(self._engine.now())
        return self._outbox.tell_again(self._epochs, event, only, now)

    def _first(self, incoming: Incoming, fhir_id: str) -> Saved:
        updated = self._moment(None)
        body = _stamped(incoming, fhir_id, 1, updated)
        return Saved(incoming.type, fhir_id, 1, updated, body, created=True)

    def _store(
        self, incoming: Incoming, fhir_id: str, before: Current | None, method: str
    ) -> Saved:
        updated = self._moment(before)
        version = before.version + 1 if before else 1
        body = _stamped(incoming, fhir_id, version, updated)
        created = before is None or before.deleted
        saved = Saved(incoming.type, fhir_id, version, updated, body, created=created)
        self._put(saved, before, method, incoming)
        return saved

    def _put(
        self,
        saved: Saved,
        before: Current | None,
        method: str,
        incoming: Incoming | None,
        *,
        is_event: bool = True,
    ) -> None:
        if before is not None and saved.type in definitions.RECORDS:
            raise MethodRefused(f"{saved.type} is a record: it is stored once and never changed.")
        rid, vrid, statements = resources.next_version(
            numbers=self._engine.database.next_numbers(self.connection),
            type_name=saved.type,
            fhir_id=saved.id,
            before=before,
            updated=saved.updated,
            method=method,
            body=saved.body,
        )
        there = before is not None and before.body is not None
        previous = codec.decode(before.body) if before is not None and before.body else None
        old = self._rows(previous) if previous is not None else frozenset()
        new: frozenset[Row] = frozenset()
        if incoming is not None:
            is_ready = incoming.known is self.parameters
            new = incoming.rows if is_ready else self._rows(incoming.body)
        self._index.change(
            saved.type, rid, removed=old - new, added=new - old, statements=statements
        )
        self._note_change(saved, rid, incoming.secret if incoming else "", previous)
        if is_event and self._outbox.is_watched(self._epochs, saved.type):
            self._outbox.notice(self._epochs, events.Event(
                type=saved.type,
                id=saved.id,
                interaction=_interaction(saved.body, was_there=there),
                rid=rid,
                vrid=vrid,
                moment=moment(saved.updated),
                before=old if there else None,
                after=new if saved.body is not None else None,
                previous=previous,
                body=saved.body,
            ))  # fmt: skip

    def end(self) -> bool:
        """Record the events of what was written, after all else; tell whether any is to be sent."""
        for body in self._outbox.loops():
            self.note(ready(self._engine, "AuditEvent", body))
        return self._outbox.close()

    def _rows(self, body: dict[str, Any]) -> frozenset[Row]:
        return extract(body, self.parameters, self._engine.base)

    def _note_change(
        self, saved: Saved, rid: int, secret: str, previous: dict[str, Any] | None
    ) -> None:
        if saved.type not in ("Subscription", "SearchParameter"):
            return
        if not self.connection.is_alone:
            raise _Defines
        if saved.type == "Subscription":
            if secret == criteria.REDACTED:
                secret, _ = deliveries.kept_of(self.connection, rid)
                if not secret and criteria.REDACTED.encode() in (saved.body or b""):
                    text = "Asterisks keep the secret that is stored, and there is none: send it."
                    raise Unprocessable(text, expression="Subscription.extension")
            body = codec.decode(saved.body) if saved.body is not None else {}
            if body:
                self._caller.demand(hook.needed(body, previous), "Subscription.criteria")
            deliveries.changed(self.connection, rid, secret, self._caller.client)
            if body.get("status") != (previous or {}).get("status"):
                self._outbox.turn(rid, body, saved.updated)
        else:
            search_parameters.changed(self.connection, rid)
        self._epochs = deliveries.epochs(self.connection)

    def _moment(self, before: Current | None) -> int:
        return max(micros(self._engine.now()), before.updated + 1 if before else 0)

    def _is_other(self, incoming: Incoming, rid: int) -> bool:
        """Tell whether a Subscription that says the same has another secret, or another client."""
        if incoming.type != "Subscription":
            return False
        secret, client = deliveries.kept_of(self.connection, rid)
        is_new = incoming.secret not in (criteria.REDACTED, secret)
        return is_new or self._caller.client not in ("", client)


def transact(
    engine: Engine, origin: Origin, work: Callable[[Writing], T], *, fresh: bool = False
) -> T:
    """Do `work` in one write transaction and return its result; then the dispatcher hears of it.

    The Provenance of `origin`, if any, is stored with what was saved. `work` may run again, from
    the start, where another transaction stood in the way. Raises Conflict when that does not end.
    """

    def write(connection: Connection) -> tuple[T, bool]:
        writing = Writing(engine, connection, origin)
        done = work(writing)
        if origin.provenance is not None and isinstance(done, Saved):
            writing.create(_of_target(engine, origin.provenance, done), engine.new_id())
        return done, writing.end()

    try:
        try:
            done, eventful = engine.database.transact(write, fresh=fresh)
        except _Defines:
            done, eventful = engine.database.transact(write, alone=True)
    except Contention as error:
        text = "Others are writing the same resources; send the request again."
        raise Conflict(text) from error
    if eventful:
        engine.dispatch.wake(origin.depth)
    return done


def _of_target(engine: Engine, provenance: Incoming, saved: Saved) -> Incoming:
    address = f"{saved.type}/{saved.id}/_history/{saved.version}"
    body = {**provenance.body, "target": [{"reference": address}]}
    return _made_ready(engine, provenance.type, body, "", provenance.known)


def match(before: Current | None, if_match: int | None) -> None:
    """Raise PreconditionFailed unless `before` is live and of version `if_match` (None: any)."""
    if if_match is None:
        return
    if before is None or before.deleted or before.version != if_match:
        raise PreconditionFailed("If-Match names another version than the current one.")


def _interaction(body: bytes | None, *, was_there: bool) -> str:
    if body is None:
        return "delete"
    return "update" if was_there else "create"


def _stamped(incoming: Incoming, fhir_id: str, version: int, updated: int) -> bytes:
    """Return the JSON to store: the body as sent, with our id and version in front."""
    meta = {
        **incoming.body.get("meta", {}),
        "versionId": str(version),
        "lastUpdated": instant(updated),
    }
    head = codec.encode({"resourceType": incoming.type, "id": fhir_id, "meta": meta})
    return head[:-1] + b"," + incoming.members[1:] if len(incoming.members) > len(b"{}") else head
