"""Operations and bulk export (OPS, BLK, VAL-03, VAL-04)."""

import itertools
import json
import threading
from typing import Any

import pytest

from tests import samples
from tests.conformance.conftest import Api, codes

_names = itertools.count()
ASYNC = {"Prefer": "respond-async", "Accept": "application/fhir+json"}
HREX = "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-coverage"


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"op-{next(_names)}"


def parameters(**parts: Any) -> dict[str, Any]:
    """A Parameters; a resource goes in as one, a text as valueString."""
    listed = []
    for key, value in parts.items():
        kind = "resource" if isinstance(value, dict) and "resourceType" in value else "valueString"
        listed.append({"name": key, kind: value})
    return {"resourceType": "Parameters", "parameter": listed}


@pytest.mark.req("VAL-02")
def test_every_problem_at_once(api: Api) -> None:
    """Three errors, three places."""
    wrong = {**samples.coverage(status="x", order=0), "kind": "y"}
    issues = api.post("Coverage", wrong).get_json()["issue"]

    assert {"Coverage.status", "Coverage.order", "Coverage.kind"} == {
        i["expression"][0] for i in issues
    }


@pytest.mark.req("VAL-03")
def test_validate(api: Api, name: str) -> None:
    """On the type and the instance, bare and wrapped: 200 whatever is found, nothing stored."""
    api.put(samples.coverage(name))
    wrong = samples.coverage(status="x")
    for path in ("Coverage/$validate", f"Coverage/{name}/$validate"):
        for body in (wrong, parameters(resource=wrong)):
            answer = api.post(path, body)
            assert (200, ["code-invalid"]) == (answer.status_code, codes(answer))
    assert ["informational"] == codes(api.post(f"Coverage/{name}/$validate", None))
    assert 400 == api.post("Coverage/$validate", "{").status_code
    assert "active" == api.get(f"Coverage/{name}").get_json()["status"]


@pytest.mark.req("VAL-04")
def test_validate_mode_and_profile(api: Api, name: str) -> None:
    """What an update needs, whether a delete can be, and a profile that is not claimed."""
    right = samples.coverage(name)
    bare = {k: v for k, v in right.items() if k not in ("relationship", "id")}

    def said(body: Any, query: str = "") -> list[str]:
        return codes(api.post(f"Coverage/$validate{query}", body))

    assert ["informational"] == said(right, f"?mode=update&profile={HREX}")
    assert ["required"] == said(bare, "?mode=update")
    assert ["informational"] == said(bare, "?mode=create")
    assert ["required"] == said(bare, f"?profile={HREX}")
    assert ["required"] == said(parameters(resource=bare, profile=HREX))
    assert ["not-found"] == said(bare, "?profile=http://x.example/none")
    assert ["not-found"] == codes(api.post("Coverage/never/$validate?mode=delete", None))
    assert 400 == api.post("Coverage/$validate?mode=fly", right).status_code


@pytest.mark.req("VAL-05")
def test_other_versions(api: Api) -> None:
    """Types and elements of R4B and R5 are no R4."""
    assert 404 == api.post("SubscriptionTopic", {"resourceType": "SubscriptionTopic"}).status_code
    answer = api.post("Coverage", samples.coverage(kind="insurance"))
    assert (422, ["structure"]) == (answer.status_code, codes(answer))


@pytest.mark.req("OPS-01")
def test_everything(api: Api, name: str) -> None:
    """The patient, what is about it, whom it refers to; by type, time and pages."""
    payer, other = f"{name}-payer", f"{name}-other"
    api.put(samples.payer(payer))
    api.put(samples.patient(name, managingOrganization={"reference": f"Organization/{payer}"}))
    api.put(samples.patient(other))
    for number in range(5):
        api.put(samples.coverage(f"{name}-{number}", beneficiary={"reference": f"Patient/{name}"}))
    api.put(samples.coverage(f"{name}-x", beneficiary={"reference": f"Patient/{other}"}))
    path = f"Patient/{name}/$everything"
    expected = {name, payer, *(f"{name}-{n}" for n in range(5))}

    def ids(query: str = "") -> set[str]:
        return {e["resource"]["id"] for e in api.entries(f"{path}{query}")}

    assert expected == ids()
    assert {f"{name}-{n}" for n in range(5)} == ids("?_type=Coverage") - {payer}
    assert set() == ids("?_since=2100-01-01T00:00:00Z")
    posted = api.post(path, parameters(_type="Coverage")).get_json()
    assert 5 == posted["total"]
    seen: list[str] = []
    address = f"{path}?_count=2"
    while address:
        page = api.get(address).get_json()
        seen += [e["resource"]["id"] for e in page["entry"] if e["search"]["mode"] == "match"]
        links = {link["relation"]: link["url"] for link in page["link"]}
        address = links.get("next", "").partition("/fhir/")[2]
    assert sorted(expected - {payer}) == sorted(seen)
    assert 404 == api.get("Patient/never/$everything").status_code
    assert 404 == api.get(f"Coverage/{name}-1/$everything").status_code


