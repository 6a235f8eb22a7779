"""Answers that must not be taken for what they are not: another's, a late one, a broken one."""

import json
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

import pytest

from bots import payer_notices
from bots import prior_auth as room
from bots.errors import NeverRetry, RetryLater
from bots.mapping import pas_notice
from bots.mapping.pas_metric import Exchanged, Kind
from bots.ports import Failure, Submission
from fhir_profiles import elements, pas, prior_auth, prior_auth_route
from fhir_profiles.prior_auth import Status
from tests import pas as given
from tests.contract.payer import of_code
from tests.fakes import NOW, FakeFhir, FakePayer, tools
from tests.unit.bots.test_payer_notices import (
    hear,
    message,
    newer,
    parameters,
    seen,
    subscribed,
    the_case,
    waiting,
    with_notices,
)
from tests.unit.bots.test_prior_auth import (
    endpoint,
    payer,
    run,
    the_answer,
    the_task,
    world,
)

Resource = dict[str, Any]


def changed(**more: Any) -> Any:
    """Answer as the payer does, with other elements in the ClaimResponse."""

    def answer(bundle: Resource) -> Submission:
        told = the_answer(bundle)
        told["entry"][0]["resource"] |= more
        return Submission(json.dumps(told).encode(), answer=told)

    return answer


def strange_person(bundle: Resource) -> Submission:
    told = the_answer(bundle)
    stranger = given.patient(identifier=[{"system": "urn:x", "value": "other"}])
    url = "urn:uuid:6a1c5c57-9b1e-4c5f-8f4d-7a110d7d0f2a"
    told["entry"].append({"fullUrl": url, "resource": stranger})
    told["entry"][0]["resource"]["patient"] = {"reference": url}
    return Submission(json.dumps(told).encode(), answer=told)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (changed(identifier=[{"system": "urn:x", "value": "NOT-OURS"}],
                 request={"display": "x"}), "another request"),
        (strange_person, "another person"),
        (changed(item=None), "malformed"),
        (changed(item=[{"itemSequence": [1]}]), "malformed"),
    ],
)  # fmt: skip
def test_an_answer_about_something_else_decides_nothing(answer: Any, why: str) -> None:
    """It is kept sealed, and a person looks at it."""
    fhir = world()
    run(fhir, answer)

    assert "unreadable" == prior_auth.status(the_task(fhir))
    assert why in the_task(fhir)["statusReason"]["text"]
    assert [] == fhir.all("ClaimResponse")
    assert 1 == len(fhir.all("Binary"))


def test_the_parties_are_ours_whatever_the_payer_writes() -> None:
    """Patient and insurer of the ClaimResponse are those of the request."""
    fhir = world()
    run(fhir, changed(patient={"display": "somebody"}, insurer={"display": "x"}))
    (response,) = fhir.all("ClaimResponse")

    assert ("Patient/pat", "Organization/payer") == (
        elements.reference(response["patient"]), elements.reference(response["insurer"]),
    )  # fmt: skip


@pytest.mark.parametrize("part", [{"url": "reasonCode"}, {"url": "number"}])
def test_a_part_without_its_value_is_no_reason_to_fail(part: Resource) -> None:
    """Legal where the payer says why it is absent."""
    fhir = world()

    def answer(bundle: Resource) -> Submission:
        told = the_answer(bundle)
        adjudication = told["entry"][0]["resource"]["item"][0]["adjudication"][0]
        adjudication["extension"][0]["extension"].insert(1, part)
        return Submission(b"x", answer=told)

    run(fhir, answer)
    assert "approved" == prior_auth.status(the_task(fhir))


def take(fhir: FakeFhir, answer: Resource | None, *, asked: bool = False) -> None:
    kind = Kind.QUERY if asked else Kind.SUBSEQUENT
    room.take(the_case(fhir), answer, payer(), tools(fhir), Exchanged(kind, NOW, NOW))


def test_two_answers_under_one_identifier_are_two() -> None:
    """A payer may repeat the transaction's own."""
    fhir = waiting()
    first = fhir.read_all([prior_auth.part(the_task(fhir), prior_auth.ANSWER)])[0]
    assert first is not None
    take(fhir, {**newer(fhir, "22612"), "identifier": first["identifier"]})
    address = prior_auth.part(the_task(fhir), prior_auth.RESPONSE)
    (response,) = fhir.read_all([address])

    assert response is not None
    assert "Denied" in response["disposition"]
    assert 2 == len(fhir.all("ClaimResponse"))


def test_what_was_cancelled_stays_cancelled() -> None:
    """A late decision is stored, and moves nothing."""
    fhir = waiting()
    late = newer(fhir, "72148")
    fhir.put(prior_auth.moved(the_task(fhir), Status.CANCELLED, "Replaced by its update Claim/x."))
    take(fhir, late)

    assert "cancelled" == prior_auth.status(the_task(fhir))
    assert 2 == len(fhir.all("ClaimResponse"))


