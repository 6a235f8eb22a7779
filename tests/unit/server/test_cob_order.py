"""`$cob-order`: stored coverages as plans, their order, and what is wrong with that on file."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from fhir_profiles import systems
from tests import samples

MEDICARE = {"type": {"coding": [{"system": systems.X12_INSURANCE_TYPE, "code": "MA"}]}}
WC = {"type": {"coding": [{"system": systems.ACT_CODE, "code": "WCBPOL"}]}}
MEDICAID = {"type": {"coding": [{"system": systems.PAYMENT_TYPOLOGY, "code": "2"}]}}
CHILD = {"relationship": samples.relationship("child")}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def put(client: FlaskClient, *resources: dict[str, Any]) -> None:
    for one in resources:
        answer = client.put(f"/fhir/{one['resourceType']}/{one['id']}", json=one)
        assert answer.status_code in (200, 201), answer.get_data(as_text=True)


def facts(**parts: Any) -> dict[str, Any]:
    kinds = {str: "valueString", bool: "valueBoolean", int: "valueInteger"}
    listed = [{"url": name, kinds[type(value)]: value} for name, value in parts.items()]
    return {"extension": [{"url": systems.EXT_ORDER_FACTS, "extension": listed}]}


def order(client: FlaskClient, **query: str) -> tuple[list[str], list[str]]:
    """Return each plan as `id place` with a ? for a tie, and the findings."""
    answer = client.get("/fhir/Patient/pat/$cob-order", query_string={"on": "2026-11-26", **query})
    assert 200 == answer.status_code, answer.get_data(as_text=True)
    plans, found = [], []
    for one in answer.get_json().get("parameter", []):
        if one["name"] == "finding":
            found.append(one["valueCode"])
            continue
        parts = {p["name"]: next(v for k, v in p.items() if k != "name") for p in one["part"]}
        name = parts["coverage"]["reference"].removeprefix("Coverage/")
        plans.append(f"{name} {parts['place']}{'?' if parts['tie'] else ''}")
        assert parts["reason"]
    return plans, found


@pytest.mark.req("R003-56 R003-40")
def test_medicare_and_the_employer(client: FlaskClient) -> None:
    """By age, from the birth date; the size of the employer stands in the facts."""
    put(client, samples.patient(birthDate="1950-01-01"), samples.coverage("mc", **MEDICARE),
        samples.coverage("ghp"))  # fmt: skip
    assert ["ghp 1?", "mc 1?"] == sorted(order(client)[0])
    put(client, samples.coverage("ghp", **facts(employees=20)))
    assert (["ghp 1", "mc 2"], ["order-missing"]) == order(client)
    put(client, samples.coverage("ghp", **facts(employees=20, work="retired")))
    assert ["mc 1", "ghp 2"] == order(client)[0]
    put(
        client,
        samples.patient(birthDate="1985-02-14"),
        samples.coverage("ghp", **facts(employees=99)),
    )
    assert ["ghp 1?", "mc 1?"] == sorted(order(client)[0])
    put(client, samples.coverage("mc", **MEDICARE, **facts(entitlement="disability")))
    assert ["mc 1", "ghp 2"] == order(client)[0]


@pytest.mark.parametrize(
    ("start", "first"), [("2024-06-15", "ghp 1"), ("2024-05-31", "mc 1"), (None, "ghp 1?")]
)
def test_esrd_counts_months(client: FlaskClient, start: str | None, first: str) -> None:
    """Thirty months from its start; without a start nothing is known."""
    known = {"esrdStart": start} if start else {}
    put(client, samples.patient(), samples.coverage("ghp"),
        samples.coverage("mc", **MEDICARE, **facts(entitlement="esrd", **known)))  # fmt: skip

    assert first == min(order(client)[0], key=lambda text: text.split()[1])


def test_a_child_goes_by_the_birthdays_of_the_parents(client: FlaskClient) -> None:
    """Who the subscriber is stands on file, as a patient or a related person."""
    related = {"resourceType": "RelatedPerson", "id": "dad", "birthDate": "1980-07-05",
               "patient": {"reference": "Patient/pat"}}  # fmt: skip
    mother = samples.coverage("mother", subscriber={"reference": "Patient/mom"}, **CHILD)
    father = samples.coverage("father", subscriber={"reference": "RelatedPerson/dad"}, **CHILD)
    put(client, samples.patient(), samples.patient("mom", birthDate="1982-03-15"), related,
        mother, father)  # fmt: skip
    assert ["mother 1", "father 2"] == order(client)[0]
    put(client, {**father, **facts(decreed=True)})
    assert ["father 1", "mother 2"] == order(client)[0]
    put(client, {**father, "subscriber": {"reference": "RelatedPerson/gone"}})
    assert ["father 1?", "mother 1?"] == sorted(order(client)[0])


def test_medicaid_of_the_child_and_a_plan_of_a_spouse(client: FlaskClient) -> None:
    """The birthday rule is of children only, and whatever else the child has."""
    mother = samples.coverage("mother", subscriber={"reference": "Patient/mom"},
                              period={"start": "2024-01-01"}, **CHILD)  # fmt: skip
    father = samples.coverage("father", subscriber={"reference": "Patient/dad"},
                              period={"start": "2020-01-01"}, **CHILD)  # fmt: skip
    put(client, samples.patient(), samples.patient("mom", birthDate="1982-03-15"),
        samples.patient("dad", birthDate="1980-07-05"), mother, father,
        samples.coverage("md", **MEDICAID))  # fmt: skip
    assert ["mother 1", "father 2", "md 3"] == order(client)[0]
    put(client, {**mother, "relationship": samples.relationship("spouse")})
    assert ["father 1", "mother 2", "md 3"] == order(client)[0]


@pytest.mark.parametrize(
    "odd",
    [
        facts(esrdStart="2026-03", entitlement="esrd"),
        facts(esrdStart="2027-03-01", entitlement="esrd"),
        facts(employees="many"),
        facts(entitlement="luck"),
        {"period": {"start": "2026"}},
        {"subscriber": {"reference": "Patient/pat/_history/1"}},
        {"type": {"coding": [{"system": systems.SELF_PAY, "code": "pay"}]}},
        {"type": {"coding": [{"system": systems.X12_INSURANCE_TYPE, "code": "12"}]}},
    ],
)
def test_what_makes_no_sense_is_not_known(client: FlaskClient, odd: dict[str, Any]) -> None:
    """Neither the operation nor the page breaks on it."""
    put(
        client,
        samples.patient(),
        samples.coverage("ghp", **odd),
        samples.coverage("mc", **MEDICARE),
    )
    plans, _ = order(client)

    assert 2 == len(plans)
    assert 200 == client.get("/benefits/ghp").status_code


def test_an_accident_payer_is_for_its_visit(client: FlaskClient) -> None:
    """Else it has no place; Medicaid is last; what does not hold on the day is not listed."""
    put(client, samples.patient(), samples.coverage("wc", **WC), samples.coverage("md", **MEDICAID),
        samples.coverage("ghp"), samples.coverage("over", period={"end": "2026-11-25"}),
        samples.coverage("off", status="cancelled"))  # fmt: skip

    assert ["ghp 1", "md 2", "wc 0"] == order(client)[0]
    assert ["wc 1", "ghp 2", "md 3"] == order(client, accident="true")[0]


@pytest.mark.parametrize(
    ("orders", "findings"),
    [
        ((1, 2), []),
        ((2, 1), ["order-differs"]),
        ((1, 1), ["order-twice"]),
        ((None, 1), ["order-missing"]),
        ((None, None), ["order-missing"]),
    ],
)
def test_orders_on_file_are_held_against_the_rules(
    client: FlaskClient, orders: tuple[int | None, int | None], findings: list[str]
) -> None:
    """R003-40: unique for each patient and day; a gap and a difference are told."""
    first, second = ({"order": one} if one else {} for one in orders)
    put(client, samples.patient(), samples.coverage("ghp", **first),
        samples.coverage("md", **MEDICAID, **second))  # fmt: skip

    assert findings == order(client)[1]


def test_nobody_and_nonsense(client: FlaskClient) -> None:
    """No coverage is an empty answer; a wrong day is refused; no patient is not found."""
    put(client, samples.patient())
    assert ([], []) == order(client)
    wrong = client.get("/fhir/Patient/pat/$cob-order?on=soon")
    assert (400, ["on"]) == (wrong.status_code, wrong.get_json()["issue"][0]["expression"])
    assert 404 == client.get("/fhir/Patient/none/$cob-order").status_code
