"""Bundles made of stored bytes: bodies are joined, never parsed (FHIR R4 bundle.html)."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus

from fhir_profiles import codec
from server.errors import FhirError, outcome
from server.interactions._write import Saved
from server.interactions.bundle import Result, Unchanged
from server.interactions.cursor import PARAMETER
from server.interactions.history import Past
from server.interactions.matches import Match
from server.interactions.read import Found
from server.interactions.search import Page
from server.search.values import instant
from server.store.resources import Version

_PLAIN = re.compile(r"[A-Za-z0-9._:/\-]*")
_CREATED, _OK = "201 Created", "200 OK"


def searchset(page: Page, base: str) -> bytes:
    """Return the Bundle of one search page, with its links to itself and the pages around it."""
    wanted = page.request
    address = f"{base}/{wanted.address}".rstrip("/")
    links = [_link("self", address, wanted.understood)]
    if page.next or page.previous:
        links.append(_link("first", address, wanted.understood))
    for relation, cursor in (("next", page.next), ("previous", page.previous)):
        if cursor:
            links.append(_link(relation, address, [(PARAMETER, cursor)]))
    head: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        head["total"] = page.total
    head["link"] = links
    entries = [_found(match, base, b"match") for match in page.matches]
    entries += [_found(match, base, b"include") for match in page.included]
    return _bundle(head, entries)


def _found(match: Match, base: str, mode: bytes) -> bytes:
    full_url = f"{base}/{match.type}/{match.id}".encode()
    return b'{"fullUrl":"%s","resource":%s,"search":{"mode":"%s"}}' % (full_url, match.body, mode)


def history(past: Past, base: str) -> bytes:
    """Return the Bundle of one page of a history."""
    place = "/".join(part for part in (base, *past.address) if part)
    links = [_link("self", f"{place}/_history", past.understood)]
    if past.next:
        links.append(_link("next", f"{place}/_history", [(PARAMETER, past.next)]))
    head = {"resourceType": "Bundle", "type": "history", "total": past.total, "link": links}
    return _bundle(head, [_version(one, base) for one in past.versions])


def _version(version: Version, base: str) -> bytes:
    address = f"{version.type}/{version.id}"
    status = "204" if version.body is None else "201" if version.created else "200"
    entry = {
        "fullUrl": f"{base}/{address}",
        "request": {
            "method": version.method,
            "url": version.type if version.method == "POST" else address,
        },
        "response": _stored(status, version.version, version.updated),
    }
    return _with_resource(entry, version.body)


def responses(kind: str, results: Iterable[Result], base: str, *, minimal: bool) -> bytes:
    """Return the answer to a batch or transaction, entry by entry.

    With `minimal`, what was only written is not repeated.
    """
    head = {"resourceType": "Bundle", "type": f"{kind}-response"}
    return _bundle(head, [_response(result, base, minimal=minimal) for result in results])


def _response(result: Result, base: str, *, minimal: bool) -> bytes:
    match result:
        case None:
            return codec.encode({"response": {"status": "204 No Content"}})
        case Unchanged():
            return codec.encode({"response": {"status": "304 Not Modified"}})
        case FhirError():
            status = HTTPStatus(result.status)
            told = {
                "status": f"{status.value} {status.phrase}",
                "outcome": outcome(result.issues),
            }
            return codec.encode({"response": told})
        case Page():
            return _with_resource({"response": {"status": _OK}}, searchset(result, base))
        case Past():
            return _with_resource({"response": {"status": _OK}}, history(result, base))
        case Found():
            return _with_resource(
                {"response": _stored(_OK, result.version, result.updated)}, result.body
            )
        case Saved():
            response = _stored(_CREATED if result.created else _OK, result.version, result.updated)
            response["location"] = location(result, base)
            return _with_resource({"response": response}, None if minimal else result.body)


def _stored(status: str, version: int, updated: int) -> dict[str, str]:
    return {"status": status, "etag": f'W/"{version}"', "lastModified": instant(updated)}


def location(saved: Saved, base: str) -> str:
    """Return the version-specific address of what was stored."""
    return f"{base}/{saved.type}/{saved.id}/_history/{saved.version}"


def _link(relation: str, address: str, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    query = "&".join(f"{_quoted(key)}={_quoted(value)}" for key, value in pairs)
    return {"relation": relation, "url": f"{address}?{query}" if query else address}


def _quoted(text: str) -> str:
    """Return `text` for a query; most of what is searched for can stand as it is."""
    return text if _PLAIN.fullmatch(text) else quote_plus(text)


def _with_resource(entry: dict[str, Any], body: bytes | None) -> bytes:
    if body is None:
        return codec.encode(entry)
    return codec.encode(entry)[:-1] + b',"resource":' + body + b"}"


def _bundle(head: dict[str, Any], entries: list[bytes]) -> bytes:
    if not entries:
        return codec.encode(head)
    return codec.encode(head)[:-1] + b',"entry":[' + b",".join(entries) + b"]}"
