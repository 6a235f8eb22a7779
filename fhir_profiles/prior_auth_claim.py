"""What a person fills in about an order <-> the Claim (use = preauthorization) that asks for it.

Source: Da Vinci PAS 2.2.1, profile-claim; the codes are those of X12 005010X217 UM and HSD.
"""

from dataclasses import dataclass
from typing import Any

from fhir_profiles import elements, pas, systems

Resource = dict[str, Any]
TRACE = f"{systems.BASE}/NamingSystem/prior-auth-trace"
TREATS = "SJ"  # of entities (X12 98): who provides the service
VERIFIES = "77"  # of reports (X12 755): support data for verification
INSTITUTIONAL = frozenset({"21", "31", "51", "55", "56", "61"})  # places of service with beds
_TYPES = "http://terminology.hl7.org/CodeSystem/claim-type"
_PRIORITY = "http://terminology.hl7.org/CodeSystem/processpriority"


@dataclass(frozen=True, slots=True)
class Wishes:
    """The fields, as text: ids of resources, codes, days (YYYY-MM-DD) and a number of units.

    `key` names the request for good, so that a form that is sent twice makes it once.
    """

    key: str = ""
    coverage: str = ""
    order: str = ""  # an address, as ServiceRequest/123
    clinician: str = ""  # the id of a PractitionerRole
    kind: str = ""  # X12 1525 (UM01)
    service_type: str = ""  # X12 1365 (UM03)
    place: str = ""  # CMS place of service
    start: str = ""
    end: str = ""
    quantity: str = ""
    unit: str = ""  # X12 673 (HSD01)
    diagnosis: str = ""  # ICD-10-CM
    urgent: str = ""  # "yes", or ""
    note: str = ""
    documents: tuple[str, ...] = ()  # addresses of DocumentReferences


@dataclass(frozen=True, slots=True)
class Named:
    """What the wishes name: the resources that the Claim takes its parties and service from."""

    coverage: Resource
    order: Resource
    clinician: Resource


def claim(wishes: Wishes, named: Named, created: str) -> Resource:
    """Return the Claim, without an id; `created` is a FHIR dateTime."""
    level = {"url": pas.EXT_LEVEL_OF_SERVICE, "valueCodeableConcept": _x12("1338", "U")}
    kind = "institutional" if wishes.place in INSTITUTIONAL else "professional"
    found: Resource = {
        "resourceType": "Claim",
        "extension": [level] if wishes.urgent else [],
        "identifier": [{"system": TRACE, "value": wishes.key}],
        "status": "active",
        "type": _coded(_TYPES, kind),
        "use": "preauthorization",
        "patient": named.coverage["beneficiary"],
        "created": created,
        "insurer": named.coverage["payor"][0],
        "provider": named.clinician["organization"],
        "priority": _coded(_PRIORITY, "stat" if wishes.urgent else "normal"),
        "careTeam": [{
            "sequence": 1,
            "extension": [{"url": pas.EXT_SCOPE, "valueBoolean": False}],
            "provider": {"reference": f"PractitionerRole/{wishes.clinician}"},
            "role": _x12("98", TREATS),
        }],
        "supportingInfo": _information(wishes),
        "diagnosis": [
            {"sequence": 1, "diagnosisCodeableConcept": _coded(pas.ICD_10, wishes.diagnosis)}
        ],
        "insurance": [
            {"sequence": 1, "focal": True, "coverage": {"reference": f"Coverage/{wishes.coverage}"}}
        ],
        "item": [_item(wishes, named.order)],
    }  # fmt: skip
    return {name: value for name, value in found.items() if value != []}


def service(order: Resource) -> Resource:
    """Return the code of what is ordered, {} where the order has none."""
    names = ("code", "codeCodeableConcept", "medicationCodeableConcept")
    found: Resource = next((order[name] for name in names if name in order), {})
    return found


