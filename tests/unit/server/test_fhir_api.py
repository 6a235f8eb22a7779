"""The FHIR API over HTTP in one process (fhir-server groups HTTP, CRUD, CON, HIS, CAP)."""

import threading
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from fhir_profiles import systems
from server.app import close, create_app
from server.settings import Settings
from tests import samples

FHIR = {"Content-Type": "application/fhir+json"}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def codes(answer: Any) -> list[str]:
    return [issue["code"] for issue in answer.get_json()["issue"]]


def test_create_answers_with_where_and_which_version(client: FlaskClient) -> None:
    """CRUD-01: 201, Location with version, ETag, Last-Modified; the client's id is ignored."""
    answer = client.post("/fhir/Coverage", json=samples.coverage("mine"), headers=FHIR)

    body = answer.get_json()
    assert 201 == answer.status_code
    assert "mine" != body["id"]
    assert answer.headers["Location"].endswith(f"/fhir/Coverage/{body['id']}/_history/1")
    assert 'W/"1"' == answer.headers["ETag"]
    assert answer.headers["Last-Modified"].endswith("GMT")
    assert "no-store" == answer.headers["Cache-Control"]


def test_stored_digits_survive(client: FlaskClient) -> None:
    """CRUD-09: decimals, fractions of seconds and array order come back as they were sent."""
    text = (
        '{"resourceType":"Coverage","id":"d","status":"active","beneficiary":{"reference":"Patient/1"},'
        '"payor":[{"display":"b"},{"display":"a"}],"costToBeneficiary":[{"valueMoney":{"value":25.00,'
        '"currency":"USD"}}],"period":{"start":"2026-11-24T10:00:00.1234567Z"}}'
    )
    answer = client.put("/fhir/Coverage/d", data=text, headers=FHIR)

    back = client.get("/fhir/Coverage/d").get_data(as_text=True)
    assert 201 == answer.status_code
    for piece in ('"value":25.00', "10:00:00.1234567Z", '[{"display":"b"},{"display":"a"}]'):
        assert piece in back


def test_update_makes_versions_and_the_same_content_none(client: FlaskClient) -> None:
    """CRUD-05, CRUD-06, CRUD-12, HIS-01."""
    url = "/fhir/Coverage/c"
    assert 201 == client.put(url, json=samples.coverage("c")).status_code
    assert 'W/"1"' == client.put(url, json=samples.coverage("c")).headers["ETag"]
    second = client.put(url, json=samples.coverage("c", status="draft"))

    history = client.get(f"{url}/_history").get_json()
    assert (200, 'W/"2"') == (second.status_code, second.headers["ETag"])
    assert [("PUT", "200"), ("PUT", "201")] == [
        (e["request"]["method"], e["response"]["status"]) for e in history["entry"]
    ]
    assert ["2", "1"] == [e["resource"]["meta"]["versionId"] for e in history["entry"]]
    assert "active" == client.get(f"{url}/_history/1").get_json()["status"]


def test_history_pages(client: FlaskClient) -> None:
    """HIS-02: _count and the next link give every version once."""
    for status in ("active", "draft", "cancelled"):
        client.put("/fhir/Coverage/c", json=samples.coverage("c", status=status))

    first = client.get("/fhir/Coverage/c/_history?_count=2").get_json()
    link = next(k["url"] for k in first["link"] if k["relation"] == "next")
    second = client.get(link.removeprefix("http://127.0.0.1:8080")).get_json()

    versions = [e["resource"]["meta"]["versionId"] for e in [*first["entry"], *second["entry"]]]
    assert ["3", "2", "1"] == versions


def test_if_match(client: FlaskClient) -> None:
    """CON-01: right 200, stale 412, malformed 400; for delete too."""
    url = "/fhir/Coverage/c"
    client.put(url, json=samples.coverage("c"))
    changed = samples.coverage("c", status="draft")

    assert 200 == client.put(url, json=changed, headers={"If-Match": 'W/"1"'}).status_code
    assert 412 == client.put(url, json=changed, headers={"If-Match": 'W/"1"'}).status_code
    assert 400 == client.put(url, json=changed, headers={"If-Match": "1"}).status_code
    assert 412 == client.delete(url, headers={"If-Match": 'W/"1"'}).status_code
    assert 204 == client.delete(url, headers={"If-Match": 'W/"2"'}).status_code


