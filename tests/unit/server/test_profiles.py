"""Profiles are enforced where they are claimed (VAL-06)."""

import re
from typing import Any

import pytest

from fhir_profiles import systems
from server.validation import check
from tests import pas as pas_samples
from tests import samples
from tests.contract.payer import built

HREX = "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-coverage"
PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
TEMP = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes"


def said(body: Any, url: str) -> set[tuple[str, str]]:
    return {(issue.code, issue.expression) for issue in check.against(body, url)}


def member(**more: Any) -> dict[str, Any]:
    kind = {"coding": [{"system": systems.V2_IDENTIFIER_TYPE, "code": "MB"}]}
    return {"type": kind, "system": "http://x.example", "value": "1", **more}


def without(body: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in body.items() if k != key}


@pytest.mark.req("VAL-06")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (samples.coverage(), set()),
        (samples.coverage(identifier=[member()]), set()),
        (without(samples.coverage(), "relationship"), {("required", "Coverage.relationship")}),
        (without(samples.coverage(), "subscriberId"), {("invariant", "Coverage")}),
        (without(samples.coverage(identifier=[member()]), "subscriberId"), set()),
        (samples.coverage(payor=[{"display": "a"}, {"display": "b"}]),
         {("structure", "Coverage.payor")}),
        (samples.coverage(identifier=[member(), member()]),
         {("structure", "Coverage.identifier")}),
        (samples.coverage(identifier=[without(member(), "value")]),
         {("required", "Coverage.identifier[0].value")}),
    ],
)  # fmt: skip
def test_hrex_coverage(body: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    """Cardinality, slices by pattern, and the member id."""
    assert expected == said(body, HREX)


@pytest.mark.req("VAL-06")
def test_a_claimed_profile_is_enforced_and_an_unknown_one_is_not() -> None:
    """meta.profile is a promise; what we do not know, we cannot hold against it."""
    body = without(samples.coverage(meta={"profile": [HREX]}), "relationship")

    assert ["Coverage.relationship"] == [i.expression for i in check.check(body)]
    assert [] == check.check(samples.coverage(meta={"profile": ["http://x.example/p"]}))
    assert [("not-found")] == [i.code for i in check.against(body, "http://x.example/p")]


def pas_bundle(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "identifier": {"system": "http://x.example", "value": "1"},
        "timestamp": "2026-11-24T10:00:00Z",
        "entry": [{"fullUrl": "http://x.example/Claim/1", "resource": claim()}],
        **more,
    }


def claim(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Claim",
        "id": "1",
        "identifier": [{"system": "http://x.example", "value": "1"}],
        "status": "active",
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/claim-type",
                             "code": "professional"}]},
        "use": "preauthorization",
        "patient": {"reference": "Patient/1"},
        "created": "2026-11-24T10:00:00Z",
        "insurer": {"reference": "Organization/payer"},
        "provider": {"reference": "Organization/clinic"},
        "priority": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/processpriority",
                                 "code": "normal"}]},
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": "Coverage/1"}}],
        "item": [{
            "sequence": 1,
            "category": {"coding": [{"system": "https://codesystem.x12.org/005010/1365",
                                     "code": "1"}]},
            "productOrService": {"coding": [{"system": systems.CPT, "code": "99213"}]},
            "servicedDate": "2026-11-30",
            "locationCodeableConcept": {"text": "office"},
            "extension": [
                {"url": f"{PAS}/extension-{name}", "valueCodeableConcept": {"coding": [
                    {"system": f"https://codesystem.x12.org/005010/{element}", "code": code}]}}
                for name, element, code in (("serviceItemRequestType", "1525", "HS"),
                                            ("certificationType", "1322", "I"))
            ],
        }],
        **more,
    }  # fmt: skip


@pytest.mark.req("VAL-06")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"type": "searchset"}, "Bundle.type"),
        ({"timestamp": None}, "Bundle.timestamp"),
        ({"identifier": None}, "Bundle.identifier"),
        ({"entry": [{"fullUrl": "http://x.example/Patient/1", "resource": samples.patient()}]},
         "Bundle.entry"),
        ({"entry": [{"resource": claim()}]}, "Bundle.entry[0].fullUrl"),
        ({"entry": [{"fullUrl": "http://x.example/Claim/1", "resource": claim(use="claim")}]},
         "Bundle.entry[0].resource.use"),
    ],
)  # fmt: skip
def test_pas_request_bundle(change: dict[str, Any], expected: str) -> None:
    """One thing taken from, or changed in, a right Bundle is named."""
    url = f"{PAS}/profile-pas-request-bundle"
    body = {k: v for k, v in pas_bundle(**change).items() if v is not None}

    assert set() == said(pas_bundle(), url)
    assert any(place.startswith(expected) for _, place in said(body, url)), said(body, url)


