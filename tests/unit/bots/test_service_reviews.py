"""A request as Availity's Service Reviews JSON and back; filed once, and then only asked after."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
import responses

from bots import payer_notices, review_watch
from bots import prior_auth as room
from bots.connectors import polls
from bots.connectors.access import Access
from bots.connectors.service_reviews import ServiceReviews
from bots.handlers import submit_prior_auth
from bots.mapping import review as mapped
from bots.ports import Failure, Reviewed, Tools
from bots.shapes import service_reviews
from bots.shapes.service_reviews import Inexpressible
from fhir_profiles import codec, decisions, elements, pas, prior_auth, prior_auth_route, systems
from fhir_profiles.decisions import Action, State
from server.validation import check, structure
from tests import pas as given
from tests.contract.payer import built, of_code
from tests.fakes import NOW, FakeFhir, tools
from tests.unit.bots.test_prior_auth import endpoint, payer, the_task

Resource = dict[str, Any]
URL = "https://reviews.example"
PATH = URL + service_reviews.PATH
TOKEN = {"access_token": "token-1", "expires_in": 300}
pytestmark = pytest.mark.req("R80")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls come at once, three of them."""
    monkeypatch.setattr(polls, "PAUSES_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(polls, "LAST_S", 1000.0)


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    """The clearinghouse as recorded; it gives a token."""
    with responses.RequestsMock() as mock:
        mock.post(f"{URL}/v1/token", json=TOKEN)
        yield mock


def route() -> ServiceReviews:
    numbers = iter(range(1, 100))
    return ServiceReviews(
        Access("availity", URL, "secret", "INFORCE", lambda: NOW, numbers.__next__, "", "client-1")
    )


def asked(*codes: str, taken: str = "") -> Any:
    return replace(mapped.review(built(of_code(*(codes or ("97110",))))), taken=taken)


def decided(*lines: Resource, **whole: Any) -> Resource:
    return {"id": "SR1", "controlNumber": "C1", "procedures": list(lines), **whole}


def test_every_field_has_its_place() -> None:
    """Codes of X12 in the fields that the definition names; nothing of ours beside them."""
    level = {"url": pas.EXT_LEVEL_OF_SERVICE,
             "valueCodeableConcept": given.coded(pas.LEVEL_OF_SERVICE, "U")}  # fmt: skip
    claim = given.claim(extension=[level])
    claim["item"][0] |= {"servicedPeriod": {"start": "2026-12-05", "end": "2026-12-19"}}
    del claim["item"][0]["servicedDate"]
    found = service_reviews.ask(mapped.review(built(claim)))

    assert {
        "payer": {"id": "00099", "name": "Example Health"},
        "requestTypeCode": "HS", "serviceTypeCode": "2", "placeOfServiceCode": "11",
        "serviceLevelCode": "U", "fromDate": "2026-12-05", "toDate": "2026-12-19",
        "requestingProvider": {"lastName": "Riverside Clinic", "npi": "1999999984"},
        "renderingProviders": [{"lastName": "Okafor", "npi": "1999999992", "roleCode": "SJ"}],
        "subscriber": {"memberId": "INF100001", "lastName": "Rivera", "firstName": "Ana"},
        "patient": {"lastName": "Rivera", "firstName": "Ana", "birthDate": "1985-02-14",
                    "genderCode": "F", "subscriberRelationshipCode": "18"},
        "diagnoses": [{"qualifierCode": "ABK", "code": "M54.50"}],
        "procedures": [{"qualifierCode": "HC", "code": "97110", "quantity": "8",
                        "quantityTypeCode": "VS", "fromDate": "2026-12-05",
                        "toDate": "2026-12-19"}],
        "providerNotes": [{"message": "Pain since May"},
                          {"message": "Report type 03 is available"}],
    } == found  # fmt: skip


def test_a_child_is_the_patient_of_its_parent() -> None:
    """With the relationship of X12; the member id is the subscriber's."""
    parent = {**given.patient(id="parent"), "name": [{"family": "Rivera", "given": ["Luz"]}]}
    relation = {"coding": [{"system": pas.RELATIONSHIP, "code": "19"}]}
    coverage = given.coverage(relationship=relation, subscriber={"reference": "Patient/parent"})
    found = service_reviews.ask(mapped.review(built(given.claim(), parent, coverage)))

    assert ("Luz", "INF100001") == (
        found["subscriber"]["firstName"], found["subscriber"]["memberId"],
    )  # fmt: skip
    assert ("Ana", "19") == (
        found["patient"]["firstName"], found["patient"]["subscriberRelationshipCode"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"category": "AR"}, "one kind of review"), ({"service_type": "12"}, "one service type"),
        ({"place": "21"}, "one place of service"), ({"providers": ()}, "same treating providers"),
        ({"code": ""}, "a code for each service, and item 2 has none"),
    ],
)  # fmt: skip
def test_what_would_get_lost_is_not_sent(change: Resource, says: str) -> None:
    """One review has one of each; the refusal names the items."""
    review = asked("97110", "97110")
    first, second = review.services
    with pytest.raises(Inexpressible, match=says):
        service_reviews.ask(replace(review, services=(first, replace(second, **change))))


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ({"statusCode": "A1", "certificationNumber": "N1"}, State.APPROVED),
        ({"statusCode": "A2", "quantity": "4"}, State.PARTIAL),
        ({"statusCode": "A3", "statusReasons": [{"code": "01"}]}, State.DENIED),
        ({"statusCode": "A4"}, State.PENDED), ({"statusCode": "A6", "quantity": "4"},
                                               State.MODIFIED),
        ({"statusCode": "C"}, State.CANCELLED), ({"statusCode": "CT"}, State.CONTACT_PAYER),
        ({"statusCode": "NA"}, State.NOT_REQUIRED),
    ],
)  # fmt: skip
def test_a_decision_is_read_as_every_other_is(line: Resource, state: State) -> None:
    """By the code of X12 306; the words beside it do not count."""
    bundle = built(of_code("97110"))
    review = mapped.review(bundle)
    body = decided({"code": "97110", **line}, statusCode="A1", status="Not Certified")
    made = mapped.bundle(service_reviews.read(body, review), review, bundle, NOW)

    assert state is decisions.read(made["entry"][0]["resource"], [1]).state
    assert [] == [str(one) for one in check.against(made, pas.RESPONSE_BUNDLE)]


