"""Sending a prior authorization and taking its answer, over fakes: every way it can go."""

import json
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

import pytest

from bots import prior_auth as room
from bots.errors import RetryLater
from bots.handlers import submit_prior_auth
from bots.mapping import pas_answer
from bots.mapping.pas_metric import Exchanged, Kind
from bots.ports import Failure, Submission, Tools
from fhir_profiles import decision_clock, elements, pas, prior_auth, systems
from fhir_profiles.prior_auth import Status
from server.validation import check, structure
from tests import pas as given
from tests.contract.payer import client, of_code, post
from tests.fakes import NOW, FakeFhir, FakePayer, tools

Resource = dict[str, Any]
KIND = decision_clock.PAYER_KIND


def payer(kind: str = "MA", zone: str = "America/Chicago", **more: Any) -> Resource:
    return given.payer(
        endpoint=[{"reference": "Endpoint/pas"}],
        type=[given.coded(KIND, kind)],
        extension=[{"url": decision_clock.EXT_TIME_ZONE, "valueCode": zone}],
        **more,
    )


def endpoint(**more: Any) -> Resource:
    return {
        "resourceType": "Endpoint",
        "id": "pas",
        "status": "active",
        "payloadType": [{"coding": [{"code": "davinci_pas_submission_endpoint#2.2"}]}],
        "address": "https://payer.example/fhir",
        **more,
    }


def world(claim: Resource | None = None, *more: Resource) -> FakeFhir:
    claim = claim or of_code("97110")
    task = prior_auth.task(
        claim=f"Claim/{claim['id']}", patient={"reference": "Patient/pat"},
        number=f"Claim/{claim['id']}/_history/1", bundle="", authored=NOW.isoformat(),
    )  # fmt: skip
    return FakeFhir(*given.world(payer(), endpoint()), claim, {**task, "id": "pa"}, *more)


def answered(bundle: Resource) -> Submission:
    """Answer as the sandbox's payer does."""
    answer = post(client(), bundle).json
    return Submission(json.dumps(answer).encode(), answer=answer)


def run(fhir: FakeFhir, *answers: Any, now: datetime = NOW) -> FakePayer:
    asked = FakePayer(*(answers or [answered]))
    submit_prior_auth.handle(the_task(fhir), tools(fhir, prior_auth=asked, now=lambda: now))
    return asked


def the_task(fhir: FakeFhir) -> Resource:
    (found,) = [task for task in fhir.all("Task") if prior_auth.status(task)]
    return found


def test_a_request_is_sent_and_its_answer_kept() -> None:
    """To the payer's Endpoint; Bundle, ClaimResponse and Task, each sound."""
    fhir = world()
    asked = run(fhir)
    task = the_task(fhir)
    (response,) = fhir.all("ClaimResponse")
    ((address, sent),) = asked.sent

    assert ("https://payer.example/fhir", "Bundle") == (address, sent["resourceType"])
    assert ("approved", "completed") == (prior_auth.status(task), task["status"])
    assert f"ClaimResponse/{response['id']}" == prior_auth.part(task, prior_auth.RESPONSE)
    assert "Claim/pa" == elements.reference(response["request"])
    assert "Patient/pat" == elements.reference(response["patient"])
    assert [] == [p for one in (task, response) for p in structure.check(one)]
    kept = fhir.all("DocumentReference")[-1]
    assert "prior-auth-exchange" == kept["type"]["coding"][0]["code"]


def test_a_second_delivery_sends_nothing() -> None:
    """The Task as it stands now decides, not the event."""
    fhir = world()
    event = the_task(fhir)
    run(fhir)
    submit_prior_auth.handle(event, tools(fhir, prior_auth=FakePayer()))

    assert 1 == len(fhir.all("ClaimResponse"))