@pytest.mark.parametrize("code", ["broken", "99499"])
def test_a_decision_is_not_undone_by_a_broken_answer(code: str) -> None:
    """Nor by an error: what was decided holds."""
    fhir = world()
    run(fhir)
    later = newer(fhir, "97110" if code == "broken" else code)
    take(fhir, {**later, "entry": []} if code == "broken" else later)

    assert "approved" == prior_auth.status(the_task(fhir))


def test_an_inquiry_does_not_take_away_what_the_payer_wants() -> None:
    """Its answers lack the request for information."""
    fhir = world(of_code("63685"))
    run(fhir)
    before = the_task(fhir)
    told = newer(fhir, "63685")
    told["entry"][0]["resource"].pop("communicationRequest")
    take(fhir, told, asked=True)
    assert before == the_task(fhir)

    take(fhir, newer(fhir, "97110", 120), asked=True)
    assert "approved" == prior_auth.status(the_task(fhir))


def test_another_payer_decides_nothing() -> None:
    """Whoever has the token of one Endpoint speaks for that payer only."""
    fhir = subscribed(waiting())
    body = message(newer(fhir, "22612"))
    payer_notices.receive(pas_notice.read(body), "another", tools(fhir))

    assert "pended" == prior_auth.status(the_task(fhir))
    assert 1 == len(fhir.all("AuditEvent"))


def test_a_gap_is_not_forgotten_where_the_payer_is_away() -> None:
    """The message comes again, and is asked about then."""
    fhir = subscribed(waiting(), seen=1)
    other = newer(fhir, "72148", 1)
    other["entry"][0]["resource"]["identifier"] = [{"system": "urn:x", "value": "nobody's"}]
    away = Submission(failure=Failure("route-failed", "away", again=True))
    with pytest.raises(RetryLater, match="route-failed"):
        hear(fhir, message(other, count=3), tools(fhir, prior_auth=FakePayer(away)))
    assert 1 == seen(fhir)

    found = Submission(b"{}", answer=parameters("return", newer(fhir, "22612")))
    hear(fhir, message(other, count=3), tools(fhir, prior_auth=FakePayer(found)))
    tasks = {prior_auth.status(task) for task in fhir.all("Task")}
    assert ({"denied", ""}, 3) == (tasks, seen(fhir))


def test_a_late_message_clears_the_task_about_missed_ones() -> None:
    """It was late, not lost."""
    fhir = subscribed(waiting(), seen=0)
    other = newer(fhir, "72148", 1)
    nothing = Submission(b"{}", answer={"resourceType": "Parameters"})
    hear(fhir, message(other, count=2), tools(fhir, prior_auth=FakePayer(nothing)))
    staff = [t for t in fhir.all("Task") if not prior_auth.status(t)]
    assert ["requested"] == [t["status"] for t in staff]
    hear(fhir, message(other, count=1))

    assert ["completed"] == [t["status"] for t in fhir.all("Task") if not prior_auth.status(t)]


def test_an_event_whose_answer_is_not_there_is_a_missed_one() -> None:
    """Its focus leads nowhere: what waits is asked about."""
    fhir = subscribed(waiting())
    body = message(newer(fhir, "22612"))
    body["entry"][1]["fullUrl"] = "urn:uuid:elsewhere"
    asked = FakePayer(Submission(b"{}", answer=parameters("return", newer(fhir, "22612"))))
    hear(fhir, body, tools(fhir, prior_auth=asked))

    assert 1 == len(asked.sent)
    assert "denied" in {prior_auth.status(task) for task in fhir.all("Task")}


def test_a_focus_may_be_relative() -> None:
    """Against the address of its entry."""
    fhir = subscribed(waiting())
    body = message(newer(fhir, "22612"))
    body["entry"][1]["fullUrl"] = "http://payer.example/fhir/urn:uuid:0"
    hear(fhir, body)

    assert "denied" == prior_auth.status(the_task(fhir))


def test_a_dead_subscription_is_asked_for_again() -> None:
    """Before the next request."""
    fhir = subscribed(world())
    asked = FakePayer(the_submission)
    room.send(the_task(fhir), with_notices(tools(fhir, prior_auth=asked)), payer_notices.subscribe)

    assert 1 == len(asked.subscribed)


def the_submission(bundle: Resource) -> Submission:
    return Submission(b"x", answer=the_answer(bundle))


def test_who_asks_in_a_role_is_told_too() -> None:
    """The NPIs behind the role name the sending system."""
    fhir = world(of_code("97110", provider={"reference": "PractitionerRole/dr-here"}))
    run(fhir)

    assert {"1999999984", "1999999992"} == pas_notice.senders(the_case(fhir).sent)


