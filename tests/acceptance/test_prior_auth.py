"""Prior authorizations over the real programs: submitted, decided, shown to the EHR, kept."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from bots import payer_notices, review_watch
from bots.fhir_client import FhirClient
from fhir_profiles import coverage_information, elements, pas, prior_auth, prior_auth_route, systems
from server.validation import check
from tests import pas as given
from tests.contract.payer import actions, built, inquiry, of_code, response_of
from tests.fakes import FakeFhir, tools
from tests.programs import Programs, wait_for
from tests.x12_texts import answer_271

pytestmark = pytest.mark.loopback
Resource = dict[str, Any]
PAYER_KIND = "https://inforce-fhir.github.io/fhir/CodeSystem/payer-kind"


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("prior-auth"), new_database())
    with started.running(*given.world(payer(), endpoint(started))):
        yield started


def payer() -> Resource:
    return given.payer(
        endpoint=[{"reference": "Endpoint/pas"}],
        type=[given.coded(PAYER_KIND, "MA")],
        extension=[{"url": "http://hl7.org/fhir/StructureDefinition/timezone",
                    "valueCode": "America/Chicago"}],
    )  # fmt: skip


def endpoint(programs: Programs) -> Resource:
    return {
        "resourceType": "Endpoint",
        "id": "pas",
        "status": "active",
        "connectionType": {
            "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": "hl7-fhir-rest",
        },
        "payloadType": [{"coding": [{"code": "davinci_pas_submission_endpoint#2.2"}]}],
        "address": f"{programs.sandbox}/fhir",
    }


def submit(programs: Programs, body: Resource, **headers: str) -> requests.Response:
    return requests.post(f"{programs.fhir}/Claim/$submit", json=body, headers=headers, timeout=30)


def tasks_of(programs: Programs, bundle: Resource) -> list[Resource]:
    identifier = bundle["identifier"]
    number = f"{identifier['system']}\\|{identifier['value']}"
    return programs.search(f"Task?identifier={prior_auth.NUMBER}|{number}")


def task_of(programs: Programs, bundle: Resource) -> Resource:
    (found,) = tasks_of(programs, bundle)
    return found


@pytest.mark.req("R003-10 R23")
def test_an_ehr_submits_and_gets_the_decision(programs: Programs) -> None:
    """The payer's Bundle comes back as it came; Claim, ClaimResponse and Task are kept."""
    bundle = built(of_code("97110", "22612", fhir_id="decided"))
    reply = submit(programs, bundle)
    task = task_of(programs, bundle)
    (response,) = programs.search(f"ClaimResponse?request={task['focus']['reference']}")

    assert (200, {1: "A1", 2: "A3"}) == (reply.status_code, actions(response_of(reply.json())))
    assert [] == [
        str(one)
        for one in check.against(
            {k: v for k, v in reply.json().items() if k not in ("id", "meta")}, pas.RESPONSE_BUNDLE
        )
    ]
    assert ("partial", "completed") == (prior_auth.status(task), task["status"])
    assert f"ClaimResponse/{response['id']}" == prior_auth.part(task, prior_auth.RESPONSE)
    assert {1: "A1", 2: "A3"} == actions(response)
    assert task["for"] == response["patient"]
    assert response["disposition"].startswith("Partly approved. Number AUTH")
    assert "Organization/payer" == elements.reference(response["insurer"])


@pytest.mark.req("R48")
def test_the_same_bundle_twice_has_the_same_answer(programs: Programs) -> None:
    """One Task, one ClaimResponse, one request to the payer."""
    bundle = built(of_code("97110", fhir_id="twice"), number="SENT-ONCE")
    first, second = submit(programs, bundle).json(), submit(programs, bundle).json()
    sent = requests.get(f"{programs.sandbox}/_control/requests", timeout=9).json()

    assert first == second
    assert 1 == sum(bundle["identifier"]["value"] in one["body"] for one in sent)
    task_of(programs, bundle)


def test_an_incomplete_bundle_is_refused_before_anything_is_sent(programs: Programs) -> None:
    """422 naming every missing element."""
    bundle = built(of_code("97110", fhir_id="incomplete"), number="NEVER-SENT")
    item = bundle["entry"][0]["resource"]["item"][0]
    del item["category"], item["locationCodeableConcept"]
    reply = submit(programs, bundle)
    named = [where for issue in reply.json()["issue"] for where in issue["expression"]]
    sent = requests.get(f"{programs.sandbox}/_control/requests", timeout=9).json()

    assert 422 == reply.status_code
    assert {"category", "location"} <= {
        where.rpartition(".")[2].removesuffix("[x]") for where in named
    }
    assert not any(bundle["identifier"]["value"] in one["body"] for one in sent)
    assert [] == tasks_of(programs, bundle)