@pytest.mark.req("R24")
def test_what_failed_on_the_way_goes_again_as_it_was() -> None:
    """The identical Bundle; meanwhile the Task says that it was not sent."""
    fhir = world()
    down = Submission(failure=Failure("not-delivered", "The payer cannot be reached.", again=True))
    with pytest.raises(RetryLater, match="not-delivered"):
        run(fhir, down)
    assert ("send-failed", "requested") == (
        prior_auth.status(the_task(fhir)),
        the_task(fhir)["status"],
    )
    first = deepcopy(fhir.all("Bundle"))
    asked = run(fhir, now=NOW + timedelta(hours=1))

    assert "approved" == prior_auth.status(the_task(fhir))
    assert first == fhir.all("Bundle")[:1]
    assert first[0]["timestamp"] == asked.sent[0][1]["timestamp"]


@pytest.mark.req("R24")
def test_what_the_payer_refuses_is_not_sent_again() -> None:
    """4xx: its words, and no RetryLater."""
    fhir = world()
    text = "The payer refused the request (HTTP 400). Bundle.timestamp is mandatory"
    run(fhir, Submission(b"{}", failure=Failure("request-refused", text, again=False)))

    assert ("send-failed", text) == (
        prior_auth.status(the_task(fhir)), the_task(fhir)["statusReason"]["text"],
    )  # fmt: skip


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _bundle: Submission(b"<html>", answer=None),
        lambda bundle: Submission(b"{}", answer={**the_answer(bundle), "entry": []}),
        lambda bundle: Submission(b"{}", answer=twice(the_answer(bundle))),
    ],
)
def test_an_answer_that_cannot_be_read_is_kept_and_told(spoil: Any) -> None:
    """Raw, with a word for a person; the clock runs."""
    fhir = world()
    run(fhir, spoil)
    task = the_task(fhir)

    assert ("unreadable", "in-progress") == (prior_auth.status(task), task["status"])
    assert "Could not read the answer" in task["statusReason"]["text"]
    assert "2026-12-01" == task["restriction"]["period"]["end"][:10]
    assert [] == fhir.all("ClaimResponse")
    assert 1 == len(fhir.all("Binary"))


def the_answer(bundle: Resource) -> Resource:
    answer: Resource = post(client(), bundle).json
    return answer


def twice(answer: Resource) -> Resource:
    answer["entry"][0]["resource"]["item"] *= 2
    return answer


def test_an_incomplete_request_is_not_sent() -> None:
    """The Task names every missing element."""
    claim = of_code("97110")
    del claim["item"][0]["category"]
    nameless = given.coverage(identifier=[])
    del nameless["subscriberId"]
    fhir = world(claim, nameless, given.patient(identifier=[]))
    asked = run(fhir)
    reason = the_task(fhir)["statusReason"]["text"]

    assert ([], "draft") == (asked.sent, prior_auth.status(the_task(fhir)))
    assert "item[0].category" in reason
    assert "Coverage/cov.identifier: Expected the member id" in reason
    assert "Patient/pat.identifier" in reason


@pytest.mark.parametrize(
    "change",
    [
        given.payer(),
        payer(active=True) | {"endpoint": [{"reference": "Endpoint/none"}]},
        endpoint(status="off"),
        endpoint(payloadType=[{"coding": [{"code": "davinci_crd_hook_endpoint#2.2"}]}]),
    ],
)
def test_without_an_electronic_way_a_person_sends_it(change: Resource) -> None:
    """It stays ready, and says what to do; nothing is sent anywhere."""
    fhir = world()
    fhir.put(change)
    asked = run(fhir)
    before = the_task(fhir)
    run(fhir)

    assert ([], "ready") == (asked.sent, prior_auth.status(before))
    assert "portal or fax" in before["statusReason"]["text"]
    assert before == the_task(fhir)  # told once, it does not call the bot again for ever


