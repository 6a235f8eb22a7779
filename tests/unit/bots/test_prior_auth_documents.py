"""Sending what a payer asks for: the Parameters, and where the request then stands."""

from typing import Any

import pytest

from bots.errors import RetryLater
from bots.handlers import send_document
from bots.mapping import pas_attachment
from bots.mapping.pas_asks import title
from bots.ports import Failure, Submission
from fhir_profiles import elements, payer_asks, prior_auth
from server.validation import structure
from tests import pas as given
from tests import samples
from tests.contract.payer import of_code
from tests.fakes import NOW, FakeFhir, FakePayer, tools
from tests.unit.bots.test_prior_auth import case, run, the_task, world

Resource = dict[str, Any]
pytestmark = pytest.mark.req("R74")
TAKEN = Submission(b"{}", answer={"resourceType": "OperationOutcome"})


def asked() -> FakeFhir:
    """Return the store after a payer asked for a document, a report and a questionnaire."""
    fhir = world(of_code("97110", "63685"))
    run(fhir)
    fhir.put({
        "resourceType": "QuestionnaireResponse", "id": "form", "status": "completed",
        "subject": {"reference": "Patient/pat"}, "author": {"reference": "Practitioner/dr"},
    })  # fmt: skip
    return fhir


def address(fhir: FakeFhir) -> str:
    return prior_auth.part(the_task(fhir), prior_auth.RESPONSE)


def wish(fhir: FakeFhir, number: int, document: str = "DocumentReference/note") -> Resource:
    made = payer_asks.wish(
        the_task(fhir), address(fhir), f"ask-{number}", document, NOW.isoformat()
    )
    assert [] == structure.check(made)
    return fhir.put({**made, "id": f"wish-{number}"})


def send(fhir: FakeFhir, one: Resource, answer: Submission = TAKEN) -> FakePayer:
    told = FakePayer(answer)
    send_document.handle(one, tools(fhir, prior_auth=told))
    return told


def ended(fhir: FakeFhir, one: Resource) -> tuple[str, str]:
    (found,) = fhir.read_all([f"Task/{one['id']}"])
    assert found is not None
    return found["status"], found["statusReason"]["text"]


def test_a_document_goes_with_all_that_ties_it_to_the_request() -> None:
    """Tracking id of the payer, member, organization, line and code; no id of ours."""
    fhir = asked()
    ((base, body),) = send(fhir, wish(fhir, 1)).sent
    told = {one["name"]: one for one in body["parameter"]}
    parts = {one["name"]: one for one in told["Attachment"]["part"]}

    assert "https://payer.example/fhir" == base
    assert [] == structure.check(body)
    assert [pas_attachment.PROFILE] == body["meta"]["profile"]
    assert "PA-pa-2-1" == told["TrackingId"]["valueIdentifier"]["value"]
    assert "preauthorization" == told["AttachTo"]["valueCode"]
    assert "INF100001" == told["MemberId"]["valueIdentifier"]["value"]
    assert samples.NPI == told["OrganizationId"]["valueIdentifier"]["value"]
    assert "2026-12-05" == told["ServiceDate"]["valueDate"]
    assert told["Final"]["valueBoolean"] is False
    assert "2" == parts["LineItem"]["valueString"]
    assert "34117-2" == parts["Code"]["valueCodeableConcept"]["coding"][0]["code"]
    content = parts["Content"]["resource"]
    assert "Tm90ZQ==" == content["content"][0]["attachment"]["data"]
    assert "INF100001" == content["subject"]["identifier"]["value"]
    assert "Patient/pat" not in str(body)
    assert "id" not in content


def test_when_all_have_gone_the_payer_decides_again() -> None:
    """The request waits, the Tasks that gather are complete, the last one was the final one."""
    fhir = asked()
    gathering = {t["code"]["text"]: t["id"] for t in fhir.all("Task") if "businessStatus" not in t}
    for number, document in (
        (1, "DocumentReference/note"), (2, "DocumentReference/note"),
        (3, "QuestionnaireResponse/form"),
    ):  # fmt: skip
        one = wish(fhir, number, document)
        ((_, body),) = send(fhir, one).sent
        assert (number == 3) is body["parameter"][-1]["valueBoolean"]
        assert ("pended" if number == 3 else "more-information") == prior_auth.status(
            the_task(fhir)
        )
        assert ("completed", "The payer took it.") == ended(fhir, one)
    stands = {t["id"]: t["status"] for t in fhir.all("Task")}

    assert ["completed"] * 3 == [
        stands[gathering[title(kind)]] for kind in ("report", "document", "questionnaire")
    ]
    assert "The documents are sent" in the_task(fhir)["statusReason"]["text"]
    assert the_task(fhir)["restriction"] == case(fhir).task["restriction"]