def test_number_dates_reason_and_words_arrive() -> None:
    """Of the line that they are about."""
    bundle = built(of_code("97110", "22612"))
    review = mapped.review(bundle)
    first = {"code": "97110", "statusCode": "A1", "certificationNumber": "N1",
             "certificationIssueDate": "2026-11-20", "certificationEffectiveDate": "2026-12-01",
             "certificationExpirationDate": "2027-02-28"}  # fmt: skip
    second = {
        "code": "22612",
        "statusCode": "A3",
        "notes": [{"message": "Therapy first."}],
        "statusReasons": [{"code": "01", "value": "Not covered here"}, "See the policy"],
    }
    answer = service_reviews.read(decided(first, second), review)
    made = mapped.bundle(answer, review, bundle, NOW)
    granted, denied = decisions.read(made["entry"][0]["resource"], [1, 2]).items

    assert ("N1", "2026-11-20", ("2026-12-01", "2027-02-28")) == (
        granted.number, granted.issued, granted.period,
    )  # fmt: skip
    assert ((("01", ""),), ("Not covered here", "See the policy", "Therapy first.")) == (
        denied.reasons, denied.notes,
    )  # fmt: skip


def test_what_the_whole_says_counts_where_a_line_is_silent() -> None:
    """Its number, its days and its words; messages beside a decision do not undo it."""
    bundle = built(of_code("97110"))
    review = mapped.review(bundle)
    body = decided(
        {"code": "97110", "statusCode": "A1"}, statusCode="A1", certificationNumber="N9",
        certificationExpirationDate="2027-02-28", payerNotes=["Call us.", {"message": "Soon."}],
        validationMessages=[{"field": "subscriber.memberId"}],
    )  # fmt: skip
    made = mapped.bundle(service_reviews.read(body, review), review, bundle, NOW)
    (item,) = decisions.read(made["entry"][0]["resource"], [1]).items

    assert ("N9", ("", "2027-02-28"), ("Call us.", "Soon.")) == (
        item.number, item.period, item.notes,
    )  # fmt: skip


