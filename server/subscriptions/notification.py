"""What is sent: the resource of a criteria Subscription, or the Bundle of a topic's.

All of it is made from the event log, so that the same notification is the same bytes each time.
Source: Subscriptions R5 Backport 1.1 for R4, notifications.html, backport-subscription-status-r4.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from fhir_profiles import codec, systems
from server.search.values import instant
from server.store.deliveries import Due
from server.subscriptions.hook import EMPTY, FULL, Hook

HANDSHAKE, HEARTBEAT = "handshake", "heartbeat"
EVENT, QUERY_EVENT, QUERY_STATUS = "event-notification", "query-event", "query-status"
_STATUS_OF = {"create": "201", "update": "200", "delete": "204"}


def body(hook: Hook, base: str, dues: Sequence[Due]) -> bytes:
    """Return the body of a notification of events, b"" where none is sent."""
    if hook.topic is None:
        return dues[0].body if hook.payload else b""
    last = dues[-1]
    return bundle(hook, base, last.event, dues, kind=EVENT, uid=dues[0].uid, at=last.at)


def interaction(due: Due) -> str:
    """Return what was done to the resource: create, update or delete.

    A PUT of an id that is new, or was deleted, is a create.
    """
    if due.method == "DELETE":
        return "delete"
    return "create" if due.created else "update"


def bundle(  # noqa: PLR0913 the parts of a notification
    hook: Hook,
    base: str,
    count: int,
    dues: Sequence[Due],
    *,
    kind: str,
    uid: str,
    at: int,
    content: str = "",
) -> bytes:
    """Return a history Bundle whose first entry is the status of the Subscription.

    `count` is how many events there were until then; `at` a moment in microseconds; `content`
    replaces what the Subscription says.
    """
    content = content or hook.content or EMPTY
    parameters = status_parameters(hook, base, count, kind=kind, dues=dues, content=content)
    address = f"{base}/Subscription/{hook.id}"
    entries: list[dict[str, Any]] = [
        {
            "fullUrl": f"urn:uuid:{uid}",
            "resource": {**parameters, "id": uid},
            "request": {"method": "GET", "url": f"{address}/$status"},
            "response": {"status": "200"},
        }
    ]
    if content != EMPTY:
        entries += [_entry(due, base, content) for due in _newest(dues)]
    return codec.encode({
        "resourceType": "Bundle",
        "id": uid,
        "type": "history",
        "timestamp": instant(at),
        "entry": entries,
    })  # fmt: skip


def status_parameters(  # noqa: PLR0913 the parts of SubscriptionStatus
    hook: Hook,
    base: str,
    count: int,
    *,
    kind: str,
    dues: Iterable[Due] = (),
    content: str = EMPTY,
    status: str = "",
    error: str = "",
) -> dict[str, Any]:
    """Return a SubscriptionStatus as the Backport writes it for R4."""
    parameters: list[dict[str, Any]] = [
        {
            "name": "subscription",
            "valueReference": {"reference": f"{base}/Subscription/{hook.id}"},
        },
    ]
    if hook.topic is not None and content != EMPTY:
        parameters.append({"name": "topic", "valueCanonical": hook.topic.url})
    parameters += [
        {"name": "status", "valueCode": status or hook.status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(count)},
    ]
    parameters += [_event(due, base, content) for due in dues]
    if error:
        parameters.append({"name": "error", "valueCodeableConcept": {"text": error}})
    return {
        "resourceType": "Parameters",
        "meta": {"profile": [systems.BACKPORT_STATUS]},
        "parameter": parameters,
    }


def _event(due: Due, base: str, content: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"name": "event-number", "valueString": str(due.event)},
        {"name": "timestamp", "valueInstant": instant(due.at)},
    ]
    if content != EMPTY:
        parts.append(
            {"name": "focus", "valueReference": {"reference": f"{base}/{due.type}/{due.id}"}}
        )
    return {"name": "notification-event", "part": parts}


def _newest(dues: Sequence[Due]) -> list[Due]:
    """Return the last event of each resource: a Bundle tells a resource once."""
    return list({(due.type, due.id): due for due in dues}.values())


def _entry(due: Due, base: str, content: str) -> dict[str, Any]:
    address = f"{due.type}/{due.id}"
    entry: dict[str, Any] = {"fullUrl": f"{base}/{address}"}
    if content == FULL and due.body:
        entry["resource"] = codec.raw(due.body)
    entry["request"] = {
        "method": due.method,
        "url": due.type if due.method == "POST" else address,
    }
    entry["response"] = {"status": _STATUS_OF[interaction(due)]}
    return entry
