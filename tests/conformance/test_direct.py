"""The direct way before the web framework answers as the framework does."""

import json
from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from server.app import close, create_app
from server.settings import Settings
from tests import samples
from tests.conformance.conftest import Api


@pytest.fixture(scope="module")
def app(new_database: Callable[[], str]) -> Iterator[Flask]:
    made = create_app(Settings(database=new_database(), auth="open"))
    yield made
    close(made)


PATHS = [
    "Patient/pat", "Patient/never", "Foo/1", "Patient", "Patient?family=riv&nonsense=1",
    "Patient?birthdate=abc", "Patient?_count=0", "Patient?name=a%2Cb%20c+d%C3%A4",
    "Patient/pat?x=1", "Patient?_format=xml", "Patient?family:exact=Núñez",
    "Coverage?beneficiary=Patient/pat&_include=*", "Foo?x=1", "metadata", "Patient/pat/_history",
    "Patient?name=%FF", "Patient?name=a&gender=male&name=b",
    "Patient?_format=json", "Patient?_sort=family&_elements=name", "Patient/a_b",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("trace", ["", "mine", "not usable"])
def test_both_ways_answer_the_same(app: Flask, path: str, trace: str) -> None:
    """Status, body and headers, whatever is asked."""
    direct = Api(app.test_client())
    direct.put(samples.patient())
    direct.put(samples.coverage())
    named = {"X_Request_Id": trace} if trace else {}
    # A preference that means nothing is not plain, so the framework answers.
    quick, whole = direct.get(path, **named), direct.get(path, Prefer="x=y", **named)

    assert (quick.status_code, quick.data) == (whole.status_code, whole.data)
    for name in ("ETag", "Last-Modified", "Content-Type", "Cache-Control", "Content-Length"):
        assert quick.headers.get(name) == whole.headers.get(name), name
    usable = trace == "mine"
    assert usable == (quick.headers["X-Request-Id"] == whole.headers["X-Request-Id"])


def test_a_large_answer_is_compressed(app: Flask) -> None:
    """Where the client takes gzip the framework compresses; the content is the same."""
    api = Api(app.test_client())
    for number in range(10):
        api.put(samples.patient(f"large-{number}"))
    packed = api.get("Patient", Accept_Encoding="gzip")

    assert "gzip" == packed.headers["Content-Encoding"]
    assert json.loads(api.get("Patient").data)["total"] >= 10


PATIENT, REPRESENTATION = json.dumps(samples.patient()).encode(), "return=representation"
KNOWN = json.dumps(
    {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": samples.patient(), "request": {"method": "PUT", "url": "Patient/pat"}},
            {"request": {"method": "GET", "url": "Patient/pat"}},
        ],
    }
).encode()
SENT: list[tuple[str, str, bytes, dict[str, str]]] = [
    ("PUT", "Patient/pat", PATIENT, {}),
    ("PUT", "Patient/pat", PATIENT, {"If_Match": 'W/"1"'}),
    ("PUT", "Patient/pat", PATIENT, {"If_Match": 'W/"77"'}),
    ("PUT", "Patient/pat", PATIENT, {"If_Match": "1"}),
    ("PUT", "Patient/other", PATIENT, {}),
    ("PUT", "Patient/a_b", PATIENT, {}),
    ("POST", "Patient", b"{", {}),
    ("POST", "Patient", b'{"resourceType": "Patient", "gender": "x"}', {}),
    ("POST", "Patient", b'{"resourceType": "Patient", "active": true, "active": true}', {}),
    ("POST", "Patient", b'{"resourceType": "Coverage"}', {}),
    ("POST", "Patient", b"{}", {"Content_Type": "text/plain"}),
    ("POST", "Patient", b"[" * 3000, {}),
    ("POST", "Patient", b"", {}),
    ("POST", "Foo", b"{}", {}),
    ("POST", "Patient/pat", b"{}", {}),
    ("POST", "", b'{"resourceType": "Bundle", "type": "batch"}', {}),
    ("POST", "", b'{"resourceType": "Bundle", "type": "transaction", "entry": [{}]}', {}),
    ("POST", "", b'{"resourceType": "Bundle", "type": "document"}', {}),
    ("POST", "", KNOWN, {}),
    ("PUT", "", b"{}", {}),
    ("POST", "Patient", b"{}" + b" " * 11_000_000, {}),
    ("POST", "/", b'{"resourceType": "Bundle", "type": "batch"}', {}),
    ("POST", "", b'{"resourceType": "Bundle", "type": "batch"}', {"Prefer": REPRESENTATION}),
    ("POST", "", KNOWN, {"Prefer": "return=minimal"}),
    ("POST", "", KNOWN, {"If_None_Exist": "_id=pat"}),
    ("POST", "Patient", PATIENT, {"If_None_Exist": "_id=pat"}),
    ("POST", "Patient", PATIENT, {"If_None_Exist": "_id=pat", "Prefer": REPRESENTATION}),
    ("POST", "Patient", PATIENT, {"If_None_Exist": "resourceType=Patient"}),
    ("PUT", "Patient/pat", PATIENT, {"Prefer": REPRESENTATION}),
    ("PUT", "Patient/pat", PATIENT, {"Prefer": "return=minimal"}),
    ("POST", "Patient", PATIENT, {"If_None_Exist": "_id=pat", "Prefer": "return=minimal"}),
    ("PUT", "Patient/pat", PATIENT, {"If_None_Exist": "_id=pat"}),
    ("GET", "Patient/pat", b"", {"Prefer": REPRESENTATION}),
    ("GET", "Patient/pat", b"", {"If_None_Exist": "_id=pat"}),
]


@pytest.mark.parametrize("sent", SENT, ids=range(len(SENT)))
def test_both_ways_write_and_refuse_the_same(
    app: Flask, sent: tuple[str, str, bytes, dict[str, str]]
) -> None:
    """Also what is refused; and nothing of a refused body is stored."""
    direct = Api(app.test_client())
    direct.put(samples.patient())
    method, path, body, named = sent
    quick = direct.call(method, path, body, X_Request_Id="mine", **named)
    # A condition that means nothing to a write is not plain, so the framework answers.
    whole = direct.call(method, path, body, X_Request_Id="mine", If_Modified_Since="x", **named)

    assert (quick.status_code, quick.data) == (whole.status_code, whole.data)
    assert dict(quick.headers) == dict(whole.headers)


def test_both_ways_create_the_same(app: Flask) -> None:
    """One resource each, told alike but for its id and time."""
    api = Api(app.test_client())
    body = {"resourceType": "Basic", "code": {"text": "new"}}
    answers = [api.post("Basic", body), api.post("Basic", body, Prefer="x=y")]
    told = []
    for answer in answers:
        resource = answer.get_json()
        fhir_id = resource.pop("id")
        assert answer.headers["Location"].endswith(f"/fhir/Basic/{fhir_id}/_history/1")
        assert "1" == resource.pop("meta")["versionId"]
        told.append((answer.status_code, resource, sorted(answer.headers.keys()),
                     answer.headers["ETag"]))  # fmt: skip

    assert told[0] == told[1]
    assert 201 == answers[0].status_code
    assert 2 == api.get("Basic?code:text=new").get_json()["total"]