@pytest.mark.req("R70")
@pytest.mark.parametrize(
    ("kind", "level", "end"),
    [
        ("MA", "", "2026-12-01T23:59:59.999-06:00"),  # the seventh day in Chicago
        ("MA", "U", "2026-11-27T09:30:00.000-06:00"),
        ("QHP_FFE", "", "2026-12-09T23:59:59.999-06:00"),
        ("COMMERCIAL", "", ""),
    ],
)
def test_the_clock_starts_with_the_answer(kind: str, level: str, end: str) -> None:
    """By the payer's kind, its time zone and the urgency asked for."""
    claim = of_code("72148")
    if level:
        concept = given.coded(f"{given.X12}/1338", level)
        claim["extension"] = [
            {"url": f"{pas.EXT_LEVEL_OF_SERVICE}", "valueCodeableConcept": concept}
        ]
    fhir = world(claim)
    fhir.put(payer(kind))
    run(fhir)
    period = the_task(fhir).get("restriction", {}).get("period", {})

    assert end == period.get("end", "")
    assert "pended" == prior_auth.status(the_task(fhir))


@pytest.mark.req("R70")
def test_drugs_have_no_clock() -> None:
    """Where every item is one: by its order, or by its NDC."""
    claim = of_code("72148")
    claim["item"][0]["productOrService"] = given.coded(pas_answer.NDC, "00071015523")
    fhir = world(claim)
    run(fhir)

    assert "restriction" not in the_task(fhir)


def case(fhir: FakeFhir) -> room.Case:
    task = the_task(fhir)
    read = fhir.read_all(["Claim/pa", prior_auth.part(task, prior_auth.REQUEST)])
    claim, sent = read
    assert claim is not None
    assert sent is not None
    return room.Case(task, claim, sent)


def told(fhir: FakeFhir, answer: Resource, *, later_s: int) -> Tools:
    """Take an answer that comes later, made so many seconds after the first."""
    moment = NOW + timedelta(days=1)
    kit = tools(fhir, now=lambda: moment)
    first = fhir.read_all([prior_auth.part(the_task(fhir), prior_auth.ANSWER)])[0]
    assert first is not None
    at = datetime.fromisoformat(first["timestamp"]) + timedelta(seconds=later_s)
    told = Exchanged(Kind.SUBSEQUENT, at, at)
    room.take(case(fhir), {**answer, "timestamp": at.isoformat()}, payer(), kit, told)
    return kit


def decided(fhir: FakeFhir, code: str) -> Resource:
    """Return another answer about the same request."""
    bundle = deepcopy(case(fhir).sent)
    bundle["entry"][0]["resource"]["item"][0]["productOrService"] = given.coded(
        "http://www.ama-assn.org/go/cpt", code
    )
    bundle.pop("id", None), bundle.pop("meta", None)
    answer: Resource = post(client(), bundle).json
    return answer


def test_a_later_answer_takes_the_place_of_the_first() -> None:
    """Pended, then denied: due stays what it was, both responses are kept."""
    fhir = world(of_code("72148"))
    run(fhir)
    due = the_task(fhir)["restriction"]
    told(fhir, decided(fhir, "22612"), later_s=60)
    task = the_task(fhir)

    assert ("denied", due) == (prior_auth.status(task), task["restriction"])
    assert 2 == len(fhir.all("ClaimResponse"))
    assert 2 == len(task["output"])


@pytest.mark.req("R66")
@pytest.mark.parametrize("later_s", [0, -60])
def test_an_older_answer_changes_nothing(later_s: int) -> None:
    """Told twice, or out of order."""
    fhir = world(of_code("72148"))
    run(fhir)
    before = the_task(fhir)
    told(fhir, decided(fhir, "22612"), later_s=later_s)

    assert before == the_task(fhir)
    assert 1 == len(fhir.all("ClaimResponse"))


