"""`$resolve-member`: the ladder at the server, with its audit."""

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from fhir_profiles import systems
from server.interactions import members
from tests import samples

MB = {"coding": [{"system": systems.V2_IDENTIFIER_TYPE, "code": "MB"}]}
CARD = {"payer": "Organization/payer", "memberId": "inf 100001", "birthDate": "2/14/1985",
        "family": "Rivera"}  # fmt: skip
URL = "/fhir/Coverage/$resolve-member"


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client of a server with a payer, and two persons of one birth date."""
    caller = app.test_client()
    old = {"type": MB, "value": "OLD1", "period": {"end": "2025-12-31"}}
    rules = [{"url": "prefix", "valueCode": "keep"}]
    for one in (
        samples.payer(extension=[{"url": systems.EXT_IDENTIFIER_RULES, "extension": rules}]),
        samples.payer("strange", extension=[{"url": systems.EXT_IDENTIFIER_RULES, "extension": [
            {"url": "prefix", "valueCode": "cut"}]}]),
        samples.patient(), samples.patient("other"), samples.coverage(identifier=[old]),
        samples.coverage("cov-2", subscriberId="OTHER", beneficiary={"reference": "Patient/other"}),
        samples.coverage("cov-3", payor=[{"reference": "Organization/strange"}]),
    ):  # fmt: skip
        assert caller.put(f"/fhir/{one['resourceType']}/{one['id']}", json=one).status_code == 201
    return caller


def body(**given: str) -> dict[str, Any]:
    parts = [{"name": name, "valueString": value} for name, value in given.items()]
    return {"resourceType": "Parameters", "parameter": parts}


def told(client: FlaskClient, **given: str) -> dict[str, list[Any]]:
    """Return what each parameter of the answer says."""
    answer = client.post(URL, json=body(**{**CARD, **given}))
    assert 200 == answer.status_code, answer.get_data(as_text=True)
    found: dict[str, list[Any]] = {}
    for one in answer.get_json()["parameter"]:
        values = [v for k, v in one.items() if k.startswith("value") or k == "part"]
        found.setdefault(one["name"], []).extend(values)
    return found


def audits(client: FlaskClient) -> list[dict[str, Any]]:
    query = f"subtype={systems.AUDIT_SUBTYPE}|member-match"
    bundle = client.get(f"/fhir/AuditEvent?{query}").get_json()
    return [entry["resource"] for entry in bundle.get("entry", [])]


@pytest.mark.req("R000-37 R000-38")
def test_a_card_leads_to_its_coverage(client: FlaskClient) -> None:
    """The rung and the reason on demand; of another payer it is nobody's."""
    found = told(client, explain="true")

    assert (["match"], ["M1"]) == (found["result"], found["rung"])
    assert [{"reference": "Coverage/cov"}] == found["coverage"]
    assert ["Organization/payer/_history/1"] == found["rules"]
    tried = [{"name": "rung", "valueCode": "M1"}, {"name": "persons", "valueInteger": 1}]
    assert [tried] == found["tried"]
    assert ["none"] == told(client, memberId="nobody")["result"]
    assert "tried" not in told(client)


def test_an_old_card_asks_for_the_new_one_once(client: FlaskClient) -> None:
    """A match through history, and one Task however often."""
    for _ in range(2):
        found = told(client, memberId="OLD1")
        assert (["match"], ["M5"], ["through-history"]) == (
            found["result"], found["rung"], found["flag"])  # fmt: skip
    bundle = client.get(f"/fhir/Task?code={systems.TASK_CODE}|update-card").get_json()
    (task,) = [entry["resource"] for entry in bundle["entry"]]
    assert ("Coverage/cov", "Patient/pat") == (task["focus"]["reference"], task["for"]["reference"])


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ({"status": "cancelled"}, "match"),
        ({"status": "entered-in-error"}, "none"),
        ({"status": "draft"}, "none"),
        ({"beneficiary": {"reference": "Patient/pat/_history/1"}}, "match"),
        ({"beneficiary": {"reference": "http://127.0.0.1:8080/fhir/Patient/pat"}}, "match"),
    ],
)
def test_what_was_entered_in_error_is_nobodys(
    client: FlaskClient, change: dict[str, Any], result: str
) -> None:
    """A coverage under the wrong person leads to no match; however it refers to its person."""
    assert client.put("/fhir/Coverage/cov", json=samples.coverage(**change)).status_code == 200

    assert [result] == told(client)["result"]


def test_each_resolution_is_audited_without_the_person(client: FlaskClient) -> None:
    """Rules, rungs, counts, trace and the version chosen; of the input a keyed digest only."""
    told(client)
    told(client, memberId="nobody")
    first, second = sorted(audits(client), key=lambda one: str(one["outcome"]))
    details = {d["type"]: d["valueString"] for d in first["entity"][0]["detail"]}

    assert ("0", "match M1") == (first["outcome"], first["outcomeDesc"])
    assert "Coverage/cov/_history/1" == first["entity"][1]["what"]["reference"]
    assert ("M1=1", 64) == (details["tried"], len(details["input"]))
    assert details["trace"]
    assert ("4", "none") == (second["outcome"], second["outcomeDesc"])
    text = json.dumps([first, second])
    for part in ("Rivera", "100001", "1985", "nobody"):
        assert part not in text


@pytest.mark.parametrize(
    ("given", "status", "where"),
    [
        ({"payer": "Patient/pat"}, 400, "payer"),
        ({"payer": "Organization/none"}, 400, "payer"),
        ({"birthDate": "2/14/85"}, 400, "birthDate"),
        ({"birthDate": ""}, 400, "birthDate"),
        ({"on": "soon"}, 400, "on"),
        ({"ssn": "1"}, 400, "ssn"),
        ({"payer": "Organization/strange"}, 422, None),
    ],
)
def test_a_wrong_question_is_refused(
    client: FlaskClient, given: dict[str, str], status: int, where: str | None
) -> None:
    """Named, and nobody is looked for."""
    answer = client.post(URL, json=body(**{**CARD, **given}))

    assert status == answer.status_code
    assert where == answer.get_json()["issue"][0].get("expression", [None])[0]
    assert [] == audits(client)


def test_nothing_of_a_person_stands_in_a_url(client: FlaskClient) -> None:
    """Parameters in the query are refused, and GET is no way."""
    assert 400 == client.post(f"{URL}?memberId=1", json=body(**CARD)).status_code
    assert 404 == client.get(URL).status_code


def test_too_many_to_be_sure_is_said(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """No match over a part of those who may be meant."""
    monkeypatch.setattr(members, "PERSONS_LIMIT", 1)

    assert 422 == client.post(URL, json=body(**CARD)).status_code
