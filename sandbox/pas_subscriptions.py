"""Who is told of changed answers: Subscriptions of the PAS topic, their handshake and messages.

Source: Subscriptions R5 Backport 1.1 for R4, channels.html; Da Vinci PAS 2.2.1 specification.html.
"""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import requests

from sandbox import pas_json as fhir
from sandbox.pas_json import Json

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
TIMEOUT_S = 10.0
_FILTERS = ("org-identifier=", "orgIdentifier=")  # the narrative's spelling, and the topic's


@dataclass(slots=True)
class Subscriber:
    """A Subscription, whose system it is, and how many events it was told."""

    resource: Json
    owner: str
    events: int = 0


class Subscribers:
    """All Subscriptions of one payer. Methods are safe to call from any thread."""

    def __init__(self) -> None:
        """Know none yet."""
        self._lock = threading.Lock()
        self._by_id: dict[str, Subscriber] = {}

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._by_id.clear()

    def get(self, fhir_id: str) -> Subscriber | None:
        """Return one, None if it is not there."""
        return self._by_id.get(fhir_id)

    def put(self, resource: Json, fhir_id: str, owner: str, base: str) -> Json:
        """Store a Subscription, shake hands, and return it as it stands then."""
        there = self._by_id.get(fhir_id)
        kept = Subscriber({**resource, "id": fhir_id, "status": "requested"}, owner)
        kept.events = there.events if there else 0
        with self._lock:
            self._by_id[fhir_id] = kept
        kept.resource["status"] = "active" if _send(kept, base, "handshake") else "error"
        return kept.resource

    def remove(self, fhir_id: str) -> None:
        """Take one away."""
        with self._lock:
            self._by_id.pop(fhir_id, None)

    def tell(self, senders: set[str], answer: Json, base: str) -> None:
        """Tell the Subscriptions of these systems of an answer."""
        for one in list(self._by_id.values()):
            if one.resource["status"] == "active" and senders & organizations(one.resource):
                with self._lock:
                    one.events += 1
                _send(one, base, "event-notification", answer)

    def status(self, one: Subscriber, base: str) -> Json:
        """Return the answer of $status."""
        entry = {"resource": _status(one, base, "query-status"), "search": {"mode": "match"}}
        return {"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [entry]}


def problem(resource: Any) -> tuple[str, str] | None:
    """Return the element of a Subscription that is not supported and why, None if all is."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "Subscription":
        return "Subscription", "is expected as the body"
    channel = resource.get("channel", {})
    content = fhir.value(channel.get("_payload", {}), f"{BACKPORT}/backport-payload-content")
    if resource.get("criteria") != fhir.TOPIC:
        return "Subscription.criteria", f"must be {fhir.TOPIC}"
    if channel.get("type") != "rest-hook":
        return "Subscription.channel.type", "must be rest-hook"
    if not channel.get("endpoint"):
        return "Subscription.channel.endpoint", "is mandatory"
    if content != "full-resource":
        return "Subscription.channel.payload.extension", "must ask for full-resource"
    if not organizations(resource):
        return "Subscription.criteria.extension", "needs a filter org-identifier=<id>"
    return None


def organizations(resource: Json) -> set[str]:
    """Return the sending systems of a Subscription's filter; a comma stands between several."""
    text = fhir.value(resource.get("_criteria", {}), f"{BACKPORT}/backport-filter-criteria") or ""
    for spelling in _FILTERS:
        if text.startswith(spelling):
            return {one for one in text.removeprefix(spelling).split(",") if one}
    return set()


def _status(one: Subscriber, base: str, kind: str, focus: str = "") -> Json:
    address = f"{base}/Subscription/{one.resource['id']}"
    parameters: list[Json] = [
        {"name": "subscription", "valueReference": {"reference": address}},
        {"name": "topic", "valueCanonical": fhir.TOPIC},
        {"name": "status", "valueCode": one.resource["status"]},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(one.events)},
    ]
    if focus:
        event = [
            {"name": "event-number", "valueString": str(one.events)},
            {"name": "timestamp", "valueInstant": datetime.now(UTC).isoformat()},
            {"name": "focus", "valueReference": {"reference": focus}},
        ]
        parameters.append({"name": "notification-event", "part": event})
    profile = f"{BACKPORT}/backport-subscription-status-r4"
    return {
        "resourceType": "Parameters", "id": str(uuid4()), "meta": {"profile": [profile]},
        "parameter": parameters,
    }  # fmt: skip


def _send(one: Subscriber, base: str, kind: str, answer: Json | None = None) -> bool:
    """Send one message; tell whether it was taken."""
    focus = f"urn:uuid:{uuid4()}" if answer else ""
    status = _status(one, base, kind, focus)
    address = f"{base}/Subscription/{one.resource['id']}/$status"
    entries: list[Json] = [
        {"fullUrl": f"urn:uuid:{status['id']}", "resource": status,
         "request": {"method": "GET", "url": address}, "response": {"status": "200"}}
    ]  # fmt: skip
    if answer:
        entries.append({
            "fullUrl": focus, "resource": answer,
            "request": {"method": "POST", "url": "Bundle"}, "response": {"status": "201"},
        })  # fmt: skip
    body = {
        "resourceType": "Bundle", "id": str(uuid4()), "type": "history",
        "timestamp": datetime.now(UTC).isoformat(), "entry": entries,
    }  # fmt: skip
    channel = one.resource["channel"]
    lines = (line.partition(":") for line in channel.get("header", []))
    headers = {name.strip(): text.strip() for name, _, text in lines}
    headers["Content-Type"] = channel.get("payload", "application/fhir+json")
    try:
        reply = requests.post(channel["endpoint"], json=body, headers=headers, timeout=TIMEOUT_S)
    except requests.RequestException:
        return False
    return reply.ok
