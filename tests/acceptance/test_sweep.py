"""The check a day before, over the real programs: every visit, once, whatever is killed."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import requests

from tests import samples
from tests.acceptance.people import Person
from tests.acceptance.test_triggers import appointment
from tests.programs import ROOT, Programs, wait_for
from tests.x12_texts import answer_271, file_271

pytestmark = pytest.mark.loopback

DAY = date.today() + timedelta(days=9)  # noqa: DTZ011 a day that is to come
MANY = 60
ACTIVE = file_271("active-ppo")


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Programs]:
    started = Programs(tmp_path_factory.mktemp("sweep"), new_database())
    with started.running(samples.clinic(), samples.payer()):
        yield started


def visit(programs: Programs, day: date, x12: str, **more: Any) -> Person:
    """Store a patient with a coverage and an appointment, whose booking is not asked about."""
    person = Person(programs, status="draft")
    programs.answer(person.member_id, x12)
    coverage = {**person.coverage, "status": "active"}
    bundle = [coverage, appointment(person, day, **more)]
    for resource in bundle:
        assert programs.put(resource).ok
    return person


def swept(programs: Programs, day: date) -> dict[str, Any]:
    done = programs.run("bots", "sweep", "--day", str(day), "--json")
    assert 0 == done.returncode, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def asked_for(programs: Programs, person: Person, day: date) -> int:
    """Return how often the payer was asked about a person for a day."""
    return sum(f"DTP*291*D8*{day:%Y%m%d}" in x12 for x12 in programs.asked(person.member_id))


@pytest.mark.req("R003-06", "R003-67", "check-37")
def test_every_visit_of_the_day_is_verified_once(programs: Programs) -> None:
    """Booked ones of that day, whatever the answer; a second sweep asks nobody."""
    there = [visit(programs, DAY, ACTIVE, status="pending") for _ in range(3)]
    there.append(visit(programs, DAY, answer_271("EB*6**30"), status="pending"))
    visit(programs, DAY, ACTIVE, status="cancelled")
    visit(programs, DAY + timedelta(days=1), ACTIVE, status="pending")
    programs.settled()
    for _ in range(2):
        assert {"day": str(DAY), "appointments": 4, "coverages": 4, "verified": 4,
                "states": {"active": 3, "inactive": 1}} == swept(programs, DAY)  # fmt: skip
    assert [1, 1, 1, 1] == [asked_for(programs, one, DAY) for one in there]

    (told,) = programs.search(f"MeasureReport?_id=t-24h-{DAY}")
    counts = {p["code"]["coding"][0]["code"]: p["count"] for p in told["group"][0]["population"]}
    assert {"initial-population": 4, "denominator": 4, "numerator": 4} == counts
    assert ("complete", 1) == (told["status"], told["group"][0]["measureScore"]["value"])


def test_what_could_not_be_verified_is_told(programs: Programs) -> None:
    """A payer that does not know the person is an answer, but no verification."""
    day = DAY + timedelta(days=20)
    visit(programs, day, file_271("aaa-75-not-found"), status="pending")
    found = swept(programs, day)

    assert (0, {"not-found": 1}) == (found["verified"], found["states"])


def test_a_sweep_that_is_killed_leaves_nobody_out(programs: Programs) -> None:
    """Killed in the middle and run again: each visit asked about once."""
    day = DAY + timedelta(days=30)
    there = [visit(programs, day, ACTIVE, status="pending") for _ in range(MANY)]
    programs.settled()
    command = [sys.executable, "-m", "bots", "sweep", "--day", str(day)]
    first = subprocess.Popen(command, env=programs.environment, cwd=ROOT,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    query = "CoverageEligibilityRequest?_tag=t-24h&_summary=count"

    def count() -> int:
        return int(requests.get(f"{programs.fhir}/{query}", timeout=9).json()["total"])

    before = count()
    try:
        wait_for(lambda: count() >= before + MANY // 3, "a third is asked about")
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    (told,) = programs.search(f"MeasureReport?_id=t-24h-{day}")
    assert "pending" == told["status"]
    found = swept(programs, day)

    assert MANY == found["verified"]
    assert {1: MANY} == Counter(asked_for(programs, one, day) for one in there)


def test_the_clock_takes_up_a_sweep_that_was_broken_off(programs: Programs) -> None:
    """The bots themselves sweep when it is time, and write that they have."""
    programs.environment["INFORCE_BOTS_SWEEP"] = "00:00"
    programs.kill("bots")
    programs.start("bots")
    tomorrow = date.today() + timedelta(days=1)  # noqa: DTZ011 the site's day is this machine's
    told = programs.one(f"MeasureReport?status=complete&_id=t-24h-{tomorrow}")
    page = requests.get(programs.server, timeout=9).text
    assert "Visits of tomorrow: 0 of 0 coverages verified<" in page

    assert "t-24h-" in told["id"]
    log = (programs.logs / "bots.log").read_text("utf-8")
    wait_for(lambda: "verified" in (programs.logs / "bots.log").read_text("utf-8"), "it is logged")
    assert "Rivera" not in log