def test_modifiers_messages_and_the_principal_diagnosis_go_along() -> None:
    """Nothing that was asked for gets lost."""
    claim = given.claim()
    claim["item"][0]["modifier"] = [{"coding": [{"code": "GP"}]}]
    kind = "http://terminology.hl7.org/CodeSystem/ex-diagnosistype"
    second = {"sequence": 2, "diagnosisCodeableConcept": given.coded(pas.ICD_10, "M51.26"),
              "type": [given.coded(kind, "principal")]}  # fmt: skip
    claim["diagnosis"].append(second)
    found = service_reviews.ask(mapped.review(built(claim)))

    assert "GP" == found["procedures"][0]["modifierCode1"]
    assert [("ABK", "M51.26"), ("ABF", "M54.50")] == [
        (one["qualifierCode"], one["code"]) for one in found["diagnoses"]
    ]


def test_a_request_is_filed_once_and_asked_after(wire: responses.RequestsMock) -> None:
    """The number comes from `Location`; 202 and "in progress" are no answers."""
    wire.post(PATH, status=202, headers={"Location": f"{PATH}/SR1"})
    filed = route().review(asked(), timeout_s=9)
    assert ("SR1", True) == (filed.taken, bool(filed.failure and filed.failure.again))

    wire.get(f"{PATH}/SR1", status=202)
    wire.get(f"{PATH}/SR1", json={"id": "SR1", "statusCode": "0"})
    wire.get(f"{PATH}/SR1", json=decided({"code": "97110", "statusCode": "A1"}))
    found = route().review(asked(taken="SR1"), timeout_s=9)

    assert found.answer is not None
    assert Action.CERTIFIED.value == found.answer.services[0].action
    assert ["POST"] == [c.request.method for c in wire.calls if c.request.url == PATH]
    sent = codec.decode(next(c for c in wire.calls if c.request.url == PATH).request.body or b"")
    assert "INF100001" == sent["subscriber"]["memberId"]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ({"body": requests.ReadTimeout()}, "may have arrived"),
        ({"body": requests.ConnectionError("Connection aborted.")}, "may have arrived"),
        ({"status": 503}, "may have arrived"), ({"status": 400, "json": {"errors": None}}, "400"),
        ({"status": 400, "json": {"validationMessages": None, "errors": 5}}, "400"),
        ({"status": 202, "json": {"id": ".."}}, "did not say under which number"),
        ({"status": 202}, "did not say under which number"),
        ({"status": 202, "json": {"id": "../../token"}}, "did not say under which number"),
        ({"status": 400, "json": {"errors": [{"field": "patient.birthDate",
                                              "errorMessage": "Rivera is not valid"}]}},
         "look at patient.birthDate."),
        ({"status": 422, "body": "no JSON"}, "HTTP 422"),
    ],
)  # fmt: skip
def test_what_may_have_arrived_is_never_filed_again_by_itself(
    wire: responses.RequestsMock, reply: Resource, says: str
) -> None:
    """A person looks first; what the payer wrote about the patient is not repeated."""
    wire.post(PATH, **reply)
    found = route().review(asked(), timeout_s=9)

    assert found.failure is not None
    assert (False, "") == (found.failure.again, found.taken)
    assert says in found.failure.text
    assert "Rivera" not in found.failure.text


@pytest.mark.parametrize(
    ("reply", "says", "again", "taken"),
    [
        ({"status": 202}, "has not answered yet", True, "SR1"),
        ({"status": 404}, "has not answered yet", True, "SR1"),
        ({"status": 302}, "has not answered yet", True, "SR1"),
        ({"body": "<html>Maintenance</html>"}, "has not answered yet", True, "SR1"),
        ({"json": decided(statusCode="7")}, "could not reach the payer", False, ""),
        ({"json": decided(statusCode="19", validationMessages=[{"field": "payer.id"}])},
         "look at payer.id", False, ""),
        ({"status": 403}, "refuses our key", True, "SR1"),
    ],
)  # fmt: skip
def test_what_comes_of_asking_after_a_request(
    wire: responses.RequestsMock, reply: Resource, says: str, again: bool, taken: str
) -> None:
    """It is asked after again where that may help, and only then keeps its number."""
    wire.get(f"{PATH}/SR1", **reply)
    found = route().review(asked(taken="SR1"), timeout_s=9)

    assert found.failure is not None
    assert (again, taken) == (found.failure.again, found.taken)
    assert says in found.failure.text


