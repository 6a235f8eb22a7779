"""What could grow without end, contradict itself, or say more than it may."""

import json
from typing import Any

import pytest

from tests import samples
from tests.conformance.conftest import Api, codes

JSON_PATCH = "application/json-patch+json"


@pytest.fixture
def there(api: Api) -> Api:
    api.put(samples.patient())
    return api


def test_a_patch_cannot_grow_without_end(there: Api) -> None:
    """Copying a list into itself doubles it; thirty times is a gigabyte."""
    steps = json.dumps([{"op": "copy", "from": "/name", "path": "/name/-"}] * 30)
    answer = there.call("PATCH", "Patient/pat", steps, Content_Type=JSON_PATCH)

    assert 422 == answer.status_code
    bad = json.dumps([{"op": "remove", "path": "/~2"}])
    assert 400 == there.call("PATCH", "Patient/pat", bad, Content_Type=JSON_PATCH).status_code


@pytest.mark.parametrize(
    ("search_type", "expression"),
    [
        ("date", "Patient.name.family"), ("quantity", "Patient.identifier"),
        ("token", "Patient.birthDate.where(a='b')"), ("reference", "Patient.name"),
        ("string", "Patient.active"), ("uri", "Patient.name"), ("number", "Patient.gender"),
    ],
)  # fmt: skip
def test_a_wrong_search_parameter_breaks_no_write(
    there: Api, search_type: str, expression: str
) -> None:
    """What does not fit its type is not indexed; the resource is stored all the same."""
    body = {
        "resourceType": "SearchParameter", "id": "wrong", "status": "active", "url": "http://w",
        "name": "Wrong", "code": "wrong", "description": "x", "base": ["Patient"],
        "type": search_type,
        "expression": expression,
    }  # fmt: skip
    there.put(body)
    assert there.put(samples.patient("other", active=True)).status_code in (200, 201)
    there.call("DELETE", "SearchParameter/wrong")
    long = {**body, "expression": "Patient.name" + ".family" * 1000}
    assert 422 == there.post("SearchParameter", long).status_code


def test_delete_and_create_again_in_one_bundle(there: Api) -> None:
    """The condition finds what the same Bundle deletes: it is stored as the next version."""
    there.put(samples.patient("twice", identifier=[{"system": "urn:l", "value": "1"}]))
    body = {k: v for k, v in samples.patient().items() if k != "id"}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "DELETE", "url": "Patient/twice"}},
        {"resource": body, "request": {"method": "POST", "url": "Patient",
                                       "ifNoneExist": "identifier=urn:l|1"}}]}  # fmt: skip
    answer = there.post("", bundle).get_json()

    assert ["204", "201"] == [e["response"]["status"][:3] for e in answer["entry"]]
    assert "3" == there.get("Patient/twice").get_json()["meta"]["versionId"]


def test_submit_never_answers_with_an_older_answer(there: Api) -> None:
    """A request that was changed is another question."""
    there.put(samples.request("asked"))
    there.put({
        "resourceType": "CoverageEligibilityResponse", "id": "old", "status": "active",
        "purpose": ["benefits"], "patient": {"reference": "Patient/pat"}, "outcome": "complete",
        "created": "2026-11-24T10:00:00Z", "insurer": {"reference": "Organization/payer"},
        "request": {"reference": "CoverageEligibilityRequest/asked"},
    })  # fmt: skip
    path = "CoverageEligibilityRequest/$submit"
    same = there.post(path, samples.request("asked"), Prefer="wait=0")
    changed = there.post(path, samples.request("asked", servicedDate="2026-12-24"), Prefer="wait=0")

    assert (200, "old") == (same.status_code, same.get_json()["id"])
    assert 202 == changed.status_code


def test_a_group_holds_no_strangers(there: Api) -> None:
    """A member at another server is not our patient of the same id."""
    member = {"entity": {"reference": "http://other.example/fhir/Patient/pat"}}
    group = {"resourceType": "Group", "type": "person", "actual": True, "member": [member]}
    there.put({**group, "id": "far"})
    answer = there.get("Group/far/$export", Prefer="respond-async")
    status = answer.headers["Content-Location"].partition("/fhir/")[2]
    while (done := there.get(status)).status_code == 202:
        pass

    assert [] == done.get_json()["output"]


@pytest.mark.parametrize(
    "query",
    [
        "Patient?_sort=" + "name," * 20 + "name", "Patient?" + "&".join(["name=a"] * 200),
        "Basic?subject.subject.subject._id=x", "Patient?name=,", "Patient?_content=,",
        "Basic?subject.subject.subject.subject.subject._id=x",
    ],
)  # fmt: skip
def test_queries_that_ask_for_too_much(there: Api, query: str) -> None:
    """400 at once, never minutes of work or a fault of the database."""
    assert 400 == there.get(query).status_code
    assert 400 == there.get(query, Prefer="x=y").status_code


def test_a_value_set_that_includes_itself(there: Api) -> None:
    """Not known, rather than read for ever."""
    include = [{"valueSet": ["http://self"]}] * 10
    there.put({"resourceType": "ValueSet", "id": "self", "status": "active", "url": "http://self",
               "compose": {"include": include}})  # fmt: skip
    answer = there.get("Coverage?type:in=http://self")

    assert (400, ["not-found"]) == (answer.status_code, codes(answer))


def test_values_at_the_edge(there: Api) -> None:
    """A leap second in a condition, a number of 400 digits, a canonical under our own base."""
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "Patient/pat",
                     "ifModifiedSince": "2020-01-01T00:00:60Z"}}]}  # fmt: skip
    assert "200" == there.post("", bundle).get_json()["entry"][0]["response"]["status"][:3]
    number = '{"resourceType":"RiskAssessment","status":"final","subject":{"display":"x"},'
    number += '"prediction":[{"probabilityDecimal":1' + "0" * 400 + "}]}"
    assert 422 == there.post("RiskAssessment", number).status_code
    ours = "http://127.0.0.1:8080/fhir/Questionnaire/1"
    there.put({"resourceType": "QuestionnaireResponse", "id": "ours", "status": "completed",
               "questionnaire": ours})  # fmt: skip
    assert ["ours"] == there.ids(f"QuestionnaireResponse?questionnaire={ours}")


def test_small_contradictions(there: Api) -> None:
    """_summary=count stays a count; an empty alternative is none; a compartment has its own."""
    counted: Any = there.get("Patient?_summary=count&_count=5").get_json()
    assert "entry" not in counted
    assert [] == there.ids("Patient?name=zzz,")
    there.put(
        {"resourceType": "RelatedPerson", "id": "rp", "patient": {"reference": "Patient/pat"}}
    )
    assert ["rp"] == there.ids("RelatedPerson/rp/RelatedPerson")
    assert 406 == there.get("Patient?%5Fformat=xml").status_code