def test_a_retry_is_the_identical_request_whatever_was_edited() -> None:
    """The first may have arrived."""
    fhir = world()
    down = Submission(failure=Failure("no-answer", "No whole answer.", again=True))
    with pytest.raises(RetryLater):
        run(fhir, down)
    assert prior_auth.is_retried(the_task(fhir))
    fhir.put({**of_code("97110"), "meta": {"tag": [{"code": "seen"}]}})
    run(fhir)

    assert 1 == sum(
        "Claim" == b["entry"][0]["resource"]["resourceType"] for b in fhir.all("Bundle")
    )
    assert not prior_auth.is_retried(the_task(fhir))


def test_the_newest_edition_that_a_payer_speaks_is_taken() -> None:
    """Of several Endpoints."""
    fhir = world()
    kind = {"coding": [{"code": f"{prior_auth_route.PAS}#2.0"}]}
    old = endpoint(id="old", address="https://payer.example/old", payloadType=[kind])
    fhir.put(old)
    fhir.put(payer() | {"endpoint": [{"reference": "Endpoint/old"}, {"reference": "Endpoint/pas"}]})

    assert "https://payer.example/fhir" == run(fhir).sent[0][0]


def test_an_answer_that_our_server_does_not_take_is_told_and_not_asked_for_again() -> None:
    """It is kept sealed; the request is not sent a second time."""
    fhir = world()

    def refuse(resource: Resource, condition: str) -> Resource:
        if resource["resourceType"] == "ClaimResponse":
            raise NeverRetry("FHIR server refused a new ClaimResponse")
        return FakeFhir.create_once(fhir, resource, condition)

    fhir.create_once = refuse  # type: ignore[method-assign]
    run(fhir)
    found = the_task(fhir)

    assert ("unreadable", False) == (prior_auth.status(found), prior_auth.is_due(found))
    assert "our server does not take it" in found["statusReason"]["text"]
    assert fhir.all("DocumentReference")


def test_an_update_keeps_the_clock_of_what_it_updates() -> None:
    """The payer had the first request a day before."""
    first = of_code("72148")
    fhir = world(first)
    run(fhir)
    due = the_task(fhir)["restriction"]
    by = {"reference": "Practitioner/ward"}
    longer = {"url": prior_auth.EXT_LONGER, "extension": [{"url": "days", "valueInteger": 3}]}
    held = {"url": prior_auth.EXT_JUDGED, "extension": [
        {"url": "urgency", "valueCode": "expedited"}, {"url": "by", "valueString": "Dr. Okafor"},
        {"url": "at", "valueDateTime": NOW.isoformat()},
    ]}  # fmt: skip
    fhir.put({**the_task(fhir), "owner": by, "priority": "urgent",
              "extension": [*the_task(fhir)["extension"], longer, held]})  # fmt: skip
    prior = {"claim": {"reference": "Claim/pa"}, "relationship": given.coded(pas.RELATED, "prior")}
    identifier = {**first["identifier"][0], "value": "PA-now"}
    fhir.put({**first, "id": "now", "related": [prior], "identifier": [identifier]})
    task = prior_auth.task(
        claim="Claim/now", patient={"reference": "Patient/pat"}, authored=NOW.isoformat(),
        number="Claim/now/_history/1", bundle="",
    )  # fmt: skip
    later = NOW + timedelta(days=1)
    kit = tools(fhir, prior_auth=FakePayer(the_submission), now=lambda: later)
    room.send(fhir.put({**task, "id": "pa-now"}), kit, payer_notices.subscribe)
    now = next(t for t in fhir.all("Task") if t["id"] == "pa-now")

    assert ("pended", due) == (prior_auth.status(now), now["restriction"])
    assert datetime.fromisoformat(due["period"]["start"]) == NOW
    assert (by, "urgent") == (now["owner"], now["priority"])
    assert {prior_auth.EXT_LONGER, prior_auth.EXT_JUDGED} < {e["url"] for e in now["extension"]}


def test_a_drug_is_known_in_the_bundle_of_an_ehr() -> None:
    """By its order there, whatever the Claim that we keep says."""
    order = {
        "resourceType": "MedicationRequest", "id": "drug", "status": "active", "intent": "order",
        "medicationCodeableConcept": {"text": "x"}, "subject": {"reference": "Patient/pat"},
    }  # fmt: skip
    claim = of_code("72148")
    claim["item"][0]["extension"][2]["valueReference"] = {"reference": "MedicationRequest/drug"}
    fhir = world(claim, order)
    kept = deepcopy(claim)
    run(fhir)
    assert "restriction" not in the_task(fhir)
    assert kept["item"] == fhir.all("Claim")[0]["item"]