@pytest.mark.parametrize(
    "body",
    [
        {}, decided(statusCode="4"), decided(statusCode="A1", notes=5),
        decided(statusCode="Approved"), {"procedures": "all"},
        decided({"code": "22612", "statusCode": "A1"}), decided({"code": "97110",
                                                                 "statusCode": "ZZ"}),
        decided({"code": "97110", "statusCode": "A1"}, {"code": "97110", "statusCode": "A1"}),
    ],
)  # fmt: skip
def test_what_is_no_decision_is_unreadable(wire: responses.RequestsMock, body: Resource) -> None:
    """Neither an answer nor a failure: the bytes are kept, and a person looks."""
    wire.get(f"{PATH}/SR1", json=body)
    found = route().review(asked(taken="SR1"), timeout_s=9)

    assert (None, None, "SR1") == (found.answer, found.failure, found.taken)
    assert found.received


class Filed:
    """A route that takes a request as SR1, and then says what it is given."""

    payer_system = systems.AVAILITY_PAYER

    def __init__(self, *later: Any) -> None:
        self.later, self.asked = list(later), []  # type: ignore[var-annotated]

    def review(self, asked: Any, *, timeout_s: float) -> Reviewed:
        assert timeout_s > 0
        self.asked.append(asked)
        if not asked.taken:
            return Reviewed(failure=Failure("no-answer", "not yet", again=True), taken="SR1")
        found = self.later.pop(0)
        if isinstance(found, Reviewed):
            return found
        body = decided({"code": "97110", "statusCode": found})
        return Reviewed(b"{}", answer=service_reviews.read(body, asked), taken="SR1")


LATE = Reviewed(failure=Failure("no-answer", "It has not answered yet.", again=True), taken="SR1")


def world(**more: Any) -> FakeFhir:
    claim = of_code("97110")
    task = prior_auth.task(
        claim="Claim/pa", patient={"reference": "Patient/pat"},
        number="Claim/pa/_history/1", bundle="", authored=NOW.isoformat(),
    )  # fmt: skip
    way = {"payloadType": [{"coding": [{"code": prior_auth_route.SERVICE_REVIEWS}]}]}
    number = {"system": systems.AVAILITY_PAYER, "value": "EXHLTH"}
    known = payer(identifier=[{"system": systems.PAYER_ID, "value": "00099"}, number])
    return FakeFhir(*given.world(known, endpoint(**way, **more)), claim, {**task, "id": "pa"})


def kit(fhir: FakeFhir, way: Any, **more: Any) -> Tools:
    return replace(tools(fhir, **more), reviews={prior_auth_route.SERVICE_REVIEWS: way})


def send(fhir: FakeFhir, way: Any) -> None:
    submit_prior_auth.handle(the_task(fhir), kit(fhir, way))


def test_the_payer_is_asked_under_the_name_of_the_route() -> None:
    """And its decision is taken as of every payer."""
    fhir, way = world(), Filed("A1")
    send(fhir, way)
    task = the_task(fhir)

    assert ("EXHLTH", "PI") == (way.asked[0].payer.id, way.asked[0].payer.id_qualifier)
    assert "approved" == prior_auth.status(task)
    assert ["", "SR1"] == [one.taken for one in way.asked]
    assert [] == structure.check(task)


def test_a_payer_that_the_route_does_not_know_is_not_asked() -> None:
    """No other id stands in for the one that is missing: it may be another payer's."""
    fhir, way = world(), Filed("A1")
    fhir.put(payer(identifier=[{"system": systems.STEDI_PAYER, "value": "EXHLTH"}]))
    send(fhir, way)

    assert [] == way.asked
    assert "no id for the payer" in the_task(fhir)["statusReason"]["text"]


def test_a_late_answer_is_asked_after_and_not_filed_again() -> None:
    """Meanwhile it is sent, its clock runs; it is asked after more and more rarely."""
    fhir = world()
    way = Filed(LATE, LATE, "A1")
    send(fhir, way)
    task = the_task(fhir)
    assert ("sent", "in-progress", "SR1") == (
        prior_auth.status(task), task["status"], elements.identifier(task, prior_auth.TAKEN),
    )  # fmt: skip
    assert NOW == prior_auth.sent_at(task)
    assert task["restriction"]["period"]["start"].startswith("2026-11-24T15:30:00")
    send(fhir, way)
    asked = [
        review_watch.run(kit(fhir, way, now=lambda s=seconds: NOW + timedelta(seconds=s)))
        for seconds in (60, 90, 150, 180)
    ]

    assert [0, 1, 0, 1] == asked
    assert "approved" == prior_auth.status(the_task(fhir))
    assert ["", "SR1", "SR1", "SR1"] == [one.taken for one in way.asked]