@pytest.mark.req("R24")
def test_what_the_payer_refuses_is_told_and_not_sent_again(programs: Programs) -> None:
    """A business error names its element; the Task says that it was rejected."""
    bundle = built(of_code("99499", fhir_id="rejected"))
    reply = submit(programs, bundle)
    task = task_of(programs, bundle)

    assert ("error", 200) == (response_of(reply.json())["outcome"], reply.status_code)
    assert "send-failed" == prior_auth.status(task)
    assert "rejected" in task["statusReason"]["text"]


def test_a_pended_request_has_its_clock(programs: Programs) -> None:
    """Due at the end of the seventh day of the payer, from the moment it was received."""
    bundle = built(of_code("63685", fhir_id="pended"))
    reply = submit(programs, bundle)
    task = task_of(programs, bundle)
    period = task["restriction"]["period"]

    assert {1: "A4"} == actions(response_of(reply.json()))
    assert ("more-information", "in-progress") == (prior_auth.status(task), task["status"])
    assert period["end"] > period["start"]
    (response,) = programs.search(f"ClaimResponse?request={task['focus']['reference']}")
    assert ["ask-1", "ask-2", "ask-3"] == [one["id"] for one in response["contained"]]
    assert "#ask-1" == response["communicationRequest"][0]["reference"]


@pytest.mark.req("R45")
def test_a_slow_payer_is_not_waited_for(programs: Programs) -> None:
    """At the bound every item is pended, in a sound answer; the work goes on to the decision."""
    bundle = built(of_code("97110", "22612", fhir_id="slow"), number="SLOW-1")
    programs.fault(route="payer", kind="none", times=1, latency_ms=3000)
    reply = submit(programs, bundle, Prefer="wait=1")
    body = reply.json()

    assert (200, {1: "A4", 2: "A4"}) == (reply.status_code, actions(response_of(body)))
    assert reply.elapsed.total_seconds() < 3
    assert [] == [str(one) for one in check.against(body, pas.RESPONSE_BUNDLE)]
    wait_for(lambda: prior_auth.status(task_of(programs, bundle)) == "partial", "the decision")
    assert {1: "A1", 2: "A3"} == actions(response_of(submit(programs, bundle).json()))


@pytest.mark.req("R61 R66")
def test_a_decision_comes_by_notification(programs: Programs) -> None:
    """Pended, then decided: the payer tells, the Task moves, both answers are kept."""
    bundle = built(of_code("97110", fhir_id="told"), number="TOLD-1")
    decision = {"items": [{"sequence": 1, "code": "A3", "note": "No."}], "after_s": 1}
    requests.put(f"{programs.sandbox}/_control/decisions/PA-told", json=decision, timeout=9)
    reply = submit(programs, bundle)
    assert {1: "A4"} == actions(response_of(reply.json()))
    wait_for(lambda: prior_auth.status(task_of(programs, bundle)) == "denied", "the decision")
    focus = task_of(programs, bundle)["focus"]["reference"]
    told = programs.search(f"ClaimResponse?request={focus}&_sort=created")

    assert [{1: "A4"}, {1: "A3"}] == [actions(one) for one in told]
    assert "No." == told[1]["processNote"][0]["text"]


@pytest.mark.req("R66")
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [({}, "{}", 401), ({"Authorization": "Bearer guessed"}, "{}", 401)],
)
def test_a_stranger_is_not_heard(
    programs: Programs, headers: dict[str, str], body: str, status: int
) -> None:
    """Who does not have the token of the Subscription."""
    url = f"{programs.bots}/payers/pas/notifications"
    other = payer_notices.token(programs.secret, "other")
    headers = headers or {"Authorization": f"Bearer {other}"}

    assert status == requests.post(url, data=body, headers=headers, timeout=9).status_code


def test_a_message_that_is_none_is_refused(programs: Programs) -> None:
    """With what was expected; no retry can help."""
    token = {"Authorization": f"Bearer {payer_notices.token(programs.secret, 'pas')}"}
    url = f"{programs.bots}/payers/pas/notifications"
    for body in ("{", "{}"):
        reply = requests.post(url, data=body, headers=token, timeout=9)

        assert 422 == reply.status_code


