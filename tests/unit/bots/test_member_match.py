"""Who a patient is to a payer: the question, its answer on the Patient, and what others see."""

import json
from typing import Any

import pytest

from bots.errors import RetryLater
from bots.handlers import match_member
from bots.ports import Failure, Submission
from fhir_profiles import elements, pas, systems
from server.validation import structure
from tests import pas as given
from tests.contract.payer import built, client
from tests.fakes import NOW, FakeFhir, FakePayer, tools
from tests.unit.bots.test_prior_auth import endpoint, payer

Resource = dict[str, Any]
WISH = {
    "resourceType": "Task", "id": "wish", "status": "requested", "intent": "order",
    "code": given.coded(systems.TASK_CODE, match_member.CODE),
    "focus": {"reference": "Coverage/cov"}, "authoredOn": NOW.isoformat(),
}  # fmt: skip


def answered(parameters: Resource) -> Submission:
    """Answer as the sandbox's payer does."""
    answer = client().post(
        "/fhir/Patient/$member-match", json=parameters,
        headers={"Content-Type": "application/fhir+json"},
    )  # fmt: skip
    if answer.status_code == 422:
        text = answer.json["issue"][0]["diagnostics"]
        return Submission(failure=Failure("request-refused", text, again=False))
    assert answer.status_code == 200, answer.json
    return Submission(json.dumps(answer.json).encode(), answer=answer.json)


def asked(fhir: FakeFhir, answer: Any = answered) -> FakePayer:
    told = FakePayer(answer)
    match_member.handle(WISH, tools(fhir, prior_auth=told))
    return told


def world(*more: Resource) -> FakeFhir:
    return FakeFhir(*given.world(payer(), endpoint()), WISH, *more)


def patient(fhir: FakeFhir) -> Resource:
    (found,) = fhir.all("Patient")
    return found


def end(fhir: FakeFhir) -> tuple[str, str]:
    (found,) = fhir.all("Task")
    return found["status"], found["statusReason"]["text"]


@pytest.mark.req("R78")
def test_the_payers_identifier_is_kept_on_the_patient() -> None:
    """Beside the clinic's own number; it says whose it is."""
    fhir = world()
    ((address, question),) = asked(fhir).sent
    own, made = patient(fhir)["identifier"]

    assert "https://payer.example/fhir" == address
    assert [] == structure.check(question)
    assert "7001" == own["value"]
    assert ("UM-0001", "UMB") == (made["value"], elements.code(made["type"], pas.HREX_TEMP))
    assert {"reference": "Organization/payer"} == made["assigner"]
    assert [] == structure.check(patient(fhir))
    assert "completed" == end(fhir)[0]


@pytest.mark.req("R78")
def test_the_question_says_who_it_is_and_no_more() -> None:
    """Name, sex and birth date; the coverage refers to the person by a local name."""
    fhir = world()
    ((_, question),) = asked(fhir).sent
    told = {one["name"]: one["resource"] for one in question["parameter"]}

    assert {"resourceType", "id", "name", "gender", "birthDate"} == told["MemberPatient"].keys()
    assert "Patient/member" == elements.reference(told["CoverageToMatch"]["beneficiary"])
    assert "INF100001" == told["CoverageToMatch"]["identifier"][0]["value"]
    assert "Patient/pat" not in str(question)


@pytest.mark.req("R78")
def test_it_goes_to_that_payer_and_to_no_other() -> None:
    """The request Bundle has what its own payer calls the person."""
    fhir = world()
    asked(fhir)
    known = patient(fhir)
    other = {**known["identifier"][1], "assigner": {"reference": "Organization/other"},
             "value": "UM-OTHER"}  # fmt: skip
    both = {**known, "identifier": [*known["identifier"], other]}
    bundle = built(given.claim(), both)

    number = {"type": given.coded(systems.V2_IDENTIFIER_TYPE, "MB"), "value": "MB-OTHER",
              "assigner": {"reference": "Organization/other"}}  # fmt: skip
    third = built(given.claim(), {**known, "identifier": [*known["identifier"], number]})

    assert "UM-0001" in str(bundle)
    assert "MB-OTHER" not in str(third)
    assert "UM-OTHER" not in str(bundle)


@pytest.mark.req("R78")
def test_asked_again_there_is_one_identifier() -> None:
    """The newer one takes the place of the older."""
    fhir = world()
    asked(fhir)
    fhir.put(WISH)
    asked(fhir)

    assert 2 == len(patient(fhir)["identifier"])


@pytest.mark.req("R78")
def test_a_member_number_of_an_older_guide_is_taken() -> None:
    """HRex 1.0.0 answers with type MB; any other type is none."""
    kinds = [given.coded(systems.V2_IDENTIFIER_TYPE, code) for code in ("MB", "MR")]
    kept = []
    for kind in kinds:
        fhir = world()
        identifier = {"type": kind, "value": "M-1"}
        listed = [{"name": "MemberIdentifier", "valueIdentifier": identifier}]
        asked(fhir, Submission(b"x", answer={"resourceType": "Parameters", "parameter": listed}))
        kept.append((end(fhir)[0], len(patient(fhir)["identifier"])))

    assert [("completed", 2), ("rejected", 1)] == kept


@pytest.mark.req("R78")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"birthDate": "1985-02-15"}, "No member matches."),
        ({"name": [{"family": "Stranger"}]}, "No member matches."),
    ],
)
def test_who_is_not_known_is_told(change: Resource, words: str) -> None:
    """In the payer's words; the patient stays as it is."""
    fhir = world(given.patient(**change))
    asked(fhir)

    assert ("rejected", words) == end(fhir)
    assert 1 == len(patient(fhir)["identifier"])


def test_an_outage_is_made_up_for() -> None:
    """The delivery comes again."""
    fhir = world()
    with pytest.raises(RetryLater):
        asked(fhir, Submission(failure=Failure("not-delivered", "Away.", again=True)))
    asked(fhir)

    assert "completed" == end(fhir)[0]


@pytest.mark.parametrize(
    ("more", "words"),
    [(given.payer(), "no endpoint"), (given.coverage(beneficiary={"display": "x"}), "patient")],
)
def test_without_a_payer_or_a_patient_nobody_is_asked(more: Resource, words: str) -> None:
    """The Task says which."""
    fhir = world(more)

    assert [] == asked(fhir).sent
    assert words in end(fhir)[1]
