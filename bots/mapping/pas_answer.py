"""A payer's PAS response Bundle -> our ClaimResponse, the Task's next status, and its due time."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from html import escape
from typing import Any

from bots.mapping import pas_update
from bots.mapping.request import trace_of
from fhir_profiles import (
    codec,
    decision_clock,
    decisions,
    elements,
    pas,
    prior_auth,
    prior_auth_clock,
    systems,
)
from fhir_profiles.decision_clock import Clock
from fhir_profiles.decisions import Action, Answer, Problem, State
from fhir_profiles.prior_auth import Status

Resource = dict[str, Any]
NDC = "http://hl7.org/fhir/sid/ndc"
_XHTML = "http://www.w3.org/1999/xhtml"
_NEXT = {
    State.APPROVED: (Status.APPROVED, "Approved"),
    State.MODIFIED: (Status.MODIFIED, "Approved with changes"),
    State.PARTIAL: (Status.PARTIAL, "Partly approved"),
    State.DENIED: (Status.DENIED, "Denied"),
    State.PENDED: (Status.PENDED, "In review by the payer"),
    State.MORE_INFORMATION: (Status.MORE_INFORMATION, "The payer asks for more information"),
    State.CONTACT_PAYER: (Status.PENDED, prior_auth.CALL),
    State.NOT_REQUIRED: (Status.APPROVED, "No authorization is required"),
    State.CANCELLED: (Status.CANCELLED, "Cancelled"),
    State.REJECTED: (Status.SEND_FAILED, "The payer rejected the request"),
}
_SAYING_MORE = frozenset({State.CONTACT_PAYER, State.NOT_REQUIRED, State.REJECTED})


def read(bundle: Resource | None, sent: Resource) -> Answer:
    """Return what a response Bundle says about the items of a request as it was sent.

    Raises Unreadable where it is no response Bundle, is about another request or person, or
    contradicts itself.
    """
    try:
        entries = (bundle or {}).get("entry", [])
        first = entries[0]["resource"] if entries else {}
        if first.get("resourceType") != "ClaimResponse":
            message = "expected a Bundle with a ClaimResponse first"
            raise decisions.Unreadable(message)
        _moment(bundle or {})
        _check_about(first, entries, sent)
        items = sent["entry"][0]["resource"].get("item", [])
        gone = [one["sequence"] for one in items if pas_update.is_cancelled(one)]
        return decisions.read(first, [one["sequence"] for one in items], gone)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"it is malformed ({type(error).__name__})"
        raise decisions.Unreadable(message) from error


def _check_about(first: Resource, entries: list[Resource], sent: Resource) -> None:
    """Raise Unreadable where an answer says that it is about another request or person."""
    claim, url = sent["entry"][0]["resource"], sent["entry"][0]["fullUrl"]
    ours = {(i.get("system"), i.get("value")) for i in claim.get("identifier", [])}
    theirs = {(i.get("system"), i.get("value")) for i in first.get("identifier", [])}
    is_named = bool(ours & theirs) or elements.reference(first.get("request")) == url
    if (theirs or elements.reference(first.get("request"))) and not is_named:
        message = "it is about another request"
        raise decisions.Unreadable(message)
    address = elements.reference(first.get("patient"))
    patient = next((e["resource"] for e in entries if e.get("fullUrl") == address), None)
    if patient is None or address == elements.reference(claim.get("patient")):
        return
    held = [e["resource"] for e in sent["entry"]]
    known = {i.get("value") for one in held if one["resourceType"] in ("Patient", "Coverage")
             for i in one.get("identifier", [])}  # fmt: skip
    if not known & {i.get("value") for i in patient.get("identifier", [])}:
        message = "it is about another person"
        raise decisions.Unreadable(message)


def status(answer: Answer) -> tuple[Status, str]:
    """Return the Task's status after an answer, and the reason where the status says not all."""
    to, words = _NEXT[answer.state]
    told = [_problem(one) for one in answer.problems]
    told += [f"unknown modifier {one}" for one in answer.flags]
    said = [words] if answer.state in _SAYING_MORE else []
    return to, ": ".join([*said, "; ".join(told)] if told else said)


def _problem(problem: Problem) -> str:
    """Return what a payer finds wrong, and where it says that it is."""
    text = problem.text or f"X12 901 {problem.code}"
    return f"{text} at {problem.place}" if problem.place else text