@pytest.mark.req("VAL-06")
def test_backport_subscription() -> None:
    """The payload content is asked for, as an extension of a primitive, with one of its codes."""
    url, content = f"{BACKPORT}/backport-subscription", f"{BACKPORT}/backport-payload-content"
    plain = samples.subscription("http://127.0.0.1/hook", "http://topics.example/t")
    right = {**plain, "channel": {
        **plain["channel"],
        "_payload": {"extension": [{"url": content, "valueCode": "id-only"}]},
    }}  # fmt: skip
    wrong = {**plain, "channel": {
        **plain["channel"],
        "_payload": {"extension": [{"url": content, "valueCode": "some"}]},
    }}  # fmt: skip

    assert set() == said(right, url)
    assert {("required", "Subscription.channel.payload")} == said(plain, url)
    assert {("code-invalid", "Subscription.channel.payload.extension[0].value")} == said(wrong, url)


def carer(*scopes: bool) -> dict[str, Any]:
    url = f"{PAS}/extension-careTeamClaimScope"
    member = {"sequence": 1, "provider": {"reference": "Practitioner/1"}}
    return member | {"extension": [{"url": url, "valueBoolean": scope} for scope in scopes]}


def payer(number: str) -> dict[str, Any]:
    return {
        "resourceType": "Organization",
        "active": True,
        "name": "Payer",
        "identifier": [{"system": systems.NPI, "value": number}],
    }


@pytest.mark.req("VAL-06")
@pytest.mark.parametrize(
    ("body", "profile", "key", "place"),
    [
        (claim(accident={"date": "2026-11"}), "profile-claim", "FullDateRule",
         "Claim.accident.date"),
        (claim(accident={"date": "2026-11-01"}), "profile-claim", "", ""),
        (pas_bundle(entry=[
            {"fullUrl": "http://x.example/Patient/1", "resource": samples.patient()},
            *pas_bundle()["entry"]]), "profile-pas-request-bundle", "ClaimFirst", "Bundle"),
        (payer("1234567893"), "profile-insurer", "", ""),
        (payer("123456789"), "profile-insurer", "us-core-16", "Organization.identifier[0]"),
        (payer("1234567890"), "profile-insurer", "us-core-17", "Organization.identifier[0]"),
    ],
)  # fmt: skip
def test_invariants_of_a_guide(body: Any, profile: str, key: str, place: str) -> None:
    """What a guide writes as FHIRPath holds too, at the place where it is broken."""
    found = check.against(body, f"{PAS}/{profile}")
    rules = [(i.text.partition(":")[0], i.expression) for i in found if i.code == "invariant"]
    assert ([(key, place)] if key else []) == [one for one in rules if one[0] == key or not key]


@pytest.mark.req("VAL-06")
def test_slices_by_the_value_of_an_extension() -> None:
    """PAS tells members of a care team for the whole claim from those for items so."""
    url = f"{PAS}/profile-claim"

    for right in (carer(True), carer(False)):
        assert set() == said(claim(careTeam=[right]), url)
    assert {
        ("structure", "Claim.careTeam[0].extension"),
        ("value", "Claim.careTeam[0].extension[1].value"),
    } <= said(claim(careTeam=[carer(True, False)]), url)


@pytest.mark.req("VAL-06")
def test_an_invariant_beyond_the_engine_refuses_nothing() -> None:
    """What cannot be reckoned is not held against a resource that is to be stored."""
    url = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
    parts = [
        {"url": "covered", "valueCode": "covered"},
        {"url": "pa-needed", "valueCode": "satisfied"},
        {"url": "satisfied-pa-id", "valueString": "A1"},
    ]
    order = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/1"},
        "code": {"text": "x"},
        "extension": [{"url": url, "extension": parts}],
    }

    found = check.against(order, f"{PAS}/profile-servicerequest")
    assert [] == [issue for issue in found if issue.code == "invariant"]


@pytest.mark.req("VAL-06")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (pas_samples.patient(), set()),
        (pas_samples.patient(identifier=[]), {("required", "Patient.identifier")}),
        (pas_samples.patient(name=[]), {("required", "Patient.name")}),
        (pas_samples.coverage(relationship=None), {("required", "Coverage.relationship")}),
        (pas_samples.clinic(active=None), {("required", "Organization.active")}),
    ],
)
def test_what_a_bundle_refers_to_fits_the_profiles_that_are_asked_of_it(
    change: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    """By the role it has there: a beneficiary, a coverage, a requestor."""
    told = {name: value for name, value in change.items() if value not in (None, [])}
    bundle = built(pas_samples.claim(), told)
    names = {
        f"Bundle.entry[{place}].resource": entry["resource"]["resourceType"]
        for place, entry in enumerate(bundle["entry"])
    }
    found = {
        (code, re.sub(r"^Bundle\.entry\[\d+\]\.resource", lambda m: names[m[0]], where))
        for code, where in said(bundle, f"{PAS}/profile-pas-request-bundle")
    }

    assert expected == {one for one in found if one[0] != "invariant"}
