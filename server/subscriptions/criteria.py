"""R4 criteria Subscriptions: what one says, and everything about it that could never work.

Source: FHIR R4 subscription.html. A Subscription that we accept is active at once; one that could
never fire is refused with each wrong element named.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from fhir_profiles import systems
from server import definitions
from server.errors import FhirError, Issue, Unprocessable
from server.search import request as search_request
from server.search.conditions import Reader, SearchRequest
from server.search.match import is_local
from server.search.parameters import Parameters
from server.search.values import micros, time_range
from server.subscriptions import endpoints

INTERACTIONS = frozenset({"create", "update", "delete"})
DEFAULT_INTERACTIONS = frozenset({"create", "update"})
PAYLOADS = ("application/fhir+json", "application/json")
REDACTED = "********"
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, field names
_OURS = ("host", "content-", "transfer-encoding", "connection", "x-inforce-", "x-signature")
_KNOWN_EXTENSIONS = frozenset({systems.EXT_HOOK_SECRET, systems.EXT_HOOK_INTERACTION})


@dataclass(frozen=True, slots=True)
class Hook:
    """One rest-hook, ready to match and deliver. `end` is microseconds since 1970, or None."""

    rid: int
    id: str
    active: bool
    request: SearchRequest
    interactions: frozenset[str]
    endpoint: str
    headers: tuple[tuple[str, str], ...]
    payload: str
    secret: str
    end: int | None

    def is_live(self, moment: datetime) -> bool:
        """Tell whether the hook is active and its end has not come."""
        return self.active and (self.end is None or micros(moment) < self.end)


class _NoTerminology:
    """Criteria are matched without reading anything: value sets are not known there."""

    def members(self, _value_set: str) -> None:
        return None

    def relatives(self, _system: str, _code: str, *, above: bool) -> None:  # noqa: ARG002
        return None


def accept(
    body: dict[str, Any], base: str, parameters: Parameters, *, allow_private: bool
) -> tuple[dict[str, Any], str]:
    """Return the Subscription as we store it, and its secret apart from it ("" if none).

    `requested` becomes `active`; the secret is replaced by asterisks, and asterisks sent back mean
    that the kept secret stays (returned as REDACTED). Raises Unprocessable naming each element
    that cannot work.
    """
    issues = list(_issues(body, base, parameters, allow_private=allow_private))
    if issues:
        raise Unprocessable(issues=issues)
    stored = {**body, "status": "active"} if body["status"] == "requested" else dict(body)
    secret, kept = "", []
    for extension in body.get("extension", []):
        if extension["url"] == systems.EXT_HOOK_SECRET:
            secret = extension["valueString"]
            kept.append({**extension, "valueString": REDACTED})
        else:
            kept.append(extension)
    if kept:
        stored["extension"] = kept
    return stored, secret


def hook(rid: int, body: dict[str, Any], secret: str, base: str, parameters: Parameters) -> Hook:
    """Return the Hook of a stored Subscription.

    One whose criteria name a search parameter that is gone is not active: without it, it would
    match too much.
    """
    channel = body["channel"]
    request = _criteria_if_known(body["criteria"], base, parameters)
    headers = (line.partition(":") for line in channel.get("header", []))
    end = body.get("end")
    return Hook(
        rid=rid,
        id=body["id"],
        active=body["status"] == "active" and request is not None,
        request=request or SearchRequest("", ()),
        interactions=_interactions(body) or DEFAULT_INTERACTIONS,
        endpoint=channel["endpoint"],
        headers=tuple((name.strip(), value.strip()) for name, _, value in headers),
        payload=channel.get("payload", ""),
        secret=secret,
        end=time_range(end)[0] if end else None,
    )


def _criteria(text: str, base: str, parameters: Parameters) -> SearchRequest:
    type_name, _, query = text.partition("?")
    reader = Reader(parameters, base, 0, _NoTerminology())
    return search_request.parse(reader, [type_name], parse_qsl(query, keep_blank_values=True))


def _criteria_if_known(text: str, base: str, parameters: Parameters) -> SearchRequest | None:
    try:
        request = _criteria(text, base, parameters)
    except FhirError:
        return None
    return None if request.unknown else request


def _interactions(body: dict[str, Any]) -> frozenset[str]:
    wanted = (e for e in body.get("extension", []) if e["url"] == systems.EXT_HOOK_INTERACTION)
    return frozenset(str(e.get("valueCode")) for e in wanted)


def _issues(
    body: dict[str, Any], base: str, parameters: Parameters, *, allow_private: bool
) -> Iterator[Issue]:
    yield from _criteria_issues(body["criteria"], base, parameters)
    yield from _channel_issues(body["channel"], allow_private=allow_private)
    for index, extension in enumerate(body.get("extension", [])):
        place = f"Subscription.extension[{index}]"
        url = extension["url"]
        if url.startswith(systems.BASE) and url not in _KNOWN_EXTENSIONS:
            yield Issue("extension", "We define no such extension.", f"{place}.url")
        elif url == systems.EXT_HOOK_SECRET and not extension.get("valueString"):
            yield Issue("value", "Expected the secret as valueString.", place)
    if not _interactions(body) <= INTERACTIONS:
        allowed = ", ".join(sorted(INTERACTIONS))
        yield Issue("value", f"Expected valueCode of {allowed}.", "Subscription.extension")


def _criteria_issues(text: str, base: str, parameters: Parameters) -> Iterator[Issue]:
    place = "Subscription.criteria"
    if text.partition("?")[0] not in definitions.type_numbers():
        yield Issue("value", "Expected Type?query with an R4 resource type.", place)
        return
    try:
        request = _criteria(text, base, parameters)
    except FhirError as error:
        yield from (Issue(i.code, i.text, place) for i in error.issues)
        return
    if not is_local(request):
        said = "Criteria cannot chain, nor use _has, full text, a distance or ap."
        yield Issue("not-supported", said, place)
    for name in request.unknown:
        yield Issue("not-supported", f"Unknown search parameter {name[:40]!r}.", place)


def _channel_issues(channel: dict[str, Any], *, allow_private: bool) -> Iterator[Issue]:
    place = "Subscription.channel"
    if channel["type"] != "rest-hook":
        yield Issue("not-supported", "Only rest-hook is delivered here.", f"{place}.type")
    wrong = endpoints.problem(channel.get("endpoint", ""), allow_private=allow_private)
    if wrong:
        yield Issue("value", wrong, f"{place}.endpoint")
    if channel.get("payload", PAYLOADS[0]) not in PAYLOADS:
        yield Issue("not-supported", f"Expected {' or '.join(PAYLOADS)}.", f"{place}.payload")
    for index, line in enumerate(channel.get("header", [])):
        if not _is_header(line):
            text = "Expected Name: value in Latin-1; Host, Content-… and X-Inforce-… are ours."
            yield Issue("value", text, f"{place}.header[{index}]")


def _is_header(line: str) -> bool:
    name, colon, value = line.partition(":")
    ours = name.lower().startswith(_OURS)
    printable = all(" " <= char <= "\xff" and char != "\x7f" for char in value)
    return bool(colon) and _TOKEN.fullmatch(name) is not None and printable and not ours
