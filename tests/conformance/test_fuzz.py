"""Bad requests by the thousand: never a 5xx, never a hang, never a change of the store."""

import copy
import json
import random
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from server.interactions.engine import Engine
from server.rest.exchange import ENGINE
from tests import samples
from tests.conformance.conftest import Api, seed_of

MUTATED, ARBITRARY = 11_000, 1_000  # on each engine; more than 20,000 in one run
LIMIT_S = 20.0
JSON_PATCH = "application/json-patch+json"
Request = tuple[str, str, dict[str, str], Any]

HOSTILE: list[Any] = [
    None, True, 0, -1, 2**63, 1e308, 0.1, "", " ", "x", "\0", "𝕏", "x" * 5000, [], {}, [[]], [None],
    {"a": {}}, "Patient/1", "urn:uuid:x", "2026-02-30", "9999-99-99T99:99:99Z", "-", "../../x",
    "%00",
    "' OR 1=1", "${x}", "<script>", {"reference": "Patient/1"}, [{"url": "x"}], {"extension": []},
]  # fmt: skip


def seeds() -> list[Request]:
    """Valid requests of every kind."""
    fhir = {"Content-Type": "application/fhir+json"}
    coverage = samples.coverage("seed", period={"start": "2026-01-01"}, order=1,
                                identifier=[{"system": "urn:x", "value": "1"}])  # fmt: skip
    entries = [
        {"fullUrl": "urn:uuid:3b1c5c57-9b1e-4c5f-8f4d-7a110d7d0f2a", "resource": samples.patient(),
         "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=x"}},
        {"resource": coverage, "request": {"method": "PUT", "url": "Coverage/seed"}},
        {"request": {"method": "GET", "url": "Patient?name=x&_include=*"}},
        {"request": {"method": "DELETE", "url": "Patient?identifier=x"}},
    ]  # fmt: skip
    operation = {"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Patient.gender"},
        {"name": "value", "valueCode": "male"}]}  # fmt: skip
    parameter = {
        "resourceType": "SearchParameter", "status": "draft", "url": "http://x", "name": "X",
        "code": "x", "description": "x", "base": ["Coverage"], "type": "date",
        "expression": "Coverage.period",
    }  # fmt: skip
    return [
        ("POST", "Coverage", fhir, coverage),
        ("PUT", "Coverage/seed", {**fhir, "If-Match": 'W/"1"'}, coverage),
        ("PUT", "Patient?identifier=urn:x|1", fhir, samples.patient()),
        ("PATCH", "Patient/pat", {"Content-Type": JSON_PATCH},
         [{"op": "replace", "path": "/gender", "value": "male"}, {"op": "remove",
          "path": "/name/0"}]),
        ("PATCH", "Patient/pat", fhir, {"resourceType": "Parameters", "parameter": [operation]}),
        ("PATCH", "Patient/pat", {"Content-Type": "application/merge-patch+json"},
         {"gender": None}),
        ("POST", "", fhir, {"resourceType": "Bundle", "type": "transaction", "entry": entries}),
        ("POST", "", fhir, {"resourceType": "Bundle", "type": "batch", "entry": entries}),
        ("POST", "Subscription", fhir, samples.subscription("http://127.0.0.1:9/x")),
        ("POST", "SearchParameter", fhir, parameter),
        ("POST", "Coverage/$validate", fhir, {"resourceType": "Parameters", "parameter": [
            {"name": "resource", "resource": coverage}, {"name": "mode", "valueCode": "create"}]}),
        ("POST", "Patient/pat/$meta-add", fhir, {"resourceType": "Parameters", "parameter": [
            {"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}),
        ("GET", "Coverage?beneficiary:Patient.name=x&status=active&_sort=-order&_count=2", {},
         None),
        ("GET", "Observation?code-value-quantity=a$5&date=ge2026&_include=Observation:subject",
         {}, None),
        ("GET", "Patient?_has:Coverage:beneficiary:status=x&_elements=name&birthdate=1980", {},
         None),
        ("GET", "Patient/pat/_history?_since=2026-01-01T00:00:00Z&_count=3", {}, None),
        ("GET", "Patient/pat/_history/1", {"If-None-Match": 'W/"1"'}, None),
        ("GET", "Patient/pat/Coverage?status=active", {}, None),
        ("GET", "Patient/pat/$everything?_type=Coverage&_since=2026-01-01T00:00:00Z", {}, None),
        ("GET", "$export?_type=Patient&_since=2026", {"Prefer": "respond-async"}, None),
        ("GET", "$job/x", {}, None),
        ("DELETE", "Coverage/none", {"If-Match": 'W/"1"'}, None),
    ]  # fmt: skip


# Mutations: each takes a random source and a request, and returns a request that is likely bad.


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) inside a JSON value."""
    found: list[tuple[Any, Any]] = []
    for key in value if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], (dict, list)):
            found += _nodes(value[key])
    return found


def _node(rng: random.Random, request: Request) -> Request:
    method, path, headers, body = request
    if not isinstance(body, (dict, list)) or not body:
        return _query(rng, request)
    body = copy.deepcopy(body)
    container, key = rng.choice(_nodes(body))
    action = rng.randint(0, 3)
    if action == 0:
        del container[key]
    elif action == 1 and isinstance(container, dict):
        container[rng.choice(["x", "_id", "resourceType", "extension", "value"])] = container.pop(
            key
        )
    else:
        container[key] = copy.deepcopy(rng.choice(HOSTILE))
    return method, path, headers, body


def _bytes(rng: random.Random, request: Request) -> Request:
    method, path, headers, body = request
    if body is None:
        return _query(rng, request)
    text = bytearray(body if isinstance(body, bytes) else json.dumps(body).encode())
    for _ in range(rng.randint(1, 4) if text else 0):
        text[rng.randrange(len(text))] = rng.randrange(256)
    return method, path, headers, bytes(text[: rng.randint(0, len(text))])


def _query(rng: random.Random, request: Request) -> Request:
    method, path, headers, body = request
    place, _, query = path.partition("?")
    parts = query.split("&") if query else []
    keys = ["_id", "_sort", "_count", "_cursor", "_include", "_has:x", "name:zz", "date", "_format",
            "_elements", "_summary", "_total", "_type", "_lastUpdated", "_list", "_content",
            "a.b.c",
            "_before", "_since", "_at", "\0", "_has:Patient:x:_id",
            "code-value-quantity"]  # fmt: skip
    value = str(rng.choice([*HOSTILE, "a$b", "a|b|c", "ge", "1e999", ",", "\\", "$", "AAAA"]))

    parts.append(f"{rng.choice(keys)}={quote(value)}")
    return method, f"{place}?{'&'.join(parts)}", headers, body


def _path(rng: random.Random, request: Request) -> Request:
    method, path, headers, body = request
    parts = path.partition("?")[0].split("/")
    extra = ["x" * 70, "..", "%00", "$x", "_history", "Foo", "*", "a b", "%C3%A4", "", "metadata"]
    parts[rng.randrange(len(parts))] = rng.choice(extra)
    if rng.random() < 0.3:
        parts.append(rng.choice(extra))
    return method, "/".join(parts), headers, body


def _header(rng: random.Random, request: Request) -> Request:
    method, path, headers, body = request
    name = rng.choice(["Content-Type", "Accept", "If-Match", "If-None-Match", "If-None-Exist",
                       "If-Modified-Since", "Prefer", "X-Provenance", "Content-Encoding", "Origin",
                       "X-Request-Id", "Content-Length"])  # fmt: skip
    value = rng.choice(["", "x", "*", 'W/"x"', "W/", "?", "a=1&b=2", "{}", "[]", "gzip", "text/xml",
                        "Thu, 99 Foo 9999", "é", "x" * 3000, '{"resourceType":"Provenance"}',
                        "-1"])  # fmt: skip
    return method, path, {**headers, name: value}, body


def _method(rng: random.Random, request: Request) -> Request:
    return (
        rng.choice(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]),
        *request[1:],
    )


MUTATIONS: list[Callable[[random.Random, Request], Request]] = [
    _node, _node, _node, _bytes, _query, _query, _path, _header, _method,
]  # fmt: skip


def send(api: Api, request: Request) -> TestResponse:
    method, path, headers, body = request
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode("utf-8", "surrogatepass")
    safe = {
        key: value.encode("latin-1", "replace").decode("latin-1") for key, value in headers.items()
    }
    started = time.monotonic()
    answer = api.client.open(
        f"/fhir/{path}" if path else "/fhir", method=method, headers=safe, data=body
    )
    assert time.monotonic() - started < LIMIT_S, request
    return answer


def versions(api: Api) -> int:
    """Return how many versions are stored."""
    engine: Engine = api.client.application.extensions[ENGINE]
    with engine.database.read() as connection:
        return int(connection.execute("SELECT count(*) FROM version").fetchone()[0])


@pytest.mark.req("HTTP-04")
def test_mutated_requests(api: Api, pytestconfig: pytest.Config) -> None:
    """Valid requests, spoilt: each refusal is a 4xx OperationOutcome that changed nothing."""
    seed = seed_of(pytestconfig)
    rng = random.Random(seed)  # noqa: S311 the seed makes the run repeatable
    api.put(samples.patient())
    valid = seeds()
    stored, refused = versions(api), 0
    while refused < MUTATED:
        request = rng.choice(valid)
        for _ in range(rng.choice([1, 1, 2])):
            request = rng.choice(MUTATIONS)(rng, request)
        answer = send(api, request)
        assert answer.status_code < 500, (seed, request, answer.get_data(as_text=True))
        now = versions(api)
        if answer.status_code >= 400:
            refused += 1
            assert stored == now, (seed, request)
            if answer.data and request[0] != "HEAD":
                assert "OperationOutcome" == answer.get_json()["resourceType"], (seed, request)
        stored = now
        if answer.status_code < 300:
            api.call("PUT", "Patient/pat", samples.patient())
            stored = versions(api)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["resourceType", "id", "meta", "entry", "type", "parameter",
                                       "name", "extension", "url", "value"]) | st.text(max_size=8),
                      inner, max_size=5),
    max_leaves=20,
)  # fmt: skip
PLACES = st.sampled_from([
    ("POST", "Patient"), ("PUT", "Patient/x"), ("POST", ""), ("POST", "Patient/$validate"),
    ("PATCH", "Patient/pat"), ("POST", "Subscription"), ("POST", "Bundle"), ("POST", "$meta"),
    ("POST", "CoverageEligibilityRequest/$submit"), ("POST", "Patient/pat/$meta-add"),
])  # fmt: skip
TYPES = st.sampled_from(["application/fhir+json", "application/json", JSON_PATCH])


@settings(max_examples=ARBITRARY, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PLACES, TYPES, JSON)
def test_arbitrary_json(api: Api, place: tuple[str, str], kind: str, body: Any) -> None:
    """Whatever JSON comes, wherever: never a fault of ours."""
    before = versions(api)
    answer = send(api, (*place, {"Content-Type": kind}, body))

    assert answer.status_code < 500, answer.get_data(as_text=True)
    assert answer.status_code < 400 or before == versions(api)