def test_a_claim_of_ours_is_built_from_what_is_stored(programs: Programs) -> None:
    """Everything that it reaches, and the answer about it."""
    assert programs.put(of_code("97112", fhir_id="stored")).ok
    reply = requests.post(f"{programs.fhir}/Claim/stored/$submit", timeout=30)
    (task,) = programs.search("Task?focus=Claim/stored")
    (kept,) = programs.search(f"Bundle?_id={prior_auth.part(task, prior_auth.REQUEST)[7:]}")

    assert {1: "A6"} == actions(response_of(reply.json()))
    assert "modified" == prior_auth.status(task)
    assert [] == [
        str(one)
        for one in check.against(
            {k: v for k, v in kept.items() if k not in ("id", "meta")}, pas.REQUEST_BUNDLE
        )
    ]


def test_a_claim_that_lacks_something_is_not_sent(programs: Programs) -> None:
    """The Task says what is missing; the answer names each element."""
    claim = of_code("97110", fhir_id="bare")
    del claim["item"][0]["category"]
    claim["patient"] = {"reference": "Patient/nobody"}
    assert programs.put(claim).ok
    reply = requests.post(f"{programs.fhir}/Claim/bare/$submit", timeout=30)
    (task,) = programs.search("Task?focus=Claim/bare")

    assert (422, "draft") == (reply.status_code, prior_auth.status(task))
    told = {one["expression"][0]: one["diagnostics"] for one in reply.json()["issue"]}
    assert "X12 1365" in told["Claim.item[0].category"]
    assert "Patient/nobody is not held" in told["Claim.patient.reference"]
    assert elements.reference(task["focus"]) == "Claim/bare"


def test_another_request_under_the_same_identifier_is_refused(programs: Programs) -> None:
    """It is neither lost nor answered with somebody else's decision."""
    assert submit(programs, built(of_code("97110", fhir_id="one"), number="SAME")).ok
    other = submit(programs, built(of_code("22612", fhir_id="two"), number="SAME"))

    assert (409, "Bundle.identifier") == (
        other.status_code, other.json()["issue"][0]["expression"][0],
    )  # fmt: skip


@pytest.mark.parametrize("path", ["Claim/$submit", "Claim/impatient/$submit"])
def test_who_does_not_wait_is_told_that_it_is_pended(programs: Programs, path: str) -> None:
    """Before the request is even built."""
    assert programs.put(of_code("97110", fhir_id="impatient")).ok
    body = built(of_code("97110", fhir_id="hasty"), number="HASTY") if "imp" not in path else None
    reply = requests.post(
        f"{programs.fhir}/{path}", json=body, timeout=30, headers={"Prefer": "wait=0"}
    )

    assert 200 == reply.status_code, reply.text
    assert set(actions(response_of(reply.json())).values()) <= {"A4", "A1"}
    programs.settled()


def test_what_goes_out_again_is_pended_for_the_ehr(programs: Programs) -> None:
    """A payer that is away: no 422 that would make a second request."""
    programs.fault(route="payer", kind="http-500", times=1)
    bundle = built(of_code("97110", fhir_id="away"), number="AWAY")
    reply = submit(programs, bundle, Prefer="wait=3")

    assert (200, {1: "A4"}) == (reply.status_code, actions(response_of(reply.json())))


def test_a_family_is_not_one_patient(programs: Programs) -> None:
    """Who shares a number is told apart by name and birth date; who comes again is not doubled."""
    number = [{"system": "https://example-health.example/members", "value": "FAMILY"}]
    mum = given.patient(identifier=number)
    kid = given.patient(identifier=number, birthDate="2019-05-01",
                        name=[{"family": "Rivera", "given": ["Leo"]}])  # fmt: skip
    found = []
    for fhir_id, patient in (("mum", mum), ("kid", kid), ("mum-again", mum)):
        bundle = built(of_code("97110", fhir_id=fhir_id), patient, number=fhir_id)
        assert submit(programs, bundle).ok
        found.append(task_of(programs, bundle)["for"]["reference"])

    assert found[0] == found[2]
    assert found[0] != found[1]


def test_a_mended_claim_has_one_task(programs: Programs) -> None:
    """Submitted again in place of a second request."""
    claim = of_code("99499", fhir_id="mend")
    assert programs.put(claim).ok
    requests.post(f"{programs.fhir}/Claim/mend/$submit", timeout=30)
    assert programs.put(of_code("97110", fhir_id="mend")).ok
    again = requests.post(f"{programs.fhir}/Claim/mend/$submit", timeout=30)
    (task,) = programs.search("Task?focus=Claim/mend")

    assert {1: "A1"} == actions(response_of(again.json()))
    assert "approved" == prior_auth.status(task)


