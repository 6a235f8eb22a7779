"""What a payer tells us unasked, over fakes: late, twice, out of order, with gaps, from nobody."""

from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from bots import payer_notices
from bots import prior_auth as room
from bots.handlers import inquire_prior_auth
from bots.mapping import pas_notice
from bots.mapping.pas_notice import NoNotice
from bots.ports import Failure, Submission, Tools
from fhir_profiles import elements, pas, prior_auth
from server.validation import check, structure
from tests.contract.payer import of_code
from tests.fakes import FakeFhir, FakePayer, tools
from tests.unit.bots.test_prior_auth import answered, decided, endpoint, run, the_task, world

Resource = dict[str, Any]
NOTICES = ("https://bots.clinic.example/payers/notifications", "a token of the tests")
SUBSCRIPTION = "https://payer.example/fhir/Subscription/ours"


def waiting() -> FakeFhir:
    """Return a server with one request that the payer has pended."""
    fhir = world(of_code("72148"))
    run(fhir)
    assert "pended" == prior_auth.status(the_task(fhir))
    return fhir


def newer(fhir: FakeFhir, code: str, later_s: int = 60) -> Resource:
    first = fhir.read_all([prior_auth.part(the_task(fhir), prior_auth.ANSWER)])[0]
    assert first is not None
    at = datetime.fromisoformat(first["timestamp"]) + timedelta(seconds=later_s)
    return {**decided(fhir, code), "timestamp": at.isoformat()}


def parameters(name: str, answer: Resource) -> Resource:
    return {"resourceType": "Parameters", "parameter": [{"name": name, "resource": answer}]}


def message(*answers: Resource, kind: str = "event-notification", count: int = 1) -> Resource:
    listed: list[Resource] = [
        {"name": "subscription", "valueReference": {"reference": SUBSCRIPTION}},
        {"name": "status", "valueCode": "active"},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(count)},
    ]
    entries = []
    for number, answer in enumerate(answers):
        focus = {"name": "focus", "valueReference": {"reference": f"urn:uuid:{number}"}}
        listed.append({"name": "notification-event", "part": [focus]})
        entries.append({"fullUrl": f"urn:uuid:{number}", "resource": answer})
    status = {"resourceType": "Parameters", "parameter": listed}
    return {"resourceType": "Bundle", "type": "history", "entry": [{"resource": status}, *entries]}


def hear(fhir: FakeFhir, body: Resource, kit: Tools | None = None) -> None:
    payer_notices.receive(pas_notice.read(body), "pas", kit or tools(fhir))


def subscribed(fhir: FakeFhir, seen: int = 0) -> FakeFhir:
    kept = pas_notice.Kept(SUBSCRIPTION, frozenset({"1999999984"}), seen)
    fhir.put(pas_notice.keeping(endpoint(), kept))
    return fhir


def seen(fhir: FakeFhir) -> int:
    return pas_notice.kept(fhir.all("Endpoint")[0]).seen


@pytest.mark.req("R61")
def test_one_subscription_for_the_sending_system() -> None:
    """Before the first request; not again for the next, and wider for another sender."""
    fhir = world()
    payer = FakePayer(answered)
    kit = tools(fhir, prior_auth=payer)
    room.send(the_task(fhir), with_notices(kit), payer_notices.subscribe)
    payer_notices.subscribe(the_case(fhir), fhir.all("Endpoint")[0], with_notices(kit))
    ((there, wish),) = payer.subscribed

    assert ("", pas.TOPIC, "rest-hook") == (there, wish["criteria"], wish["channel"]["type"])
    assert "org-identifier=1999999984" in str(wish["_criteria"])
    assert "full-resource" in str(wish["channel"]["_payload"])
    assert [] == check.against(wish, f"{pas.PROFILES}/profile-subscription")
    assert SUBSCRIPTION == pas_notice.kept(fhir.all("Endpoint")[0]).address

    other = the_case(fhir)
    clinic = next(e for e in other.sent["entry"] if e["resource"].get("name") == "Riverside Clinic")
    clinic["resource"]["identifier"][0]["value"] = "1999999976"
    payer_notices.subscribe(other, fhir.all("Endpoint")[0], with_notices(kit))
    there, wish = payer.subscribed[1]
    assert SUBSCRIPTION == there
    assert "org-identifier=1999999976,1999999984" in str(wish)


def with_notices(kit: Tools) -> Tools:
    return replace(kit, notices=lambda _endpoint_id: NOTICES)


def the_case(fhir: FakeFhir) -> room.Case:
    found = room.case_of(the_task(fhir), tools(fhir))
    assert found is not None
    return deepcopy(found)


def test_a_payer_without_subscriptions_is_sent_to_all_the_same() -> None:
    """Then people ask."""
    fhir = world()
    payer = FakePayer(answered)
    payer.takes_subscriptions = False
    room.send(the_task(fhir), with_notices(tools(fhir, prior_auth=payer)), payer_notices.subscribe)

    assert "approved" == prior_auth.status(the_task(fhir))
    assert "" == pas_notice.kept(fhir.all("Endpoint")[0]).address


@pytest.mark.req("R66")
def test_a_decision_that_is_told_moves_the_task() -> None:
    """Once, however often and late it comes; the newest one stands."""
    fhir = subscribed(waiting(), seen=1)
    first, second = newer(fhir, "72148", 30), newer(fhir, "22612")
    for body in (message(second, count=2), message(first), message(second, count=2)):
        hear(fhir, body)

    assert "denied" == prior_auth.status(the_task(fhir))
    assert 2 == len(fhir.all("ClaimResponse"))
    assert 2 == seen(fhir)