def test_two_that_go_at_the_same_time_are_both_counted() -> None:
    """Each saw the other one open when it began."""
    fhir = asked()
    documents = ["DocumentReference/note", "DocumentReference/note", "QuestionnaireResponse/form"]
    wishes = [wish(fhir, number, one) for number, one in enumerate(documents, 1)]
    send(fhir, wishes[0])
    between: list[FakePayer] = []

    def slow(_body: Resource) -> Submission:
        between.append(send(fhir, wishes[2]))  # goes while the second one is on its way
        return TAKEN

    send_document.handle(wishes[1], tools(fhir, prior_auth=FakePayer(slow)))

    assert 1 == len(between[0].sent)
    assert "pended" == prior_auth.status(the_task(fhir))


def test_what_was_broken_off_is_made_up_for() -> None:
    """Killed after the payer took the last one: the next delivery turns the request."""
    fhir = asked()
    for number in (1, 2):
        send(fhir, wish(fhir, number))
    last = wish(fhir, 3, "QuestionnaireResponse/form")
    fhir.put({**last, "status": "completed", "statusReason": {"text": "The payer took it."}})
    assert "more-information" == prior_auth.status(the_task(fhir))

    assert [] == send(fhir, last).sent
    assert "pended" == prior_auth.status(the_task(fhir))


@pytest.mark.req("R72")
def test_each_is_an_exchange() -> None:
    """On record like every other."""
    fhir = asked()
    send(fhir, wish(fhir, 1))
    kinds = [
        elements.code(one["group"][0]["code"], prior_auth.METRIC)
        for one in fhir.all("MeasureReport")
    ]

    assert ["initial", "document"] == kinds


def test_sent_again_it_is_not_sent_again() -> None:
    """A second delivery finds it done."""
    fhir = asked()
    one = wish(fhir, 1)
    send(fhir, one)

    assert [] == send(fhir, one).sent


def test_what_the_payer_refuses_is_told() -> None:
    """In its words, and the request still waits for it."""
    fhir = asked()
    one = wish(fhir, 1)
    send(fhir, one, Submission(failure=Failure("request-refused", "Too large.", again=False)))

    assert ("rejected", "Too large.") == ended(fhir, one)
    assert "more-information" == prior_auth.status(the_task(fhir))


def test_an_outage_is_made_up_for() -> None:
    """The delivery comes again, and the wish stays open."""
    fhir = asked()
    one = wish(fhir, 1)
    with pytest.raises(RetryLater):
        send(fhir, one, Submission(failure=Failure("not-delivered", "Away.", again=True)))
    send(fhir, one)

    assert "completed" == ended(fhir, one)[0]


@pytest.mark.parametrize(
    ("number", "document"), [(9, "DocumentReference/note"), (1, "DocumentReference/none")]
)
def test_what_is_not_here_is_refused(number: int, document: str) -> None:
    """Nothing is sent."""
    fhir = asked()
    one = wish(fhir, number, document)

    assert [] == send(fhir, one).sent
    assert "rejected" == ended(fhir, one)[0]


@pytest.mark.parametrize(
    "other",
    [given.document(id="other", subject={"reference": "Patient/somebody"}),
     {"resourceType": "Observation", "id": "other", "subject": {"reference": "Patient/pat"}}],
)  # fmt: skip
def test_only_a_document_of_this_patient_goes(other: Resource) -> None:
    """A Task of somebody's may name any resource."""
    fhir = asked()
    fhir.put(other)
    one = wish(fhir, 1, f"{other['resourceType']}/other")

    assert [] == send(fhir, one).sent
    assert ("rejected", "The document is not one of this patient.") == ended(fhir, one)
