"""What the day and the summary say of what is not on file, not active, and asked again."""

from datetime import UTC, date, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from bots.mapping import response
from bots.mapping.response import Head
from bots.x12 import eligibility_271
from fhir_profiles import codec, systems
from tests import samples
from tests.x12_texts import answer_271

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


def test_a_payer_that_answers_again_fails_no_more(client: FlaskClient) -> None:
    """The day names who does not answer now: the payer whose newest answer is none."""
    payer = [{"display": "A payer"}]
    code = {"coding": [{"code": "42"}], "text": "Unable to Respond"}
    tag = {"tag": [{"system": systems.ELIGIBILITY_STATE, "code": "could-not-check"}]}
    for name, created, more in (
        ("e", "08", {"meta": tag, "outcome": "error", "error": [{"code": code}]}),
        ("f", "09", {}),
    ):
        coverage = samples.coverage(name, beneficiary={"reference": "Patient/ana"}, payor=payer)
        assert client.put(f"/fhir/Coverage/{name}", json=coverage).status_code == 201
        about = [{"coverage": {"reference": f"Coverage/{name}"}, "inforce": True}]
        answer = {**ANSWER, **more, "insurance": about, "created": f"2026-11-27T{created}:00:00Z"}
        figure = f"Payers failing now: {'none' if name == 'e' else 'A payer'}"
        assert figure in client.get("/").text
        assert client.post("/fhir/CoverageEligibilityResponse", json=answer).status_code == 201
    assert "Payers failing now: none" in client.get("/").text
    assert "Unable to Respond" in client.get("/").text


def test_a_payer_has_one_name(client: FlaskClient) -> None:
    """That of the directory, on each page, however an EHR calls it."""
    called = [{"reference": "Organization/acme", "display": "ACME OLD"}]
    payer = {**samples.payer(), "id": "acme", "name": "Acme Health"}
    coverage = samples.coverage("g", beneficiary={"reference": "Patient/ana"}, payor=called)
    for one in (payer, coverage):
        assert client.put(f"/fhir/{one['resourceType']}/{one['id']}", json=one).status_code == 201
    for path in ("/", "/benefits/g"):
        page = client.get(path).text
        assert ("Acme Health" in page, "ACME OLD" in page) == (True, False)


def test_the_page_that_is_open_is_marked_in_the_bar(client: FlaskClient) -> None:
    """And nothing is where the page is none of the bar's."""
    marked = '<a href="{}" aria-current="page">{}</a>'
    for path, name in (("/", "Today"), ("/payers", "Payers"), ("/deliveries", "Deliveries")):
        assert marked.format(path, name) in client.get(path).text
    assert "aria-current" not in client.get("/benefits/d").text


def test_parties_stand_among_the_facts_and_words_among_the_messages(client: FlaskClient) -> None:
    """Whom the payer only names is said once; what it says of other payers without its heading."""
    head = {"resourceType": "CoverageEligibilityRequest", "id": "r", "purpose": ["benefits"],
            "patient": {"reference": "Patient/ana"}, "insurer": {"display": "A payer"},
            "insurance": [{"focal": True, "coverage": {"reference": "Coverage/c"}}]}  # fmt: skip
    rows = ("DTP*343*D8*20261031", "EB*1**30", "EB*L**98", "NM1*P3*1*SMITH*JO",
            "EB*MC**30", "MSG*USE THE MCO", "NM1*Y2*2*AMERI", "PER*IC**TE*8005550100",
            "EB*R**30", "NM1*PRP*2*OTHER HEALTH")  # fmt: skip
    made = response.answered(
        Head(head, "T", datetime(2026, 11, 27, 8, tzinfo=UTC), date(2026, 11, 27)),
        eligibility_271.read(answer_271(*rows)), "sandbox",
    )  # fmt: skip
    body = codec.encode(response.prune(made))
    kind = {"Content-Type": "application/fhir+json"}
    posted = client.post("/fhir/CoverageEligibilityResponse", data=body, headers=kind)
    assert posted.status_code == 201, posted.text
    page = client.get("/benefits/c").text

    for name, told in (("Primary care", "JO SMITH"), ("Premium Paid to Date End", "2026-10-31"),
                       ("Managed Care Organization", "AMERI, phone 8005550100")):  # fmt: skip
        assert f"<dt>{name}</dt><dd>{told}</dd>" in page
    assert ("1 as the payer wrote them" in page, "USE THE MCO" in page) == (True, True)
    assert "Other or Additional Payer" not in page
