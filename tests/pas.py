"""Synthetic resources of a prior authorization; every call gives a fresh copy."""

from typing import Any

from fhir_profiles import pas, systems
from tests import samples

Resource = dict[str, Any]
PLACE = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
X12 = pas.X12


def coded(system: str, code: str) -> Resource:
    """Return a CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code}]}


def patient(**more: Any) -> Resource:
    """Return the patient, with the number of the clinic."""
    number = {"system": "https://riverside.example/patients", "value": "7001"}
    return {**samples.patient(), "identifier": [number], **more}


def coverage(**more: Any) -> Resource:
    """Return the coverage as the guide wants it: the member id as an identifier."""
    kind = coded(systems.V2_IDENTIFIER_TYPE, "MB")
    member = {
        "type": kind,
        "system": "https://example-health.example/members",
        "value": "INF100001",
    }
    relationship = {"coding": [
        {"system": systems.RELATIONSHIP, "code": "self"},
        {"system": f"{X12}/1069", "code": "18"},
    ]}  # fmt: skip
    return {**samples.coverage(), "identifier": [member], "relationship": relationship, **more}


def clinic(**more: Any) -> Resource:
    """Return who asks."""
    return {**samples.clinic(), "active": True, **more}


def payer(**more: Any) -> Resource:
    """Return who decides."""
    return {**samples.payer(), "active": True, **more}


def practitioner() -> Resource:
    """Return who treats."""
    return {
        "resourceType": "Practitioner",
        "id": "dr",
        "identifier": [{"system": systems.NPI, "value": "1999999992"}],
        "name": [{"family": "Okafor", "given": ["Ngozi"]}],
    }


def role(**more: Any) -> Resource:
    """Return in what role."""
    return {
        "resourceType": "PractitionerRole",
        "id": "dr-here",
        "active": True,
        "practitioner": {"reference": "Practitioner/dr"},
        "organization": {"reference": "Organization/clinic"},
        "telecom": [{"system": "phone", "value": "555-0100"}],
        **more,
    }


def order(fhir_id: str = "order", /, **more: Any) -> Resource:
    """Return an order of physical therapy."""
    return {
        "resourceType": "ServiceRequest",
        "id": fhir_id,
        "status": "active",
        "intent": "order",
        "code": coded(systems.CPT, "97110"),
        "subject": {"reference": "Patient/pat"},
        "occurrenceTiming": {"repeat": {"count": 8}},
        **more,
    }


def document(**more: Any) -> Resource:
    """Return a note that goes along."""
    return {
        "resourceType": "DocumentReference",
        "id": "note",
        "status": "current",
        "type": coded("http://loinc.org", "11506-3"),
        "category": [
            coded(
                "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                "clinical-note",
            )
        ],
        "subject": {"reference": "Patient/pat"},
        "content": [{"attachment": {"contentType": "text/plain", "data": "Tm90ZQ=="}}],
        **more,
    }


def item(sequence: int, **more: Any) -> Resource:
    """Return one service that is asked for."""
    return {
        "sequence": sequence,
        "extension": [
            {"url": pas.EXT_REQUEST_TYPE, "valueCodeableConcept": coded(f"{X12}/1525", "HS")},
            {"url": pas.EXT_CERTIFICATION, "valueCodeableConcept": coded(f"{X12}/1322", "I")},
            {
                "url": pas.EXT_REQUESTED_SERVICE,
                "valueReference": {"reference": "ServiceRequest/order"},
            },
        ],
        "careTeamSequence": [1],
        "diagnosisSequence": [1],
        "category": coded(f"{X12}/1365", "2"),
        "productOrService": coded(systems.CPT, "97110"),
        "servicedDate": "2026-12-05",
        "locationCodeableConcept": coded(PLACE, "11"),
        "quantity": {"value": 8, "unit": "visits", "system": f"{X12}/673", "code": "VS"},
        **more,
    }


def claim(fhir_id: str = "pa", /, items: int = 1, **more: Any) -> Resource:
    """Return a request for that many services, with one document."""
    document_type = {"url": "reportTypeCode", "valueCodeableConcept": coded(f"{X12}/755", "03")}
    return {
        "resourceType": "Claim",
        "id": fhir_id,
        "identifier": [{"system": "urn:trnorg:1999999984", "value": f"PA-{fhir_id}"}],
        "status": "active",
        "type": coded("http://terminology.hl7.org/CodeSystem/claim-type", "professional"),
        "use": "preauthorization",
        "patient": {"reference": "Patient/pat"},
        "created": "2026-11-24T15:00:00Z",
        "insurer": {"reference": "Organization/payer"},
        "provider": {"reference": "Organization/clinic"},
        "priority": coded("http://terminology.hl7.org/CodeSystem/processpriority", "normal"),
        "careTeam": [
            {
                "sequence": 1,
                "extension": [{"url": pas.EXT_SCOPE, "valueBoolean": False}],
                "provider": {"reference": "PractitionerRole/dr-here"},
                "role": coded(f"{X12}/98", "SJ"),
            }
        ],
        "supportingInfo": [
            {
                "sequence": 1,
                "category": coded(pas.TEMP_CODES, "additionalInformation"),
                "extension": [{"url": pas.EXT_DOCUMENT, "extension": [document_type]}],
                "valueReference": {"reference": "DocumentReference/note"},
            },
            {
                "sequence": 2,
                "category": coded(pas.TEMP_CODES, "freeFormMessage"),
                "valueString": "Pain since May",
            },
        ],
        "diagnosis": [
            {
                "sequence": 1,
                "diagnosisCodeableConcept": coded("http://hl7.org/fhir/sid/icd-10-cm", "M54.50"),
            }
        ],
        "insurance": [
            {"sequence": 1, "focal": True, "coverage": {"reference": "Coverage/cov"}}
        ],
        "item": [item(number) for number in range(1, items + 1)],
        **more,
    }  # fmt: skip


def world(*more: Resource) -> list[Resource]:
    """Return everything that a request refers to, and what is given instead."""
    every = [patient(), coverage(), clinic(), payer(), practitioner(), role(), order(), document()]
    given = {(one["resourceType"], one["id"]): one for one in [*every, *more]}
    return list(given.values())
