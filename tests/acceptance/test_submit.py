"""$submit is the synchronous door to the eligibility bot: one call, the payer's answer."""

import threading
import time
from datetime import date, timedelta
from typing import Any

import pytest
import requests

from fhir_profiles import elements, systems
from tests import samples
from tests.acceptance.people import Person
from tests.programs import Programs, wait_for
from tests.x12_texts import file_271

pytestmark = pytest.mark.loopback
CALLERS = 6  # more than may wait at once


@pytest.fixture
def person(programs: Programs) -> Person:
    """Return a person whose coverage is stored and whose first check, of the coverage, is over."""
    made = Person(programs)
    made.checked(file_271("active-ppo"))
    programs.settled()
    return made


def wish(person: Person) -> dict[str, Any]:
    return {
        "resourceType": "CoverageEligibilityRequest",
        "status": "active",
        "purpose": ["benefits"],
        "patient": {"reference": f"Patient/{person.id}"},
        "created": "2026-11-24",
        "insurer": {"reference": f"Organization/{samples.payer()['id']}"},
        "provider": {"reference": f"Organization/{samples.clinic()['id']}"},
        "insurance": [{"focal": True, "coverage": {"reference": f"Coverage/{person.coverage_id}"}}],
    }


def submit(programs: Programs, body: dict[str, Any], **headers: str) -> requests.Response:
    return requests.post(
        f"{programs.fhir}/CoverageEligibilityRequest/$submit",
        json=body,
        headers=headers,
        timeout=30,
    )


@pytest.mark.req("OPS-02")
def test_one_call_gives_the_answer(programs: Programs, person: Person) -> None:
    """200 with the response to this very request, read from the payer's 271."""
    answer = submit(programs, wish(person))

    assert 200 == answer.status_code, answer.text
    response = answer.json()
    assert "active" == elements.tag(response, systems.ELIGIBILITY_STATE)
    asked = response["request"]["reference"]
    assert [asked.partition("/")[2]] == [
        one["id"] for one in person.requests() if f"CoverageEligibilityRequest/{one['id']}" == asked
    ]
    assert 2 == len(programs.asked(person.member_id))  # of the coverage, and of this request


@pytest.mark.req("OPS-02")
def test_a_slow_payer_is_waited_for_elsewhere(programs: Programs, person: Person) -> None:
    """202 with a place to ask, which has the response when the payer has answered."""
    programs.fault(route="primary", kind="none", times=1, latency_ms=2000)
    answer = submit(programs, wish(person), Prefer="wait=0")
    assert 202 == answer.status_code, answer.text
    place = answer.headers["Content-Location"]
    assert 202 == requests.get(place, timeout=20).status_code
    wait_for(lambda: requests.get(place, timeout=20).status_code == 200, "the answer")
    found = requests.get(place, timeout=20).json()
    assert "active" == elements.tag(found, systems.ELIGIBILITY_STATE)


@pytest.mark.req("OPS-02")
def test_many_callers_do_not_starve_the_bots(programs: Programs, person: Person) -> None:
    """The bots answer through the same server: it keeps threads for them."""
    answers: list[requests.Response] = []
    callers = [
        threading.Thread(target=lambda: answers.append(submit(programs, wish(person))))
        for _ in range(CALLERS)
    ]
    started = time.monotonic()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert time.monotonic() - started < 15
    assert {200, 202} >= {answer.status_code for answer in answers}
    places = [a.headers["Content-Location"] for a in answers if a.status_code == 202]
    wait_for(
        lambda: all(requests.get(place, timeout=20).status_code == 200 for place in places),
        "the answers",
    )


