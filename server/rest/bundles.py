"""Bundles made of stored bytes: bodies are joined, never parsed (FHIR R4 bundle.html)."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fhir_profiles import codec
from server.errors import FhirError, outcome
from server.interactions._write import Saved, instant
from server.interactions.bundle import Result
from server.interactions.history import Past
from server.interactions.read import Found
from server.interactions.search import Page

_CREATED, _OK = "201 Created", "200 OK"


def searchset(page: Page, base: str) -> bytes:
    """Return the Bundle of one search page, with its self and next links."""
    address = f"{base}/{page.request.type}"
    links = [_link("self", address, page.request.understood)]
    if page.after:
        kept = [(k, v) for k, v in page.request.understood if k != "_cursor"]
        links.append(_link("next", address, [*kept, ("_cursor", page.after)]))
    head: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        head["total"] = page.total
    head["link"] = links
    entries = []
    for body in page.bodies:
        full_url = codec.encode(f"{address}/{_id_of(body)}")
        entries.append(b'{"fullUrl":%s,"resource":%s,"search":{"mode":"match"}}' % (full_url, body))
    return _bundle(head, entries)


def history(past: Past, base: str, type_name: str, fhir_id: str) -> bytes:
    """Return the Bundle of one page of an instance's history."""
    address = f"{base}/{type_name}/{fhir_id}"
    links = [{"relation": "self", "url": f"{address}/_history"}]
    if past.before:
        links.append({"relation": "next", "url": f"{address}/_history?_before={past.before}"})
    entries = []
    for version in past.versions:
        url = type_name if version.method == "POST" else f"{type_name}/{fhir_id}"
        status = {"POST": "201", "DELETE": "204"}.get(version.method, "200")
        entry = {
            "fullUrl": address,
            "request": {"method": version.method, "url": url},
            "response": {
                "status": status,
                "etag": f'W/"{version.version}"',
                "lastModified": instant(version.updated),
            },
        }
        entries.append(_with_resource(entry, version.body))
    return _bundle({"resourceType": "Bundle", "type": "history", "link": links}, entries)


def responses(kind: str, results: Iterable[Result], base: str) -> bytes:
    """Return the answer to a batch or transaction, entry by entry."""
    head = {"resourceType": "Bundle", "type": f"{kind}-response"}
    return _bundle(head, [_response(result, base) for result in results])


def _response(result: Result, base: str) -> bytes:
    match result:
        case None:
            return codec.encode({"response": {"status": "204 No Content"}})
        case FhirError():
            status = HTTPStatus(result.status)
            return codec.encode(
                {
                    "response": {
                        "status": f"{status.value} {status.phrase}",
                        "outcome": outcome(result.issues),
                    }
                }
            )
        case Page():
            return _with_resource({"response": {"status": _OK}}, searchset(result, base))
        case Found():
            return _with_resource(
                {"response": _stored(_OK, result.version, result.updated)}, result.body
            )
        case Saved():
            response = _stored(_CREATED if result.created else _OK, result.version, result.updated)
            response["location"] = location(result, base)
            return _with_resource({"response": response}, result.body)


def _stored(status: str, version: int, updated: int) -> dict[str, str]:
    return {"status": status, "etag": f'W/"{version}"', "lastModified": instant(updated)}


def location(saved: Saved, base: str) -> str:
    """Return the version-specific address of what was stored."""
    return f"{base}/{saved.type}/{saved.id}/_history/{saved.version}"


def _link(relation: str, address: str, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    query = urlencode(list(pairs))
    return {"relation": relation, "url": f"{address}?{query}" if query else address}


def _with_resource(entry: dict[str, Any], body: bytes | None) -> bytes:
    if body is None:
        return codec.encode(entry)
    return codec.encode(entry)[:-1] + b',"resource":' + body + b"}"


def _bundle(head: dict[str, Any], entries: list[bytes]) -> bytes:
    if not entries:
        return codec.encode(head)
    return codec.encode(head)[:-1] + b',"entry":[' + b",".join(entries) + b"]}"


def _id_of(body: bytes) -> str:
    """Return the id of a stored body; the store writes it second, right after resourceType."""
    start = body.index(b'"id":"') + len(b'"id":"')
    return body[start : body.index(b'"', start)].decode()
