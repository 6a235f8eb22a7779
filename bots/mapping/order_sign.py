"""An order -> the call of a payer's CDS Hooks service order-sign, and what its answer says.

Source: Da Vinci CRD 2.2.1 (a coverage-information comes as a system action that updates the order
and changes nothing else); CDS Hooks 2.0.
"""

import hashlib
from typing import Any
from uuid import UUID

from fhir_profiles import coverage_information, crosswalk, elements

Resource = dict[str, Any]
HOOK = "order-sign"
_KEPT_HERE = ("extension", "text")


class NotSound(Exception):
    """The answer is none that may be stored; the message says what was expected, without data."""


def call(order: Resource, patient: Resource, coverage: Resource, server: str) -> Resource:
    """Return the body of the call: the order as a draft, and what the payer needs to know.

    The same version of an order is the same call. `server` is our FHIR base URL; no token for it
    goes along, as the prefetch is complete. What other payers call the person, and what we keep on
    a Coverage, stays here.
    """
    payers = {elements.reference(one) for one in coverage["payor"]}
    person = crosswalk.known_to(patient, payers)
    covered = {name: value for name, value in coverage.items() if name not in _KEPT_HERE}
    mark = f"{server}|{order['id']}|{order.get('meta', {}).get('versionId', '')}"
    instance = UUID(bytes=hashlib.sha256(mark.encode()).digest()[:16], version=4)
    requester = elements.reference(order.get("requester")) or "Organization/unknown"
    return {
        "hook": HOOK,
        "hookInstance": str(instance),
        "fhirServer": server,
        "context": {
            "userId": requester,
            "patientId": str(patient["id"]),
            "draftOrders": _bundle("collection", order),
        },
        "prefetch": {"patient": person, "coverage": _bundle("searchset", covered)},
    }


def _bundle(kind: str, resource: Resource) -> Resource:
    return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": resource}]}


def annotated(order: Resource, answer: Resource | None) -> Resource | None:
    """Return the order with what the payer said, None where it said nothing about it.

    Raises NotSound where an action changes more than that, or the word contradicts itself.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("cards"), list):
        message = "expected an object with cards"
        raise NotSound(message)
    actions = answer.get("systemActions") or []
    mine = [one for one in actions if _is_about(one, order)]
    if not mine:
        return None
    found = mine[-1]["resource"]
    if mine[-1].get("type") != "update" or _rest(found) != _rest(order):
        message = "expected an update of the order that changes its coverage-information only"
        raise NotSound(message)
    said = coverage_information.of(found)
    wrong = [text for one in said for text in coverage_information.breaches(one)]
    if wrong:
        raise NotSound("; ".join(wrong))
    if said == coverage_information.of(order):
        return None
    others = [e for e in order.get("extension", []) if e.get("url") != coverage_information.EXT]
    return {**order, "extension": [*others, *said]}


def _is_about(action: Any, order: Resource) -> bool:
    resource = action.get("resource") if isinstance(action, dict) else None
    return (
        isinstance(resource, dict)
        and resource.get("resourceType") == order["resourceType"]
        and resource.get("id") == order["id"]
    )


def _rest(order: Resource) -> Resource:
    """Return an order without what payers say about it, and without what a server adds."""
    kept = [e for e in order.get("extension", []) if e.get("url") != coverage_information.EXT]
    body = {name: value for name, value in order.items() if name not in ("meta", "extension")}
    return body | ({"extension": kept} if kept else {})
