"""A stored Subscription, ready to match and deliver.

Source: FHIR R4 subscription.html, Subscriptions R5 Backport 1.1.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from fhir_profiles import codec, systems
from server.access import scopes
from server.access.scopes import Scopes
from server.errors import FhirError
from server.search import request as search_request
from server.search.conditions import Reader, SearchRequest
from server.search.parameters import Parameters
from server.search.values import micros, time_range
from server.store.deliveries import Kept
from server.subscriptions import extensions, topics
from server.subscriptions.topics import NoTerminology, Topic

INTERACTIONS = frozenset({"create", "update", "delete"})
DEFAULT_INTERACTIONS = frozenset({"create", "update"})
ACTIVE, REQUESTED, ERROR, OFF = "active", "requested", "error", "off"
# What happens is counted and kept for these, and delivered to the first only.
COUNTING = frozenset({ACTIVE, REQUESTED, ERROR})
TIMEOUT_S, TIMEOUT_LIMIT_S = 20, 120
MAX_COUNT = 100
_RANGE = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
Codes = tuple[tuple[int, int], ...]
SUCCESS: Codes = ((200, 299),)
FULL, ID_ONLY, EMPTY = "full-resource", "id-only", "empty"
Searches = tuple[tuple[str, SearchRequest], ...]


@dataclass(frozen=True, slots=True)
class Hook:
    """One Subscription. `end` is microseconds since 1970, or None; `vrid` the row of its `version`.

    `searches` are what its resources must meet, by resource type; `topic` is None for criteria.
    `content` says what notifications of a topic carry; `success` the statuses that count as taken;
    `scopes` what the client that answers for it may do now.
    """

    rid: int
    vrid: int
    id: str
    version: int
    status: str
    error: str
    searches: Searches
    topic: Topic | None
    interactions: frozenset[str]
    path: str
    endpoint: str
    headers: tuple[tuple[str, str], ...]
    payload: str
    content: str
    secret: str
    scopes: Scopes
    end: int | None
    timeout_s: int
    heartbeat_s: int
    max_count: int
    success: Codes
    attempts_limit: int

    @property
    def types(self) -> tuple[str, ...]:
        """The resource types that it tells of."""
        return self.topic.types if self.topic is not None else tuple(t for t, _ in self.searches)

    def lane(self, rid: int) -> int:
        """Return the resource row that orders its deliveries about `rid`: 0 where all are one line.

        To a topic's Subscription they go by event numbers, whatever they are about.
        """
        return 0 if self.topic is not None else rid

    def is_over(self, moment: datetime) -> bool:
        """Tell whether the end of the Subscription has come."""
        return self.end is not None and micros(moment) >= self.end

    def is_live(self, moment: datetime) -> bool:
        """Tell whether it is delivered to now."""
        return self.status == ACTIVE and not self.is_over(moment)


def hook(kept: Kept, stored: bytes, base: str, parameters: Parameters) -> Hook:
    """Return the Hook of a Subscription, whose JSON is `stored`.

    One whose criteria name a search parameter that is gone looks for nothing: without it, it would
    match too much.
    """
    body: dict[str, Any] = codec.decode(stored)
    channel = body["channel"]
    said = {one.name: one.value for one in extensions.said(body)}
    topic = topics.find(body["criteria"])
    headers = (line.partition(":") for line in channel.get("header", []))
    end = body.get("end")
    return Hook(
        rid=kept.rid,
        vrid=kept.vrid,
        id=body["id"],
        version=int(body["meta"]["versionId"]),
        status=body["status"],
        error=str(body.get("error", "")),
        searches=searches(body, base, parameters),
        topic=topic,
        interactions=interactions(body),
        path=str(said.get(extensions.PATH, "")),
        endpoint=channel["endpoint"],
        headers=tuple((name.strip(), value.strip()) for name, _, value in headers),
        payload=channel.get("payload", ""),
        content=extensions.content(channel) if topic else "",
        secret=kept.secret,
        scopes=scopes.kept(kept.scopes),
        end=time_range(end)[0] if end else None,
        timeout_s=min(
            extensions.number(channel, systems.EXT_TIMEOUT) or TIMEOUT_S, TIMEOUT_LIMIT_S
        ),
        heartbeat_s=extensions.number(channel, systems.EXT_HEARTBEAT),
        max_count=min(extensions.number(channel, systems.EXT_MAX_COUNT) or MAX_COUNT, MAX_COUNT),
        success=codes(str(said.get(extensions.SUCCESS, ""))) or SUCCESS,
        attempts_limit=int(said.get(extensions.ATTEMPTS, 0)),
    )


def types(body: dict[str, Any]) -> tuple[str, ...]:
    """Return the resource types that a Subscription tells of."""
    topic = topics.find(body["criteria"])
    return topic.types if topic is not None else (body["criteria"].partition("?")[0],)


def needed(body: dict[str, Any], previous: dict[str, Any] | None) -> set[str]:
    """Return what who stores a Subscription has to be allowed: to read what it tells, and told.

    To turn it off and change nothing else takes nothing.
    """
    before, after = (
        {k: v for k, v in one.items() if k not in ("meta", "status", "error")}
        for one in (previous or {}, body)
    )
    if body["status"] == OFF and before == after:
        return set()
    return {f"{kind}.r" for one in (body, previous) if one for kind in types(one)}


def interactions(body: dict[str, Any]) -> frozenset[str]:
    """Return which interactions a criteria Subscription asks for; create and update if not said."""
    found = [one.value for one in extensions.said(body) if one.name == extensions.INTERACTION]
    return frozenset(map(str, found)) or DEFAULT_INTERACTIONS


def search(type_name: str, query: str, base: str, parameters: Parameters) -> SearchRequest:
    """Return a query as a search of one type. Raises BadRequest where it is malformed."""
    reader = Reader(parameters, base, 0, NoTerminology())
    return search_request.parse(reader, [type_name], parse_qsl(query, keep_blank_values=True))


def filter_of(text: str, topic: Topic) -> tuple[str, str]:
    """Return resource type and query of a filter: `[Type.|Type?]param[:modifier]=value`."""
    name = text.partition("=")[0]
    for mark in "?.":
        kind, found, _ = name.partition(mark)
        if found and kind[:1].isupper():
            return kind, text[len(kind) + 1 :]
    return topic.types[0], text


def codes(text: str) -> Codes:
    """Return ranges of HTTP statuses such as `200-299,404`; () where the text is none."""
    found = []
    for part in text.replace(" ", "").split(","):
        match = _RANGE.fullmatch(part)
        if match is None or (match[2] and match[2] < match[1]):
            return ()
        found.append((int(match[1]), int(match[2] or match[1])))
    return tuple(found)


def searches(body: dict[str, Any], base: str, parameters: Parameters) -> Searches:
    """Return what a Subscription's resources must meet; nothing where that cannot be told."""
    topic = topics.find(body["criteria"])
    try:
        if topic is None:
            type_name, _, query = body["criteria"].partition("?")
            return _known([(type_name, query)], base, parameters)
        given = [filter_of(text, topic) for text, _ in extensions.filters(body)]
        return _known(
            [(t, "&".join(q for kind, q in given if kind == t)) for t in topic.types],
            base,
            parameters,
        )
    except FhirError:
        return ()


def _known(pairs: list[tuple[str, str]], base: str, parameters: Parameters) -> Searches:
    found = tuple((name, search(name, query, base, parameters)) for name, query in pairs)
    return () if any(request.unknown for _, request in found) else found