@pytest.mark.req("R66")
@pytest.mark.parametrize("kind", ["handshake", "heartbeat", "query-status"])
def test_a_message_without_an_event_changes_nothing(kind: str) -> None:
    """It is taken, and that is all."""
    fhir = subscribed(waiting())
    before = deepcopy(fhir.versions)
    hear(fhir, message(kind=kind, count=0))

    assert before == fhir.versions


def test_an_answer_to_an_unknown_request_is_kept_and_audited() -> None:
    """Nothing is lost, nobody else's Task moves."""
    fhir = subscribed(waiting())
    strange = newer(fhir, "22612")
    strange["entry"][0]["resource"]["identifier"] = [{"system": "urn:x", "value": "nobody's"}]
    hear(fhir, message(strange))
    (audit,) = fhir.all("AuditEvent")

    assert "pended" == prior_auth.status(the_task(fhir))
    assert "unknown-prior-auth" == audit["subtype"][0]["code"]
    assert fhir.read_all([elements.reference(audit["entity"][0]["what"])])[0] is not None
    assert [] == structure.check({**audit, "id": "x"})


@pytest.mark.req("R67")
def test_a_gap_is_filled_by_one_inquiry_and_told() -> None:
    """Three events so far, one of them here: what waits is asked about, a person hears of it."""
    fhir = subscribed(waiting(), seen=1)
    late = newer(fhir, "22612")
    payer = FakePayer(Submission(b"{}", answer=parameters("return", late)))
    other = newer(fhir, "72148", 1)
    other["entry"][0]["resource"]["identifier"] = [{"system": "urn:x", "value": "nobody's"}]
    hear(fhir, message(other, count=3), tools(fhir, prior_auth=payer))
    staff = [t for t in fhir.all("Task") if prior_auth.status(t) == ""]

    assert 1 == len(payer.sent)
    assert "denied" == prior_auth.status(next(t for t in fhir.all("Task") if prior_auth.status(t)))
    assert ["missed-notices"] == [t["code"]["coding"][0]["code"] for t in staff]
    assert 3 == seen(fhir)
    assert [] == structure.check(staff[0])


@pytest.mark.req("R60")
@pytest.mark.parametrize(
    "shape",
    [
        lambda one: parameters("return", one),
        lambda one: parameters("responseBundle", one),
        lambda one: one,
    ],
)
def test_an_inquiry_is_answered_in_three_shapes(shape: Any) -> None:
    """Each edition's; a second one within the hour is not sent."""
    fhir = waiting()
    payer = FakePayer(Submission(b"{}", answer=shape(newer(fhir, "22612"))))
    kit = tools(fhir, prior_auth=payer)

    assert "The payer answered." == payer_notices.inquire(the_case(fhir), kit)
    assert "denied" == prior_auth.status(the_task(fhir))
    assert "less than an hour" in payer_notices.inquire(the_case(fhir), kit)
    ((address, asked),) = payer.sent
    assert "https://payer.example/fhir" == address
    assert [] == [str(i) for i in check.against(asked, pas.INQUIRY_BUNDLE)]
    assert "INF100001" in str(asked)


def test_a_person_asks_by_a_task() -> None:
    """It is completed with what came of it; asked about something else, it says so."""
    fhir = waiting()
    wish = {
        "resourceType": "Task", "id": "wish", "status": "requested", "intent": "order",
        "code": {"coding": [{"code": prior_auth.INQUIRE}]}, "focus": {"reference": "Task/pa"},
    }  # fmt: skip
    strange = {**wish, "id": "strange", "focus": {"reference": "Task/none"}}
    payer = FakePayer(Submission(b"{}", answer=parameters("return", newer(fhir, "22612"))))
    kit = tools(fhir, prior_auth=payer)
    for one in (fhir.put(wish), fhir.put(strange)):
        inquire_prior_auth.handle(one, kit)
    found = {t["id"]: t for t in fhir.all("Task")}

    assert "denied" == prior_auth.status(found["pa"])
    assert ("completed", "The payer answered.") == (
        found["wish"]["status"], found["wish"]["statusReason"]["text"],
    )  # fmt: skip
    assert "not sent" in found["strange"]["statusReason"]["text"]


@pytest.mark.parametrize(
    ("submission", "words"),
    [
        (Submission(b"{}", answer={"resourceType": "Parameters"}), "no such request"),
        (Submission(b"{}", answer={"resourceType": "Bundle", "type": "collection"}), "no such"),
        (Submission(failure=Failure("no-answer", "No whole answer.", again=True)), "No whole"),
    ],
)
def test_an_inquiry_without_an_answer_changes_nothing(submission: Submission, words: str) -> None:
    """It says what came of it."""
    fhir = waiting()
    status = prior_auth.status(the_task(fhir))
    told = payer_notices.inquire(the_case(fhir), tools(fhir, prior_auth=FakePayer(submission)))

    assert words in told
    assert status == prior_auth.status(the_task(fhir))


@pytest.mark.parametrize(
    "body",
    [
        None, [], {}, {"resourceType": "Bundle", "type": "history", "entry": []},
        {"resourceType": "Bundle", "type": "collection", "entry": [{}]},
        {"resourceType": "Bundle", "type": "history", "entry": [{"resource": {"id": "1"}}]},
    ],
)  # fmt: skip
def test_anything_else_is_refused(body: Any) -> None:
    """With what was expected."""
    with pytest.raises(NoNotice, match="expected"):
        pas_notice.read(body)


def test_the_token_of_payers_is_not_our_secret() -> None:
    """It follows from the secret, and does not tell it."""
    secret = "the secret of the hooks, 32 characters"  # noqa: S105 of the tests
    made = payer_notices.token(secret, "pas")
    assert secret not in made
    assert made not in (payer_notices.token(f"{secret}x", "pas"), payer_notices.token(secret, "b"))
