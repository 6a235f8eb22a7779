"""Batch and transaction: FHIR R4 http.html#transaction, http.html#trules.

A transaction is one database transaction: all or nothing. The order is DELETE, POST, PUT and PATCH,
GET and HEAD; the answers stand in the order of the request.
"""

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from fhir_profiles import codec
from server.errors import BadRequest, FhirError, Issue, Unprocessable
from server.interactions import (
    _changes,
    _write,
    bundle_entry,
    history,
    links,
    patch,
    read,
    search,
    update,
)
from server.interactions._write import Incoming, Origin, Saved, Writing
from server.interactions.bundle_entry import Operation
from server.interactions.engine import Engine
from server.interactions.history import Past
from server.interactions.read import Found
from server.interactions.search import Page
from server.search import values
from server.search.values import time_range
from server.validation import check as validation

ENTRIES_LIMIT = 1000
_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A conditional GET whose client has the current version already."""


Result = Saved | Found | Page | Past | Unchanged | FhirError | None


def run(engine: Engine, bundle: Any, *, origin: Origin) -> tuple[str, list[Result]]:
    """Run a Bundle of type batch or transaction; return its type and one result per entry.

    A result is what the single interaction gives (None for a deletion); in a batch it may be the
    error that the entry met. Raises the first error in a transaction, with nothing stored, and
    Unprocessable naming every wrong element of the Bundle.
    """
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise BadRequest("Expected a Bundle.", expression="resourceType")
    kind = bundle.get("type")
    if kind not in ("batch", "transaction"):
        raise BadRequest(
            "Expected a Bundle of type batch or transaction.", expression="Bundle.type"
        )
    entries = bundle.get("entry", [])
    if isinstance(entries, list) and len(entries) > ENTRIES_LIMIT:
        raise BadRequest(
            f"A Bundle may hold up to {ENTRIES_LIMIT} entries.", expression="Bundle.entry"
        )
    if kind == "batch":
        if not isinstance(entries, list):
            raise Unprocessable(issues=validation.check(bundle))
        return kind, _apart(engine, bundle, origin)
    bundle = links.found(engine, bundle, origin.caller)
    issues = validation.check(bundle)
    if issues:
        raise Unprocessable(issues=issues)
    operations = [
        bundle_entry.read(entry, f"Bundle.entry[{i}]", origin.caller)
        for i, entry in enumerate(entries_of(bundle))
    ]
    return kind, _together(engine, operations, origin)


def entries_of(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of a Bundle, which may have none."""
    entries: list[dict[str, Any]] = bundle.get("entry", [])
    return entries


def _apart(engine: Engine, bundle: dict[str, Any], origin: Origin) -> list[Result]:
    """Run each entry of a batch by itself; where all only read, they do so from one snapshot."""
    entries = bundle.get("entry", [])
    if not all(map(_is_reading, entries)) or validation.check(bundle):
        return [_alone(engine, bundle, index, origin) for index in range(len(entries))]
    with engine.database.read() as connection:
        return [_asked(engine, connection, bundle, i, origin) for i in range(len(entries))]


def _is_reading(entry: Any) -> bool:
    if not isinstance(entry, dict) or "resource" in entry:
        return False
    request = entry.get("request")
    return isinstance(request, dict) and request.get("method") in ("GET", "HEAD")


def _asked(
    engine: Engine, connection: Any, bundle: dict[str, Any], index: int, origin: Origin
) -> Result:
    try:
        operation = bundle_entry.read(
            bundle["entry"][index], f"Bundle.entry[{index}]", origin.caller
        )
        return _gotten(engine, connection, operation)
    except FhirError as error:
        return error


def _alone(engine: Engine, bundle: dict[str, Any], index: int, origin: Origin) -> Result:
    try:
        single = {"resourceType": "Bundle", "type": "batch", "entry": [bundle["entry"][index]]}
        single = links.found(engine, single, origin.caller)
        issues = validation.check(single)
        if issues:
            raise Unprocessable(issues=issues)
        entry = single["entry"][0]
        links.refuse_crossing(entry, bundle["entry"])
        operation = bundle_entry.read(entry, f"Bundle.entry[{index}]", origin.caller)
        return _together(engine, [operation], origin)[0]
    except FhirError as error:
        return error


def _together(engine: Engine, operations: list[Operation], origin: Origin) -> list[Result]:
    order = sorted(range(len(operations)), key=lambda i: _ORDER[operations[i].method])

    def work(writing: Writing) -> list[Result]:
        results: list[Result] = [None] * len(operations)
        batch = _Batch(engine, writing, operations)
        for index in order:
            with _placed(operations[index]):
                results[index] = batch.run(index)
        return results

    if all(operation.method in ("GET", "HEAD") for operation in operations):
        return _only_reading(engine, operations)
    return _write.transact(engine, origin, work)


def _only_reading(engine: Engine, operations: list[Operation]) -> list[Result]:
    """Answer GETs from one snapshot, without waiting for the writer."""
    with engine.database.read() as connection:
        return [_gotten(engine, connection, operation) for operation in operations]


def _gotten(engine: Engine, connection: Any, operation: Operation) -> Result:
    with _placed(operation):
        return _get(engine, connection, operation)


@contextmanager
def _placed(operation: Operation) -> Iterator[None]:
    """Put the entry's place in front of the errors of one entry."""
    try:
        yield
    except FhirError as error:
        error.issues = tuple(
            Issue(i.code, i.text, f"{operation.place}: {i.expression}".rstrip(": "))
            for i in error.issues
        )
        raise


