"""The check a day before: every appointment of tomorrow, its coverages asked about once.

Idempotent by the cause of each question, so that a sweep that was killed is simply run again. At
most IN_FLIGHT questions of it wait at a time: whoever stands at the desk never waits behind them.
What came of it is a MeasureReport, one for each day of visits (R003-06, R003-67).
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from typing import Any

from bots import asking
from bots.errors import NeverRetry, RetryLater
from bots.ports import Resource, Tools
from fhir_profiles import elements, systems
from fhir_profiles.codes import DEFINITE, Reason, State

UNINSURED = "no-coverage"  # a visit of a patient without an active coverage
_log = logging.getLogger(__name__)
IN_FLIGHT = 24  # of the 48 deliveries that bots are given at once
POLL_S, ANSWER_LIMIT_S = 0.1, 120.0
STATUSES = "booked,pending,arrived,checked-in"
MEASURE = f"{systems.BASE}/Measure/t-24h-verification"
_RESPONSE = "CoverageEligibilityResponse"


@dataclass(slots=True)
class Tally:
    """What came of a sweep: how many coverages there were, and the state of each answer."""

    day: date
    appointments: int = 0
    states: Counter[str] = field(default_factory=Counter)

    @property
    def coverages(self) -> int:
        """Return how many coverages were to be checked."""
        return sum(self.states.values())

    @property
    def verified(self) -> int:
        """Return how many have the payer's word for the day."""
        return sum(count for state, count in self.states.items() if state in DEFINITE)


def tomorrow(tools: Tools) -> date:
    """Return the day after the clinic's present one."""
    return tools.now().astimezone(tools.zone).date() + timedelta(days=1)


def run(
    tools: Tools, day: date, progress: Callable[[Iterable[Resource]], Iterable[Resource]]
) -> Tally:
    """Check every appointment of `day`, and store the report. Raises RetryLater, NeverRetry.

    `progress` is told of each appointment by passing them on.
    """
    tools.fhir.put(report(Tally(day), tools.now(), is_done=False))
    tally, waiting = Tally(day), _Waiting(tools)
    for appointment in progress(_appointments(tools, day)):
        tally.appointments += 1
        cause = f"Appointment/{appointment['id']}#{day}#t-24h"
        patient = asking.patient_of(appointment)
        try:
            made = asking.for_visit(patient, day, tools, reason=Reason.T_24H, cause=cause)
        except RetryLater:
            raise
        except Exception as error:  # noqa: BLE001 this one cannot be asked about; the others can
            _log.error("Appointment/%s: %s", appointment["id"], type(error).__name__)
            waiting.states[State.COULD_NOT_CHECK.value] += 1
            continue
        if not made:
            waiting.states[UNINSURED] += 1
        for asked in made:
            waiting.add(str(asked["id"]))
    waiting.drain()
    tally.states = waiting.states
    tools.fhir.put(report(tally, tools.now(), is_done=True))
    return tally


def due(tools: Tools, at: clock_time) -> date | None:
    """Return the day whose visits should be checked now: one broken off first, then tomorrow."""
    local = tools.now().astimezone(tools.zone)
    today = local.date()
    days = [today, today + timedelta(days=1)]
    reports = tools.fhir.read_all([f"MeasureReport/{report_id(day)}" for day in days])
    for day, there in zip(days, reports, strict=True):
        if there is not None and there["status"] == "pending":
            return day
    return days[1] if reports[1] is None and local.time() >= at else None


def report_id(day: date) -> str:
    """Return the id of the report on a day of visits."""
    return f"t-24h-{day.isoformat()}"


def report(tally: Tally, moment: datetime, *, is_done: bool) -> Resource:
    """Return the MeasureReport of a sweep; `pending` while it runs."""
    found: Resource = {
        "resourceType": "MeasureReport",
        "id": report_id(tally.day),
        "status": "complete" if is_done else "pending",
        "type": "summary",
        "measure": MEASURE,
        "date": moment.isoformat(timespec="milliseconds"),
        "period": {"start": tally.day.isoformat(), "end": tally.day.isoformat()},
    }
    if not is_done:
        return found
    group: Resource = {
        "population": [
            _population("initial-population", tally.appointments, "appointments"),
            _population("denominator", tally.coverages, "coverages"),
            _population("numerator", tally.verified, "verified by the payer"),
        ]
    }
    if tally.coverages:
        group["measureScore"] = {"value": round(tally.verified / tally.coverages, 4)}
        strata = [_stratum(state, count) for state, count in sorted(tally.states.items())]
        group["stratifier"] = [{"stratum": strata}]
    return {**found, "group": [group]}


def _population(code: str, count: int, text: str) -> Resource:
    coding = {"system": systems.MEASURE_POPULATION, "code": code}
    return {"code": {"coding": [coding], "text": text}, "count": count}


def _stratum(state: str, count: int) -> Resource:
    coding = {"system": systems.ELIGIBILITY_STATE, "code": state}
    return {
        "value": {"coding": [coding], "text": state},
        "population": [_population("denominator", count, "coverages")],
    }


def _appointments(tools: Tools, day: date) -> Iterator[Resource]:
    """Yield the appointments that begin on a day of the clinic."""
    start = datetime.combine(day, clock_time(), tools.zone)
    wanted = [
        ("date", f"ge{start.isoformat()}"),
        ("date", f"lt{(start + timedelta(days=1)).isoformat()}"),
        ("status", STATUSES),
        ("_count", "200"),
    ]
    yield from tools.fhir.search("Appointment", wanted)


class _Waiting:
    """The questions that are on the way, and the states of those that are answered."""

    def __init__(self, tools: Tools) -> None:
        self.states: Counter[str] = Counter()
        self._tools = tools
        self._since: dict[str, float] = {}
        self._pause = threading.Event()

    def add(self, request_id: str) -> None:
        """Wait for one more, and first for room."""
        self._since[request_id] = time.monotonic()
        while len(self._since) >= IN_FLIGHT:
            self._look()

    def drain(self) -> None:
        """Wait for all."""
        while self._since:
            self._look()

    def _look(self) -> None:
        """Take off what is answered, and what is beyond its time as not checked."""
        wanted = ",".join(f"CoverageEligibilityRequest/{one}" for one in self._since)
        found = self._tools.fhir.search(_RESPONSE, [("request", wanted), ("_count", "200")])
        answered = {
            elements.reference(one["request"]): one for one in found if asking.is_of_payer(one)
        }
        for address, response in answered.items():
            if self._since.pop(address.partition("/")[2], None) is not None:
                self.states[elements.tag(response, systems.ELIGIBILITY_STATE)] += 1
        now = time.monotonic()
        for one in [k for k, since in self._since.items() if now - since > ANSWER_LIMIT_S]:
            del self._since[one]
            self.states[State.CHECKING.value] += 1
        if self._since:
            self._pause.wait(POLL_S)


class Clock:
    """Runs the day's sweep when it is due, and takes up one that was broken off."""

    def __init__(self, tools: Tools, at: clock_time, log: Callable[[str], Any]) -> None:
        """Sweep from `at` on, in the clinic's zone; `log` is told what came of it."""
        self._tools = tools
        self._at = at
        self._log = log

    def tick(self) -> None:
        """Sweep if it is time; a server that is away is tried again at the next tick."""
        try:
            day = due(self._tools, self._at)
            if day is not None:
                tally = run(self._tools, day, lambda found: found)
                self._log(f"sweep of {tally.day}: {tally.verified} of {tally.coverages} verified")
        except (RetryLater, NeverRetry) as error:
            self._log(f"sweep: later: {error}")
