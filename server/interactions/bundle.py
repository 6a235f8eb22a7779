"""Batch and transaction: FHIR R4 http.html#transaction, http.html#trules.

A transaction is one database transaction: all or nothing. The order is DELETE, POST, PUT, GET;
the answers stand in the order of the request.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from fhir_profiles import codec
from server import definitions
from server.errors import BadRequest, FhirError, Gone, Issue, NotFound, Unprocessable
from server.interactions import _write, create, search
from server.interactions._write import Incoming, Saved, Writing
from server.interactions.engine import Engine
from server.interactions.read import Found
from server.interactions.search import Page
from server.validation import structure

ENTRIES_LIMIT = 1000
_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "GET": 3}
_URL = re.compile(r"(?P<type>[A-Z][A-Za-z]+)(?:/(?P<id>[A-Za-z0-9.\-]{1,64}))?(?:\?(?P<query>.*))?")
# Elements whose value may point to another entry of a Bundle.
_LINKING = frozenset({"reference", "valueUri", "valueUrl", "valueUuid", "valueOid"})
_ETAG = re.compile(r'W/"(\d{1,18})"')


@dataclass(frozen=True, slots=True)
class Operation:
    """One entry, read: what is asked of which address."""

    place: str
    method: str
    type: str
    id: str
    query: str
    full_url: str
    body: dict[str, Any] | None
    if_none_exist: str
    if_match: int | None


Result = Saved | Found | Page | FhirError | None


def run(engine: Engine, bundle: Any, *, trace: str) -> tuple[str, list[Result]]:
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
        return kind, [_alone(engine, bundle, index, trace) for index in range(len(entries))]
    issues = structure.check(bundle)
    if issues:
        raise Unprocessable(issues=issues)
    operations = [_read(entry, f"Bundle.entry[{i}]") for i, entry in enumerate(entries)]
    return kind, _together(engine, operations, trace)


def _alone(engine: Engine, bundle: dict[str, Any], index: int, trace: str) -> Result:
    try:
        entry = bundle["entry"][index]
        single = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
        issues = structure.check(single)
        if issues:
            raise Unprocessable(issues=issues)
        operation = _read(entry, f"Bundle.entry[{index}]")
        return _together(engine, [operation], trace)[0]
    except FhirError as error:
        return error


def _read(entry: dict[str, Any], place: str) -> Operation:
    wish = entry["request"]
    found = _URL.fullmatch(wish["url"])
    method = wish["method"]
    if method not in _ORDER or found is None or found["type"] not in definitions.type_numbers():
        raise BadRequest(
            "Expected GET, POST, PUT or DELETE of Type, Type/id or Type?query.",
            expression=f"{place}.request",
        )
    match = _ETAG.fullmatch(wish.get("ifMatch", 'W/"0"'))
    if match is None:
        raise BadRequest('ifMatch must look like W/"1".', expression=f"{place}.request.ifMatch")
    operation = Operation(
        place=place,
        method=method,
        type=found["type"],
        id=found["id"] or "",
        query=found["query"] or "",
        full_url=entry.get("fullUrl", ""),
        body=entry.get("resource"),
        if_none_exist=wish.get("ifNoneExist", ""),
        if_match=int(match[1]) if "ifMatch" in wish else None,
    )
    _fits(operation)
    return operation


def _fits(operation: Operation) -> None:
    """Refuse an entry whose method, address and body do not go together."""
    writes = operation.method in ("POST", "PUT")
    if writes != (operation.body is not None):
        raise BadRequest(
            "POST and PUT need a resource; GET and DELETE must have none.",
            expression=f"{operation.place}.resource",
        )
    if operation.body is not None and operation.body["resourceType"] != operation.type:
        raise BadRequest(f"Expected a {operation.type}.", expression=f"{operation.place}.resource")
    needs_id = operation.method in ("PUT", "DELETE")
    if needs_id != bool(operation.id) and operation.method != "GET":
        raise BadRequest(
            "PUT and DELETE need Type/id, POST needs Type.",
            expression=f"{operation.place}.request.url",
        )
    if operation.query and operation.method != "GET":
        raise BadRequest(
            "Conditional update and delete are not supported here.",
            expression=f"{operation.place}.request.url",
        )
    if operation.method == "PUT" and operation.body and operation.body.get("id") != operation.id:
        raise BadRequest(
            "The resource's id must be the id in the URL.",
            expression=f"{operation.place}.resource.id",
        )


def _together(engine: Engine, operations: list[Operation], trace: str) -> list[Result]:
    _refuse_twins(operations)
    results: list[Result] = [None] * len(operations)
    order = sorted(range(len(operations)), key=lambda i: _ORDER[operations[i].method])
    with _write.transaction(engine, trace) as writing:
        named = dict(_names(engine, writing, operations))
        for index in order:
            operation = operations[index]
            with _placed(operation):
                results[index] = _RUN[operation.method](engine, writing, operation, named)
    return results


def _refuse_twins(operations: list[Operation]) -> None:
    seen: set[tuple[str, str]] = set()
    for operation in operations:
        key = (operation.type, operation.id)
        if operation.method in ("PUT", "DELETE") and key in seen:
            raise BadRequest(
                "One resource may be written once in a Bundle.",
                expression=f"{operation.place}.request.url",
            )
        seen.add(key if operation.method != "GET" else ("", ""))


class _placed:  # noqa: N801 reads as a statement: with _placed(operation)
    """Puts the entry's place in front of the errors of one entry."""

    def __init__(self, operation: Operation) -> None:
        self._place = operation.place

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, FhirError):
            error.issues = tuple(
                Issue(i.code, i.text, f"{self._place}: {i.expression}".rstrip(": "))
                for i in error.issues
            )