def test_who_changes_the_task_meanwhile_has_it_filed_no_second_time() -> None:
    """The number is kept, whatever else was stored at the moment."""
    fhir = world()

    class Meddled(Filed):
        def review(self, asked: Any, *, timeout_s: float) -> Reviewed:
            if not asked.taken:
                by = {"reference": "Practitioner/ward"}
                fhir.put({**the_task(fhir), "owner": by})
            return super().review(asked, timeout_s=timeout_s)

    way = Meddled("A1")
    send(fhir, way)

    assert ["", "SR1"] == [one.taken for one in way.asked]
    assert ("approved", "Practitioner/ward") == (
        prior_auth.status(the_task(fhir)), elements.reference(the_task(fhir)["owner"]),
    )  # fmt: skip


def test_a_stop_while_it_is_filed_leaves_it_to_a_person() -> None:
    """It may have arrived: it is not filed again by itself."""
    fhir = world()

    class Killed(Exception):
        pass

    class Stops(Filed):
        def review(self, asked: Any, *, timeout_s: float) -> Reviewed:
            raise Killed((asked, timeout_s))

    with pytest.raises(Killed):
        send(fhir, Stops())
    way = Filed("A1")
    send(fhir, way)
    task = the_task(fhir)

    assert ([], "send-failed", False) == (
        way.asked, prior_auth.status(task), prior_auth.is_retried(task),
    )  # fmt: skip
    assert "may have arrived" in task["statusReason"]["text"]
    assert "" == elements.identifier(task, prior_auth.TAKEN)


def test_what_is_given_up_while_it_waits_comes_back_to_people() -> None:
    """Asked after, the clearinghouse says that it could not reach the payer."""
    fhir = world()
    down = Reviewed(b"{}", failure=Failure("route-failed", "Send it again.", again=False))
    way = Filed("A4", down)
    send(fhir, way)
    review_watch.run(kit(fhir, way, now=lambda: NOW + timedelta(hours=1)))
    task = the_task(fhir)

    assert ("send-failed", "Send it again.") == (
        prior_auth.status(task), task["statusReason"]["text"],
    )  # fmt: skip
    assert "" == elements.identifier(task, prior_auth.TAKEN)


def test_a_stop_after_it_was_filed_files_nothing_twice() -> None:
    """The number is kept before anything else is done."""
    fhir = world()

    class Killed(Exception):
        pass

    class Stops(Filed):
        def review(self, asked: Any, *, timeout_s: float) -> Reviewed:
            if asked.taken and not self.later:
                raise Killed
            return super().review(asked, timeout_s=timeout_s)

    with pytest.raises(Killed):
        send(fhir, Stops())
    way = Filed("A1")
    send(fhir, way)

    assert ["SR1"] == [one.taken for one in way.asked]
    assert "approved" == prior_auth.status(the_task(fhir))


def test_what_pended_is_asked_after_by_a_person() -> None:
    """By its number, at most once an hour; what is no news changes nothing."""
    fhir = world()
    way = Filed("A4", "A4", "A3")
    send(fhir, way)
    assert "pended" == prior_auth.status(the_task(fhir))

    said = [
        payer_notices.inquire(found, kit(fhir, way, now=lambda hours=hours: NOW + timedelta(
            hours=hours)))
        for hours in (1, 1.5, 3)
        if (found := room.case_of(the_task(fhir), kit(fhir, way)))
    ]  # fmt: skip

    assert ["The payer answered.", "The payer was asked less than an hour ago.",
            "The payer answered."] == said  # fmt: skip
    assert "denied" == prior_auth.status(the_task(fhir))


def test_a_route_that_is_gone_loses_no_number() -> None:
    """Asked after without it, the request still is where it was."""
    fhir = world()
    send(fhir, Filed("A4"))
    case = room.case_of(the_task(fhir), tools(fhir))
    assert case is not None
    said = payer_notices.inquire(case, tools(fhir))

    assert "INFORCE_BOTS_ROUTES" in said
    assert ("pended", "SR1") == (
        prior_auth.status(the_task(fhir)), elements.identifier(the_task(fhir), prior_auth.TAKEN),
    )  # fmt: skip


def test_a_route_that_is_not_configured_is_named() -> None:
    """With what to set."""
    fhir = world()
    submit_prior_auth.handle(the_task(fhir), tools(fhir))

    assert "name `availity` in INFORCE_BOTS_ROUTES" in the_task(fhir)["statusReason"]["text"]
