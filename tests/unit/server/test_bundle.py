"""Batch and transaction (fhir-server TX-01 to TX-09)."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from server.app import close, create_app
from server.settings import Settings
from tests import samples

URN = "urn:uuid:3b1c5c57-9b1e-4c5f-8f4d-7a110d7d0f2a"


@pytest.fixture
def client(new_database: Callable[[], str]) -> Iterator[FlaskClient]:
    app = create_app(Settings(database=new_database(), auth="open"))
    yield app.test_client()
    close(app)


def entry(method: str, url: str, resource: Any = None, **more: Any) -> dict[str, Any]:
    request = {"method": method, "url": url, **more.pop("request", {})}
    found = {"request": request, **more}
    return {**found, "resource": resource} if resource else found


def bundle(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def test_references_inside_a_transaction_are_put_right(client: FlaskClient) -> None:
    """TX-03, TX-08: urn:uuid becomes Type/id, also where the target stands later."""
    answer = client.post("/fhir", json=bundle(
        entry("POST", "Coverage", samples.coverage(beneficiary={"reference": URN})),
        entry("POST", "Patient", samples.patient(), fullUrl=URN),
    )).get_json()  # fmt: skip

    coverage, patient = (e["resource"] for e in answer["entry"])
    assert "transaction-response" == answer["type"]
    assert f"Patient/{patient['id']}" == coverage["beneficiary"]["reference"]
    for one in answer["entry"]:
        assert {"status", "etag", "lastModified", "location"} == set(one["response"])


def test_the_order_is_fixed_and_the_answers_are_not_moved(client: FlaskClient) -> None:
    """TX-02: DELETE, POST, PUT, GET; a GET sees what the Bundle wrote."""
    client.put("/fhir/Patient/old", json=samples.patient("old"))
    answer = client.post("/fhir/", json=bundle(
        entry("GET", "Patient?family=rivera"),
        entry("PUT", "Patient/new", samples.patient("new")),
        entry("GET", "Patient/new"),
        entry("DELETE", "Patient/old"),
    )).get_json()  # fmt: skip

    found = answer["entry"][0]["resource"]
    assert ["200 OK", "201 Created", "200 OK", "204 No Content"] == [
        e["response"]["status"] for e in answer["entry"]
    ]
    assert ["new"] == [e["resource"]["id"] for e in found["entry"]]


def test_one_bad_entry_leaves_nothing(client: FlaskClient) -> None:
    """TX-01: all or nothing, and the entry is named."""
    good = entry("POST", "Patient", samples.patient())
    invalid = client.post("/fhir", json=bundle(good, entry("POST", "Patient", {
        "resourceType": "Patient", "gender": "x"})))  # fmt: skip
    stale = client.post("/fhir", json=bundle(good, entry(
        "PUT", "Patient/p", samples.patient("p"), request={"ifMatch": 'W/"3"'})))  # fmt: skip

    assert (422, 412) == (invalid.status_code, stale.status_code)
    assert ["Bundle.entry[1].resource.gender"] == invalid.get_json()["issue"][0]["expression"]
    assert ["Bundle.entry[1]"] == stale.get_json()["issue"][0]["expression"]
    assert 0 == client.get("/fhir/Patient").get_json()["total"]


def test_if_none_exist_in_an_entry(client: FlaskClient) -> None:
    """TX-05: the existing resource is taken, and references go to it."""
    person = samples.patient("there", identifier=[{"system": "http://x", "value": "1"}])
    client.put("/fhir/Patient/there", json=person)
    answer = client.post("/fhir", json=bundle(
        entry("POST", "Patient", person, fullUrl=URN,
              request={"ifNoneExist": "identifier=http://x|1"}),
        entry("POST", "Coverage", samples.coverage(beneficiary={"reference": URN})),
    )).get_json()  # fmt: skip

    assert "200 OK" == answer["entry"][0]["response"]["status"]
    assert "Patient/there" == answer["entry"][1]["resource"]["beneficiary"]["reference"]


@pytest.mark.parametrize(
    "bad",
    [
        entry("PATCH", "Patient/1"),
        entry("GET", "Foo/1"),
        entry("POST", "Patient"),
        entry("GET", "Patient/1", samples.patient()),
        entry("PUT", "Patient/1", samples.coverage("1")),
        entry("PUT", "Patient/1", samples.patient("2")),
        entry("PUT", "Patient", samples.patient("2")),
        entry("POST", "Patient/1", samples.patient("1")),
        entry("DELETE", "Patient/1?family=x"),
        entry("PUT", "Patient/1", samples.patient("1"), request={"ifMatch": "1"}),
    ],
)
def test_what_does_not_fit_is_refused(client: FlaskClient, bad: dict[str, Any]) -> None:
    """A method, address and body that do not go together: 400 naming the entry."""
    answer = client.post("/fhir", json=bundle(bad))

    assert 400 == answer.status_code
    assert answer.get_json()["issue"][0]["expression"][0].startswith("Bundle.entry[0]")


def test_one_resource_is_written_once(client: FlaskClient) -> None:
    """TX-06."""
    twice = entry("PUT", "Patient/1", samples.patient("1"))

    assert 400 == client.post("/fhir", json=bundle(twice, twice)).status_code


def test_a_batch_answers_each_entry_for_itself(client: FlaskClient) -> None:
    """TX-07: the good ones are done, the bad ones told."""
    answer = client.post("/fhir", json=bundle(
        entry("POST", "Patient", samples.patient()),
        entry("GET", "Patient/none"),
        {"resource": samples.patient()},
        entry("PUT", "Patient/p", {"resourceType": "Patient", "id": "p", "gender": "x"}),
        kind="batch",
    )).get_json()  # fmt: skip

    statuses = [e["response"]["status"][:3] for e in answer["entry"]]
    assert ["201", "404", "422", "422"] == statuses
    assert "OperationOutcome" == answer["entry"][1]["response"]["outcome"]["resourceType"]
    assert 1 == client.get("/fhir/Patient").get_json()["total"]


def test_a_bundle_over_the_limit_is_refused(client: FlaskClient) -> None:
    """1,000 entries at the most."""
    many = bundle(*[entry("GET", "Patient/1") for _ in range(1001)])

    assert 400 == client.post("/fhir", json=many).status_code


def test_identifiers_are_never_rewritten(client: FlaskClient) -> None:
    """A urn that stands in business data is data, also when it equals a fullUrl."""
    named = [{"system": "urn:ietf:rfc:3986", "value": URN}]
    person = entry("POST", "Patient", samples.patient(identifier=named), fullUrl=URN)
    answer = client.post("/fhir", json=bundle(person)).get_json()

    assert named == answer["entry"][0]["resource"]["identifier"]


def test_equal_conditions_make_one_resource(client: FlaskClient) -> None:
    """Both entries, and references to either, are the same Patient."""
    other = URN.replace("2a", "2b")
    person = samples.patient(identifier=[{"system": "http://x", "value": "1"}])
    once = {"ifNoneExist": "identifier=http://x|1"}
    answer = client.post("/fhir", json=bundle(
        entry("POST", "Patient", person, fullUrl=URN, request=once),
        entry("POST", "Patient", person, fullUrl=other, request=once),
        entry("POST", "Coverage", samples.coverage(beneficiary={"reference": other})),
    )).get_json()  # fmt: skip

    first, second, coverage = (e["resource"] for e in answer["entry"])
    assert first["id"] == second["id"]
    assert f"Patient/{first['id']}" == coverage["beneficiary"]["reference"]


def test_relative_references_are_read_against_the_full_url(client: FlaskClient) -> None:
    """http.html#trules: entries that come from another server keep pointing at each other."""
    base = "http://ehr.example/fhir"
    answer = client.post("/fhir", json=bundle(
        entry("POST", "Patient", samples.patient(), fullUrl=f"{base}/Patient/tmp1"),
        entry("POST", "Coverage", samples.coverage(beneficiary={"reference": "Patient/tmp1"}),
              fullUrl=f"{base}/Coverage/tmp2"),
    )).get_json()  # fmt: skip

    patient, coverage = (e["resource"] for e in answer["entry"])
    assert f"Patient/{patient['id']}" == coverage["beneficiary"]["reference"]
