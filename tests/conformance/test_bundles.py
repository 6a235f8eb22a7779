"""Batches and transactions (TX)."""

import itertools
import threading
import time
from typing import Any

import pytest

from tests import samples
from tests.conformance.conftest import Api, codes

_names = itertools.count()
URN = "urn:uuid:3b1c5c57-9b1e-4c5f-8f4d-7a110d7d0f2a"
URN_2 = "urn:uuid:3b1c5c57-9b1e-4c5f-8f4d-7a110d7d0f2b"
OID = "urn:oid:1.2.3.4"
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"tx-{next(_names)}"


def entry(method: str, url: str, resource: Any = None, full_url: str = "", **more: Any) -> Any:
    found: dict[str, Any] = {"request": {"method": method, "url": url, **more}}
    if full_url:
        found["fullUrl"] = full_url
    return {**found, "resource": resource} if resource is not None else found


def run(api: Api, *entries: Any, kind: str = "transaction") -> Any:
    return api.post("", {"resourceType": "Bundle", "type": kind, "entry": list(entries)})


def tagged(name: str, **more: Any) -> dict[str, Any]:
    body = samples.patient(identifier=[{"system": "urn:x:tx", "value": name}], **more)
    del body["id"]
    return body


def versions(api: Api) -> int:
    found: int = api.get("_history?_count=0").get_json()["total"]
    return found


@pytest.mark.req("TX-01")
@pytest.mark.parametrize(
    "bad",
    [
        entry("PUT", "Patient/a", samples.patient("a", gender="x")),
        entry("PUT", "Patient/a", samples.patient("a"), ifMatch='W/"9"'),
        entry("PATCH", "Patient/never", {"resourceType": "Parameters", "parameter": []}),
        entry("GET", "Patient/never"),
        entry("POST", "Foo", {"resourceType": "Foo"}),
        entry("DELETE", "Patient?nonsense=1"),
    ],
)
def test_all_or_nothing(api: Api, name: str, bad: Any) -> None:
    """One bad entry: nothing is stored, and one OperationOutcome names it."""
    before = versions(api)
    answer = run(api, entry("POST", "Patient", tagged(name)), bad)

    assert 400 <= answer.status_code < 500
    assert "Bundle.entry[1]" in answer.get_data(as_text=True)
    assert before == versions(api)


@pytest.mark.req("TX-02")
@pytest.mark.req("TX-08")
def test_order(api: Api, name: str) -> None:
    """DELETE, POST, PUT, GET; answers in the order of the request, each complete."""
    api.put(samples.patient(name))
    answer = run(
        api,
        entry("GET", f"Coverage/{name}"),
        entry("PUT", f"Coverage/{name}", samples.coverage(name)),
        entry("POST", "Patient", tagged(name), ifNoneExist=f"identifier=urn:x:tx|{name}"),
        entry("DELETE", f"Patient/{name}"),
        entry("GET", f"Patient?identifier=urn:x:tx|{name}"),
    ).get_json()

    responses = [e["response"] for e in answer["entry"]]
    assert "transaction-response" == answer["type"]
    assert ["200", "201", "201", "204", "200"] == [r["status"][:3] for r in responses]
    assert answer["entry"][0]["resource"]["id"] == name
    assert 1 == answer["entry"][4]["resource"]["total"]
    for response in responses[1:3]:
        assert 'W/"1"' == response["etag"]
        assert response["lastModified"]
        assert response["location"].endswith("/_history/1")
    assert ["informational"] == codes(api.post("Bundle/$validate", answer))


@pytest.mark.req("TX-03")
def test_references_to_entries(api: Api, name: str) -> None:
    """Everywhere: nested, circular, in extensions and narratives; identifiers are left alone."""
    url = {"url": "http://x.example/e", "valueUri": URN}
    patient = {
        **tagged(name), "extension": [{"url": "http://x.example/c", "extension": [url]}],
        "text": {"status": "generated", "div": f'<div {XHTML}><a href="{URN_2}">x</a></div>'},
        "link": [{"other": {"reference": URN}, "type": "seealso"}],
        "managingOrganization": {"reference": OID},
    }  # fmt: skip
    patient["identifier"].append({"system": "urn:ietf:rfc:3986", "value": URN})
    coverage = samples.coverage(beneficiary={"reference": URN}, payor=[{"reference": OID}])
    organization = {**samples.payer(), "partOf": {"reference": "Organization/rel"}}
    answer = run(
        api,
        entry("POST", "Coverage", coverage, URN_2),
        entry("POST", "Patient", patient, URN),
        entry("POST", "Organization", organization, OID),
        entry("POST", "Organization", samples.clinic(), "http://ehr.example/fhir/Organization/rel"),
    ).get_json()

    stored = [e["resource"] for e in answer["entry"]]
    coverage, patient, payer, _ = stored
    address = f"Patient/{patient['id']}"
    assert address == coverage["beneficiary"]["reference"]
    assert address == patient["link"][0]["other"]["reference"]
    assert address == patient["extension"][0]["extension"][0]["valueUri"]
    assert f'href="Coverage/{coverage["id"]}"' in patient["text"]["div"]
    assert URN == patient["identifier"][1]["value"]
    assert f"Organization/{payer['id']}" == coverage["payor"][0]["reference"]
    assert [coverage["id"]] == api.ids(f"Coverage?beneficiary={address}")


