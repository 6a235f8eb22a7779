"""A PAS request Bundle -> the Review of a 278; its answer -> a PAS response Bundle.

So a payer that takes only X12 is asked with the same request, and its answer is read as every other
is. Source: Da Vinci PAS 2.2.1, whose elements say which X12 element each of them is.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from bots.domain.eligibility import Person
from bots.domain.review import Decision, Party, Review, ReviewAnswer, Service
from bots.mapping.request import trace_of
from fhir_profiles import crosswalk, elements, pas, payer_asks, systems

Resource = dict[str, Any]
Held = Mapping[str, Resource]
ORIGINATOR = "9INFORCE01"  # TRN03: where the Claim's own trace has none
_TRACES = "urn:trnorg:"
_RELATIONSHIPS = {"child": "19", "spouse": "01", "self": "18"}
_GENDERS = {"female": "F", "male": "M"}
_QUALIFIERS = {
    systems.CPT: "HC", "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "HC",
    "http://hl7.org/fhir/sid/ndc": "N4",
}  # fmt: skip
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,4})?")
_SUBMITTED = {"coding": [
    {"system": "http://terminology.hl7.org/CodeSystem/adjudication", "code": "submitted"}
]}  # fmt: skip
_EVENT = {"20": "insurer", "21": "provider", "22": "patient", "23": "patient"}


def review(sent: Resource) -> Review:
    """Return what a request Bundle asks for."""
    claim = sent["entry"][0]["resource"]
    held = {entry["fullUrl"]: entry["resource"] for entry in sent["entry"]}
    focal: Resource = next((i for i in claim.get("insurance", []) if i.get("focal")), {})
    coverage = _at(held, focal.get("coverage"))
    patient = _at(held, claim.get("patient"))
    whose = elements.reference(coverage.get("subscriber"))
    subscriber = held.get(whose) or patient
    is_self = subscriber is patient or whose == elements.reference(claim.get("patient"))
    trace = claim["identifier"][0]
    level = elements.extension_value(claim, pas.EXT_LEVEL_OF_SERVICE)
    return Review(
        number=trace_of(str(sent["identifier"]["value"]))[:30],
        trace=str(trace["value"]),
        originator=str(trace["system"]).removeprefix(_TRACES).ljust(10, "0")[:10]
        if str(trace["system"]).startswith(_TRACES) else ORIGINATOR,
        payer=_organization("X3", _at(held, claim.get("insurer")), "PI"),
        provider=_organization("1P", _at(held, claim.get("provider")), "XX"),
        subscriber=_person(subscriber, coverage),
        dependent=None if is_self else _person(patient, {}),
        relationship=_relationship(coverage.get("relationship")),
        level=elements.code(level, pas.LEVEL_OF_SERVICE),
        diagnoses=tuple(_diagnoses(claim)),
        documents=tuple(_documents(claim)),
        note="; ".join(str(i["valueString"]) for i in claim.get("supportingInfo", [])
                       if "valueString" in i),
        services=tuple(_service(item, claim, held) for item in claim["item"]),
    )  # fmt: skip


def insurer(sent: Resource) -> Resource:
    """Return the payer's Organization as a request Bundle has it."""
    held = {entry["fullUrl"]: entry["resource"] for entry in sent["entry"]}
    return _at(held, sent["entry"][0]["resource"].get("insurer"))


def bundle(answer: ReviewAnswer, asked: Review, sent: Resource, moment: datetime) -> Resource:
    """Return the answer as a PAS response Bundle about the request as it was sent.

    A decision on the whole counts for each service that has none of its own.
    """
    entry, *others = sent["entry"]
    claim = entry["resource"]
    response: Resource = {
        "resourceType": "ClaimResponse",
        "identifier": claim["identifier"][:1],
        "status": "active",
        "type": claim["type"],
        "use": "preauthorization",
        "patient": claim["patient"],
        "created": moment.isoformat(timespec="milliseconds"),
        "insurer": claim["insurer"],
        "requestor": claim["provider"],
        "request": {"reference": entry["fullUrl"]},
        "outcome": "complete",
    }
    is_decided = any(one.action for one in (answer.event, *answer.services))
    if answer.rejects:
        outcome = "partial" if is_decided else "error"
        response |= {"outcome": outcome, "error": [_error(*one) for one in answer.rejects]}
    if is_decided:
        response |= _decided(answer, asked, claim)
    asks = list(_asks(answer, asked, claim))
    if asks:
        response["communicationRequest"] = [{"reference": url} for url, _ in asks]
    parties = {elements.reference(claim[name]) for name in ("patient", "insurer", "provider")}
    return {
        "resourceType": "Bundle",
        "identifier": {
            "system": f"{systems.BASE}/NamingSystem/review",
            "value": answer.number or asked.number,
        },
        "type": "collection",
        "timestamp": moment.isoformat(timespec="milliseconds"),
        "entry": [
            {"fullUrl": _url(f"{answer.number}|{moment}"), "resource": response},
            *({"fullUrl": url, "resource": one} for url, one in asks),
            *(one for one in others if one["fullUrl"] in parties),
        ],
    }