@pytest.mark.req("R79")
def test_the_271_says_where_the_payer_takes_requests(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> None:
    """Its address goes to the Coverage, and a payer without an Endpoint is reached by it."""
    other = Programs(
        tmp_path_factory.mktemp("discovered"), new_database(),
        {"INFORCE_BOTS_PAS_HOSTS": "127.0.0.1"},
    )  # fmt: skip
    with other.running(*given.world()):
        location = f"{other.sandbox}/fhir{pas.WELL_KNOWN}"
        told = answer_271("EB*1**30").replace("*T*:~", "*T*>~").replace(
            "*PI*00099~", f"*PI*00099~PER*IC**UR*{location}~"
        )  # fmt: skip
        count = int(re.findall(r"SE\*(\d+)\*", told)[0])
        other.answer("INF100001", told.replace(f"SE*{count}*", f"SE*{count + 1}*"))
        assert other.put(given.coverage(period={"start": "2026-01-01"})).ok
        wait_for(lambda: location in str(other.search("Coverage?_id=cov")), "the address")
        assert other.put(given.claim("found")).ok
        answer = requests.post(f"{other.fhir}/Claim/found/$submit", timeout=30)

        assert {1: "A1"} == actions(response_of(answer.json()))
        (endpoint,) = other.search("Endpoint")
        assert f"{other.sandbox}/fhir" == endpoint["address"]
        (order,) = other.search("ServiceRequest?_id=order")
        assert order["insurance"][0]["reference"].startswith("ClaimResponse/")


@pytest.mark.req("R80")
@pytest.mark.parametrize("shape", ["soap", "mime"])
def test_a_payer_that_takes_only_x12_is_asked_by_278(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str], shape: str
) -> None:
    """In a CORE envelope; the EHR has a PAS Bundle all the same, and people their page."""
    other = Programs(
        tmp_path_factory.mktemp("x12"), new_database(),
        {"INFORCE_BOTS_ROUTES": "core", "INFORCE_BOTS_CORE_SHAPE": shape,
         "INFORCE_BOTS_CORE_CLIENT_ID": "clinic", "INFORCE_BOTS_CORE_CLIENT_SECRET": "secret",
         "INFORCE_BOTS_CORE_RECEIVER_ID": "HUB"},
    )  # fmt: skip
    other.environment["INFORCE_BOTS_CORE_URL"] = f"{other.sandbox}/core"
    takes = {**endpoint(other), "payloadType": [{"coding": [{"code": "x12-278"}]}]}
    with other.running(*given.world(payer(), takes)):
        assert other.put(of_code("97110", "22612", fhir_id="x12")).ok
        answer = requests.post(f"{other.fhir}/Claim/x12/$submit", timeout=30)

        assert {1: "A1", 2: "A3"} == actions(response_of(answer.json()))
        (found,) = other.search("Task?focus=Claim/x12")
        assert "partial" == prior_auth.status(found)
        assert found["restriction"]["period"]["end"]


