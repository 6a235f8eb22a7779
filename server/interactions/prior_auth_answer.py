"""Answers about prior authorizations that are made here: not decided yet, or told to a person.

They have the shape of a PAS response Bundle, so that they are read as a payer's own. Source: Da
Vinci PAS 2.2.1, PAS Response Bundle and Claim Response.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fhir_profiles import codec, elements, pas, prior_auth
from server.interactions import read
from server.interactions.engine import Engine

Resource = dict[str, Any]
_ADJUDICATION = "http://terminology.hl7.org/CodeSystem/adjudication"
_SUBMITTED = {"coding": [{"system": _ADJUDICATION, "code": "submitted"}]}


@dataclass(frozen=True, slots=True)
class Word:
    """What was said about one item: a code of X12 306, its number, the first and the last day.

    `units` are certified in place of what was asked for, None where that stands.
    """

    action: str
    units: int | None = None
    number: str = ""
    days: tuple[str, str] = ("", "")


def pended(engine: Engine, task_id: str) -> Resource:
    """Return the response Bundle that says that nothing is decided yet, item by item."""
    request = _request(engine, task_id)
    items = [
        {"itemSequence": item["sequence"], "adjudication": [_judged("A4")]}
        for item in request[0]["resource"].get("item", [])
    ]
    more = {"disposition": "The payer has not answered yet; the request stays open.", "item": items}
    return _bundle(engine, request, f"pended-{task_id}", more)


def told(engine: Engine, task_id: str, words: dict[int, Word], note: str) -> Resource:
    """Return the response Bundle of what a payer told a person, by item.

    `note` says who told it, to whom and how: it stands with each item.
    """
    request = _request(engine, task_id)
    asked = {item["sequence"]: item for item in request[0]["resource"].get("item", [])}
    items, added = [], []
    for sequence, word in words.items():
        is_granted = word.action in ("A1", "A6")
        item: Resource = {
            "itemSequence": sequence,
            "noteNumber": [1],
            "adjudication": [_judged(word.action, word.number)],
        }
        period = {name: day for name, day in zip(("start", "end"), word.days, strict=True) if day}
        if is_granted and period:
            item["extension"] = [{"url": pas.EXT_PERIOD, "valuePeriod": period}]
        items.append(item)
        if word.units is not None:
            added.append({
                "itemSequence": [sequence],
                "productOrService": asked[sequence]["productOrService"],
                "quantity": {**asked[sequence].get("quantity", {}), "value": word.units},
                "adjudication": [_judged("A1")],
            })  # fmt: skip
    more = {"item": items, "addItem": added, "processNote": [{"number": 1, "text": note}]}
    found = {name: value for name, value in more.items() if value}
    return _bundle(engine, request, f"told-{engine.new_id()}", found)


def _bundle(engine: Engine, request: list[Resource], number: str, more: Resource) -> Resource:
    first, *others = request
    claim, now = first["resource"], engine.now().isoformat(timespec="milliseconds")
    parties = {elements.reference(claim[name]) for name in ("patient", "insurer", "provider")}
    response = {
        "resourceType": "ClaimResponse",
        "identifier": claim.get("identifier", [])[:1],
        "status": "active",
        "type": claim["type"],
        "use": "preauthorization",
        "patient": claim["patient"],
        "created": now,
        "insurer": claim["insurer"],
        "requestor": claim["provider"],
        "request": {"reference": first["fullUrl"]},
        "outcome": "complete",
        **more,
    }
    uid = str(UUID(bytes=UUID(engine.new_id()).bytes, version=4))
    return {
        "resourceType": "Bundle",
        "identifier": {"system": prior_auth.NUMBER, "value": number},
        "type": "collection",
        "timestamp": now,
        "entry": [
            {"fullUrl": f"urn:uuid:{uid}", "resource": response},
            *(entry for entry in others if entry["fullUrl"] in parties),
        ],
    }


def _request(engine: Engine, task_id: str) -> list[Resource]:
    """Return the entries of a request as it went out, or of its Claim before that was built."""
    task = codec.decode(read.read(engine, "Task", task_id).body)
    sent = read.referenced(engine, "Bundle", prior_auth.part(task, prior_auth.REQUEST))
    if sent is not None:
        entries: list[Resource] = sent["entry"]
        return entries
    return _entries(engine, elements.reference(task["focus"]))


def _entries(engine: Engine, address: str) -> list[Resource]:
    """Return a stored Claim and its parties as entries, before its Bundle is built."""
    claim = read.referenced(engine, "Claim", address) or {}
    named = [elements.reference(claim.get(name)) for name in ("patient", "insurer", "provider")]
    found = [(address, claim)]
    found += [(a, read.referenced(engine, a.partition("/")[0], a) or {}) for a in named if a]
    return [{"fullUrl": url, "resource": one} for url, one in found if one]


def _judged(action: str, number: str = "") -> Resource:
    concept = {"coding": [{"system": pas.REVIEW_ACTION, "code": action}]}
    review: list[Resource] = [{"url": pas.EXT_REVIEW_CODE, "valueCodeableConcept": concept}]
    if number:
        review.append({"url": "number", "valueString": number})
    return {
        "extension": [{"url": pas.EXT_REVIEW_ACTION, "extension": review}],
        "category": _SUBMITTED,
    }