def _names(
    engine: Engine, writing: Writing, operations: list[Operation]
) -> Iterator[tuple[str, str]]:
    """Yield (fullUrl or place, Type/id) for everything that the Bundle writes, before it does."""
    conditional: dict[tuple[str, str], str] = {}
    for operation in operations:
        address = f"{operation.type}/{operation.id}"
        if operation.method == "POST":
            condition = (operation.type, operation.if_none_exist)
            fhir_id = conditional.get(condition) or _future_id(engine, writing, operation)
            if operation.if_none_exist:
                conditional[condition] = fhir_id
            address = f"{operation.type}/{fhir_id}"
            yield operation.place, address
        if operation.full_url and operation.method in ("POST", "PUT"):
            yield operation.full_url, address


def _future_id(engine: Engine, writing: Writing, operation: Operation) -> str:
    """Return the id under which a POST will stand: the existing one if its condition is met."""
    if not operation.if_none_exist:
        return engine.new_id()
    with _placed(operation):
        found = search.sole_match(
            engine, writing.connection, operation.type, operation.if_none_exist
        )
    return str(codec.decode(found)["id"]) if found else engine.new_id()


def _resolved(node: Any, named: dict[str, str], root: str, key: str = "") -> Any:
    """Return `node` with every reference to an entry of the Bundle put right (http.html#trules).

    References and URIs that stand for resources are changed, identifiers and texts never.
    `root` is the base of the entry's own fullUrl, against which relative references are read.
    """
    if isinstance(node, dict):
        return {k: _resolved(value, named, root, k) for k, value in node.items()}
    if isinstance(node, list):
        return [_resolved(item, named, root, key) for item in node]
    if key in _LINKING and isinstance(node, str):
        return named.get(node) or named.get(f"{root}/{node}") or node
    return node


def _incoming(engine: Engine, operation: Operation, named: dict[str, str]) -> Incoming:
    root = operation.full_url.rpartition(f"/{operation.type}/")[0]
    body: dict[str, Any] = _resolved(operation.body, named, root)
    return _write.admit(engine, operation.type, body)


def _post(engine: Engine, writing: Writing, operation: Operation, named: dict[str, str]) -> Result:
    fhir_id = named[operation.place].partition("/")[2]
    incoming = _incoming(engine, operation, named)
    return create.inside(engine, writing, incoming, fhir_id, operation.if_none_exist)


def _put(engine: Engine, writing: Writing, operation: Operation, named: dict[str, str]) -> Result:
    incoming = _incoming(engine, operation, named)
    return writing.save(incoming, operation.id, method="PUT", if_match=operation.if_match)


def _delete(
    _engine: Engine, writing: Writing, operation: Operation, _named: dict[str, str]
) -> Result:
    writing.remove(operation.type, operation.id, if_match=operation.if_match)
    return None


def _get(engine: Engine, writing: Writing, operation: Operation, _named: dict[str, str]) -> Result:
    if not operation.id:
        pairs = parse_qsl(operation.query, keep_blank_values=True)
        wanted = search.read(engine, operation.type, pairs, strict=False)
        return search.run(writing.connection, wanted)
    current = writing.current(operation.type, operation.id)
    if current is None:
        raise NotFound("No such resource.")
    if current.body is None:
        raise Gone("The resource was deleted.")
    return Found(current.body, current.version, current.updated)


_RUN: dict[str, Callable[[Engine, Writing, Operation, dict[str, str]], Result]] = {
    "DELETE": _delete,
    "POST": _post,
    "PUT": _put,
    "GET": _get,
}