@pytest.mark.req("check-11", "R002-17")
def test_a_service_type_that_x12_does_not_know_is_refused(
    programs: Programs, person: Person
) -> None:
    """422 with the place of the code, and no 270; those that it knows go out in one 270."""
    before = len(programs.asked(person.member_id))
    asked = {**wish(person), "item": [item("30"), item("ZZZ")]}
    answer = submit(programs, asked)
    assert 422 == answer.status_code, answer.text
    assert ["CoverageEligibilityRequest.item[1].category.coding[0]"] == (
        answer.json()["issue"][0]["expression"]
    )
    assert before == len(programs.asked(person.member_id))

    assert 200 == submit(programs, {**wish(person), "item": [item(c) for c in TYPES]}).status_code
    last = programs.asked(person.member_id)[-1]
    assert all(f"EQ*{code}" in last or f"^{code}" in last for code in TYPES)


TYPES = ("30", "98", "UC")


def item(code: str) -> dict[str, Any]:
    return {"category": {"coding": [{"system": systems.X12_SERVICE_TYPE, "code": code}]}}


@pytest.mark.req("check-14", "R002-13")
def test_each_missing_element_is_named_and_nobody_is_called(programs: Programs) -> None:
    """No birth date, no member id, no NPI, no payer id: 422 that names all four."""
    bare = Person(programs)
    patient = samples.patient(bare.id)
    del patient["birthDate"], patient["managingOrganization"]
    payer = samples.payer(f"{bare.id}-payer")
    del payer["identifier"]
    clinic = {"resourceType": "Organization", "id": f"{bare.id}-clinic", "name": "No Number"}
    for resource in (patient, payer, clinic):
        assert programs.put(resource).ok
    coverage = {**bare.coverage, "status": "draft"}
    del coverage["subscriberId"]
    assert programs.put(coverage).ok
    asked = {**wish(bare), "insurer": {"reference": f"Organization/{payer['id']}"},
             "provider": {"reference": f"Organization/{clinic['id']}"}}  # fmt: skip
    answer = submit(programs, asked)

    assert 422 == answer.status_code, answer.text
    told = " ".join(issue["diagnostics"] for issue in answer.json()["issue"]).lower()
    for name in ("birth date", "member id", "npi", "payer"):
        assert name in told
    assert [] == programs.asked(bare.member_id)


@pytest.mark.req("R002-07")
def test_a_coverage_is_checked_on_demand(programs: Programs, person: Person) -> None:
    """$check-eligibility: the day and the services asked for, synchronous; then pollable."""
    address = f"{programs.fhir}/Coverage/{person.coverage_id}/$check-eligibility"
    day = date.today() + timedelta(days=3)  # noqa: DTZ011 a visit that is to come
    answer = requests.post(f"{address}?date={day}&serviceType=98", timeout=30)
    assert 200 == answer.status_code, answer.text
    found = answer.json()
    assert day.isoformat() == found["servicedDate"]
    (asked,) = programs.search(
        f"CoverageEligibilityRequest?_id={found['request']['reference'][27:]}"
    )
    assert ("manual", "98") == (
        elements.tag(asked, systems.CHECK_REASON),
        asked["item"][0]["category"]["coding"][0]["code"],
    )
    later = requests.post(address, headers={"Prefer": "respond-async"}, timeout=30)
    assert 202 == later.status_code
    place = later.headers["Content-Location"]
    wait_for(lambda: requests.get(place, timeout=20).status_code == 200, "the answer")


def test_a_demand_that_makes_no_sense_is_refused(programs: Programs, person: Person) -> None:
    """No coverage or no active one; a day, a code or a parameter that is none."""
    base = f"{programs.fhir}/Coverage/{person.coverage_id}/$check-eligibility"
    for query in ("date=soon", "serviceType=ZZZ", "day=2026-12-01"):
        assert 400 == requests.post(f"{base}?{query}", timeout=20).status_code
    nobody = f"{programs.fhir}/Coverage/nobody/$check-eligibility"
    assert 404 == requests.post(nobody, timeout=20).status_code
    person.post(status="cancelled")
    assert 422 == requests.post(base, timeout=30).status_code
