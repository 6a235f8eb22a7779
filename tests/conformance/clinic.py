"""A small clinic: the resources that the search tests look for."""

from typing import Any

from tests import samples

UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'


def concept(system: str, code: str, **more: Any) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}], **more}


def observation(fhir_id: str, code: str, value: str, **more: Any) -> dict[str, Any]:
    number, unit = value.split()
    return {
        "resourceType": "Observation", "id": fhir_id, "status": "final",
        "code": concept(LOINC, code), "subject": {"reference": "Patient/ana"},
        "valueQuantity": {"value": float(number), "unit": unit, "system": UCUM, "code": unit},
        **more,
    }  # fmt: skip


MEMBER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB"}],
          "text": "Member number"}  # fmt: skip
WORLD: list[dict[str, Any]] = [
    samples.clinic(),
    samples.payer("payer-1", name="First Health", partOf={"reference": "Organization/holding"}),
    samples.payer("holding", name="Holding"),
    samples.patient(
        "ana", name=[{"family": "Núñez", "given": ["José", "Ana"]}], birthDate="1985-02-14",
        identifier=[{"system": "urn:m", "value": "1", "type": MEMBER}, {"value": "bare"}],
        telecom=[{"system": "phone", "value": "555-1", "use": "home"}],
        address=[{"city": "Ávila", "postalCode": "05001"}],
        meta={"tag": [{"system": "urn:t", "code": "vip"}], "profile": ["http://p.example/a"],
              "security": [{"system": "urn:s", "code": "r"}]},
        text={"status": "generated", "div": f"<div {XHTML}><p>Wheelchair needed</p></div>"},
    ),
    samples.patient("ben", name=[{"family": "Okafor", "given": ["Ben"]}], birthDate="1985-02",
                    gender="male", identifier=[{"system": "urn:m", "value": "2"}]),
    samples.patient("cem", name=[{"text": "Cem 100% _x_ a,b|c$d\\e"}], birthDate="1990",
                    gender="other", active=False),
    samples.coverage("cov-1", beneficiary={"reference": "Patient/ana"},
                     payor=[{"reference": "Organization/payer-1"}],
                     period={"start": "2026-01-01", "end": "2026-06-30"},
                     type=concept("urn:plan", "ppo", text="Preferred network")),
    samples.coverage("cov-2", beneficiary={"reference": "Patient/ben"}, status="cancelled",
                     payor=[{"reference": "https://other.example/fhir/Organization/9"}],
                     period={"start": "2026-07-01"}, type=concept("urn:plan", "hmo")),
    samples.coverage("cov-3", beneficiary={"reference": "Patient/ana/_history/1"}, status="draft",
                     payor=[{"identifier": {"system": "urn:payer", "value": "77"}}]),
    samples.request("req-1", patient={"reference": "Patient/ana"},
                    insurer={"reference": "Organization/payer-1"},
                    insurance=[{"coverage": {"reference": "Coverage/cov-1"}}]),
    observation("obs-1", "sys", "120 mm[Hg]", effectiveDateTime="2026-05-01T10:00:00Z"),
    observation("obs-2", "sys", "100 mm[Hg]", effectivePeriod={"start": "2026-05-01"}),
    observation("obs-3", "dia", "80 mm[Hg]", effectiveDateTime="2026-05-01T23:30:00-05:00"),
    observation("obs-4", "sys", "100.4 mm[Hg]", component=[
        {"code": concept(LOINC, "a"), "valueQuantity": {"value": 1}},
        {"code": concept(LOINC, "b"), "valueQuantity": {"value": 2}}]),
    {"resourceType": "RiskAssessment", "id": "risk-1", "status": "final",
     "subject": {"reference": "Patient/ana"}, "prediction": [{"probabilityDecimal": 0.5}]},
    {"resourceType": "ValueSet", "id": "vs-1", "status": "active", "url": "http://vs.example/plans",
     "compose": {"include": [{"system": "urn:plan", "concept": [{"code": "ppo"},
      {"code": "pos"}]}]}},
    {"resourceType": "ValueSet", "id": "vs-2", "status": "draft", "url": "http://vs.example/a/b/c"},
    {"resourceType": "CodeSystem", "id": "cs-1", "status": "active", "content": "complete",
     "url": "urn:plan", "concept": [{"code": "managed", "concept": [{"code": "ppo"},
      {"code": "hmo"}]}]},
    {"resourceType": "QuestionnaireResponse", "id": "qr-1", "status": "completed",
     "questionnaire": "http://q.example/intake|2", "subject": {"reference": "Patient/ana"}},
    {"resourceType": "List", "id": "list-1", "status": "current", "mode": "working",
     "entry": [{"item": {"reference": "Patient/ben"}}]},
    {"resourceType": "Location", "id": "loc-1", "name": "Riverside",
     "position": {"latitude": 41.88, "longitude": -87.63}},
    {"resourceType": "Location", "id": "loc-2", "name": "Far",
     "position": {"latitude": 34.05, "longitude": -118.24}},
    {"resourceType": "Appointment", "id": "app-1", "status": "booked",
     "start": "2026-12-01T09:00:00Z",
     "participant": [{"status": "accepted", "actor": {"reference": "Patient/ana"}}]},
]  # fmt: skip
