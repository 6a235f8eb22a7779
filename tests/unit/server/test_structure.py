"""The R4 table walker: what it accepts, what it names (fhir-server VAL-01, VAL-02, VAL-05)."""

from typing import Any

import pytest

from server.validation import structure
from tests import samples

EXT_1 = "ext-1: an extension must have exactly one of value[x] and nested extensions."
ISSUES = [
    ("status", "actve", "code-invalid", "Coverage.status"),
    ("status", None, "value", "Coverage.status"),
    ("kind", "insurance", "structure", "Coverage.kind"),
    ("payor", [], "structure", "Coverage.payor"),
    ("payor", {"reference": "Organization/1"}, "structure", "Coverage.payor"),
    ("beneficiary", {}, "structure", "Coverage.beneficiary"),
    ("beneficiary", {"reference": "Organization/1"}, "value", "Coverage.beneficiary.reference"),
    ("beneficiary", {"reference": "no such thing"}, "value", "Coverage.beneficiary.reference"),
    ("subscriberId", "  ", "value", "Coverage.subscriberId"),
    ("subscriberId", 7, "value", "Coverage.subscriberId"),
    ("subscriberId", "a\x01b", "value", "Coverage.subscriberId"),
    ("order", 0, "value", "Coverage.order"),
    ("order", True, "value", "Coverage.order"),
    ("period", {"start": "2026-02-30"}, "value", "Coverage.period.start"),
    ("period", {"start": "2026-05-01", "end": "2026-04-30"}, "invariant", "Coverage.period"),
    ("period", {"start": "2026-05-01T10:00:00"}, "value", "Coverage.period.start"),
    ("extension", [{"valueString": "x"}], "required", "Coverage.extension[0].url"),
    ("extension", [{"url": "http://x"}], "invariant", "Coverage.extension[0]"),
    (
        "extension",
        [{"url": "http://x", "resourceType": "Extension"}],
        "invariant",
        "Coverage.extension[0]",
    ),
    (
        "extension",
        [{"url": "http://x", "valueString": "x", "foo": "y"}],
        "structure",
        "Coverage.extension[0].foo",
    ),
    ("class", [{"value": "G"}], "required", "Coverage.class[0].type"),
    ("id", "a_b", "value", "Coverage.id"),
    ("_subscriberId", {"value": "x"}, "structure", "Coverage.subscriberId.value"),
    ("_payor", {"id": "x"}, "structure", "Coverage._payor"),
]


@pytest.mark.parametrize(("key", "value", "code", "expression"), ISSUES)
def test_a_wrong_element_is_named(key: str, value: Any, code: str, expression: str) -> None:
    """One wrong element gives one issue with its FHIRPath."""
    found = structure.check(samples.coverage(**{key: value}))

    assert [(code, expression)] == [(issue.code, issue.expression) for issue in found]


def test_every_problem_is_reported() -> None:
    """All problems come at once, not the first only."""
    found = structure.check({"resourceType": "Coverage", "status": "x", "order": -1})

    assert {"Coverage.status", "Coverage.order", "Coverage.beneficiary", "Coverage.payor"} == {
        issue.expression for issue in found
    }


def test_issue_texts_hold_no_values() -> None:
    """What was sent is patient data: it never stands in a text."""
    found = structure.check(samples.coverage(subscriberId=["SECRET-7"], status="SECRET-8"))

    assert found
    assert not any("SECRET" in issue.text for issue in found)


@pytest.mark.parametrize(
    "more",
    [
        {"_subscriberId": {"extension": [{"url": "http://x", "valueString": "unknown"}]}},
        {"contained": [samples.patient("inside")], "subscriber": {"reference": "#inside"}},
        {"period": {"start": "2026", "end": "2026-11-24T10:00:00.1234567+05:00"}},
        {"beneficiary": {"reference": "https://other.example/fhir/Patient/1/_history/2"}},
        {"beneficiary": {"reference": "urn:uuid:3b1c5c57-9b1e-4c5f-8f4d-7a110d7d0f2a"}},
        {"identifier": [{"system": "http://x", "value": "1"}], "order": 1},
        {"subscriberId": "A\u00a0B\tC"},
    ],
)
def test_valid_coverages_pass(more: dict[str, Any]) -> None:
    """Valid R4 is never refused."""
    assert [] == structure.check(samples.coverage(**more))