@pytest.mark.req("TX-04")
def test_conditional_references(api: Api, name: str) -> None:
    """One match is taken; none or several are 412, and nothing is stored."""
    reference = {"reference": f"Patient?identifier=urn:x:tx|{name}"}
    ask = entry("POST", "Coverage", samples.coverage(beneficiary=reference))
    before = versions(api)
    none = run(api, ask)
    assert (412, before) == (none.status_code, versions(api))
    there = api.post("Patient", tagged(name)).get_json()["id"]
    found = run(api, ask).get_json()["entry"][0]["resource"]
    assert f"Patient/{there}" == found["beneficiary"]["reference"]
    api.post("Patient", tagged(name))
    assert (412, ["multiple-matches"]) == (run(api, ask).status_code, codes(run(api, ask)))


@pytest.mark.req("TX-05")
def test_conditions_per_entry(api: Api, name: str) -> None:
    """IfNoneExist finds what is there and what the references then point to; ifMatch holds."""
    condition = f"identifier=urn:x:tx|{name}"
    there = api.post("Patient", tagged(name)).get_json()["id"]
    coverage = samples.coverage(beneficiary={"reference": URN})
    answer = run(
        api,
        entry("POST", "Patient", tagged(name), URN, ifNoneExist=condition),
        entry("POST", "Coverage", coverage),
        entry("PUT", f"Patient?{condition}", tagged(name, gender="male")),
    ).get_json()

    assert ["200", "201", "200"] == [e["response"]["status"][:3] for e in answer["entry"]]
    assert f"Patient/{there}" == answer["entry"][1]["resource"]["beneficiary"]["reference"]
    stale = entry("PUT", f"Patient/{there}", {**tagged(name), "id": there}, ifMatch='W/"1"')
    assert 412 == run(api, stale).status_code
    assert 400 == run(api, {**stale, "request": {**stale["request"], "ifMatch": "1"}}).status_code


@pytest.mark.req("TX-05")
def test_conditional_get_in_an_entry(api: Api, name: str) -> None:
    """304 where the client has it."""
    api.put(samples.patient(name))
    answer = run(api, entry("GET", f"Patient/{name}", ifNoneMatch='W/"1"'),
                 entry("GET", f"Patient/{name}/_history/1"), entry("GET",
                  f"Patient/{name}/_history"),
                 kind="batch").get_json()  # fmt: skip

    assert ["304", "200", "200"] == [e["response"]["status"][:3] for e in answer["entry"]]
    assert "history" == answer["entry"][2]["resource"]["type"]


@pytest.mark.req("TX-06")
def test_one_identity_twice(api: Api, name: str) -> None:
    """By id, or by a condition that leads there."""
    there = api.post("Patient", tagged(name)).get_json()["id"]
    put = entry("PUT", f"Patient/{there}", {**tagged(name, gender="male"), "id": there})

    for twin in (put, entry("DELETE", f"Patient/{there}"),
                 entry("DELETE", f"Patient?identifier=urn:x:tx|{name}")):  # fmt: skip
        assert 400 == run(api, put, twin).status_code


@pytest.mark.req("TX-07")
def test_batch(api: Api, name: str) -> None:
    """Each entry stands alone, with its own answer."""
    answer = run(
        api,
        entry("PUT", f"Patient/{name}", samples.patient(name)),
        entry("PUT", "Patient/x", samples.patient("y")),
        entry("GET", "Patient/never"),
        entry("POST", "Patient", tagged(name), URN),
        entry("POST", "Coverage", samples.coverage(beneficiary={"reference": URN})),
        {"request": {"method": "FLY", "url": "Patient"}},
        "nonsense",
        kind="batch",
    ).get_json()

    statuses = [e["response"]["status"][:3] for e in answer["entry"]]
    assert ["201", "400", "404", "201", "400", "422", "422"] == statuses
    assert all("outcome" in answer["entry"][n]["response"] for n in (1, 2, 4, 5, 6))


@pytest.mark.req("TX-09")
def test_what_is_no_batch(api: Api, name: str) -> None:
    """Other Bundles are refused, with and without the slash; what is one is taken at both."""
    for path in ("", "/"):
        for kind in ("collection", "searchset", "history", "nonsense", 7):
            answer = api.client.post(f"/fhir{path}", json={"resourceType": "Bundle", "type": kind})
            assert 400 == answer.status_code
        body = {"resourceType": "Bundle", "type": "batch"}
        assert 200 == api.client.post(f"/fhir{path}", json=body).status_code
    assert 400 == api.post("", samples.patient(name)).status_code
    assert 422 == api.post("", {"resourceType": "Bundle", "type": "batch", "entry": 7}).status_code
    assert 400 == run(api, *[entry("GET", "Patient")] * 1001).status_code


@pytest.mark.req("TX-10")
def test_five_hundred_entries(api: Api, name: str) -> None:
    """Stored together, and a read meanwhile is answered."""
    entries = [entry("POST", "Patient", tagged(f"{name}-{n}")) for n in range(500)]
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(run(api, *entries).status_code))
    thread.start()
    started = time.monotonic()
    while thread.is_alive():
        assert api.get("Patient?_count=1&_total=none").status_code == 200
    thread.join()

    assert [200] == answers
    assert time.monotonic() - started < 30  # a limit against hanging; figures are in the bench
    assert 500 == api.get(f"Patient?identifier={','.join(f'{name}-{n}' for n in range(500))}"
                          "&_count=0").get_json()["total"]  # fmt: skip