def test_somebody_elses_change_is_not_overwritten() -> None:
    """The answer is taken again by the next delivery, and makes no second response."""
    fhir = world()
    answer = answered
    kept: list[Submission] = []

    def same(bundle: Resource) -> Submission:
        kept.append(kept[0] if kept else answer(bundle))
        return kept[-1]

    run_once = FakePayer(same, same)
    kit = tools(fhir, prior_auth=run_once)
    task = the_task(fhir)
    original = fhir.update
    calls = []

    def second_is_lost(resource: Resource) -> Resource | None:
        calls.extend([resource] if resource["resourceType"] == "Task" else [])
        return None if len(calls) == 2 else original(resource)

    fhir.update = second_is_lost  # type: ignore[method-assign]
    with pytest.raises(RetryLater, match="another delivery"):
        submit_prior_auth.handle(task, kit)
    submit_prior_auth.handle(task, kit)

    assert "approved" == prior_auth.status(the_task(fhir))
    assert 1 == len(fhir.all("ClaimResponse"))
    assert systems.CAUSE == fhir.all("ClaimResponse")[0]["identifier"][-1]["system"]


def test_a_claim_that_is_gone_is_told() -> None:
    """Nothing is sent for it."""
    fhir = world()
    del fhir.versions["Claim/pa"]
    run(fhir)

    assert (Status.DRAFT, "draft") == (
        prior_auth.status(the_task(fhir)), the_task(fhir)["status"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "status", "reason", "has_clock"),
    [
        ("97110", "approved", "", True),
        ("72148", "pended", "", True),
        ("E1390", "pended", "The payer wants to be called", True),
        ("36415", "approved", "No authorization is required", True),
        ("99499", "send-failed", ("The payer rejected the request: X12 901 33 at "
         "Bundle.entry[0].resource.item[0].productOrService"), False),
    ],
)  # fmt: skip
def test_a_reason_says_what_the_status_does_not(
    code: str, status: str, reason: str, *, has_clock: bool
) -> None:
    """What is rejected is not decided: no clock runs."""
    fhir = world(of_code(code))
    run(fhir)
    task = the_task(fhir)

    assert (status, reason) == (
        prior_auth.status(task), task.get("statusReason", {}).get("text", ""),
    )  # fmt: skip
    assert has_clock == ("restriction" in task)


def update_of(before: Resource, *items: Resource) -> Resource:
    prior = {
        "claim": {"reference": f"Claim/{before['id']}"},
        "relationship": given.coded(pas.RELATED, "prior"),
    }
    identifier = {**before["identifier"][0], "value": "PA-now"}
    return {**before, "id": "now", "related": [prior], "identifier": [identifier], "item": [*items]}


def updated(first: Resource, *items: Resource) -> tuple[FakeFhir, FakePayer]:
    """Send a request, then its update, to one payer."""
    fhir, payer_app = world(first), client()

    def answer(bundle: Resource) -> Submission:
        told = post(payer_app, bundle).json
        return Submission(json.dumps(told).encode(), answer=told)

    run(fhir, answer)
    now = update_of(first, *items)
    fhir.put(now)
    task = prior_auth.task(
        claim="Claim/now", patient={"reference": "Patient/pat"}, authored=NOW.isoformat(),
        number="Claim/now/_history/1", bundle="",
    )  # fmt: skip
    asked = FakePayer(answer)
    submit_prior_auth.handle(
        fhir.put({**task, "id": "pa-now"}), tools(fhir, prior_auth=asked)
    )  # fmt: skip
    return fhir, asked


@pytest.mark.req("R34 R35 R37")
def test_an_update_takes_the_place_of_what_it_updates() -> None:
    """The first Task ends, the second has an answer on every item ever sent."""
    first = of_code("97110", "97110")
    fhir, asked = updated(first, first["item"][0], given.item(3))
    tasks = {task["id"]: task for task in fhir.all("Task")}
    sent = asked.sent[0][1]["entry"][0]["resource"]

    assert [1, 2, 3] == [one["sequence"] for one in sent["item"]]
    assert ("cancelled", "Replaced by its update Claim/now.") == (
        prior_auth.status(tasks["pa"]), tasks["pa"]["statusReason"]["text"],
    )  # fmt: skip
    assert "approved" == prior_auth.status(tasks["pa-now"])
    assert 3 == len(fhir.all("ClaimResponse")[-1]["item"])


