"""The AuditEvent of an attempt, as IHE BALP shapes those of RESTful exchanges.

Source: FHIR R4 auditevent.html; IHE Basic Audit Log Patterns 1.1, content.html. Kept small: no
narrative, no displays; what a viewer needs stands behind the references.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_profiles import codec, systems
from server.search.values import instant
from server.store.deliveries import Due, New
from server.subscriptions import endpoints, notification
from server.subscriptions.delivery import Answer
from server.subscriptions.hook import Hook

NOTIFICATION, HANDSHAKE, HEARTBEAT, LOOP = "notification", "handshake", "heartbeat", "loop"
GOOD, MINOR, SERIOUS = "0", "4", "8"
_INTERACTIONS = "http://hl7.org/fhir/restful-interaction"
_ENTITY = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_BALP_ENTITY = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
_LIFECYCLE = "http://terminology.hl7.org/CodeSystem/dicom-audit-lifecycle"
_ACTIONS = {"create": "C", "update": "U", "delete": "D"}
PATIENTS = ("patient", "beneficiary", "subject")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that is over: for which Subscription, of which events, and how it ended.

    `state` is what became of the events: done, due (again) or dead; `at` the moment it ended, in
    microseconds since 1970; `reason` says why it was given up.
    """

    subscription: str
    endpoint: str
    kind: str
    uid: str
    number: int
    trace: str
    dues: Sequence[Due]
    answer: Answer
    state: str
    at: int
    reason: str = ""
    carries: bool = field(default=True)


def audit_event(attempt: Attempt, base: str) -> dict[str, Any]:
    """Return the AuditEvent of an attempt; `base` is our FHIR base URL."""
    began = attempt.at - attempt.answer.took_ms * 1000
    subtypes = [{"system": systems.AUDIT_SUBTYPE, "code": attempt.kind}]
    done = {notification.interaction(due) for due in attempt.dues}
    subtypes += [{"system": _INTERACTIONS, "code": code} for code in sorted(done)]
    outcome = {"done": GOOD, "due": MINOR}.get(attempt.state, SERIOUS)
    return {
        "resourceType": "AuditEvent",
        "type": {"system": systems.AUDIT_TYPE, "code": "rest"},
        "subtype": subtypes,
        "action": _ACTIONS[done.pop()] if len(done) == 1 else "E",
        "period": {"start": instant(began), "end": instant(attempt.at)},
        "recorded": instant(attempt.at),
        "outcome": outcome,
        "outcomeDesc": _words(attempt),
        "agent": [
            _agent("110153", base, requestor=True),
            _agent("110152", endpoints.origin(attempt.endpoint), requestor=False),
        ],
        "source": {"observer": {"display": base}},
        "entity": list(_entities(attempt)),
    }


def loop_event(hook: Hook, address: str, new: New, base: str) -> dict[str, Any]:
    """Return the AuditEvent of an event that is not delivered: its chain is too long."""
    return {
        "resourceType": "AuditEvent",
        "type": {"system": systems.AUDIT_TYPE, "code": "rest"},
        "subtype": [{"system": systems.AUDIT_SUBTYPE, "code": LOOP}],
        "action": "E",
        "recorded": instant(new.at),
        "outcome": SERIOUS,
        "outcomeDesc": f"Not delivered: {new.reason} ({new.depth})",
        "agent": [_agent("110153", base, requestor=True)],
        "source": {"observer": {"display": base}},
        "entity": [_subscription(hook.id, new.uid), _resource(address), *_trace(new.trace)],
    }


def _words(attempt: Attempt) -> str:
    answer = attempt.answer
    parts = [f"Attempt {attempt.number}" if attempt.number else ""]
    parts.append(f"HTTP {answer.status}" if answer.status is not None else answer.fault)
    parts += [answer.told, attempt.reason, f"{answer.took_ms} ms" if attempt.number else ""]
    return ": ".join(part for part in (", ".join(p for p in parts[:2] if p),
                                       "; ".join(p for p in parts[2:] if p)) if part)  # fmt: skip


def _agent(role: str, address: str, *, requestor: bool) -> dict[str, Any]:
    return {
        "type": {"coding": [{"system": systems.DICOM, "code": role}]},
        "requestor": requestor,
        "network": {"address": address, "type": "5"},
    }


def _entities(attempt: Attempt) -> Any:
    """Yield what was at stake: the Subscription, the delivery, the resources, patients, trace."""
    yield _subscription(attempt.subscription, attempt.uid)
    for due in attempt.dues:
        yield _resource(f"{due.type}/{due.id}/_history/{due.version}")
    for address in attempt.answer.wrote:
        yield {**_resource(address), "lifecycle": {"system": _LIFECYCLE, "code": "1"}}
    for patient in _patients(attempt) if attempt.carries else ():
        yield {
            "what": {"reference": patient},
            "type": {"system": _ENTITY, "code": "1"},
            "role": {"system": systems.OBJECT_ROLE, "code": "1"},
        }
    yield from _trace(attempt.trace)


def _subscription(fhir_id: str, uid: str) -> dict[str, Any]:
    return {
        "what": {
            "reference": f"Subscription/{fhir_id}",
            "identifier": {"system": systems.DELIVERY, "value": uid},
        },
        "type": {"system": _ENTITY, "code": "2"},
        "role": {"system": systems.OBJECT_ROLE, "code": "9"},
    }


def _trace(trace: str) -> list[dict[str, Any]]:
    if not trace:
        return []
    kind = {"system": _BALP_ENTITY, "code": "XrequestId"}
    return [{"what": {"identifier": {"value": trace}}, "type": kind}]


def _resource(address: str) -> dict[str, Any]:
    return {
        "what": {"reference": address},
        "type": {"system": _ENTITY, "code": "2"},
        "role": {"system": systems.OBJECT_ROLE, "code": "4"},
    }


def _patients(attempt: Attempt) -> list[str]:
    """Return the patients whose data went out, each once."""
    found: dict[str, None] = {}
    for due in attempt.dues:
        if due.type == "Patient":
            found[f"Patient/{due.id}"] = None
        elif due.body:
            resource = codec.decode(due.body)
            for name in PATIENTS:
                node = resource.get(name)
                address = node.get("reference", "") if isinstance(node, dict) else ""
                if str(address).startswith("Patient/"):
                    found[str(address)] = None
    return list(found)
