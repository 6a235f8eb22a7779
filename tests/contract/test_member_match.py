"""The sandbox's payer and HRex `$member-match`: one match, or a refusal that tells little."""

from typing import Any

import pytest

from tests.contract.payer import client

Resource = dict[str, Any]
pytestmark = pytest.mark.req("R77")


def question(member: str, family: str, birth: str, **more: Any) -> Resource:
    """Return the Parameters about a person."""
    patient = {"resourceType": "Patient", "id": "m", "name": [{"family": family}],
               "birthDate": birth}  # fmt: skip
    coverage = {"resourceType": "Coverage", "status": "active", "subscriberId": member,
                "beneficiary": {"reference": "Patient/m"}, "payor": [{"display": "x"}]}  # fmt: skip
    listed = {"MemberPatient": patient, "CoverageToMatch": coverage, **more}
    parts = [{"name": name, "resource": one} for name, one in listed.items() if one]
    return {"resourceType": "Parameters", "parameter": parts}


def post(payer: Any, body: Any) -> Any:
    return payer.post(
        "/fhir/Patient/$member-match", json=body,
        headers={"Content-Type": "application/fhir+json"},
    )  # fmt: skip


def test_one_match_is_answered_with_the_payers_own_id() -> None:
    """Of type UMB, with a value."""
    answer = post(client(), question("INF100001", "RIVERA", "1985-02-14"))
    (found,) = answer.json["parameter"]

    assert 200 == answer.status_code
    assert ("MemberIdentifier", "UM-0001") == (found["name"], found["valueIdentifier"]["value"])
    assert "UMB" == found["valueIdentifier"]["type"]["coding"][0]["code"]


@pytest.mark.parametrize(
    ("member", "family", "birth", "code"),
    [
        ("INF100001", "Rivera", "1985-02-15", "not-found"),
        ("INF100001", "Riviera", "1985-02-14", "not-found"),
        ("INF999999", "Rivera", "1985-02-14", "not-found"),
        ("", "Rivera", "1985-02-14", "not-found"),
        ("INF100003", "Twin", "2001-03-04", "multiple-matches"),
    ],
)
def test_none_or_several_are_unprocessable(member: str, family: str, birth: str, code: str) -> None:
    """With one OperationOutcome that does not tell which part was wrong."""
    answer = post(client(), question(member, family, birth))
    (issue,) = answer.json["issue"]

    assert (422, code) == (answer.status_code, issue["code"])
    assert "birth" not in issue["diagnostics"]


def test_a_consent_that_is_not_active_is_not_honoured() -> None:
    """422, too."""
    consent = {"resourceType": "Consent", "status": "rejected"}
    wrong = post(client(), question("INF100001", "Rivera", "1985-02-14", Consent=consent))
    right = post(
        client(), question("INF100001", "Rivera", "1985-02-14", Consent={"status": "active"})
    )

    assert (422, 200) == (wrong.status_code, right.status_code)


def test_guessing_ends() -> None:
    """After five tries by the same demographics nothing is told any more, nor the right answer."""
    payer = client()
    tried = [post(payer, question(f"INF{n}", "Rivera", "1985-02-14")).status_code for n in range(6)]
    then = post(payer, question("INF100001", "Rivera", "1985-02-14")).status_code
    other = post(payer, question("INF100002", "Lindqvist", "1990-07-01")).status_code

    assert ([422] * 5 + [429], 429, 200) == (tried, then, other)


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Bundle"},
        question("INF100001", "Rivera", "1985-02-14", MemberPatient=None),
        question("INF100001", "Rivera", "1985-02-14", CoverageToMatch=None),
        question("INF100001", "Rivera", "1985-02-14", Extra={"resourceType": "Basic"}),
        question("INF100001", "Rivera", "1985-02-14", CoverageToMatch={
            "resourceType": "Coverage", "beneficiary": {"reference": "Patient/other"}}),
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused(body: Resource) -> None:
    """The profile is closed, and the coverage is the member's."""
    assert 400 == post(client(), body).status_code