class _Batch:
    """The entries of one transaction, their identities settled before the first is written."""

    def __init__(self, engine: Engine, writing: Writing, operations: list[Operation]) -> None:
        self._engine = engine
        self._writing = writing
        self._named: dict[str, str] = {}
        self._operations: list[Operation] = []
        self._conditional: dict[tuple[str, str], str] = {}
        taken: set[tuple[str, str]] = set()
        # In one order, whatever that of the entries: two Bundles would wait for each other.
        for name in sorted({o.type for o in operations if o.is_conditional}):
            writing.alone(name)
        for operation in operations:
            with _placed(operation):
                settled = self._settled(operation)
                self._refuse_twin(settled, taken)
            self._operations.append(settled)
            if settled.full_url and settled.method in ("POST", "PUT"):
                self._named[settled.full_url] = f"{settled.type}/{settled.id}"

    def _settled(self, operation: Operation) -> Operation:
        """Return the operation with the id that it will concern."""
        if operation.method == "POST":
            return replace(operation, id=self._future_id(operation))
        if operation.id or operation.method in ("GET", "HEAD"):
            return operation
        writing, kind, query = self._writing, operation.type, operation.query
        if operation.method == "PATCH":
            fhir_id = patch.target(self._engine, writing, kind, query)
        elif operation.method == "PUT":
            fhir_id = update.target(self._engine, writing, operation.body or {}, query, kind)
        else:
            writing.alone(kind)
            fhir_id = search.sole_match(self._engine, writing.connection, kind, query) or ""
        return replace(operation, id=fhir_id)

    def _future_id(self, operation: Operation) -> str:
        """Return the id under which a POST will stand: the existing one if its condition is met."""
        condition = operation.request.get("ifNoneExist", "")
        if not condition:
            return self._engine.new_id()
        key = (operation.type, condition)
        if key not in self._conditional:
            self._writing.alone(operation.type)
            there = search.sole_match(
                self._engine, self._writing.connection, operation.type, condition
            )
            self._conditional[key] = there or self._engine.new_id()
        return self._conditional[key]

    @staticmethod
    def _refuse_twin(operation: Operation, taken: set[tuple[str, str]]) -> None:
        key = (operation.type, operation.id)
        if operation.method not in ("PUT", "PATCH", "DELETE") or not operation.id:
            return
        if key in taken:
            raise BadRequest(
                "One resource may be written once in a Bundle.",
                expression=f"{operation.place}.request.url",
            )
        taken.add(key)

    def run(self, index: int) -> Result:
        """Run one entry."""
        operation = self._operations[index]
        writing, engine = self._writing, self._engine
        match operation.method:
            case "POST":
                return self._post(operation)
            case "PUT":
                incoming = self._incoming(operation)
                return writing.save(
                    incoming, operation.id, method="PUT", if_match=operation.if_match
                )
            case "PATCH":
                address = (operation.type, operation.id)
                return patch.inside(
                    engine, writing, address, _change(operation), operation.if_match
                )
            case "DELETE":
                if operation.id:
                    writing.remove(operation.type, operation.id, if_match=operation.if_match)
                return None
        return _get(engine, writing.connection, operation)

    def _post(self, operation: Operation) -> Result:
        incoming = self._incoming(operation)
        condition = operation.request.get("ifNoneExist", "")
        found = self._writing.current(operation.type, operation.id) if condition else None
        if found is not None and found.body is not None:
            return Saved(
                operation.type, operation.id, found.version, found.updated, found.body,
                created=False,
            )  # fmt: skip
        if found is not None:  # an entry of this Bundle has deleted it
            return self._writing.save(incoming, operation.id, method="POST")
        return self._writing.create(incoming, operation.id)

    def _incoming(self, operation: Operation) -> Incoming:
        root = operation.full_url.rpartition(f"/{operation.type}/")[0]
        body: dict[str, Any] = links.resolved(operation.body, self._named, root)
        return _write.admit(self._engine, operation.type, body, self._writing.parameters)


def _change(operation: Operation) -> patch.Change:
    """Return the change of a PATCH entry: a Parameters, or a Binary that holds a patch."""
    body = operation.body or {}
    if body["resourceType"] == "Parameters":
        return patch.change_of(_changes.FHIR_PATCH, body)
    if body["resourceType"] != "Binary":
        raise BadRequest(
            "A PATCH entry holds a Binary or a Parameters.",
            expression=f"{operation.place}.resource",
        )
    try:
        decoded = codec.decode(base64.b64decode(body.get("data", ""), validate=True))
    except (binascii.Error, ValueError) as error:
        raise BadRequest(
            "Expected JSON in base64.", expression=f"{operation.place}.resource.data"
        ) from error
    return patch.change_of(body["contentType"], decoded)


def _get(engine: Engine, connection: Any, operation: Operation) -> Result:
    pairs = tuple(parse_qsl(operation.query, keep_blank_values=True))
    if not operation.id:
        scope = search.Scope((operation.type,))
        wanted = search.read(engine, connection, scope, pairs, strict=False)
        return search.run(engine, connection, wanted)
    if operation.version:
        return read.version_inside(connection, operation.type, operation.id, operation.version)
    if operation.past:
        return history.inside(engine, connection, (operation.type, operation.id), pairs)
    found = read.inside(connection, operation.type, operation.id)
    since = operation.request.get("ifModifiedSince")
    moment = values.moment(time_range(since)[0]) if since else None
    if read.is_unchanged(found, operation.request.get("ifNoneMatch"), moment):
        return Unchanged()
    return found
