"""What the day and the summary say of what is not on file, not active, and asked again."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests import samples

ELSEWHERE = "https://other.example/fhir/Organization/a-payer"
ANSWER = {
    "resourceType": "CoverageEligibilityResponse", "status": "active", "purpose": ["benefits"],
    "patient": {"reference": "Patient/ana"}, "created": "2026-11-27T08:00:00Z",
    "request": {"reference": "CoverageEligibilityRequest/r"}, "outcome": "complete",
    "insurer": {"display": "A payer"},
    "insurance": [{"coverage": {"reference": "Coverage/c"}, "inforce": True}],
}  # fmt: skip


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    made = app.test_client()
    patient = {"reference": "Patient/ana"}
    for one in (
        samples.patient("ana"),
        samples.coverage("c", beneficiary=patient, payor=[{"reference": ELSEWHERE}]),
        samples.coverage("d", beneficiary=patient, status="draft"),
    ):
        assert made.put(f"/fhir/{one['resourceType']}/{one['id']}", json=one).status_code == 201
    return made


def test_a_payer_on_another_server_has_no_address_on_a_page(client: FlaskClient) -> None:
    """It is said that it is not here; an address says nothing to a person."""
    for path in ("/", "/benefits/c"):
        page = client.get(path).text
        assert "Not on file" in page
        assert ELSEWHERE not in page


def test_a_draft_is_said_to_be_one(client: FlaskClient) -> None:
    """It stands in no order of payment, and not because of the day."""
    page = client.get("/benefits/d").text
    assert "draft, so not in the order" in page
    assert "not of this day" not in page


def test_a_notice_ends_with_the_answer(client: FlaskClient) -> None:
    """Who asked again is told so until there is a newer answer, and then that there is one."""
    assert client.post("/fhir/CoverageEligibilityResponse", json=ANSWER).status_code == 201
    shown = client.post("/benefits/c/check").headers["Location"]
    assert "asked again" in client.get(shown).text
    newer = {**ANSWER, "created": "2026-11-27T09:00:00Z"}
    assert client.post("/fhir/CoverageEligibilityResponse", json=newer).status_code == 201
    page = client.get(shown).text
    assert "The payer has answered." in page
    assert "asked again" not in page