def claim_response(
    task: Resource, claim: Resource, sent: Resource, answer: Resource, read_as: Answer
) -> Resource:
    """Return the ClaimResponse to store: the payer's, with our addresses in it.

    What it refers to beside the parties goes along inside: what the payer asks for is contained,
    everybody else is named. One answer makes one, however often it is told.
    """
    first = answer["entry"][0]["resource"]
    others = {e.get("fullUrl"): e["resource"] for e in answer["entry"] if "resource" in e}
    known = _known(sent["entry"][0]["resource"], claim)
    asks = {url: f"#ask-{n}" for n, url in enumerate(read_as.asks, 1) if url in others}
    body = {k: v for k, v in first.items() if k not in ("id", "meta", "text", "request")}
    contained = [
        {**_local(others[url], known | asks, others), "id": name[1:]} for url, name in asks.items()
    ]
    disposition = ". ".join([_NEXT[read_as.state][1], *_numbers(read_as)])
    cause = trace_of(f"{task['id']}|{_mark(answer)}")
    return {
        **_local(body, known | asks, others),
        "identifier": [*first.get("identifier", []), {"system": systems.CAUSE, "value": cause}],
        **({"contained": contained} if contained else {}),
        "text": {
            "status": "generated",
            "div": f'<div xmlns="{_XHTML}"><p>{escape(disposition)}</p></div>',
        },
        "patient": task["for"],
        "insurer": claim["insurer"],
        "request": task["focus"],
        "disposition": disposition,
    }


def is_newer(answer: Resource, before: Resource | None) -> bool:
    """Tell whether an answer is newer than the one there is: they come twice, and late."""
    return before is None or _moment(answer) > _moment(before)


def due(
    task: Resource, sent: Resource, payer: Resource, received: datetime, zone: tzinfo
) -> datetime | None:
    """Return by when, in its time zone, the payer must decide on a request; None for no clock.

    Its kind and time zone stand in its Organization; `zone` is the clinic's, where it has none.
    """
    claim = sent["entry"][0]["resource"]
    kinds = {e["fullUrl"]: e["resource"]["resourceType"] for e in sent["entry"]}
    is_drug = all(_is_drug(item, kinds) for item in claim.get("item", []))
    urgency = prior_auth_clock.urgency(task, claim)
    limit = decision_clock.limit_of(decision_clock.kind_of(payer), urgency, is_drug=is_drug)
    there = decision_clock.zone_of(payer, zone)
    found = Clock(received, limit, there).due
    return found.astimezone(there) if found else None


def expiry(answer: Answer) -> str:
    """Return the last day on which everything that was approved holds, "" where none is said.

    A period may end with a time, or with a month alone, which names no day.
    """
    approved = (Action.CERTIFIED, Action.PARTIAL, Action.MODIFIED)
    told = (one.period[1] for one in answer.items if one.action in approved)
    ends = [day for text in told if (day := elements.full_date(text)) is not None]
    return min(ends).isoformat() if ends else ""


def _is_drug(item: Resource, kinds: Mapping[str, str]) -> bool:
    requested = elements.reference(elements.extension_value(item, pas.EXT_REQUESTED_SERVICE))
    is_ordered = kinds.get(requested) == "MedicationRequest"
    return is_ordered or bool(elements.code(item.get("productOrService"), NDC))


def _known(sent: Resource, claim: Resource) -> dict[str, str]:
    """Return what the parties are called in the sent Claim -> their addresses here."""
    names = ("patient", "insurer", "provider")
    pairs = ((elements.reference(sent.get(n)), elements.reference(claim.get(n))) for n in names)
    return {there: here for there, here in pairs if there and here}


def _local(node: Any, known: Mapping[str, str], others: Mapping[Any, Resource]) -> Any:
    """Return a copy whose references lead to what we have, or name what we have not."""

    def change(found: Resource) -> Resource:
        address = found["reference"]
        if address in known:
            return {**found, "reference": known[address]}
        if address.startswith("#"):
            return found
        told = {name: value for name, value in found.items() if name != "reference"}
        return {"display": _name(others.get(address, {})) or "not held here", **told}

    return elements.with_references(node, change)


def _name(resource: Resource) -> str:
    name = resource.get("name")
    if isinstance(name, list):
        human = elements.human_name(resource)
        return " ".join([*human.get("given", []), human.get("family", "")]).strip()
    return str(name or "")


def _numbers(answer: Answer) -> Iterator[str]:
    for number in dict.fromkeys(one.number for one in answer.items if one.number):
        yield f"Number {number}"


def _mark(answer: Resource) -> str:
    """Return what tells one answer from every other: a payer may call two of them the same."""
    return hashlib.sha256(codec.encode(answer)).hexdigest()


def _moment(answer: Resource) -> datetime:
    found = datetime.fromisoformat(str(answer["timestamp"]))
    return found if found.tzinfo else found.replace(tzinfo=UTC)
