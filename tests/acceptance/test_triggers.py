"""What starts a check, over the real programs: booked, moved, arrived, and answers in hand."""

from datetime import date, timedelta
from typing import Any

import pytest
import requests

from fhir_profiles import elements, systems
from tests.acceptance.people import Person
from tests.programs import Programs, wait_for
from tests.x12_texts import file_271

pytestmark = pytest.mark.loopback

DAY = date.today() + timedelta(days=5)  # noqa: DTZ011 a visit that is to come


def appointment(person: Person, day: date, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Appointment",
        "id": f"visit-{person.id}",
        "status": "booked",
        "start": f"{day}T15:00:00Z",
        "end": f"{day}T15:30:00Z",
        "participant": [{"actor": {"reference": f"Patient/{person.id}"}, "status": "accepted"}],
        **more,
    }


def reasons(person: Person) -> list[tuple[str, str]]:
    """Return (reason, day of service) of the questions about a person, sorted."""
    return sorted(
        (elements.tag(one, systems.CHECK_REASON), one["servicedDate"]) for one in person.requests()
    )


@pytest.mark.req("R003-05", "R003-07", "R003-46", "check-37")
def test_a_visit_is_checked_when_booked_and_when_moved_and_not_again_on_arrival(
    programs: Programs,
) -> None:
    """Each question once, with its reason and its day; arriving takes the answer in hand."""
    person = Person(programs)
    person.checked(file_271("active-ppo"))
    today = date.fromisoformat(person.requests()[0]["servicedDate"])
    moved = DAY + timedelta(days=1)
    for day in (DAY, DAY, moved):
        assert programs.put(appointment(person, day)).ok
        programs.settled()
    booked = [("booking", DAY.isoformat()), ("booking", moved.isoformat())]
    assert [*booked, ("coverage-change", today.isoformat())] == reasons(person)
    wait_for(lambda: len(person.responses()) == 3, "the answers")

    assert programs.put(appointment(person, moved, status="arrived")).ok
    encounter = {
        "resourceType": "Encounter", "id": f"enc-{person.id}", "status": "arrived",
        "class": {"code": "AMB"}, "subject": {"reference": f"Patient/{person.id}"},
        "period": {"start": f"{moved}T15:00:00Z"},
    }  # fmt: skip
    assert programs.put(encounter).ok
    programs.settled()

    assert 3 == len(reasons(person)) == len(programs.asked(person.member_id))


def test_a_booking_beside_a_new_coverage_is_one_question(programs: Programs) -> None:
    """R003-46: both ask for today; the payer hears it once."""
    person = Person(programs)
    programs.answer(person.member_id, file_271("active-ppo"))
    today = date.today()  # noqa: DTZ011 the site's day is that of this machine, UTC
    programs.fault(route="primary", kind="none", times=1, latency_ms=700)
    person.post()
    assert programs.put(appointment(person, today)).ok
    person.response()
    programs.settled()

    assert 1 == len(programs.asked(person.member_id))


def test_a_plan_that_ends_after_all_reopens_the_visits_after_its_end(programs: Programs) -> None:
    """Booked and answered active; then the payer tells of an end before the visit."""
    person = Person(programs)
    person.checked(file_271("active-ppo"))
    assert programs.put(appointment(person, DAY)).ok
    wait_for(lambda: len(person.responses()) == 2, "the answer about the visit")
    programs.settled()
    ends = DAY - timedelta(days=1)
    x12 = file_271("active-ppo").replace(
        "DTP*346*D8*20260101~", f"DTP*346*D8*20260101~\nDTP*347*D8*{ends:%Y%m%d}~"
    )
    programs.answer(person.member_id, x12)
    assert 200 == requests.post(
        f"{programs.fhir}/Coverage/{person.coverage_id}/$check-eligibility", timeout=30
    ).status_code  # fmt: skip
    wait_for(lambda: len(person.responses()) == 4, "the visit is asked about again")
    newest = max(
        (one for one in person.responses() if one["servicedDate"] == DAY.isoformat()),
        key=lambda one: str(one["created"]),
    )

    assert "inactive" == elements.tag(newest, systems.ELIGIBILITY_STATE)
    assert programs.one(f"Flag?subject=Patient/{person.id}")["status"] == "active"
    assert programs.one(f"Task?patient=Patient/{person.id}&code={systems.TASK_CODE}|coverage-flip")
    programs.settled()
    assert 4 == len(person.requests())
