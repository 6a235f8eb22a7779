"""One prior authorization, as both programs see it: a Task, its business status and its parts.

The Task's focus is the Claim, its output the ClaimResponse; `restriction.period.end` is when the
payer's decision is due. Its versions are the history. Source: FHIR R4 task.html.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from fhir_profiles import elements, pas, systems

Resource = dict[str, Any]
CODE, INQUIRE = "prior-authorization", "inquire-prior-auth"  # of our task-code list
TOKEN = f"{systems.TASK_CODE}|{CODE}"  # as a search finds these Tasks
INCOMPLETE = "Not sent, the request is not complete. "  # how the reason of such a draft begins
CALL = "The payer wants to be called"  # how the reason begins where it decides by phone (CT)
APPEALS = frozenset({"1", "2"})  # of certification types (X12 1322): immediate, standard
# What asks again, by its certification type, in the number of its Claim.
RENEWED = {"1": "appeal", "2": "appeal", pas.FIRST: "anew"}
AT_RISK_SHARE = 0.75  # of the time that a payer has; from then on a person should look
STATUS = f"{systems.BASE}/CodeSystem/prior-auth-status"
PART = f"{systems.BASE}/CodeSystem/prior-auth-part"
EXCHANGE = f"{systems.BASE}/Measure/prior-auth-exchange"
METRIC = f"{systems.BASE}/CodeSystem/prior-auth-metric"
EXT_SENT = f"{systems.BASE}/StructureDefinition/prior-auth-sent"
EXT_EXPIRES = f"{systems.BASE}/StructureDefinition/prior-auth-expires"
EXT_APPEAL_BY = f"{systems.BASE}/StructureDefinition/prior-auth-appeal-by"
EXT_LONGER = f"{systems.BASE}/StructureDefinition/prior-auth-extension"
EXT_JUDGED = f"{systems.BASE}/StructureDefinition/prior-auth-urgency"
_LASTING = frozenset({EXT_LONGER, EXT_JUDGED})
NUMBER = f"{systems.BASE}/NamingSystem/prior-auth"
TAKEN = f"{systems.BASE}/NamingSystem/prior-auth-taken"  # by a clearinghouse, under this number
FILING = "being-filed"  # in the place of that number while the request is on its way
# Parts: the Bundle as it goes out, the Bundle as it came back, and the ClaimResponse in it; the
# Endpoint that was discovered for it.
REQUEST, ANSWER, RESPONSE = "request-bundle", "response-bundle", "claim-response"
ENDPOINT = "endpoint"


class Status(StrEnum):
    """Where a prior authorization stands, as Task.businessStatus."""

    DRAFT = "draft"
    NEEDS_DOCUMENTS = "needs-documents"
    READY = "ready"
    SENT = "sent"
    PENDED = "pended"
    MORE_INFORMATION = "more-information"
    APPROVED = "approved"
    MODIFIED = "modified"
    PARTIAL = "partial"
    DENIED = "denied"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SEND_FAILED = "send-failed"
    UNREADABLE = "unreadable"


# What a bot has still to send, and what a payer has still to decide.
TO_SEND = frozenset({Status.READY, Status.SEND_FAILED})
WAITING = frozenset({Status.SENT, Status.PENDED, Status.MORE_INFORMATION, Status.UNREADABLE})
_STATUS = {
    Status.DRAFT: "draft",
    Status.APPROVED: "completed", Status.MODIFIED: "completed", Status.PARTIAL: "completed",
    Status.DENIED: "completed", Status.CANCELLED: "cancelled", Status.EXPIRED: "completed",
}  # fmt: skip


def task(*, claim: str, patient: Resource, number: str, bundle: str, authored: str) -> Resource:
    """Return the Task of a request that is ready to be sent.

    `number` names it for good, so that it is made once; `bundle` is the address of the request as
    it goes out, "" where it is built from the Claim.
    """
    found: Resource = {
        "resourceType": "Task",
        "identifier": [{"system": NUMBER, "value": number}],
        "status": "requested",
        "intent": "order",
        "code": {
            "coding": [{"system": systems.TASK_CODE, "code": CODE}],
            "text": "Prior authorization",
        },
        "focus": {"reference": claim},
        "for": patient,
        "authoredOn": authored,
    }
    if bundle:
        found["input"] = [_part(REQUEST, bundle)]
    return moved(found, Status.READY)


def moved(task: Resource, to: Status, reason: str = "") -> Resource:
    """Return the Task in another business status, and why it is there."""
    status = {"coding": [{"system": STATUS, "code": to.value}]}
    begun = "requested" if to in TO_SEND else "in-progress"
    found = {**task, "status": _STATUS.get(to, begun), "businessStatus": status}
    found.pop("statusReason", None)
    if to is not Status.SEND_FAILED:
        found["extension"] = _marks(task)
    if not found.get("extension"):
        found.pop("extension", None)
    return found | ({"statusReason": {"text": reason}} if reason else {})


def cancellation(claim: Resource, created: str) -> Resource:
    """Return the Claim that cancels all of another: an update whose items and status stay.

    Source: Da Vinci PAS 2.2.1, specification.html, "Cancelling".
    """
    concept = {"coding": [{"system": pas.CERTIFICATION_TYPE, "code": pas.CANCEL}]}
    kept = [e for e in claim.get("extension", []) if e.get("url") != pas.EXT_CERTIFICATION]
    first = claim["identifier"][0]
    related = {
        "claim": {"reference": f"Claim/{claim['id']}"},
        "relationship": {"coding": [{"system": pas.RELATED, "code": "prior"}]},
    }
    body = {name: value for name, value in claim.items() if name not in ("id", "meta", "text")}
    return {
        **body,
        "extension": [*kept, {"url": pas.EXT_CERTIFICATION, "valueCodeableConcept": concept}],
        "identifier": [{**first, "value": f"{first['value']}-cancel"}],
        "created": created,
        "related": [related],
    }


def is_first(claim: Resource) -> bool:
    """Tell whether a Claim asks for the first time: no update, cancellation or appeal."""
    parts = (claim, *claim.get("item", []))
    return not claim.get("related") and _certifications(parts) <= {pas.FIRST}


def is_appeal(claim: Resource) -> bool:
    """Tell whether a Claim appeals against a decision, with any of its items."""
    return bool(_certifications(claim.get("item", [])) & APPEALS)


def _certifications(parts: Iterable[Resource]) -> set[str]:
    """Return the certification types (X12 1322) that parts of a Claim say of themselves."""
    concepts = (elements.extension_value(one, pas.EXT_CERTIFICATION) for one in parts)
    return {elements.code(one, pas.CERTIFICATION_TYPE) for one in concepts if one}


def renewed(claim: Resource, created: str, certification: str, numbers: dict[int, str]) -> Resource:
    """Return the Claim that asks again for what was decided: as an appeal, or as a new request.

    `certification` is of X12 1322 (UM02); `numbers` are those of the decisions, by item, which an
    appeal names. What an update cancelled is left out. Asked for twice it is one Claim.
    """
    first = claim["identifier"][0]
    dropped = ("id", "meta", "text", "related")
    named = numbers if certification in APPEALS else {}
    return {
        **{name: value for name, value in claim.items() if name not in dropped},
        "identifier": [{**first, "value": f"{first['value']}-{RENEWED[certification]}"}],
        "created": created,
        "item": [
            _renewed_item(item, certification, named.get(item["sequence"], ""))
            for item in claim.get("item", [])
            if not elements.is_marked(item, pas.EXT_CANCELLED)
        ],
    }


def _renewed_item(item: Resource, certification: str, number: str) -> Resource:
    changed = (pas.EXT_CERTIFICATION, pas.EXT_CHANGED, pas.EXT_NUMBER)
    kept = [e for e in item.get("extension", []) if e.get("url") not in changed]
    concept = {"coding": [{"system": pas.CERTIFICATION_TYPE, "code": certification}]}
    made: list[Resource] = [{"url": pas.EXT_CERTIFICATION, "valueCodeableConcept": concept}]
    if number:
        made.append({"url": pas.EXT_NUMBER, "valueString": number})
    return {**item, "extension": [*kept, *made]}


def retried(task: Resource) -> Resource:
    """Return the Task marked as one that goes out again by itself."""
    return {**task, "extension": [*_marks(task), {"url": systems.EXT_RETRY, "valueBoolean": True}]}


def is_retried(task: Resource) -> bool:
    """Tell whether a request that could not be sent goes out again by itself."""
    return elements.has_extension(task, systems.EXT_RETRY)


def is_due(task: Resource) -> bool:
    """Tell whether a bot is to send a request: it is ready, or failed on the way."""
    found = status(task)
    return found == Status.READY or (found == Status.SEND_FAILED and is_retried(task))


def again(task: Resource, number: str) -> Resource:
    """Return a Task that a person has sent once more.

    What the payer refused, or rules did, is built anew of the Claim as we have it, and has its
    `number`; what may have arrived goes out as it was.
    """
    found = moved(task, Status.READY)
    is_built = elements.identifier(task, NUMBER).startswith("Claim/")
    if is_built and not is_retried(task):
        for where in ("input", "output"):
            listed = found.get(where, [])
            found[where] = [one for one in listed if not elements.code(one.get("type"), PART)]
        found["identifier"] = [{"system": NUMBER, "value": number}]
    return {name: value for name, value in found.items() if value != []}


def with_taken(task: Resource, number: str) -> Resource:
    """Return the Task with the number under which a clearinghouse has the request, "" for none."""
    kept = [one for one in task.get("identifier", []) if one.get("system") != TAKEN]
    return {**task, "identifier": [*kept, *([{"system": TAKEN, "value": number}] * bool(number))]}


def _marks(task: Resource) -> list[Resource]:
    return [e for e in task.get("extension", []) if e.get("url") != systems.EXT_RETRY]


def status(task: Resource) -> str:
    """Return the business status of a Task, "" if it has none of ours."""
    return elements.code(task.get("businessStatus"), STATUS)


def sent_at(task: Resource) -> datetime | None:
    """Return when the request went out first, None where nothing came back yet."""
    text = elements.extension_value(task, EXT_SENT)
    return datetime.fromisoformat(text) if text else None


def with_sent(task: Resource, at: datetime) -> Resource:
    """Return the Task with when it went out first."""
    if sent_at(task) is not None:
        return task
    mark = {"url": EXT_SENT, "valueDateTime": at.isoformat(timespec="milliseconds")}
    return {**task, "extension": [*task.get("extension", []), mark]}


def with_expiry(task: Resource, day: str) -> Resource:
    """Return the Task with the last day on which what was approved holds, "" for none said."""
    return _with_day(task, EXT_EXPIRES, day)


def with_appeal_by(task: Resource, day: str) -> Resource:
    """Return the Task with the last day on which the payer takes an appeal, as its letter says."""
    return _with_day(task, EXT_APPEAL_BY, day)


def _with_day(task: Resource, url: str, day: str) -> Resource:
    """Return the Task with a day in an extension, in place of the one there; "" for none."""
    kept = [e for e in task.get("extension", []) if e.get("url") != url]
    made = [{"url": url, "valueDate": day}] if day else []
    found = {**task, "extension": [*kept, *made]}
    return {name: value for name, value in found.items() if value != []}


def group(task: Resource) -> str:
    """Return what a request and its updates have in common: the number of the first."""
    return str(task.get("groupIdentifier", {}).get("value") or elements.identifier(task, NUMBER))


def continued(task: Resource, old: Resource) -> Resource:
    """Return the Task of an update, that goes on with the group and the clock of the one before.

    So do the payer's notice that it takes longer, who held it how urgent, and its owner.
    """
    there = {one["url"] for one in task.get("extension", [])}
    marks = [one for one in old.get("extension", []) if one["url"] in _LASTING - there]
    found = {**task, "groupIdentifier": {"system": NUMBER, "value": group(old)}}
    if marks:
        found["extension"] = [*task.get("extension", []), *marks]
    if any(one["url"] == EXT_JUDGED for one in marks):
        found["priority"] = old["priority"]
    lasting = ("restriction",) if "owner" in task else ("restriction", "owner")
    return found | {name: old[name] for name in lasting if name in old}


def extension(task: Resource) -> Resource | None:
    """Return what the payer said when it took more time, None where it did not."""
    return next(elements.extensions(task, EXT_LONGER), None)


def part(task: Resource, code: str) -> str:
    """Return the address of the newest part of that kind, "" where there is none."""
    listed = [*task.get("input", []), *task.get("output", [])]
    found = [one for one in listed if elements.code(one.get("type"), PART) == code]
    return elements.reference(found[-1].get("valueReference")) if found else ""


def with_part(task: Resource, where: str, code: str, address: str) -> Resource:
    """Return the Task with that `input` or `output`, in place of one of the same kind."""
    others = [one for one in task.get(where, []) if elements.code(one.get("type"), PART) != code]
    return {**task, where: [*others, _part(code, address)]}


def _part(code: str, address: str) -> Resource:
    kind = {"coding": [{"system": PART, "code": code}]}
    return {"type": kind, "valueReference": {"reference": address}}