@pytest.mark.parametrize(
    ("change", "expression"),
    [
        ({"name": "Rivera"}, "Patient.name"),
        ({"name": ["Rivera"]}, "Patient.name[0]"),
        ({"name": [{"given": [None]}]}, "Patient.name[0].given"),
        ({"name": [{"given": ["A"], "_given": {"id": "x"}}]}, "Patient.name[0].given"),
        ({"_birthDate": "x"}, "Patient.birthDate"),
        ({"_birthDate": [{"id": "x"}]}, "Patient.birthDate"),
        ({"contained": ["x"]}, "Patient.contained[0]"),
        ({"contained": [{"resourceType": "Nothing", "id": "n"}],
          "managingOrganization": {"reference": "#n"}}, "Patient.contained[0]"),
        ({"photo": [{"contentType": "image/png", "data": "***"}]}, "Patient.photo[0].data"),
        ({"photo": [{"contentType": "image/png", "data": 7}]}, "Patient.photo[0].data"),
        ({"generalPractitioner": [{"reference": "Foo/1"}]},
         "Patient.generalPractitioner[0].reference"),
        ({"contact": [{"resourceType": "x", "name": {"text": "y"}}]},
         "Patient.contact[0].resourceType"),
        ({"meta": {"lastUpdated": "2026-11-24"}}, "Patient.meta.lastUpdated"),
    ],
)  # fmt: skip
def test_shapes_that_json_allows_and_fhir_does_not(change: dict[str, Any], expression: str) -> None:
    """Lists for values, values for objects, nulls, unknown types inside."""
    assert [expression] == [i.expression for i in structure.check(samples.patient(**change))]


def test_issues_are_limited() -> None:
    """A thousand wrong elements give a hundred issues, not a megabyte."""
    body = samples.patient(name=[{"x": 1} for _ in range(1000)])

    assert structure.ISSUE_LIMIT == len(structure.check(body))


@pytest.mark.parametrize("name", ["SubscriptionTopic", "Foo", None, 7])
def test_types_outside_r4_are_refused(name: Any) -> None:
    """R4B and R5 types are no R4."""
    assert ["structure"] == [issue.code for issue in structure.check({"resourceType": name})]


def test_deep_nesting_is_refused_without_a_crash() -> None:
    """A bomb of extensions is one issue, not a stack overflow."""
    node: dict[str, Any] = {"url": "http://x", "valueString": "x"}
    for _ in range(200):
        node = {"url": "http://x", "extension": [node]}

    found = structure.check(samples.coverage(extension=[node]))

    assert any("Nested deeper" in issue.text for issue in found)


def test_a_value_may_have_extensions_of_its_own() -> None:
    """`_valueString` is the same value[x] as valueString (json.html#primitive), alone as well."""
    own = {"extension": [{"url": "http://x/a", "valueCode": "unknown"}]}
    for values in ({"valueString": "x", "_valueString": own}, {"_valueString": own}):
        assert [] == structure.check(samples.coverage(extension=[{"url": "http://x", **values}]))
    twice = {"url": "http://x", "valueString": "x", "_valueCode": own}
    told = [issue.text for issue in structure.check(samples.coverage(extension=[twice]))]

    assert ["Only one type of value[x] is allowed.", EXT_1] == told


def test_two_types_of_one_choice_are_refused() -> None:
    """Only one of value[x] may be there (extensibility.html)."""
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "a", "valueString": "x", "valueBoolean": True}],
    }

    assert ["Parameters.parameter[0].value"] == [i.expression for i in structure.check(parameters)]


def test_a_transaction_entry_needs_its_request() -> None:
    """Invariant bdl-3."""
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [{"fullUrl": "urn:x:y"}]}

    texts = [issue.text[:5] for issue in structure.check(bundle)]
    assert ["bdl-3", "bdl-5"] == texts