def settled(api: Api, location: str) -> Any:
    """Poll a status address until it is no longer 202."""
    pause = threading.Event()
    for _ in range(400):
        answer = api.get(location.partition("/fhir/")[2])
        if answer.status_code != 202:
            return answer
        assert answer.headers["Retry-After"]
        assert 0 < len(answer.headers["X-Progress"]) < 100
        pause.wait(0.05)
    raise AssertionError("the job did not end")


@pytest.mark.req("OPS-02")
def test_submit(api: Api, name: str) -> None:
    """The answer as soon as it is there; without it a place to ask; the request is stored."""
    request = samples.request(name)

    def answer() -> None:
        response = {
            "resourceType": "CoverageEligibilityResponse", "id": name, "status": "active",
            "purpose": ["benefits"], "patient": {"reference": "Patient/pat"},
            "created": "2026-11-24T10:00:00Z", "outcome": "complete",
            "request": {"reference": f"CoverageEligibilityRequest/{name}"},
            "insurer": {"reference": "Organization/payer"},
        }  # fmt: skip
        api.put(response)

    path = "CoverageEligibilityRequest/$submit"
    early = api.post(path, parameters(resource=request), Prefer="respond-async")
    assert (202, ["informational"]) == (early.status_code, codes(early))
    status = early.headers["Content-Location"].partition("/fhir/")[2]
    assert 202 == api.get(status).status_code
    timer = threading.Timer(0.3, answer)
    timer.start()
    waited = api.post(path, request)
    timer.join()
    assert (200, name) == (waited.status_code, waited.get_json()["id"])
    assert name == api.get(status).get_json()["id"]
    assert 202 == api.post(path, samples.request(f"{name}-x"), Prefer="wait=0").status_code
    assert 200 == api.get(f"CoverageEligibilityRequest/{name}-x").status_code
    assert 422 == api.post(path, {**request, "status": "x"}).status_code
    assert 400 == api.post(path, parameters(x="y")).status_code
    assert 400 == api.post(path, samples.coverage()).status_code


@pytest.mark.req("OPS-05")
def test_meta(api: Api, name: str) -> None:
    """Labels of one, of a type, of all; added and taken away without touching the rest."""
    tag = {"system": "urn:meta", "code": name}
    api.put(samples.patient(name))
    meta = {"tag": [tag], "profile": ["http://m.example/p"]}
    given = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}

    def labels(path: str) -> Any:
        return api.get(path).get_json()["parameter"][0].get("valueMeta", {})

    added = api.post(f"Patient/{name}/$meta-add", given).get_json()
    assert [tag] == added["parameter"][0]["valueMeta"]["tag"]
    assert 'W/"2"' == api.get(f"Patient/{name}").headers["ETag"]
    api.post(f"Patient/{name}/$meta-add", given)
    for path in (f"Patient/{name}/$meta", "Patient/$meta", "$meta"):
        assert tag in labels(path)["tag"]
        assert "http://m.example/p" in labels(path)["profile"]
    assert [name] == api.ids(f"Patient?_tag=urn:meta|{name}")
    removed = api.post(f"Patient/{name}/$meta-delete", given).get_json()
    assert "tag" not in removed["parameter"][0]["valueMeta"]
    assert [] == api.ids(f"Patient?_tag=urn:meta|{name}")
    assert 400 == api.post(f"Patient/{name}/$meta-add", parameters(x="y")).status_code
    assert 404 == api.post("Patient/never/$meta-add", given).status_code


