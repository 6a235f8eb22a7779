"""The acceptance checks of the main path, each by its number, against the three real programs."""

import re
import threading
from functools import partial
from typing import Any

import pytest
import requests
from fhirclient.models.coverageeligibilityresponse import CoverageEligibilityResponse

from bots.registry import BOTS
from fhir_profiles import elements, systems
from tests import samples
from tests.acceptance.people import Person
from tests.programs import Programs, wait_for
from tests.x12_texts import answer_271, file_271, reject_271, sample_271

pytestmark = pytest.mark.loopback

RICH = (
    "EB*1*FAM*30*PR*GOLD PPO",
    "EB*B*IND*98*PR**27*25*****Y",
    "EB*C*IND*30*PR**23*1500*****Y",
    "EB*C*IND*30*PR**29*500*****Y",
    "EB*A*IND*98*PR****.2****Y",
    "EB*G*IND*30*PR**23*5000*****Y",
    "EB*G*IND*30*PR**29*4200*****Y",
)


def state(response: dict[str, Any]) -> str:
    return elements.tag(response, systems.ELIGIBILITY_STATE)


def has_answers(person: Person, number: int) -> bool:
    return len(person.responses()) == number


def is_active(person: Person) -> bool:
    return state(person.responses()[0]) == "active"


def items(response: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = response["insurance"][0]["item"]
    return found


def of_kind(response: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the only item whose benefit is of this EB01."""
    (found,) = [
        item
        for item in items(response)
        for benefit in item.get("benefit", [])
        if elements.code(benefit["type"], systems.X12_BENEFIT) == kind
    ]
    return found


@pytest.mark.req("check-1 R002-19 R002-20 R003-16")
def test_amounts_are_right_and_stand_once(programs: Programs) -> None:
    """25.00 copay, 1000 of 1500 used, 20 percent, 800 of 5000 used; no two items equal."""
    person = Person(programs)
    response = person.checked(answer_271(*RICH))

    copay, deductible, share, limit = (
        of_kind(response, kind)["benefit"][0] for kind in ("B", "C", "A", "G")
    )
    assert {"value": 25.00, "currency": "USD"} == copay["allowedMoney"]
    assert (1500.00, 1000.00) == (
        deductible["allowedMoney"]["value"], deductible["usedMoney"]["value"])  # fmt: skip
    assert 20 == share["allowedUnsignedInt"]
    assert (5000.00, 800.00) == (limit["allowedMoney"]["value"], limit["usedMoney"]["value"])
    programs.settled()
    assert (1, 1) == (len(person.requests()), len(person.responses()))
    bare = [str({k: v for k, v in i.items() if k != "extension"}) for i in items(response)]
    assert len(bare) == len(set(bare))
    raw = requests.get(f"{programs.fhir}/CoverageEligibilityResponse/{response['id']}", timeout=9)
    assert '"value":25.00' in raw.text


@pytest.mark.req("check-2")
def test_the_response_is_valid_r4(programs: Programs) -> None:
    """By $validate, by SMART's R4 client, and with every required element."""
    response = Person(programs).checked(answer_271(*RICH))
    told = requests.post(
        f"{programs.fhir}/CoverageEligibilityResponse/$validate", json=response, timeout=9
    ).json()

    assert ["information"] == [issue["severity"] for issue in told["issue"]]
    again: Any = CoverageEligibilityResponse
    assert response == again(response).as_json()
    for name in ("status", "purpose", "patient", "created", "request", "outcome", "insurer"):
        assert response[name], name
    asked = requests.get(f"{programs.fhir}/{response['request']['reference']}", timeout=9)
    assert 200 == asked.status_code


@pytest.mark.req("check-3 R002-21")
def test_every_concept_has_a_system(programs: Programs) -> None:
    """Type, network, unit, term and category: the X12 code and its system."""
    response = Person(programs).checked(answer_271(*RICH))

    for item in items(response):
        concepts = [item[n] for n in ("network", "unit", "term", "category") if n in item]
        concepts += [benefit["type"] for benefit in item.get("benefit", [])]
        assert concepts
        for concept in concepts:
            assert all(coding["system"] and coding["code"] for coding in concept["coding"])
            assert any("codesystem.x12.org" in coding["system"] for coding in concept["coding"])


@pytest.mark.req("check-4 R002-18 R003-48")
def test_inactive_is_inforce_false(programs: Programs) -> None:
    """The resource stays active, the plan is not; the Coverage tells it too."""
    person = Person(programs)
    response = person.checked(answer_271("EB*6**30"))

    assert (False, "active", "complete", "inactive") == (
        response["insurance"][0]["inforce"], response["status"], response["outcome"],
        state(response))  # fmt: skip
    assert "not in force" in response["disposition"]

    def marked() -> list[dict[str, Any]]:
        (coverage,) = programs.search(f"Coverage?_id={person.coverage_id}")
        return list(elements.extensions(coverage, systems.EXT_COVERAGE_STATE))

    (mark,) = wait_for(marked, "the coverage carries its state")
    assert "inactive" == mark["extension"][0]["valueCode"]
    programs.settled()
    assert 1 == len(person.requests())  # our own mark asks nothing


@pytest.mark.req("check-5 R003-54")
def test_a_reject_is_an_error_and_no_alarm(programs: Programs) -> None:
    """AAA 72: stored with its code, linked to its request, nobody is mailed."""
    person = Person(programs)
    response = person.checked(reject_271("AAA*N**72*C"))

    assert ("error", "not-found") == (response["outcome"], state(response))
    assert ["72"] == [elements.code(e["code"], systems.X12_REJECT) for e in response["error"]]
    assert "inforce" not in response["insurance"][0]
    programs.settled()
    (asked,) = person.requests()
    assert f"CoverageEligibilityRequest/{asked['id']}" == response["request"]["reference"]
    assert [] == programs.mails(person.coverage_id)


@pytest.mark.req("check-8")
def test_silence_is_unknown(programs: Programs) -> None:
    """No EB01 of 1 to 8: inforce is absent, the state is neither active nor inactive."""
    person = Person(programs)
    response = person.checked(answer_271("EB*B*IND*98*PR**27*25*****Y"))

    assert "inforce" not in response["insurance"][0]
    assert "could-not-check" == state(response)
    programs.settled()
    (mail,) = programs.mails(person.coverage_id)
    assert "could not be found out" in mail["text"]
    assert "not in force" not in mail["text"]


@pytest.mark.req("check-9")
def test_a_dependent_is_asked_as_dependent(programs: Programs) -> None:
    """Both loops in the 270; the answer is the beneficiary's."""
    parent = Person(programs)
    child = Person(
        programs,
        relationship=samples.relationship("child"),
        subscriber={"reference": f"Patient/{parent.id}"},
    )
    response = child.checked(file_271("dependent-child"))

    (asked,) = programs.asked(child.member_id)
    assert re.search(r"~HL\*3\*2\*22\*1~NM1\*IL\*1\*RIVERA", asked)
    assert re.search(r"~HL\*4\*3\*23\*0~TRN\*1\*[0-9A-F]{32}\*9\w{9}~NM1\*03\*1\*RIVERA", asked)
    assert "~INS*N*19~" in asked
    assert f"Patient/{child.id}" == response["patient"]["reference"]


@pytest.mark.req("check-12")
def test_another_payer_is_told_and_made_a_task(programs: Programs) -> None:
    """EB01 R: an entry, a Task, and never a benefit of this plan; periods by their right names."""
    person = Person(programs)
    response = person.checked(sample_271("medicare-advantage-other-payer"))

    (other,) = elements.extensions(response, systems.EXT_OTHER_PAYER)
    assert "FEDERAL MEDICARE" in str(other)
    assert "active-review" == state(response)
    focus = f"CoverageEligibilityResponse/{response['id']}"
    task = programs.one(f"Task?focus={focus}")
    assert "coordination-of-benefits" == task["code"]["coding"][0]["code"]
    terms = {
        item["term"]["coding"][0]["code"]: item["term"]["text"]
        for item in items(response)
        if "term" in item
    }
    assert "Visit" == terms["27"]


@pytest.mark.req("check-13 R003-17")
def test_prior_authorization_is_shown(programs: Programs) -> None:
    """EB11: Y is true, N is false, U is neither; the page says so in words."""
    person = Person(programs)
    response = person.checked(sample_271("prior-auth-required"))

    told = [item.get("authorizationRequired") for item in items(response)]
    assert [None, True, False, None] == told
    page = requests.get(f"{programs.server}/benefits/{person.coverage_id}", timeout=9).text
    cells = re.findall(r'data-label="Prior authorization">([^<]+)<', page)
    of_the_visit, *every = cells
    assert "Not required" == of_the_visit
    assert ["Not stated", "Required", "Not required", "Payer does not know"] == every


@pytest.mark.req("check-14 R002-13 R002-14 R002-15 R002-16")
@pytest.mark.parametrize(
    ("missing", "codes"),
    [
        ("member-id", {"missing-member-id"}),
        ("birth-date", {"missing-birth-date"}),
        ("payer-id", {"missing-payer-id"}),
        ("npi", {"missing-provider-npi"}),
        ("all", {"missing-member-id", "missing-birth-date", "missing-payer-id",
                 "missing-provider-npi"}),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(programs: Programs, missing: str, codes: set[str]) -> None:
    """Stored, answered with every gap, zero calls, no request without a response."""
    person = Person(programs)
    patient = samples.patient(person.id)
    if missing in ("birth-date", "all"):
        del patient["birthDate"]
    if missing in ("npi", "all"):
        del patient["managingOrganization"]
    programs.put(patient)
    if missing in ("payer-id", "all"):
        nameless = samples.payer("payer-without-id")
        del nameless["identifier"]
        assert programs.put(nameless).ok
        person.coverage["payor"] = [{"reference": "Organization/payer-without-id"}]
    if missing in ("member-id", "all"):
        del person.coverage["subscriberId"]
    before = len(requests.get(f"{programs.sandbox}/_control/requests", timeout=9).json())
    person.post()
    response = person.response()

    told = {elements.code(e["code"], systems.CHECK_ERROR) for e in response["error"]}
    assert ("error", "could-not-check") == (response["outcome"], state(response))
    assert codes <= told
    assert told - codes <= {"missing-provider-name"}
    programs.settled()
    after = len(requests.get(f"{programs.sandbox}/_control/requests", timeout=9).json())
    assert before == after
    assert 1 == len(person.requests()) == len(person.responses())


@pytest.mark.req("check-16 R002-06")
def test_only_what_matters_asks_again(programs: Programs) -> None:
    """A text asks nothing; a member id that was added asks once."""
    person = Person(programs)
    programs.answer(person.member_id, answer_271("EB*1**30"))
    member_id = person.coverage.pop("subscriberId")
    person.post()
    person.response()
    person.post(text={"status": "generated",
                      "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'})  # fmt: skip
    programs.settled()
    assert (1, 0) == (len(person.requests()), len(programs.asked(member_id)))

    person.post(subscriberId=member_id)
    wait_for(lambda: len(person.responses()) == 2, "the second answer")

    programs.settled()
    assert (2, 1) == (len(person.requests()), len(programs.asked(member_id)))


@pytest.mark.req("check-17")
def test_twenty_posts_at_once_ask_once(programs: Programs) -> None:
    """If-None-Exist: one Coverage, one 270."""
    person = Person(programs)
    programs.answer(person.member_id, answer_271("EB*1**30"))
    body = {**person.coverage, "identifier": [{"system": "urn:x:test", "value": person.id}]}
    statuses = []

    def post() -> None:
        answer = requests.post(
            f"{programs.fhir}/Coverage", json=body, timeout=30,
            headers={"If-None-Exist": f"identifier=urn:x:test|{person.id}"},
        )  # fmt: skip
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=post) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [200] * 19 + [201] == sorted(statuses)
    (coverage,) = programs.search(f"Coverage?identifier=urn:x:test|{person.id}")
    programs.one(f"CoverageEligibilityResponse?coverage=Coverage/{coverage['id']}")
    programs.settled()
    assert 1 == len(programs.asked(person.member_id))


@pytest.mark.req("check-15")
def test_the_bytes_of_an_exchange_are_kept_sealed(programs: Programs) -> None:
    """By trace number, for who has the key; the FHIR server and the logs show none of it."""
    person = Person(programs)
    text = answer_271("EB*1**30")
    response = person.checked(text)
    trace = elements.identifier(response, systems.TRACE)

    shown = programs.run("bots", "payload", trace)
    assert 0 == shown.returncode, shown.stderr
    assert person.member_id in shown.stdout
    assert f"NM1*IL*1*RIVERA*ANA*Q***MI*{person.member_id}~" in programs.run(
        "bots", "payload", "--sent", trace).stdout  # fmt: skip
    (document,) = programs.search(f"DocumentReference?identifier={systems.TRACE}|{trace}")
    kept = [requests.get(f"{programs.fhir}/{content['attachment']['url']}", timeout=9).text
            for content in document["content"]]  # fmt: skip
    assert 2 == len(kept)
    logs = "".join(log.read_text("utf-8") for log in programs.logs.glob("*.log"))
    assert person.member_id not in "".join(kept) + str(document) + logs
    assert 2 == len(
        programs.search(f"AuditEvent?entity=DocumentReference/{document['id']}&action=R")
    )
    assert (1, "nothing is kept") == (
        programs.run("bots", "payload", "NOBODY").returncode,
        programs.run("bots", "payload", "NOBODY").stderr[14:29])  # fmt: skip

    again = programs.run("bots", "reparse", "--json")
    assert person.coverage_id not in again.stdout
    assert f"CoverageEligibilityResponse/{response['id']}" not in again.stdout


@pytest.mark.req("check-18")
def test_a_cancelled_coverage_is_not_asked_about(programs: Programs) -> None:
    """No 270, also when it was active before."""
    person = Person(programs, status="cancelled")
    person.post()
    programs.settled()
    assert [] == person.requests()

    again = Person(programs)
    again.checked(answer_271("EB*1**30"))
    again.post(status="cancelled")

    programs.settled()
    assert (1, 1) == (len(again.requests()), len(programs.asked(again.member_id)))


@pytest.mark.req("check-19")
def test_a_delete_is_told_only_to_who_asked_for_it(programs: Programs) -> None:
    """A plain Subscription does not fire on delete."""
    person = Person(programs)
    person.checked(answer_271("EB*1**30"))
    programs.settled()
    asked = len(programs.asked(person.member_id))

    address = f"{programs.fhir}/Coverage/{person.coverage_id}"
    assert 204 == requests.delete(address, timeout=9).status_code

    programs.settled()
    assert asked == len(programs.asked(person.member_id)) == len(person.requests())


@pytest.mark.req("check-35 R002-10")
def test_one_mail_per_change_of_state(programs: Programs) -> None:
    """Inactive twice, active, inactive again: three mails, without patient data, that link."""
    person = Person(programs)
    person.checked(answer_271("EB*6**30"))
    wait_for(lambda: programs.mails(person.coverage_id), "the first mail")
    for number, row in enumerate(("EB*6**30", "EB*1**30", "EB*6**30"), start=2):
        programs.answer(person.member_id, answer_271(row))
        person.post(period={"start": f"2026-01-0{number}"})
        wait_for(partial(has_answers, person, number), "the next answer")
        programs.settled()

    mails = programs.mails(person.coverage_id)
    assert ["needs attention", "is in force again", "needs attention"] == [
        mail["headers"]["Subject"].partition(":")[0].removeprefix("Insurance ") for mail in mails
    ]
    assert 3 == len({mail["headers"]["Message-ID"] for mail in mails})
    for mail in mails:
        assert ["desk@clinic.example"] == mail["to"]
        assert "auto-generated" == mail["headers"]["Auto-Submitted"]
        told = mail["headers"]["Subject"] + mail["text"]
        for secret in ("Rivera", "Ana", "1985", person.member_id, person.id):
            assert secret not in told
        link = re.search(r"http://\S+", mail["text"])
        assert link is not None
        assert 200 == requests.get(link[0], timeout=9).status_code


@pytest.mark.req("check-35")
def test_a_relay_that_is_down_is_tried_again_and_a_task_tells(programs: Programs) -> None:
    """SMTP 451 once: a Task, then the mail, then the Task is done."""
    programs.fault(route="smtp", kind="smtp-451", times=1)
    person = Person(programs)
    response = person.checked(answer_271("EB*6**30"))

    about = f"CoverageEligibilityResponse/{response['id']}"
    wait_for(lambda: programs.mails(person.coverage_id), "the mail after all")
    programs.settled()
    (message,) = [
        m for m in programs.search("Communication?_count=1000")
        if about in [a["reference"] for a in m["about"]]
    ]  # fmt: skip
    task = programs.one(f"Task?focus=Communication/{message['id']}")
    assert ("completed", "completed") == (message["status"], task["status"])
    assert 1 == len(programs.mails(person.coverage_id))


@pytest.mark.req("check-35")
def test_the_clinic_names_who_is_told(programs: Programs) -> None:
    """Recipients come from the site's Organization where it names some."""
    purpose = {"coding": [{"system": systems.CONTACT_PURPOSE, "code": "eligibility-alert"}]}
    contact = {"purpose": purpose, "telecom": [{"system": "email", "value": "north@x.example"}]}
    programs.put({**samples.clinic(), "id": "clinic-north", "contact": [contact]})
    person = Person(programs)
    north = {"reference": "Organization/clinic-north"}
    programs.put(samples.patient(person.id, managingOrganization=north))
    person.checked(answer_271("EB*6**30"))

    (mail,) = wait_for(lambda: programs.mails(person.coverage_id), "the mail")
    assert ["north@x.example"] == mail["to"]


@pytest.mark.req("check-4 check-32 R002-25")
def test_outages_always_leave_a_response(programs: Programs) -> None:
    """A dropped connection, HTTP 500, 429 and AAA 42: told at once, mended by the next attempt."""
    for kind in ("drop", "http-500", "http-429", "aaa-42"):
        person = Person(programs)
        programs.answer(person.member_id, answer_271("EB*1**30"))
        # What did not leave is tried once more at once: two drops are one failure.
        programs.fault(route="primary", kind=kind, times=2 if kind == "drop" else 1)
        person.post()
        first = person.response()
        wait_for(partial(is_active, person), f"active after {kind}")

        (last,) = person.responses()
        history = f"{programs.fhir}/CoverageEligibilityResponse/{first['id']}/_history"
        oldest = requests.get(history, timeout=9).json()["entry"][-1]["resource"]
        assert ("could-not-check", "error") == (state(oldest), oldest["outcome"]), kind
        assert (first["id"], "complete") == (last["id"], last["outcome"])
        asked = " ".join(programs.asked(person.member_id))
        assert 1 == len(set(re.findall(r"TRN\*1\*(\w+)", asked))), kind
        audits = programs.search(f"AuditEvent?entity={elements.reference(first['request'])}")
        assert {"4", "0"} == {audit["outcome"] for audit in audits}, kind
        (failed,) = [audit for audit in audits if audit["outcome"] == "4"]
        assert "check-eligibility: later: " in failed["outcomeDesc"]


def test_bad_input_is_refused_precisely(programs: Programs) -> None:
    """422 naming every wrong element; nothing is stored."""
    wrong = {**samples.coverage("wrong", status="x", order=0), "kind": "insurance"}
    answer = programs.put(wrong)

    told = {i["expression"][0] for i in answer.json()["issue"]}
    assert (422, {"Coverage.status", "Coverage.order", "Coverage.kind"}) == (
        answer.status_code, told)  # fmt: skip
    assert [] == programs.search("Coverage?_id=wrong")


def test_registering_twice_changes_nothing(programs: Programs) -> None:
    """PUT, idempotently: no new version."""
    before = programs.search("Subscription")
    programs.register()

    assert len(BOTS) == len(before)
    assert before == programs.search("Subscription")


def test_no_patient_data_in_any_log(programs: Programs) -> None:
    """Names, birth dates and member ids stay out of what the programs print."""
    person = Person(programs)
    person.checked(reject_271("AAA*N**75*C"))
    programs.settled()

    for name in ("server", "bots", "sandbox"):
        text = (programs.logs / f"{name}.log").read_text(errors="replace")
        for secret in ("Rivera", "RIVERA", "1985-02-14", "19850214", person.member_id):
            assert secret not in text, name
