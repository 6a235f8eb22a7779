"""The door for Subscriptions: everything about one that could never work is refused by name.

Source: FHIR R4 subscription.html; Subscriptions R5 Backport 1.1, conformance.html. A criteria
Subscription that we accept is active at once; one to a topic when its endpoint answers a handshake.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fhir_profiles import systems
from server import definitions, fhirpath
from server.errors import FhirError, Issue, Unprocessable
from server.search.match import is_local
from server.search.parameters import Parameters
from server.subscriptions import extensions, topics
from server.subscriptions import hook as hooks
from server.subscriptions.endpoints import Policy
from server.subscriptions.hook import ACTIVE, EMPTY, FULL, ID_ONLY, OFF, REQUESTED

PAYLOADS = ("application/fhir+json", "application/json")
CONTENTS = (EMPTY, ID_ONLY, FULL)
REDACTED = "********"
PATH_LIMIT, ATTEMPTS_LIMIT = 2000, 18
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, field names
_OURS = ("host", "content-", "transfer-encoding", "connection", "x-inforce-", "x-signature")
_TYPED = re.compile(r"[A-Z][A-Za-z]+(\?|$)")


@dataclass(frozen=True, slots=True)
class Door:
    """What Subscriptions are read by: our base URL, the search parameters, where they may go."""

    base: str
    parameters: Parameters
    policy: Policy


def accept(body: dict[str, Any], door: Door) -> tuple[dict[str, Any], str]:
    """Return the Subscription as we store it, and its secret apart from it ("" if none).

    The secret is replaced by asterisks, and asterisks sent back mean that the kept secret stays
    (returned as REDACTED). Raises Unprocessable naming each element that cannot work.
    """
    issues = list(_issues(body, door))
    if issues:
        raise Unprocessable(issues=issues)
    is_topic = topics.find(body["criteria"]) is not None
    stored = dict(body)
    if body["status"] in (REQUESTED, ACTIVE):
        stored["status"] = REQUESTED if is_topic else ACTIVE
    stored.pop("error", None)  # it told of an earlier try
    secret, kept = "", []
    for extension in body.get("extension", []):
        if extensions.canonical(extension["url"]) == systems.EXT_HOOK_SECRET:
            secret = extension["valueString"]
            kept.append({**extension, "valueString": REDACTED})
        else:
            kept.append(extension)
    if kept:
        stored["extension"] = kept
    return stored, secret


def _issues(body: dict[str, Any], door: Door) -> Iterator[Issue]:
    if body["status"] not in (REQUESTED, ACTIVE, OFF):
        yield Issue("value", "Expected requested, active or off.", "Subscription.status")
    wrong = list(extensions.problems(body))
    yield from wrong
    yield from _channel_issues(body["channel"], door.policy)
    if _TYPED.match(body["criteria"]):
        yield from _criteria_issues(body, door)
    else:
        yield from _topic_issues(body, door)
    if not wrong:
        yield from _said_issues(body)


def _criteria_issues(body: dict[str, Any], door: Door) -> Iterator[Issue]:
    place = "Subscription.criteria"
    type_name, _, query = body["criteria"].partition("?")
    if type_name not in definitions.type_numbers():
        yield Issue("value", "Expected Type?query with an R4 resource type.", place)
        return
    yield from _search_issues(type_name, query, place, door)
    channel = body["channel"]
    for name, present in (
        ("payload", extensions.content(channel)),
        ("extension", extensions.number(channel, systems.EXT_HEARTBEAT)),
    ):
        if present:
            said = "Only a Subscription to a topic can have this."
            yield Issue("not-supported", said, f"Subscription.channel.{name}")


def _search_issues(type_name: str, query: str, place: str, door: Door) -> Iterator[Issue]:
    try:
        request = hooks.search(type_name, query, door.base, door.parameters)
    except FhirError as error:
        yield from (Issue(i.code, i.text, place) for i in error.issues)
        return
    if not is_local(request):
        said = "Criteria cannot chain, nor use _has, full text, a distance or ap."
        yield Issue("not-supported", said, place)
    for name in request.unknown:
        yield Issue("not-supported", f"Unknown search parameter {name[:40]!r}.", place)


def _topic_issues(body: dict[str, Any], door: Door) -> Iterator[Issue]:
    topic = topics.find(body["criteria"])
    if topic is None:
        listed = ", ".join(sorted(topics.all_topics()))
        text = f"Expected Type?query, or one of the topics {listed}."
        yield Issue("not-supported", text, "Subscription.criteria")
        return
    for text, place in extensions.filters(body):
        type_name, query = hooks.filter_of(text, topic)
        name = query.partition("=")[0].partition(":")[0]
        if (type_name, name) not in topic.filters or "=" not in query:
            known = ", ".join(sorted(name for _, name in topic.filters))
            yield Issue("not-supported", f"This topic can be filtered by {known}.", place)
        else:
            yield from _search_issues(type_name, query, place, door)
    channel = body["channel"]
    content = extensions.content(channel)
    if content not in CONTENTS:
        place = "Subscription.channel.payload.extension"
        yield Issue("required", f"Expected backport-payload-content of {', '.join(CONTENTS)}.",
                    place)  # fmt: skip
    if not channel.get("payload"):
        text = f"Expected {' or '.join(PAYLOADS)}."
        yield Issue("required", text, "Subscription.channel.payload")
    if content == FULL:
        yield from _content_issues(channel, door.policy)


def _channel_issues(channel: dict[str, Any], policy: Policy) -> Iterator[Issue]:
    place = "Subscription.channel"
    custom = channel.get("_type", {}).get("extension") if channel.get("_type") else None
    if channel["type"] != "rest-hook" or custom:
        yield Issue("not-supported", "Only rest-hook is delivered here.", f"{place}.type")
    wrong = policy.problem(channel.get("endpoint", ""))
    if wrong:
        yield Issue("value", wrong, f"{place}.endpoint")
    payload = channel.get("payload", "")
    if payload and payload not in PAYLOADS:
        yield Issue("not-supported", f"Expected {' or '.join(PAYLOADS)}.", f"{place}.payload")
    elif payload and not wrong and not extensions.content(channel):
        yield from _content_issues(channel, policy)
    for index, line in enumerate(channel.get("header", [])):
        if not _is_header(line):
            text = "Expected Name: value in Latin-1; Host, Content-… and X-Inforce-… are ours."
            yield Issue("value", text, f"{place}.header[{index}]")


def _content_issues(channel: dict[str, Any], policy: Policy) -> Iterator[Issue]:
    """Yield a refusal where resources would travel in clear text beyond this network."""
    if policy.is_too_open(channel.get("endpoint", "")):
        text = (
            "Resources are sent by https only; use https, or a payload without them"
            " (INFORCE_PLAIN_HTTP_HOOKS is false)."
        )
        yield Issue("security", text, "Subscription.channel.endpoint")


def _said_issues(body: dict[str, Any]) -> Iterator[Issue]:
    is_topic = topics.find(body["criteria"]) is not None
    type_name = "" if is_topic else body["criteria"].partition("?")[0]
    for one in extensions.said(body):
        text = _PROBLEMS[one.name](one.value, type_name) if one.name in _PROBLEMS else ""
        if text:
            yield Issue("value", text, one.place)


def _interaction_problem(value: Any, type_name: str) -> str:
    if not type_name:
        return "The topic says which interactions it is about."
    if value in hooks.INTERACTIONS:
        return ""
    return f"Expected valueCode of {', '.join(sorted(hooks.INTERACTIONS))}."


def _success_problem(value: Any, _type_name: str) -> str:
    return "" if hooks.codes(str(value)) else "Expected HTTP statuses such as 200-299,404."


def _attempts_problem(value: Any, _type_name: str) -> str:
    return "" if 1 <= value <= ATTEMPTS_LIMIT else f"Expected 1 to {ATTEMPTS_LIMIT}."


def _path_problem(expression: str, type_name: str) -> str:
    """Return why a FHIRPath criterion could never be met by a resource of the type, or ""."""
    if len(expression) > PATH_LIMIT:
        return f"At most {PATH_LIMIT} characters."
    try:
        fhirpath.criterion(expression)
    except fhirpath.Unusable as error:
        return str(error)
    known = definitions.elements(type_name) if type_name in definitions.type_numbers() else None
    if known is not None:
        names = set(known) | {"resourceType"}
        for name in sorted(fhirpath.elements_of(expression) - names):
            return f"{type_name} has no element {name[:40]!r}."
    return ""


# What is wrong with what an extension says, given the resource type ("" for a topic).
_PROBLEMS: dict[str, Callable[[Any, str], str]] = {
    extensions.INTERACTION: _interaction_problem,
    extensions.PATH: _path_problem,
    extensions.SUCCESS: _success_problem,
    extensions.ATTEMPTS: _attempts_problem,
}


def _is_header(line: str) -> bool:
    name, colon, value = line.partition(":")
    ours = name.lower().startswith(_OURS)
    printable = all(" " <= char <= "\xff" and char != "\x7f" for char in value)
    return bool(colon) and _TOKEN.fullmatch(name) is not None and printable and not ours