@pytest.mark.req("R39")
def test_a_denied_request_is_not_updated() -> None:
    """Nothing is sent; the Task offers the way that is open."""
    first = of_code("22612")
    fhir, asked = updated(first, first["item"][0])
    tasks = {task["id"]: task for task in fhir.all("Task")}

    assert ([], "draft") == (asked.sent, prior_auth.status(tasks["pa-now"]))
    assert "Submit a new one" in tasks["pa-now"]["statusReason"]["text"]
    assert "denied" == prior_auth.status(tasks["pa"])


def test_a_mended_claim_goes_out_as_another_request() -> None:
    """After a rejection: the payer would answer the same Bundle as before."""
    fhir = world(of_code("99499"))
    first = run(fhir).sent[0][1]
    fhir.put(of_code("97110"))
    fhir.put(prior_auth.again(the_task(fhir), "Claim/pa/_history/2"))
    second = run(fhir).sent[0][1]

    assert "approved" == prior_auth.status(the_task(fhir))
    assert first["identifier"]["value"] != second["identifier"]["value"]


@pytest.mark.req("R73")
def test_what_the_payer_asks_for_becomes_a_task_for_each_kind() -> None:
    """A report, a document and a questionnaire, with line and context; told twice, made once."""
    fhir = world(of_code("97110", "63685"))
    run(fhir)
    about = the_task(fhir)
    asked = [t for t in fhir.all("Task") if not prior_auth.status(t)]
    said = {t["code"]["text"].rpartition(" ")[2]: t for t in asked}
    inputs = {kind: task["input"][1] for kind, task in said.items()}

    assert {"report", "document", "questionnaire"} == said.keys()
    assert "OB" == inputs["report"]["valueCodeableConcept"]["coding"][0]["code"]
    assert "34117-2" == inputs["document"]["valueCodeableConcept"]["coding"][0]["code"]
    assert "PA-pa-2" == inputs["questionnaire"]["valueString"]
    assert {2} == {one["extension"][0]["valuePositiveInt"] for one in inputs.values()}
    for task in asked:
        assert [] == [str(i) for i in check.against(task, f"{pas.PROFILES}/profile-task")]
        assert "https://payer.example/fhir/$submit-attachment" == task["input"][0]["valueUrl"]
        assert about["restriction"]["period"]["end"] == task["restriction"]["period"]["end"]
        assert "Claim/pa" == task["reasonReference"]["reference"]


@pytest.mark.parametrize(
    ("end", "expires"),
    [("2027-02-01", "2027-02-01"), ("2027-02-01T00:00:00Z", "2027-02-01"), ("2027-02", None)],
)
def test_a_period_may_end_in_every_way_of_a_period(end: str, expires: str | None) -> None:
    """The decision is kept; the last day is told where it is one."""

    def answer(bundle: Resource) -> Submission:
        told = post(client(), bundle).json
        for extension in told["entry"][0]["resource"]["item"][0]["extension"]:
            if extension["url"] == pas.EXT_PERIOD:
                extension["valuePeriod"]["end"] = end
        return Submission(json.dumps(told).encode(), answer=told)

    fhir = world()
    run(fhir, answer)

    assert "approved" == prior_auth.status(the_task(fhir))
    assert [] == structure.check(the_task(fhir))
    assert expires == elements.extension_value(the_task(fhir), prior_auth.EXT_EXPIRES)


def test_what_was_refused_is_not_sent_again_by_itself() -> None:
    """Our own write of the request comes as a delivery of its own, when it is refused already."""
    fhir = world()
    refused = Submission(failure=Failure("request-refused", "No.", again=False))
    run(fhir, refused)

    assert "send-failed" == prior_auth.status(the_task(fhir))
    assert [] == run(fhir).sent