def wishes(made: Resource) -> Wishes:
    """Return what was filled in to make this Claim; what it does not say is ""."""
    item = (made.get("item") or [{}])[0]
    period = item.get("servicedPeriod", {})
    quantity = item.get("quantity", {})
    member = (made.get("careTeam") or [{}])[0]
    diagnosis = (made.get("diagnosis") or [{}])[0].get("diagnosisCodeableConcept")
    infos = made.get("supportingInfo", [])
    return Wishes(
        key=elements.identifier(made, TRACE),
        coverage=_id((made.get("insurance") or [{}])[0].get("coverage")),
        order=elements.reference(elements.extension_value(item, pas.EXT_REQUESTED_SERVICE)),
        clinician=_id(member.get("provider")),
        kind=_extended(item, pas.EXT_REQUEST_TYPE, "1525"),
        service_type=elements.code(item.get("category"), f"{pas.X12}/1365"),
        place=elements.code(item.get("locationCodeableConcept"), pas.PLACE_OF_SERVICE),
        start=str(item.get("servicedDate") or period.get("start", "")),
        end=str(period.get("end", "")),
        quantity=str(quantity.get("value", "")),
        unit=str(quantity.get("code", "")),
        diagnosis=elements.code(diagnosis, pas.ICD_10),
        urgent="yes" if _extended(made, pas.EXT_LEVEL_OF_SERVICE, "1338") else "",
        note=next((str(one["valueString"]) for one in infos if "valueString" in one), ""),
        documents=tuple(
            elements.reference(one["valueReference"]) for one in infos if "valueReference" in one
        ),
    )


def _extended(node: Resource, url: str, element: str) -> str:
    return elements.code(elements.extension_value(node, url), f"{pas.X12}/{element}")


def _id(node: Any) -> str:
    return elements.reference(node).partition("/")[2]


def _item(wishes: Wishes, order: Resource) -> Resource:
    to = wishes.end or wishes.start
    when = (
        {"servicedDate": wishes.start}
        if to == wishes.start
        else {"servicedPeriod": {"start": wishes.start, "end": to}}
    )
    amount = {"value": int(wishes.quantity), "system": pas.QUANTITY_UNIT, "code": wishes.unit}
    return {
        "sequence": 1,
        "extension": [
            {"url": pas.EXT_REQUEST_TYPE, "valueCodeableConcept": _x12("1525", wishes.kind)},
            {"url": pas.EXT_CERTIFICATION, "valueCodeableConcept": _x12("1322", pas.FIRST)},
            {"url": pas.EXT_REQUESTED_SERVICE, "valueReference": {"reference": wishes.order}},
        ],
        "careTeamSequence": [1],
        "diagnosisSequence": [1],
        "category": _x12("1365", wishes.service_type),
        "productOrService": service(order),
        "locationCodeableConcept": _coded(pas.PLACE_OF_SERVICE, wishes.place),
        "quantity": {**amount, "unit": UNITS[wishes.unit]},
        **when,
    }


def _information(wishes: Wishes) -> list[Resource]:
    """Return the documents, then what is told in words."""
    kind = {"url": "reportTypeCode", "valueCodeableConcept": _x12("755", VERIFIES)}
    found: list[Resource] = [
        {
            "category": _coded(pas.TEMP_CODES, "additionalInformation"),
            "extension": [{"url": pas.EXT_DOCUMENT, "extension": [kind]}],
            "valueReference": {"reference": one},
        }
        for one in wishes.documents
    ]
    if wishes.note:
        category = _coded(pas.TEMP_CODES, "freeFormMessage")
        found.append({"category": category, "valueString": wishes.note})
    return [{"sequence": number, **one} for number, one in enumerate(found, 1)]


# Of X12 1525 (UM01) and 673 (HSD01): those that fit a single order.
KINDS = {"HS": "Health services", "SC": "Specialty care", "AR": "Admission"}
UNITS = {"VS": "visits", "FL": "units", "DY": "days", "HS": "hours", "MN": "months"}


def _x12(element: str, code: str) -> Resource:
    return _coded(f"{pas.X12}/{element}", code)


def _coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}
