"""What makes a check run, and what does not: bookings, arrivals, people, and answers in hand."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from bots import asking
from bots.errors import RetryLater
from bots.handlers import (
    check_arrival,
    check_booking,
    check_encounter,
    check_on_demand,
    request_eligibility,
)
from bots.mapping import tasks
from bots.mapping.request import Wish
from fhir_profiles import elements, systems
from fhir_profiles.codes import Reason, State
from server.validation import structure
from tests import samples
from tests.fakes import NOW, FakeFhir, tools

DAY = date(2026, 12, 1)
Handle = Callable[[dict[str, Any], Any], None]


def world(*more: dict[str, Any]) -> FakeFhir:
    return FakeFhir(samples.coverage(), samples.patient(), samples.payer(), samples.clinic(), *more)


def requests(fhir: FakeFhir) -> list[dict[str, Any]]:
    return fhir.all("CoverageEligibilityRequest")


def appointment(status: str = "booked", start: str = "2026-12-01T15:00:00Z") -> dict[str, Any]:
    return {
        "resourceType": "Appointment",
        "id": "visit",
        "status": status,
        "start": start,
        "participant": [
            {"actor": {"reference": "Practitioner/dr"}, "status": "accepted"},
            {"actor": {"reference": "Patient/pat"}, "status": "accepted"},
        ],
    }


def answer(fhir: FakeFhir, made: dict[str, Any], *, at: datetime = NOW,
           state: State = State.ACTIVE, waits: bool = False) -> None:  # fmt: skip
    """Store the answer to a request."""
    retry = [{"url": systems.EXT_RETRY, "valueBoolean": True}] if waits else []
    fhir.put({
        "resourceType": "CoverageEligibilityResponse", "id": f"answer-{made['id']}",
        "meta": {"tag": [{"system": systems.ELIGIBILITY_STATE, "code": state.value}]},
        "extension": retry, "created": at.isoformat(),
        "request": {"reference": f"CoverageEligibilityRequest/{made['id']}"},
    })  # fmt: skip


@pytest.mark.req("R003-05", "R003-46")
def test_a_booking_asks_for_the_day_of_the_visit() -> None:
    """One request per coverage, with its reason; again only for another day."""
    second = samples.coverage("cov2", subscriberId="MEM2")
    fhir = world(second, samples.coverage("old", status="cancelled"))
    for start in ("2026-12-01T15:00:00Z", "2026-12-01T18:00:00Z", "2026-12-02T03:00:00Z"):
        check_booking.handle(appointment(start=start), tools(fhir))

    assert [("2026-12-01", "booking")] * 2 == [
        (one["servicedDate"], elements.tag(one, systems.CHECK_REASON)) for one in requests(fhir)
    ]
    check_booking.handle(appointment(start="2026-12-03T15:00:00Z"), tools(fhir))
    assert 4 == len(requests(fhir))


@pytest.mark.parametrize(
    "unfit",
    [
        appointment(start=""),
        appointment(start="2026-12-01T15:00:00"),
        appointment(status="cancelled"),
        appointment(start="2026-11-01T15:00:00Z"),
        {**appointment(), "participant": []},
    ],
)
def test_an_appointment_that_says_too_little_asks_nothing(unfit: dict[str, Any]) -> None:
    """No instant, no patient, not booked, or past."""
    fhir = world()
    check_booking.handle(unfit, tools(fhir))

    assert [] == requests(fhir)


@pytest.mark.req("R003-07", "check-37")
@pytest.mark.parametrize(
    ("age", "state", "asked"),
    [
        (timedelta(hours=3, minutes=59), State.ACTIVE, 1),
        (timedelta(hours=3, minutes=59), State.INACTIVE, 1),
        (timedelta(hours=4), State.ACTIVE, 2),
        (timedelta(minutes=5), State.COULD_NOT_CHECK, 2),
        (timedelta(minutes=5), State.NOT_FOUND, 2),
    ],
)
def test_an_arrival_takes_an_answer_under_four_hours(
    age: timedelta, state: State, asked: int
) -> None:
    """Exactly four hours is too old; what is no answer about the plan is asked again."""
    fhir = world()
    today = appointment(start="2026-11-24T16:00:00Z")
    check_booking.handle(today, tools(fhir))
    answer(fhir, requests(fhir)[0], at=NOW - age, state=state)
    arrived = {**today, "status": "arrived"}
    for _ in range(2):
        check_arrival.handle(arrived, tools(fhir))

    assert asked == len(requests(fhir))
    assert ["booking", "check-in"][:asked] == [
        elements.tag(one, systems.CHECK_REASON) for one in requests(fhir)
    ]


def test_an_encounter_asks_for_the_day_it_began() -> None:
    """Arrived: once; any other status: not at all."""
    fhir = world()
    encounter = {"resourceType": "Encounter", "id": "enc", "status": "arrived",
                 "subject": {"reference": "Patient/pat"}}  # fmt: skip
    for status in ("planned", "arrived", "arrived", "in-progress"):
        check_encounter.handle({**encounter, "status": status}, tools(fhir))

    assert ["2026-11-24"] == [one["servicedDate"] for one in requests(fhir)]


def test_two_triggers_of_one_question_make_one_request() -> None:
    """A coverage that is saved while its booking is on the way: one 270 (R003-46)."""
    fhir = world()
    (coverage,) = fhir.read_all(["Coverage/cov"])
    request_eligibility.handle(coverage, tools(fhir))  # type: ignore[arg-type]  # it is there
    check_booking.handle(appointment(start="2026-11-24T16:00:00Z"), tools(fhir))

    assert ["coverage-change"] == [
        elements.tag(one, systems.CHECK_REASON) for one in requests(fhir)
    ]


def test_a_question_that_waits_for_the_payer_is_not_asked_beside() -> None:
    """An open answer comes by itself; one that is lost for a day is asked anew."""
    fhir = world()
    check_booking.handle(appointment(), tools(fhir))
    answer(fhir, requests(fhir)[0], state=State.COULD_NOT_CHECK, waits=True)
    wish = Wish(Reason.T_24H, "Appointment/visit", DAY)
    for later, asked in ((timedelta(hours=23), 1), (timedelta(hours=24), 2)):
        asking.ask(samples.coverage(), wish, tools(fhir, now=partial(NOW.__add__, later)))
        assert asked == len(requests(fhir))


def test_a_changed_coverage_is_asked_about_however_fresh_the_answer() -> None:
    """Back to what it was: the mark on the coverage is of the other one."""
    fhir = world()
    (first,) = fhir.read_all(["Coverage/cov"])
    request_eligibility.handle(first, tools(fhir))  # type: ignore[arg-type]  # it is there
    answer(fhir, requests(fhir)[0])
    for subscriber in ("OTHER", "INF100001"):
        stored = fhir.put(samples.coverage(subscriberId=subscriber))
        request_eligibility.handle(stored, tools(fhir))
        request_eligibility.handle(stored, tools(fhir))

    assert 3 == len(requests(fhir))


def demand(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Task", "id": "task", "status": "requested", "intent": "order",
        "code": {"coding": [{"system": systems.TASK_CODE, "code": check_on_demand.CODE}]},
        "focus": {"reference": "Coverage/cov"},
        "input": [
            {"type": {"text": check_on_demand.DAY}, "valueDate": "2026-12-01"},
            {"type": {"text": check_on_demand.TYPE}, "valueCode": "98"},
        ],
        **more,
    }  # fmt: skip


def test_a_person_asks_for_a_day_and_services() -> None:
    """The Task is completed and leads to the request, which says why it was made."""
    fhir = world(demand())
    (task,) = fhir.read_all(["Task/task"])
    check_on_demand.handle(task, tools(fhir))  # type: ignore[arg-type]  # it is there
    (made,) = requests(fhir)
    (done,) = fhir.read_all(["Task/task"])

    assert ("2026-12-01", "manual", "98") == (
        made["servicedDate"], elements.tag(made, systems.CHECK_REASON),
        made["item"][0]["category"]["coding"][0]["code"])  # fmt: skip
    assert done is not None
    assert ("completed", f"CoverageEligibilityRequest/{made['id']}") == (
        done["status"], done["output"][0]["valueReference"]["reference"])  # fmt: skip
    check_on_demand.handle(done, tools(fhir))
    assert 1 == len(requests(fhir))


def test_a_coverage_that_is_not_active_is_not_asked_about() -> None:
    """The Task says why."""
    for focus in ("Coverage/old", "Coverage/none"):
        fhir = world(
            demand(focus={"reference": focus}), samples.coverage("old", status="cancelled")
        )
        (task,) = fhir.read_all(["Task/task"])
        check_on_demand.handle(task, tools(fhir))  # type: ignore[arg-type]  # it is there
        (done,) = fhir.read_all(["Task/task"])
        assert done is not None
        assert "rejected" == done["status"]
        assert [] == requests(fhir)


def test_a_task_that_changed_meanwhile_comes_again() -> None:
    """Nothing is lost between the request and the Task."""
    fhir = world(demand())
    (task,) = fhir.read_all(["Task/task"])
    fhir.lose_next_update = True
    with pytest.raises(RetryLater):
        check_on_demand.handle(task, tools(fhir))  # type: ignore[arg-type]  # it is there
    check_on_demand.handle(task, tools(fhir))  # type: ignore[arg-type]  # it is there

    assert 1 == len(requests(fhir))


def said(number: int, day: str, *, state: State = State.ACTIVE, end: str = "") -> dict[str, Any]:
    """Return the answer of a minute about a day, with the end of the plan."""
    period = {"start": "2026-01-01", **({"end": end} if end else {})}
    return {
        "resourceType": "CoverageEligibilityResponse", "id": f"said-{number}",
        "meta": {"tag": [{"system": systems.ELIGIBILITY_STATE, "code": state.value}]},
        "created": (NOW + timedelta(minutes=number)).isoformat(), "servicedDate": day,
        "insurance": [{"coverage": {"reference": "Coverage/cov"}, "benefitPeriod": period}],
    }  # fmt: skip


def answers(fhir: FakeFhir) -> list[dict[str, Any]]:
    return fhir.all("CoverageEligibilityResponse")


@pytest.mark.parametrize(
    ("news", "asked"),
    [
        (said(2, "2026-11-24", end="2026-12-10"), ["2026-12-15"]),
        (
            said(2, "2026-11-24", state=State.INACTIVE, end="2026-11-30"),
            ["2026-12-05", "2026-12-15"],
        ),
        (said(2, "2026-11-24"), []),
        (said(2, "2026-11-24", state=State.COULD_NOT_CHECK), []),
        (said(2, "2025-01-10", state=State.INACTIVE), []),
        (said(2, "2025-01-10"), []),
        (
            said(2, "2026-11-10", state=State.INACTIVE, end="2026-10-31"),
            ["2026-12-05", "2026-12-15"],
        ),
    ],
)
def test_a_retroactive_end_reopens_the_checks_it_touches(
    news: dict[str, Any], asked: list[str]
) -> None:
    """Days to come that were answered "active" and are not covered after all; once."""
    fhir = world(said(0, "2026-12-05"), said(1, "2026-12-15"), said(-1, "2026-11-02"), news)
    for _ in range(2):
        asking.reopen(news, samples.coverage(), answers(fhir), tools(fhir))

    assert asked == sorted(one["servicedDate"] for one in requests(fhir))


def test_a_coverage_that_is_cancelled_is_not_reopened() -> None:
    """Nobody is asked about it any more."""
    news = said(2, "2026-11-24", end="2026-12-10")
    fhir = world(said(1, "2026-12-15"), news)
    cancelled = samples.coverage(status="cancelled")
    asking.reopen(news, cancelled, answers(fhir), tools(fhir))

    assert [] == requests(fhir)


@pytest.mark.req("R003-08")
@pytest.mark.parametrize(
    ("before", "now", "opens"),
    [
        ([True], False, True),
        ([False], True, True),
        ([True, None], False, True),
        ([True], True, False),
        ([True, False], False, False),
        ([None], False, False),
        ([True], None, False),
        ([], False, False),
    ],
)
def test_a_plan_that_flips_opens_a_task_and_a_flag(
    before: list[bool | None], now: bool | None, *, opens: bool
) -> None:
    """Held against the last answer that said whether the plan is in force."""
    answers = [said(number, "2026-11-24") for number in range(len(before) + 1)]
    for answer, inforce in zip(answers, [*before, now], strict=True):
        answer["patient"] = {"reference": "Patient/pat"}
        if inforce is not None:
            answer["insurance"][0]["inforce"] = inforce
    found = tasks.of_flip(answers[-1], answers[:-1], NOW, UTC)

    assert (["Task", "Flag"] if opens else []) == [one["resourceType"] for one in found]
    assert all("Patient/pat" in str(one) and "coverage-flip" in str(one) for one in found)
    assert [] == [problem for one in found for problem in structure.check(one)]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_answer_about_a_day_that_is_over_is_no_flip(place: int) -> None:
    """The payer never changed its word: somebody asked about last year."""
    answers = [said(number, "2026-11-24") for number in range(3)]
    for number, one in enumerate(answers):
        one["patient"] = {"reference": "Patient/pat"}
        one["insurance"][0]["inforce"] = number != place
    answers[place]["servicedDate"] = "2025-01-10"

    assert [] == tasks.of_flip(answers[-1], answers[:-1], NOW, UTC)


def as_of(number: int, day: str) -> dict[str, Any]:
    """Return an answer whose one date may be only the day that the payer looked at."""
    found = said(number, day)
    found["insurance"][0]["benefitPeriod"] = {"start": day}
    return {**found, "extension": [{"url": systems.EXT_FLAG, "valueString": "as-of-date"}]}


def test_a_payer_that_sends_the_day_asked_about_reopens_nothing() -> None:
    """Eight visits, each answered with its own day as the only date: no storm of questions."""
    days = [f"2026-12-{day:02}" for day in range(1, 9)]
    answers = [as_of(number, day) for number, day in enumerate(days)]
    fhir = world(*answers)
    for number, answer in enumerate(answers):
        asking.reopen(answer, samples.coverage(), answers[: number + 1], tools(fhir))

    assert [] == requests(fhir)


def test_answers_that_others_stored_do_not_stop_a_check() -> None:
    """No day, a month, no state: they say nothing about days."""
    odd = [{**said(0, "2026-12"), "id": "month"}, {**said(0, "2026-12-05"), "meta": {}}]
    odd.append({k: v for k, v in said(0, "2026-12-05").items() if k != "servicedDate"})
    odd.append({**said(0, "2026-12-05"), "created": "2026-11-01"})

    assert ["2026-11-01"] == [
        one["created"] for one in asking.earlier_answers(said(2, "2026-12-09"), odd)
    ]


def test_a_person_is_never_told_to_wait_for_an_outage() -> None:
    """An open answer serves the sweep; who clicks is asked for anew."""
    fhir = world()
    wish = Wish(Reason.BOOKING, "Appointment/1", DAY)
    asking.ask(samples.coverage(), wish, tools(fhir))
    answer(fhir, requests(fhir)[0], state=State.COULD_NOT_CHECK, waits=True)
    for reason, count in ((Reason.T_24H, 1), (Reason.MANUAL, 2)):
        asking.ask(samples.coverage(), Wish(reason, "x", DAY), tools(fhir))
        assert count == len(requests(fhir))


def test_what_somebody_said_on_the_phone_does_not_serve_a_check() -> None:
    """A recorded call is no answer of the payer to the question."""
    fhir = world()
    asking.ask(samples.coverage(), Wish(Reason.BOOKING, "Appointment/1", DAY), tools(fhir))
    (made,) = requests(fhir)
    answer(fhir, made, at=NOW - timedelta(hours=5))
    call = {**fhir.all("CoverageEligibilityResponse")[0], "id": "call", "created": NOW.isoformat(),
            "extension": [{"url": systems.EXT_ROUTE, "valueString": systems.BY_PHONE}]}  # fmt: skip
    fhir.put(call)
    asking.ask(samples.coverage(), Wish(Reason.CHECK_IN, "y", DAY), tools(fhir))

    assert 2 == len(requests(fhir))


@pytest.mark.parametrize("wrong", [{"valueDate": "2026-12"}, {"valueString": "2026-12-01"}])
def test_a_task_that_cannot_be_read_is_rejected(wrong: dict[str, str]) -> None:
    """With the reason; it does not come again and again."""
    fhir = world(demand(input=[{"type": {"text": check_on_demand.DAY}, **wrong}]))
    (task,) = fhir.read_all(["Task/task"])
    check_on_demand.handle(task, tools(fhir))  # type: ignore[arg-type]  # it is there
    (done,) = fhir.read_all(["Task/task"])

    assert done is not None
    assert ("rejected", []) == (done["status"], requests(fhir))


def test_a_task_that_is_done_is_not_done_again() -> None:
    """A delivery whose answer was lost: the Task moved on, and nothing is left to do."""
    fhir = world(demand())
    (task,) = fhir.read_all(["Task/task"])
    for _ in range(2):
        check_on_demand.handle(task, tools(fhir))  # type: ignore[arg-type]  # it is there

    assert 1 == len(requests(fhir))
