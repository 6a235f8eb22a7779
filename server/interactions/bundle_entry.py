"""An entry of a Bundle as what it asks: FHIR R4 http.html#transaction, bundle.html."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from server import definitions
from server.access import needs
from server.access.caller import Caller
from server.errors import BadRequest

_URL = re.compile(
    r"(?P<type>[A-Z][A-Za-z]+)(?:/(?P<id>[A-Za-z0-9.\-]{1,64})"
    r"(?P<past>/_history(?:/(?P<version>[A-Za-z0-9.\-]{1,64}))?)?)?(?:\?(?P<query>.*))?"
)
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')


@dataclass(frozen=True, slots=True)
class Operation:
    """One entry, read: what is asked of which address."""

    place: str
    method: str
    type: str
    id: str
    past: str
    version: str
    query: str
    full_url: str
    body: dict[str, Any] | None
    request: dict[str, Any]
    if_match: int | None

    @property
    def is_conditional(self) -> bool:
        """Tell whether what it concerns is found by a search."""
        if self.method == "POST":
            return "ifNoneExist" in self.request
        return self.method in ("PUT", "PATCH", "DELETE") and not self.id


def read(entry: dict[str, Any], place: str, caller: Caller) -> Operation:
    """Return an entry as what it asks. Raises Forbidden where its caller may not ask that."""
    wish = entry["request"]
    found = _URL.fullmatch(wish["url"].lstrip("/"))
    method = wish["method"]
    if found is None or found["type"] not in definitions.type_numbers():
        raise BadRequest(
            "Expected Type, Type/id, Type/id/_history or Type?query.", expression=f"{place}.request"
        )
    etag = _ETAG.fullmatch(wish.get("ifMatch", 'W/"0"'))
    if etag is None:
        raise BadRequest('ifMatch must look like W/"1".', expression=f"{place}.request.ifMatch")
    operation = Operation(
        place=place,
        method=method,
        type=found["type"],
        id=found["id"] or "",
        past=found["past"] or "",
        version=found["version"] or "",
        query=found["query"] or "",
        full_url=entry.get("fullUrl", ""),
        body=entry.get("resource"),
        request=wish,
        if_match=int(etag[1]) if "ifMatch" in wish else None,
    )
    _fits(operation)
    caller.demand(_needs(operation), f"{place}.request")
    return operation


def _needs(operation: Operation) -> set[str]:
    path, _, query = operation.request["url"].lstrip("/").partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    found = needs.of_request(operation.method, path, pairs, {})
    if operation.is_conditional and operation.method != "POST":
        found |= needs.of_condition(operation.type, operation.query)  # as it will be read there
    if "ifNoneExist" in operation.request:
        found |= needs.of_condition(operation.type, operation.request["ifNoneExist"])
    return found


def _fits(operation: Operation) -> None:
    """Refuse an entry whose method, address and body do not go together."""
    place, method = operation.place, operation.method
    needs_body = method in ("POST", "PUT", "PATCH")
    if needs_body != (operation.body is not None):
        raise BadRequest(
            "POST, PUT and PATCH need a resource; GET, HEAD and DELETE must have none.",
            expression=f"{place}.resource",
        )
    body = operation.body or {}
    if method in ("POST", "PUT") and body.get("resourceType") != operation.type:
        raise BadRequest(f"Expected a {operation.type}.", expression=f"{place}.resource")
    is_query = bool(operation.query) and not operation.id
    fits = {
        "POST": not operation.id and not operation.query,
        "PUT": bool(operation.id) != is_query,
        "PATCH": bool(operation.id) != is_query,
        "DELETE": bool(operation.id) != is_query,
    }.get(method, True)
    if method not in ("GET", "HEAD") and (operation.past or (operation.id and operation.query)):
        fits = False
    if not fits:
        raise BadRequest(
            "POST needs Type; PUT, PATCH and DELETE need Type/id or Type?query.",
            expression=f"{place}.request.url",
        )
    if method == "PUT" and operation.id and body.get("id") != operation.id:
        raise BadRequest(
            "The resource's id must be the id in the URL.", expression=f"{place}.resource.id"
        )