def _decided(answer: ReviewAnswer, asked: Review, claim: Resource) -> Resource:
    by_trace = {one.trace: one for one in answer.services if one.trace}
    in_order = answer.services if len(answer.services) == len(asked.services) else ()
    items: list[Resource] = []
    added: list[Resource] = []
    notes: list[Resource] = []
    for place, service in enumerate(asked.services):
        own = by_trace.get(service.trace) or (in_order[place] if in_order else None)
        decision = _completed(own, answer.event)
        made = _item(service, decision)
        for text in decision.notes:
            notes.append({"number": len(notes) + 1, "text": text})
            made.setdefault("noteNumber", []).append(len(notes))
        items.append(made)
        is_its_own = own is not None or len(asked.services) == 1
        if is_its_own and decision.action in ("A2", "A6") and _NUMBER.fullmatch(decision.quantity):
            item = next(i for i in claim["item"] if i["sequence"] == service.sequence)
            added.append({
                "itemSequence": [service.sequence],
                "productOrService": item["productOrService"],
                "quantity": _amount(decision.quantity, decision.unit or service.unit),
                "adjudication": [_adjudication(Decision("", action="A1"))],
            })  # fmt: skip
    found = {"item": items, "addItem": added, "processNote": notes}
    return {name: value for name, value in found.items() if value}


def _completed(own: Decision | None, event: Decision) -> Decision:
    """Return the decision on a service; what the whole says alike counts for it where it is silent.

    The payer's words on the whole go with each service.
    """
    if own is None or not own.action:
        return event
    notes = tuple(dict.fromkeys((*own.notes, *event.notes)))
    if own.action != event.action:
        return replace(own, notes=notes)
    return replace(
        own, notes=notes, number=own.number or event.number, reason=own.reason or event.reason,
        issued=own.issued or event.issued, period=own.period if any(own.period) else event.period,
    )  # fmt: skip


def _amount(quantity: str, unit: str) -> Resource:
    """Return how many, and of what (X12 673) where anybody says."""
    found: Resource = {"value": Decimal(quantity)}
    return found | ({"system": pas.QUANTITY_UNIT, "code": unit} if unit else {})


def _asks(answer: ReviewAnswer, asked: Review, claim: Resource) -> Iterator[tuple[str, Resource]]:
    """Yield what the payer asks for: a CommunicationRequest for each report (PWK)."""
    traces = {one.trace: one.sequence for one in asked.services}
    for decision in (answer.event, *answer.services):
        for report, control in decision.reports:
            line = traces.get(decision.trace)
            concept = {"coding": [{"system": payer_asks.REPORT, "code": report}]}
            made: Resource = {
                "resourceType": "CommunicationRequest",
                "status": "active",
                "category": [concept],
                "requester": claim["insurer"],
            }
            if line:
                made["extension"] = [{"url": payer_asks.LINE, "valuePositiveInt": line}]
            if control:
                made["identifier"] = [{"value": control}]
            yield _url(f"{answer.number}|{decision.trace}|{report}|{control}"), made


def _url(mark: str) -> str:
    return f"urn:uuid:{UUID(bytes=hashlib.sha256(mark.encode()).digest()[:16], version=4)}"


def _item(service: Service, decision: Decision) -> Resource:
    extensions: list[Resource] = []
    if decision.issued:
        extensions.append({"url": pas.EXT_ISSUED, "valueDate": decision.issued.isoformat()})
    start, end = decision.period
    if start or end:
        period = {name: day.isoformat() for name, day in (("start", start), ("end", end)) if day}
        extensions.append({"url": pas.EXT_PERIOD, "valuePeriod": period})
    made: Resource = {
        "itemSequence": service.sequence, "adjudication": [_adjudication(decision)]
    }  # fmt: skip
    return made | ({"extension": extensions} if extensions else {})


def _adjudication(decision: Decision) -> Resource:
    review: list[Resource] = []
    if decision.action:
        concept = {"coding": [{"system": pas.REVIEW_ACTION, "code": decision.action}]}
        review.append({"url": pas.EXT_REVIEW_CODE, "valueCodeableConcept": concept})
    if decision.number:
        review.append({"url": "number", "valueString": decision.number})
    if decision.reason:
        reason = {"coding": [{"system": pas.DECISION_REASON, "code": decision.reason}]}
        review.append({"url": "reasonCode", "valueCodeableConcept": reason})
    extension = [{"url": pas.EXT_REVIEW_ACTION, "extension": review}] if review else []
    return {"category": _SUBMITTED} | ({"extension": extension} if extension else {})


