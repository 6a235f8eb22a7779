"""What the payer answers: a ClaimResponse with its decisions, and all it refers to, as a Bundle."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sandbox import pas_json as fhir
from sandbox.pas_json import Json

VALID_DAYS = 90
_SUBMITTED = fhir.concept("http://terminology.hl7.org/CodeSystem/adjudication", "submitted")
DENIED = "The records do not show that the service is needed."
QUESTIONNAIRE = "102089-0"  # LOINC: fill in a questionnaire
Decision = dict[str, Any]


@dataclass(slots=True)
class Authorization:
    """One request and its life: the Bundle as it came last, and the answer that holds now.

    `plan` has the decision of each item; `numbers` every authorization number that it ever had;
    `attached` the control numbers of documents that came, `times` when each item was received, and
    when it was decided.
    """

    trace: str
    request: Json
    plan: dict[int, Decision]
    error: Json | None = None
    answer: Json = field(default_factory=dict)
    numbers: list[str] = field(default_factory=list)
    was_pended: bool = False
    is_withheld: bool = False
    later: list[tuple[int, Decision]] = field(default_factory=list)
    attached: set[str] = field(default_factory=set)
    times: dict[int, tuple[datetime, datetime | None]] = field(default_factory=dict)

    @property
    def claim(self) -> Json:
        """The Claim as it was sent last."""
        claim: Json = self.request["entry"][0]["resource"]
        return claim


def decide(plan: Authorization, number: str, *, edition: str) -> Json:
    """Return the response Bundle for the decisions of `plan`, in an edition of the guide."""
    claim, now = plan.claim, datetime.now(UTC)
    entries = fhir.by_url(plan.request)
    codes = [plan.plan[item["sequence"]]["code"] for item in claim["item"]]
    asks = [] if plan.error else list(_asks(plan))
    response: Json = {
        "resourceType": "ClaimResponse",
        "id": str(uuid4()),
        "identifier": claim["identifier"][:1],
        "status": "active",
        "type": claim["type"],
        "use": "preauthorization",
        "patient": claim["patient"],
        "created": now.isoformat(timespec="seconds"),
        "insurer": claim["insurer"],
        "requestor": claim["provider"],
        "request": {"reference": plan.request["entry"][0]["fullUrl"]},
        "outcome": _outcome(plan, codes, edition),
    }
    if plan.error:
        response["error"] = [plan.error]
    else:
        response |= _items(plan, number, now)
        if asks:
            response["communicationRequest"] = [{"reference": url} for url, _ in asks]
    bundle = {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:payer:transactions", "value": str(uuid4())},
        "type": "collection",
        "timestamp": now.isoformat(timespec="milliseconds"),
        "entry": [
            {"fullUrl": f"urn:uuid:{response['id']}", "resource": response},
            *({"fullUrl": url, "resource": one} for url, one in asks),
            *_echoed([response, *(one for _, one in asks)], entries),
        ],
    }
    if edition == "2.0.1":
        del bundle["identifier"]
    return bundle


def _outcome(plan: Authorization, codes: Iterable[str], edition: str) -> str:
    if plan.error:
        return "error"
    if edition == "2.0.1" and "A4" in codes:
        return "queued"
    return "complete"


def _items(plan: Authorization, number: str, now: datetime) -> Json:
    """Return item, addItem and processNote."""
    items: list[Json] = []
    added: list[Json] = []
    notes: list[Json] = []
    for item in plan.claim["item"]:
        decision = plan.plan[item["sequence"]]
        made = _item(plan, item, decision, number, now)
        words = decision.get("note") or (DENIED if decision["code"] == "A3" else "")
        if words:
            notes.append({"number": len(notes) + 1, "text": words})
            made["noteNumber"] = [len(notes)]
        items.append(made)
        if decision["code"] in ("A2", "A6") and decision.get("units"):
            added.append({
                "itemSequence": [item["sequence"]],
                "productOrService": item["productOrService"],
                "quantity": {**item.get("quantity", {"unit": "units"}), "value": decision["units"]},
                "adjudication": [_adjudication({"code": "A1"}, number)],
            })  # fmt: skip
    found = {"item": items, "addItem": added, "processNote": notes}
    return {name: value for name, value in found.items() if value}


def _item(plan: Authorization, item: Json, decision: Decision, number: str, now: datetime) -> Json:
    made: Json = {
        "itemSequence": item["sequence"],
        "adjudication": [_adjudication(decision, number)],
    }
    if any("questionnaire" in ask for ask in decision.get("ask", ())):
        context = {"system": "urn:payer:traces", "value": f"{plan.trace}-{item['sequence']}"}
        made["extension"] = [{"url": fhir.url("itemTraceNumber"), "valueIdentifier": context}]
    if decision["code"] in ("A1", "A2", "A3", "A6"):
        end = now.date() + timedelta(days=VALID_DAYS)
        provider = [
            {"url": "provider", "valueReference": {"reference": _organization(plan)}},
            {"url": fhir.url("authorizedProviderType"),
             "valueCodeableConcept": fhir.concept(f"{fhir.X12}/98", "SJ")},
        ]  # fmt: skip
        period = {"start": now.date().isoformat(), "end": end.isoformat()}
        made["extension"] = [
            {"url": fhir.url("itemPreAuthIssueDate"), "valueDate": now.date().isoformat()},
            {"url": fhir.url("itemAuthorizedProvider"), "extension": provider},
        ]
        if decision["code"] != "A3":
            made["extension"].append({"url": fhir.url("itemPreAuthPeriod"), "valuePeriod": period})
    return made


def _organization(plan: Authorization) -> str:
    """Return who is authorized: the requestor, or the organization of the role that requests."""
    address = fhir.reference(plan.claim["provider"])
    provider = fhir.by_url(plan.request)[address]
    return fhir.reference(provider.get("organization")) or address


def _adjudication(decision: Decision, number: str) -> Json:
    action = fhir.concept(fhir.REVIEW_ACTION, decision["code"])
    review: list[Json] = [{"url": fhir.url("reviewActionCode"), "valueCodeableConcept": action}]
    if decision["code"] not in ("A4", "CT", "NA"):
        review.append({"url": "number", "valueString": number})
    if decision.get("reason"):
        reason = fhir.concept(fhir.REASON, decision["reason"], display="Not medically necessary")
        review.append({"url": "reasonCode", "valueCodeableConcept": reason})
    elif decision["code"] == "A3":
        reason = fhir.concept(fhir.REASON, "0V", display="Requirements not met")
        review.append({"url": "reasonCode", "valueCodeableConcept": reason})
    extension = [{"url": fhir.url("reviewAction"), "extension": review}]
    return {"extension": extension, "category": _SUBMITTED}


def _asks(plan: Authorization) -> Iterable[tuple[str, Json]]:
    """Yield what is asked for: one CommunicationRequest for each document or questionnaire."""
    for item in plan.claim["item"]:
        for number, ask in enumerate(plan.plan[item["sequence"]].get("ask", ()), 1):
            control = _control(plan, item["sequence"], number)
            made: Json = {
                "resourceType": "CommunicationRequest",
                "id": str(uuid4()),
                "identifier": [{"system": "urn:payer:attachments", "value": control}],
                "status": "active",
                "extension": [
                    {"url": fhir.url("serviceLineNumber"), "valuePositiveInt": item["sequence"]}
                ],
                "requester": plan.claim["insurer"],
                "recipient": [plan.claim["provider"]],
            }
            if "pwk" in ask:
                made["category"] = [fhir.concept(f"{fhir.X12}/755", ask["pwk"])]
            else:
                made["payload"] = [{"contentString": ask.get("loinc", QUESTIONNAIRE)}]
            yield f"urn:uuid:{made['id']}", made


def controls(plan: Authorization) -> set[str]:
    """Return the control numbers of all documents that are asked for."""
    return {
        _control(plan, sequence, number)
        for sequence, decision in plan.plan.items()
        for number, _ in enumerate(decision.get("ask", ()), 1)
    }


def _control(plan: Authorization, sequence: int, number: int) -> str:
    return f"{plan.trace}-{sequence}-{number}"


def _echoed(resources: list[Json], entries: dict[str, Json]) -> list[Json]:
    """Return the entries of the request that the answer reaches, as they came."""
    found: dict[str, Json] = {}
    todo = [
        a for one in resources for k, v in one.items() if k != "request" for a in fhir.references(v)
    ]
    while todo:
        address = todo.pop(0)
        if address in entries and address not in found:
            found[address] = entries[address]
            todo += fhir.references(entries[address])
    return [{"fullUrl": address, "resource": one} for address, one in found.items()]
