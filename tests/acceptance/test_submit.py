"""$submit is the synchronous door to the eligibility bot: one call, the payer's answer."""

import threading
import time
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