@pytest.mark.req("BLK-01")
def test_export_kick_off(api: Api) -> None:
    """202 with an absolute Content-Location; what cannot be exported is refused."""
    answer = api.get("$export", **ASYNC)

    assert (202, b"") == (answer.status_code, answer.data)
    assert answer.headers["Content-Location"].startswith("http://127.0.0.1:8080/fhir/$job/")
    assert 400 == api.get("$export").status_code
    assert 400 == api.get("$export?_type=Foo", **ASYNC).status_code
    assert 400 == api.get("$export?_since=x", **ASYNC).status_code
    assert 400 == api.get("$export?nonsense=1", **ASYNC).status_code
    lenient = {**ASYNC, "Prefer": "respond-async, handling=lenient"}
    assert 202 == api.get("$export?nonsense=1", **lenient).status_code
    assert 406 == api.get("$export?_outputFormat=csv", **ASYNC).status_code
    assert 404 == api.get("Group/never/$export", **ASYNC).status_code
    body = parameters(_type="Patient")
    assert 202 == api.post("Patient/$export", body, Prefer="respond-async").status_code


@pytest.mark.req("BLK-02")
def test_export_status(api: Api, name: str) -> None:
    """The manifest, then nothing once it is deleted."""
    api.put(samples.patient(name))
    location = api.get("$export", **ASYNC).headers["Content-Location"]
    done = settled(api, location)
    manifest = done.get_json()

    assert (200, "application/json") == (done.status_code, done.headers["Content-Type"])
    assert {"transactionTime", "request", "requiresAccessToken", "output", "error"} == set(manifest)
    assert manifest["request"].endswith("/fhir/$export")
    assert done.headers["Expires"]
    path = location.partition("/fhir/")[2]
    assert 202 == api.call("DELETE", path).status_code
    assert [404, 404] == [api.get(path).status_code, api.call("DELETE", path).status_code]
    output = manifest["output"][0]["url"].partition("/fhir/")[2]
    assert 404 == api.get(output).status_code


def exported(api: Api, path: str) -> dict[str, list[str]]:
    """Return type -> ids of an export."""
    manifest = settled(api, api.get(path, **ASYNC).headers["Content-Location"]).get_json()
    found: dict[str, list[str]] = {}
    for output in manifest["output"]:
        answer = api.get(output["url"].partition("/fhir/")[2], Accept="application/fhir+ndjson")
        assert "application/fhir+ndjson" == answer.headers["Content-Type"]
        bodies = [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]
        assert {output["type"]} == {body["resourceType"] for body in bodies}
        found[output["type"]] = [body["id"] for body in bodies]
    return found


@pytest.mark.req("BLK-03")
def test_export_files(api: Api, name: str) -> None:
    """NDJSON by type: of the system, of patients, of a group; by _type and _since."""
    inside, outside = f"{name}-in", f"{name}-out"
    for fhir_id in (inside, outside):
        api.put(samples.patient(fhir_id))
        api.put(samples.coverage(fhir_id, beneficiary={"reference": f"Patient/{fhir_id}"}))
    api.put(samples.payer(name))
    api.put({"resourceType": "Group", "id": name, "type": "person", "actual": True,
             "member": [{"entity": {"reference": f"Patient/{inside}"}}]})  # fmt: skip
    system = exported(api, "$export")
    patients = exported(api, "Patient/$export")
    group = exported(api, f"Group/{name}/$export")

    assert {inside, outside} <= set(system["Patient"])
    assert name in system["Organization"]
    assert {inside, outside} <= set(patients["Coverage"])
    assert "Organization" not in patients
    assert ([inside], [inside]) == (group["Patient"], group["Coverage"])
    assert {"Coverage"} == set(exported(api, "$export?_type=Coverage,Flag"))
    assert {} == exported(api, "$export?_since=2100-01-01T00:00:00Z")
    assert 1200 == many(api, name)


def many(api: Api, name: str) -> int:
    """Return how many of 1,200 resources come out of an export."""
    for start in range(0, 1200, 400):
        entries = [
            {"resource": {"resourceType": "Basic", "id": f"{name}-{n}", "code": {"text": "x"}},
             "request": {"method": "PUT", "url": f"Basic/{name}-{n}"}}
            for n in range(start, start + 400)
        ]  # fmt: skip
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        assert 200 == api.post("", bundle).status_code
    found = exported(api, "$export?_type=Basic")["Basic"]
    return len({fhir_id for fhir_id in found if fhir_id.startswith(f"{name}-")})