def test_delete_and_revive(client: FlaskClient) -> None:
    """CRUD-07, CRUD-08, CRUD-13: 410 after it, not found by search, a second delete, revival."""
    url = "/fhir/Coverage/c"
    client.put(url, json=samples.coverage("c"))

    assert [204, 204] == [client.delete(url).status_code for _ in range(2)]
    assert 410 == client.get(url).status_code
    assert 410 == client.get(f"{url}/_history/2").status_code
    assert 404 == client.get(f"{url}/_history/9").status_code
    assert 0 == client.get("/fhir/Coverage").get_json()["total"]
    assert (201, 'W/"3"') == (
        (answer := client.put(url, json=samples.coverage("c"))).status_code,
        answer.headers["ETag"],
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/fhir/Coverage/none", None, 404, "not-found"),
        ("GET", "/fhir/Coverage/a_b!", None, 404, "not-found"),
        ("GET", "/fhir/Foo/1", None, 404, "not-found"),
        ("GET", "/fhir/Foo", None, 404, "not-found"),
        ("DELETE", "/fhir/Foo/1", None, 404, "not-found"),
        ("GET", "/fhir/Foo/1/_history", None, 404, "not-found"),
        ("GET", "/fhir/Coverage/1/2/3", None, 404, "not-found"),
        ("PATCH", "/fhir/Coverage/1", {"status": "draft"}, 400, "invalid"),
        ("DELETE", "/fhir/Coverage", None, 400, "invalid"),
        ("POST", "/fhir/Coverage/1", {}, 405, "not-supported"),
        ("GET", "/fhir/Coverage?_format=xml", None, 406, "not-supported"),
        ("POST", "/fhir/Coverage", b"{", 400, "invalid"),
        ("POST", "/fhir/Coverage", b"\xff", 400, "invalid"),
        ("POST", "/fhir/Coverage", b"[" * 5000, 400, "invalid"),
        ("POST", "/fhir/Coverage", b'{"resourceType":"Patient"}', 400, "invalid"),
        ("POST", "/fhir/Coverage", b"7", 422, "structure"),
        ("POST", "/fhir/SubscriptionTopic", b"{}", 404, "not-found"),
        ("PUT", "/fhir/Patient/a", b'{"resourceType":"Patient","id":"b"}', 400, "invalid"),
        ("PUT", "/fhir/Patient/a", b'{"resourceType":"Patient"}', 400, "invalid"),
        ("PUT", "/fhir/Patient/a_b", b'{"resourceType":"Patient","id":"a_b"}', 400, "invalid"),
        ("POST", "/fhir", b'{"resourceType":"Patient"}', 400, "invalid"),
        ("POST", "/fhir", b'{"resourceType":"Bundle","type":"history"}', 400, "invalid"),
        ("GET", "/fhir/Coverage/1/_history?_count=x", None, 400, "invalid"),
    ],
)
def test_refusals_are_operation_outcomes(
    client: FlaskClient, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:  # fmt: skip
    """HTTP-04, HTTP-05, CRUD-02 to CRUD-05, CAP-02: each with its code and a trace."""
    answer = client.open(path, method=method, data=body, headers=FHIR)

    assert (status, [code]) == (answer.status_code, codes(answer)[:1])
    assert answer.headers["X-Request-Id"]


def test_content_types(client: FlaskClient) -> None:
    """HTTP-01, HTTP-03: JSON in its usual names; anything else is 415 or 406."""
    accepted = ["application/fhir+json", "application/json", "*/*", "text/html, */*;q=0.1"]
    for accept in accepted:
        answer = client.get("/fhir/metadata", headers={"Accept": accept})
        assert (200, "application/fhir+json; charset=utf-8") == (
            answer.status_code, answer.content_type)  # fmt: skip
    assert 406 == client.get("/fhir/metadata", headers={"Accept": "text/html"}).status_code
    text = {"Content-Type": "text/plain"}
    assert 415 == client.post("/fhir/Patient", data="x", headers=text).status_code


def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    """HTTP-06: 413 with an OperationOutcome."""
    app = create_app(
        Settings(database=f"sqlite:///{tmp_path / 'x.db'}", auth="open", body_limit_bytes=1000)
    )
    answer = app.test_client().post("/fhir/Patient", data=b" " * 2000, headers=FHIR)
    close(app)

    assert (413, ["too-long"]) == (answer.status_code, codes(answer))


def test_conditional_create(client: FlaskClient) -> None:
    """CON-04, CON-08, CON-09: none 201, one 200, several 412; no criteria 400."""
    body = samples.coverage(identifier=[{"system": "http://x", "value": "7"}])
    condition = {"If-None-Exist": "identifier=http://x|7"}

    first = client.post("/fhir/Coverage", json=body, headers=condition)
    second = client.post("/fhir/Coverage", json=body, headers=condition)
    by_url = client.post("/fhir/Coverage?identifier=http://x|7", json=body)
    client.post("/fhir/Coverage", json=body)
    third = client.post("/fhir/Coverage", json=body, headers=condition)
    empty = client.post("/fhir/Coverage", json=body, headers={"If-None-Exist": "_count=1"})
    unknown = client.post("/fhir/Coverage", json=body, headers={"If-None-Exist": "foo=1"})

    assert [201, 200, 200, 412, 400, 400] == [
        a.status_code for a in (first, second, by_url, third, empty, unknown)
    ]
    assert first.headers["Location"] == second.headers["Location"]
    assert ["multiple-matches"] == codes(third)


def test_parallel_conditional_creates_make_one(app: Flask) -> None:
    """CON-05: twenty at once, one resource."""
    body = samples.coverage(identifier=[{"system": "http://x", "value": "7"}])
    results = []

    def post() -> None:
        answer = app.test_client().post(
            "/fhir/Coverage", json=body, headers={"If-None-Exist": "identifier=http://x|7"}
        )
        results.append(answer.status_code)

    threads = [threading.Thread(target=post) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [200] * 19 + [201] == sorted(results)


def test_parallel_updates_with_one_if_match(app: Flask) -> None:
    """CON-02: of twenty PUTs against version 1 exactly one is taken."""
    app.test_client().put("/fhir/Coverage/c", json=samples.coverage("c"))
    results = []

    def put(number: int) -> None:
        answer = app.test_client().put(
            "/fhir/Coverage/c", json=samples.coverage("c", subscriberId=str(number)),
            headers={"If-Match": 'W/"1"'},
        )  # fmt: skip
        results.append(answer.status_code)

    threads = [threading.Thread(target=put, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [200] + [412] * 19 == sorted(results)


def test_prefer_minimal_and_strict(client: FlaskClient) -> None:
    """CRUD-11, SRC-02."""
    minimal = client.post(
        "/fhir/Patient", json=samples.patient(), headers={"Prefer": "return=minimal"}
    )
    lenient = client.get("/fhir/Patient?foo=1&_count=1")
    strict = client.get("/fhir/Patient?foo=1", headers={"Prefer": "handling=strict"})

    assert (201, b"") == (minimal.status_code, minimal.data)
    assert "foo" not in lenient.get_json()["link"][0]["url"]
    assert (400, ["not-supported"]) == (strict.status_code, codes(strict))


def test_post_search_equals_get(client: FlaskClient) -> None:
    """SRC-01, SRC-03, SRC-18."""
    client.put("/fhir/Patient/p", json=samples.patient("p"))
    got = client.get("/fhir/Patient?family=riv").get_json()
    posted = client.post("/fhir/Patient/_search", data={"family": "riv"}).get_json()
    counted = client.get("/fhir/Patient?family=riv&_summary=count").get_json()

    assert got == posted
    assert ("match", 1) == (got["entry"][0]["search"]["mode"], got["total"])
    assert (1, None) == (counted["total"], counted.get("entry"))


def test_the_capability_statement_tells_the_truth(client: FlaskClient) -> None:
    """CAP-01, CAP-03: valid R4, and every advertised search parameter of a type works."""
    statement = client.get("/fhir/metadata").get_json()
    told = client.post("/fhir/CapabilityStatement/$validate", json=statement).get_json()
    (coverage,) = [r for r in statement["rest"][0]["resource"] if r["type"] == "Coverage"]
    samples_by_type = {"date": "2026", "number": "1", "quantity": "1"}

    assert ["informational"] == [i["code"] for i in told["issue"]]
    assert 146 == len(statement["rest"][0]["resource"])
    assert {
        "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create",
        "search-type",
    } == {i["code"] for i in coverage["interaction"]}  # fmt: skip
    for parameter in coverage["searchParam"]:
        value = samples_by_type.get(parameter["type"], "x")
        answer = client.get(f"/fhir/Coverage?{parameter['name']}={value}")
        assert 200 == answer.status_code, parameter["name"]


def test_validate_says_what_is_wrong_without_storing(client: FlaskClient) -> None:
    """VAL-03: 200 with every problem; a Parameters wrapper too."""
    wrong = samples.coverage(status="x", order=0)
    wrapped = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": wrong}]}

    for body in (wrong, wrapped):
        answer = client.post("/fhir/Coverage/$validate", json=body)
        assert (200, ["code-invalid", "value"]) == (answer.status_code, sorted(codes(answer)))
    assert 0 == client.get("/fhir/Coverage").get_json()["total"]


def test_the_secret_of_a_subscription_never_comes_back(client: FlaskClient) -> None:
    """Asterisks stand in its place, and sending them back keeps the secret."""
    secret = {"url": systems.EXT_HOOK_SECRET, "valueString": "s3cret-s3cret"}
    body = samples.subscription("http://127.0.0.1:1/hook", extension=[secret])
    url = "/fhir/Subscription/sub"

    stored = client.put(url, json=body)
    again = client.put(url, json=body)
    back = client.put(url, json=stored.get_json())
    other = [{**secret, "valueString": "an0ther-secret"}]
    changed = client.put(url, json={**body, "extension": other})

    assert "active" == stored.get_json()["status"]
    assert "s3cret" not in client.get(f"{url}/_history").get_data(as_text=True)
    assert ['W/"1"', 'W/"1"', 'W/"2"'] == [a.headers["ETag"] for a in (again, back, changed)]


def test_a_fault_of_ours_tells_only_its_trace(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    """500 with a trace; the log has the trace, neither has the value."""
    value = "SECRET-VALUE"

    def broken() -> str:
        raise RuntimeError(value)

    app.add_url_rule("/fhir/broken", "broken", broken)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = app.test_client().get("/fhir/broken", headers={"X-Request-Id": "t-1"})

    assert (500, ["exception"]) == (answer.status_code, codes(answer))
    assert value not in answer.get_data(as_text=True) + caplog.text


def test_readiness_tells_of_deliveries_given_up(client: FlaskClient) -> None:
    """/healthz is the process, /readyz its database and its dead letters."""
    assert "ok\n" == client.get("/healthz").get_data(as_text=True)
    assert "deliveries given up: 0" in client.get("/readyz").get_data(as_text=True)
