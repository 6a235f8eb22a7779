"""The payer directory at the server: `$resolve-payer`, and the page of it."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from fhir_profiles import elements, systems
from tests import samples

PAY: dict[str, Any] = {"type": [{"coding": [{"system": systems.ORGANIZATION_TYPE, "code": "pay"}]}]}
WAYS = (("270", "stedi", "live"), ("270", "availity", "enrolment-needed"), ("835", "stedi", "odd"))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client of a server with three payers and a clinic."""
    caller = app.test_client()
    support = [
        {"url": systems.EXT_SUPPORT, "extension": [
            {"url": "transaction", "valueCode": code}, {"url": "route", "valueString": route},
            {"url": "state", "valueCode": state}, {"url": "since", "valueDate": "2026-03-01"}]}
        for code, route, state in WAYS
    ]  # fmt: skip
    identifiers = [
        {"system": systems.PAYER_ID, "value": "00099"},
        {"system": systems.STEDI_PAYER, "value": "OLD", "period": {"end": "2026-01-31"}},
        {"system": systems.PAYER_ID, "value": "EXH1", "use": "secondary"},
        {"system": systems.AVAILITY_PAYER, "value": "AV", "period": {"start": "2999-01-01"},
         "extension": [{"url": systems.EXT_TRANSACTION, "valueCode": "837"}]},
    ]  # fmt: skip
    for one in (
        samples.payer("a", **PAY, alias=["EHP"], identifier=identifiers, extension=support,
                      telecom=[{"system": "phone", "value": "+1-800-555-0100"}]),
        {"resourceType": "Organization", "id": "b", "name": "Example Health Ohio", **PAY},
        samples.payer("c", **PAY, name="Crédit Mutuel, Inc."),
        {**samples.clinic(), "name": "Example Health Clinic"},
    ):  # fmt: skip
        assert caller.put(f"/fhir/Organization/{one['id']}", json=one).status_code == 201
    return caller


def found(client: FlaskClient, **query: str) -> list[tuple[str, str]]:
    """Return id and grade of each entry."""
    bundle = client.get("/fhir/Organization/$resolve-payer", query_string=query).get_json()
    assert ("Bundle", "searchset") == (bundle["resourceType"], bundle["type"])
    return [
        (one["resource"]["id"], elements.extension_value(one["search"], systems.EXT_MATCH_GRADE))
        for one in bundle.get("entry", [])
    ]


@pytest.mark.req("R002-35 R002-15")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"text": "example health"}, [("a", "certain"), ("b", "possible")]),
        ({"text": "example health", "count": "1"}, [("a", "certain")]),
        ({"text": "EHP"}, [("a", "certain")]),
        ({"text": "credit mutuel"}, [("c", "probable")]),
        ({"text": "Example Health Clinic"}, []),
        ({"text": "00099"}, [("c", "probable"), ("a", "probable")]),
        ({"text": "OLD"}, [("a", "probable")]),
        ({"text": "OLD", "on": "2026-01-31"}, [("a", "certain")]),
        ({"text": "EXH1"}, [("a", "certain")]),
        ({"text": "99"}, []),
        ({"text": "a,b|c$"}, []),
    ],
)
def test_payers_are_found_with_grades(
    client: FlaskClient, query: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    """An id that two payers have is certain for neither; a clinic is no payer."""
    assert expected == found(client, **query)


def test_the_answer_says_why(client: FlaskClient) -> None:
    """A score, a reason in words, and the payer itself; by POST as by GET."""
    body = {"resourceType": "Parameters", "parameter": [{"name": "text", "valueString": "ehp"}]}
    bundle = client.post("/fhir/Organization/$resolve-payer", json=body).get_json()
    (entry,) = bundle["entry"]

    assert (1, 1) == (bundle["total"], entry["search"]["score"])
    assert "has the alias EHP" == elements.extension_value(
        entry["search"], systems.EXT_MATCH_REASON
    )
    assert entry["fullUrl"].endswith("/fhir/Organization/a")


@pytest.mark.parametrize(
    ("query", "where"),
    [({}, "text"), ({"text": " "}, "text"), ({"text": "x", "on": "soon"}, "on"),
     ({"text": "x", "count": "many"}, "count"), ({"txt": "x"}, "txt")],
)  # fmt: skip
def test_a_wrong_question_is_refused(
    client: FlaskClient, query: dict[str, str], where: str
) -> None:
    """400 that names the parameter."""
    answer = client.get("/fhir/Organization/$resolve-payer", query_string=query)

    assert 400 == answer.status_code
    assert [where] == answer.get_json()["issue"][0]["expression"]


@pytest.mark.req("R002-34")
def test_the_page_tells_ids_routes_and_what_is_not_there(client: FlaskClient) -> None:
    """Every id with its time and use, every transaction by its route with its state."""
    text = client.get("/payers?text=example+health").get_data(as_text=True)

    for part in (
        "has the name Example Health", "EHP", "Payer id 00099", "Stedi OLD until 2026-01-31",
        "Payer id, also EXH1", "Availity AV for 837 from 2999-01-01", "+1-800-555-0100",
        "270 by stedi:", "enrolment needed", "odd", "since 2026-03-01", "None: it cannot be asked",
        "Not on file", "None yet",
    ):  # fmt: skip
        assert part in text
    assert "Clinic" not in text
    every = client.get("/payers").get_data(as_text=True)
    assert "All payers by name" in every
    assert "Mutuel" in every
    assert "No payer has this name" in client.get("/payers?text=zzz").get_data(as_text=True)


def test_an_empty_directory_says_how_it_is_filled(app: Flask) -> None:
    """The command and the address."""
    assert "inforce-bots import-payers" in app.test_client().get("/payers").get_data(as_text=True)