@pytest.mark.req("R80")
def test_a_payer_behind_availity_is_asked_by_a_service_review(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> None:
    """Filed once and asked after, a late decision when a person asks; the EHR has its Bundle."""
    other = Programs(
        tmp_path_factory.mktemp("availity"), new_database(),
        {"INFORCE_BOTS_ROUTES": "availity", "INFORCE_BOTS_AVAILITY_CLIENT_ID": "clinic",
         "INFORCE_BOTS_AVAILITY_CLIENT_SECRET": "secret"},
    )  # fmt: skip
    other.environment["INFORCE_BOTS_AVAILITY_URL"] = other.sandbox
    takes = {
        **endpoint(other),
        "payloadType": [{"coding": [{"code": prior_auth_route.SERVICE_REVIEWS}]}],
    }
    with other.running(*given.world(payer(), takes)):
        assert other.put(of_code("97110", "22612", fhir_id="review")).ok
        answer = requests.post(f"{other.fhir}/Claim/review/$submit", timeout=30)
        assert {1: "A1", 2: "A3"} == actions(response_of(answer.json()))

        assert other.put(of_code("72148", fhir_id="later")).ok
        answer = requests.post(f"{other.fhir}/Claim/later/$submit", timeout=30)
        assert {1: "A4"} == actions(response_of(answer.json()))
        (found,) = other.search("Task?focus=Claim/later")
        assert "pended" == prior_auth.status(found)
        kit = replace(tools(FakeFhir()), fhir=FhirClient(other.fhir))
        assert 0 == review_watch.run(kit)  # it is no time to ask yet
        taken = other.search(f"Task?identifier={prior_auth.TAKEN}|&business-status=pended")
        assert [found["id"]] == [one["id"] for one in taken]
        time.sleep(2)  # the payer decides then
        wish = {"resourceType": "Task", "id": "wish", "status": "requested", "intent": "order",
                "code": given.coded(systems.TASK_CODE, prior_auth.INQUIRE),
                "focus": {"reference": f"Task/{found['id']}"}}  # fmt: skip
        assert other.put(wish).ok
        wait_for(
            lambda: "approved" == prior_auth.status(other.search("Task?focus=Claim/later")[0]),
            "the decision",
        )


@pytest.mark.req("R75")
def test_a_new_order_is_shown_to_its_payer(programs: Programs) -> None:
    """By CDS Hooks; what it says stands on the order, once, and the call is on record."""
    hooks = {**endpoint(programs), "id": "crd", "address": programs.sandbox,
             "payloadType": [{"coding": [{"code": "davinci_crd_hook_endpoint#2.2"}]}]}  # fmt: skip
    both = [{"reference": "Endpoint/pas"}, {"reference": "Endpoint/crd"}]
    assert programs.put(hooks).ok
    assert programs.put({**payer(), "endpoint": both}).ok
    order = given.order("signed", code=given.coded("http://www.ama-assn.org/go/cpt", "63685"))
    assert programs.put(order).ok
    wait_for(
        lambda: "coverage-information" in str(programs.search("ServiceRequest?_id=signed")),
        "the payer's word",
    )
    programs.settled()
    (found,) = programs.search("ServiceRequest?_id=signed")
    (event,) = programs.search("AuditEvent?entity=ServiceRequest/signed&subtype=order-sign")

    (told,) = coverage_information.of(found)
    assert ["auth-needed"] == coverage_information.values(told, "pa-needed")
    assert "What the payer said is on the order." == event["outcomeDesc"]


def standing(programs: Programs, path: str, body: Any = None) -> list[Resource]:
    """Return the ClaimResponses that an inquiry at our server comes back with."""
    answer = requests.post(f"{programs.fhir}/{path}/$inquire", json=body, timeout=9)
    assert answer.ok, answer.text
    listed = answer.json().get("parameter", [])
    assert {"return"} >= {one["name"] for one in listed}
    return [response_of(one["resource"]) for one in listed]


def asking(type_name: str, identifier: Resource) -> Resource:
    """Return an inquiry whose entry of a type is known by that identifier."""
    question = inquiry()
    for entry in question["entry"]:
        if entry["resource"]["resourceType"] == type_name:
            entry["resource"] = {**entry["resource"], "identifier": [identifier]}
    return question


def test_an_inquiry_tells_how_a_request_stands(programs: Programs) -> None:
    """Of one Claim, or by patient and provider; the identifier of the inquiry is no key."""
    number = {"system": "https://riverside.example/patients", "value": "7700"}
    assert programs.put(given.patient(id="asked", identifier=[number])).ok
    whose = {"reference": "Patient/asked"}
    assert programs.put(given.coverage(id="asked", beneficiary=whose)).ok
    insurance = [{"sequence": 1, "focal": True, "coverage": {"reference": "Coverage/asked"}}]
    claim = of_code("97110", fhir_id="asked", patient=whose, insurance=insurance)
    claim["supportingInfo"] = claim["supportingInfo"][1:]
    assert programs.put(claim).ok
    assert [] == standing(programs, "Claim/asked")
    assert requests.post(f"{programs.fhir}/Claim/asked/$submit", timeout=30).ok

    question = asking("Patient", number)
    others = asking("Patient", {**number, "value": "none"})
    elsewhere = asking("Patient", number)
    elsewhere["entry"][3]["resource"]["identifier"] = [
        {"system": systems.NPI, "value": "1000000004"}
    ]
    assert [{1: "A1"}] == [actions(one) for one in standing(programs, "Claim/asked")]
    assert [{1: "A1"}] == [actions(one) for one in standing(programs, "Claim", question)]
    child = asking("Patient", number)
    child["entry"][1]["resource"]["birthDate"] = "2020-01-01"
    assert [[]] * 3 == [standing(programs, "Claim", body) for body in (others, elsewhere, child)]


@pytest.mark.parametrize("body", [{"resourceType": "Bundle"}, {"entry": [{"resource": {}}]}])
def test_what_is_no_inquiry_is_refused(programs: Programs, body: Resource) -> None:
    """400, with what was expected."""
    answer = requests.post(f"{programs.fhir}/Claim/$inquire", json=body, timeout=9)

    assert 400 == answer.status_code
    assert "inquiry Bundle" in answer.text