def _error(level: str, reason: str, follow_up: str) -> Resource:
    """Return a reject (AAA03, AAA04) as an error of the response, with the party it is about."""
    code = {"coding": [{"system": f"{pas.X12}/901", "code": reason}]}
    path = f"Claim.{_EVENT.get(level, 'item')}"
    extensions: list[Resource] = [{"url": pas.EXT_ERROR_PATH, "valueString": path}]
    if follow_up:
        concept = {"coding": [{"system": f"{pas.X12}/889", "code": follow_up}]}
        extensions.append({"url": pas.EXT_FOLLOW_UP, "valueCodeableConcept": concept})
    return {"code": code, "extension": extensions}


def _service(item: Resource, claim: Resource, held: Held) -> Service:
    codings = item.get("productOrService", {}).get("coding", [])
    known = [c for c in codings if c.get("system") in _QUALIFIERS]
    coding: Resource = next(iter([*known, *codings]), {})
    period = item.get("servicedPeriod", {})
    start = elements.full_date(item.get("servicedDate") or period.get("start"))
    quantity = item.get("quantity", {})
    team: dict[int, Resource] = {one["sequence"]: one for one in claim.get("careTeam", [])}
    members = [team[n] for n in item.get("careTeamSequence", []) if n in team]
    return Service(
        sequence=item["sequence"],
        trace=f"{trace_of(str(claim['identifier'][0]['value']))}-{item['sequence']}",
        category=_extended(item, pas.EXT_REQUEST_TYPE, "1525"),
        certification=_extended(item, pas.EXT_CERTIFICATION, "1322"),
        service_type=elements.code(item.get("category"), f"{pas.X12}/1365"),
        place=elements.code(item.get("locationCodeableConcept"), pas.PLACE_OF_SERVICE),
        qualifier=_QUALIFIERS.get(str(coding.get("system")), "ZZ"),
        code=str(coding.get("code", "")),
        quantity=str(quantity.get("value", "")),
        unit=str(quantity.get("code", "")),
        start=start,
        end=elements.full_date(period.get("end")) or start,
        providers=tuple(_treats(one, held) for one in members),
        modifiers=tuple(
            code
            for one in item.get("modifier", [])
            if (code := next((str(c["code"]) for c in one.get("coding", []) if "code" in c), ""))
        ),
    )


def _treats(member: Resource, held: Held) -> Party:
    role = _at(held, member.get("provider"))
    code = elements.code(member.get("role"), f"{pas.X12}/98") or "SJ"
    if role.get("resourceType") == "Organization":
        return _organization(code, role, "XX")
    person = _at(held, role.get("practitioner"))
    name = elements.human_name(person)
    npi = elements.identifier(person, systems.NPI)
    given = next(iter(elements.texts(name, "given")), "")
    return Party(code, str(name.get("family", "")), npi, "XX" if npi else "", given, is_person=True)


def _organization(role: str, one: Resource, qualifier: str) -> Party:
    npi = elements.identifier(one, systems.NPI)
    listed = [i for i in one.get("identifier", []) if i.get("value")]
    value = npi or next((str(one["value"]) for one in listed), "")
    kind = "XX" if npi else qualifier
    return Party(role, str(one.get("name", "")), value, kind if value else "")


def _person(person: Resource, coverage: Resource) -> Person:
    name = elements.human_name(person)
    member: Resource = next(iter(crosswalk.member_numbers(coverage)), {})
    return Person(
        last=str(name.get("family", "")),
        first=next(iter(elements.texts(name, "given")), ""),
        member_id=str(member.get("value", "")),
        birth_date=elements.full_date(person.get("birthDate")),
        gender=_GENDERS.get(str(person.get("gender")), "U"),
    )


def _relationship(concept: Any) -> str:
    """Return INS02, of the X12 code or of the one of HL7; "" for what has none there."""
    told = elements.code(concept, pas.RELATIONSHIP)
    return told or _RELATIONSHIPS.get(elements.code(concept, systems.RELATIONSHIP), "")


def _diagnoses(claim: Resource) -> Iterator[tuple[str, date | None]]:
    for one in sorted(claim.get("diagnosis", []), key=lambda one: not _is_principal(one)):
        code = elements.code(one.get("diagnosisCodeableConcept"), pas.ICD_10)
        if code:
            yield code, elements.full_date(elements.extension_value(one, pas.EXT_RECORDED))


def _is_principal(diagnosis: Resource) -> bool:
    codings = [c for concept in diagnosis.get("type", []) for c in concept.get("coding", [])]
    return any(one.get("code") == "principal" for one in codings)


def _documents(claim: Resource) -> Iterator[tuple[str, str]]:
    for one in claim.get("supportingInfo", []):
        for extension in elements.extensions(one, pas.EXT_DOCUMENT):
            told = elements.parts(extension)
            code = elements.code(told.get("reportTypeCode"), f"{pas.X12}/755")
            if code:
                yield code, str(told.get("controlNumber") or "")


def _extended(node: Resource, url: str, element: str) -> str:
    return elements.code(elements.extension_value(node, url), f"{pas.X12}/{element}")


def _at(held: Held, node: Any) -> Resource:
    return held.get(elements.reference(node), {})
