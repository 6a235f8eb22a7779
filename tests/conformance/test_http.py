"""HTTP and the CapabilityStatement (CAP, HTTP)."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from server.app import close, create_app
from server.settings import Settings
from tests import samples
from tests.conformance.conftest import ORIGIN, Api, codes


def statement(api: Api) -> Any:
    return api.get("metadata").get_json()


@pytest.mark.req("CAP-01")
def test_metadata(api: Api) -> None:
    """A valid statement of this instance."""
    found = statement(api)

    assert ("instance", "4.0.1") == (found["kind"], found["fhirVersion"])
    assert ["informational"] == codes(api.post("CapabilityStatement/$validate", found))


@pytest.mark.req("CAP-02")
def test_what_is_advertised_works_and_nothing_else_does(api: Api) -> None:
    """Each advertised interaction is routed; methods that are not are refused."""
    resource = next(r for r in statement(api)["rest"][0]["resource"] if r["type"] == "Patient")
    api.put(samples.patient("cap"))
    calls = {
        "read": ("GET", "Patient/cap", None),
        "vread": ("GET", "Patient/cap/_history/1", None),
        "update": ("PUT", "Patient/cap", samples.patient("cap")),
        "patch": ("PATCH", "Patient/cap", {"resourceType": "Parameters", "parameter": []}),
        "history-instance": ("GET", "Patient/cap/_history", None),
        "history-type": ("GET", "Patient/_history", None),
        "create": ("POST", "Patient", samples.patient()),
        "search-type": ("GET", "Patient", None),
        "delete": ("DELETE", "Patient/cap", None),
    }
    assert {i["code"] for i in resource["interaction"]} == set(calls)
    for code, (method, path, body) in calls.items():
        assert api.call(method, path, body).status_code < 300, code
    for method, path in (("POST", "Patient/cap"), ("DELETE", "metadata"), ("PUT", "")):
        answer = api.call(method, path, {})
        assert (answer.status_code, codes(answer)) in (
            (405, ["not-supported"]),
            (404, ["not-found"]),
        )
    assert 404 == api.get("Patient/cap/$nothing").status_code


@pytest.mark.req("CAP-02")
@pytest.mark.parametrize("level", ["interaction", "operation"])
def test_the_system_level_is_advertised_too(api: Api, level: str) -> None:
    """System interactions and operations."""
    names = {one.get("code") or one["name"] for one in statement(api)["rest"][0][level]}
    expected = {
        "interaction": {"transaction", "batch", "search-system", "history-system"},
        "operation": {"export", "meta", "reindex"},
    }

    assert expected[level] == names


@pytest.mark.req("CAP-03")
def test_every_advertised_parameter_of_every_type(api: Api) -> None:
    """Some 1,700 parameters, each with a value of its type."""
    values = {"date": "2026", "number": "1", "quantity": "1", "special": "1|1"}
    for resource in statement(api)["rest"][0]["resource"]:
        for parameter in resource.get("searchParam", []):
            value = values.get(parameter["type"], "x")
            if parameter["type"] == "composite":
                continue
            answer = api.get(f"{resource['type']}?{parameter['name']}={value}&_total=none")
            assert 200 == answer.status_code, (resource["type"], parameter)
            assert parameter["name"] in answer.get_json()["link"][0]["url"]


@pytest.mark.req("CAP-04")
def test_metadata_is_cached(api: Api) -> None:
    """The second GET is a 304."""
    first = api.get("metadata")
    second = api.get("metadata", If_None_Match=first.headers["ETag"])

    assert (304, b"") == (second.status_code, second.data)


@pytest.mark.req("HTTP-01")
@pytest.mark.parametrize(
    "accept", ["application/fhir+json", "application/json", "*/*", "", "text/html, */*;q=0.1"]
)
def test_media_types(api: Api, accept: str) -> None:
    """Whatever of these is asked for, it is FHIR JSON in UTF-8."""
    answer = api.get("metadata", Accept=accept)

    assert "application/fhir+json; charset=utf-8" == answer.headers["Content-Type"]


@pytest.mark.req("HTTP-02")
def test_format(api: Api) -> None:
    """_format wins over Accept."""
    assert 200 == api.get("Patient?_format=json", Accept="text/html").status_code
    assert 200 == api.get("Patient?_format=application/fhir%2Bjson").status_code
    assert 406 == api.get("Patient?_format=foo").status_code
    assert 406 == api.get("Patient", Accept="application/fhir+xml").status_code


@pytest.mark.req("HTTP-03")
def test_content_types(api: Api) -> None:
    """What we do not read is 415; plain JSON is read."""
    body = json.dumps(samples.patient())
    for kind, status in (
        ("text/plain", 415), ("application/fhir+xml", 415), ("application/json", 201),
        ("application/fhir+json; charset=utf-8", 201), ("application/json; charset=latin-1", 415),
    ):  # fmt: skip
        assert status == api.post("Patient", body, Content_Type=kind).status_code, kind


@pytest.mark.req("HTTP-04")
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "Patient/none", None, 404), ("GET", "Foo", None, 404),
        ("POST", "Patient", "{", 400),
        ("PUT", "Patient/x", {"resourceType": "Patient", "id": "y"}, 400),
        ("POST", "Patient", {"resourceType": "Patient", "gender": "x"}, 422),
        ("GET", "Patient?birthdate=x", None, 400), ("DELETE", "", None, 405),
        ("POST", "Patient/$nothing", {}, 405), ("GET", "$job/none", None, 404),
    ],
)  # fmt: skip
def test_refusals(api: Api, method: str, path: str, body: Any, status: int) -> None:
    """Each is an OperationOutcome that says something."""
    answer = api.call(method, path, body)
    found = answer.get_json()

    assert (status, "OperationOutcome") == (answer.status_code, found["resourceType"])
    assert all(i["severity"] and i["code"] and i["diagnostics"] for i in found["issue"])


@pytest.mark.req("HTTP-05")
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", "invalid"), ("", "invalid"), ('{"a":1,}', "invalid"), ("\xff", "invalid"),
        ('{"resourceType":"Patient","gender":"male","gender":"male"}', "structure"),
        ('{"resourceType":"Patient","name":[{"family":"a","family" :"b"}]}', "structure"),
        ('{"resourceType":"Patient","name":[{"family":"a","fam\\u0069ly":"b"}]}', "structure"),
        ('{"resourceType":"Observation","valueQuantity":{"value":NaN}}', "invalid"),
    ],
)  # fmt: skip
def test_malformed_json(api: Api, body: str, code: str) -> None:
    """400 with its code."""
    answer = api.post("Patient", body.encode("latin-1"))

    assert (400, [code]) == (answer.status_code, codes(answer))


@pytest.mark.req("HTTP-06")
def test_too_much(api: Api) -> None:
    """A large body, and a deep one."""
    large = api.post("Patient", b" " * (10 * 1024 * 1024 + 1))
    zipped = gzip.compress(b" " * (10 * 1024 * 1024 + 1))

    assert (413, ["too-long"]) == (large.status_code, codes(large))
    assert 413 == api.post("Patient", zipped, Content_Encoding="gzip").status_code
    for depth in (100, 900, 10_000):
        nested = b'{"resourceType":"Patient","extension":' + b'[{"extension":' * depth
        assert 400 == api.post("Patient", nested).status_code
        closed = nested + b"[]" + b"}]" * depth + b"}"
        assert api.post("Patient", closed).status_code in (400, 422)
        bundle = b'{"resourceType":"Bundle","type":"transaction","entry":' + closed[38:]
        assert api.post("", bundle).status_code in (400, 422)


@pytest.mark.req("HTTP-07")
def test_head(api: Api) -> None:
    """The headers of GET."""
    api.put(samples.patient("head"))
    got, head = api.get("Patient/head"), api.call("HEAD", "Patient/head")

    assert (200, b"") == (head.status_code, head.data)
    assert got.headers["ETag"] == head.headers["ETag"]


@pytest.mark.req("HTTP-08")
def test_gzip(api: Api) -> None:
    """Sent and answered."""
    body = gzip.compress(json.dumps(samples.patient("zip")).encode())
    answer = api.call("PUT", "Patient/zip", body, Content_Encoding="gzip")
    packed = api.get("metadata", Accept_Encoding="gzip")

    assert 201 == answer.status_code
    assert "gzip" == packed.headers["Content-Encoding"]
    assert "CapabilityStatement" == json.loads(gzip.decompress(packed.data))["resourceType"]
    assert 400 == api.post("Patient", b"not gzip", Content_Encoding="gzip").status_code
    assert 400 == api.post("Patient", body[:-9], Content_Encoding="gzip").status_code
    assert 415 == api.post("Patient", b"x", Content_Encoding="br").status_code


@pytest.mark.req("HTTP-09")
def test_cors(api: Api) -> None:
    """An allowed page may call and see our headers; another may not."""
    preflight = api.call("OPTIONS", "Patient/1", Origin=ORIGIN)
    other = api.get("metadata", Origin="https://evil.example")

    assert ORIGIN == preflight.headers["Access-Control-Allow-Origin"]
    assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
    assert "If-Match" in preflight.headers["Access-Control-Allow-Headers"]
    assert "ETag" in api.get("metadata", Origin=ORIGIN).headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in other.headers


@pytest.mark.req("HTTP-10")
def test_the_base_is_ours(tmp_path: Path) -> None:
    """Spoofed headers do not move it."""
    app = create_app(
        Settings(database=f"sqlite:///{tmp_path / 'base.db'}", auth="open",
                 public_url="https://fhir.clinic.example")
    )  # fmt: skip
    api = Api(app.test_client())
    answer = api.post("Patient", samples.patient(), Host="evil.example",
                      X_Forwarded_Host="evil.example", X_Forwarded_Proto="http")  # fmt: skip
    close(app)

    assert answer.headers["Location"].startswith("https://fhir.clinic.example/fhir/Patient/")


@pytest.mark.req("HTTP-11")
def test_request_id(api: Api) -> None:
    """Ours where the client gives none, or none that is usable."""
    assert "abc-1" == api.get("metadata", X_Request_Id="abc-1").headers["X-Request-Id"]
    assert "a b" != api.get("metadata", X_Request_Id="a b").headers["X-Request-Id"]
