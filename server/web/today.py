"""The front desk's page: today's visits and coverages, who needs a look, and what failed why."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import elements, systems
from fhir_profiles.codes import State
from server.interactions import read
from server.interactions.engine import Engine
from server.web import flags, records
from server.web.records import Record, Visit
from server.web.states import STEPS, WORDS, Word, state_of

Resource = dict[str, Any]
_NEEDS_LOOK = frozenset(
    {
        State.ACTIVE_REVIEW,
        State.INACTIVE,
        State.NOT_FOUND,
        State.COULD_NOT_CHECK,
        State.NOT_SUPPORTED,
    }
)
_ANSWERED = frozenset({State.ACTIVE, State.ACTIVE_REVIEW, State.INACTIVE, State.NOT_FOUND})
# Failures of the way to the payer, not of the data.
_OUTAGES = frozenset(
    {"42", "80", "not-delivered", "no-answer", "throttled", "route-failed", "route-paused"}
)


@dataclass(frozen=True, slots=True)
class Row:
    """One coverage in the list; `time` is that of the visit, "" where there is none."""

    time: str
    coverage_id: str
    patient: str
    born: str
    payer: str
    member_id: str
    state: Word
    code: str
    reason: str
    owner: str
    step: str
    service_date: str
    checked: datetime | None
    needs_look: bool
    is_answered: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """Coverages of one payer that failed for one reason."""

    payer: str
    code: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Today:
    """The whole page; `more` tells that there are coverages beyond it."""

    day: str
    rows: list[Row]
    more: bool
    need_look: int
    visits: int
    visits_checked: int
    uncovered: list[str]
    failing: list[str]
    failures: list[Failure]
    tomorrow: str
    filters: Mapping[str, str]


def today(engine: Engine, zone: ZoneInfo, asked: Mapping[str, str]) -> Today:
    """Return today's visits by their time, then the coverages posted, changed or checked today.

    `state` (a state's code) and `look` ("1": who needs a look) narrow the list, not the figures.
    """
    start = records.start_of_day(engine.now(), zone)
    found, more_visits = records.visits(engine, start)
    every, more = _rows(engine, start, zone, found)
    visits = [row for row in every if row.time]
    bare = [one for one in found if not one.coverages]
    wanted = [row for row in every if _fits(row, asked)]
    return Today(
        day=start.date().isoformat(),
        rows=wanted,
        more=more or more_visits,
        need_look=sum(row.needs_look for row in every),
        visits=len(found),
        uncovered=[f"{_time(one.at, zone)} {records.person(one.patient)}" for one in bare],
        visits_checked=sum(row.is_answered for row in visits),
        failing=_failing(every),
        failures=_failures(every),
        tomorrow=_verified(engine, start + timedelta(days=1)),
        filters={name: asked.get(name, "") for name in ("state", "look")},
    )


def failed(engine: Engine, zone: ZoneInfo, payer: str, code: str) -> list[str]:
    """Return the ids of today's coverages of a payer that failed for a reason."""
    start = records.start_of_day(engine.now(), zone)
    rows, _ = _rows(engine, start, zone, records.visits(engine, start)[0])
    return [row.coverage_id for row in rows if (row.payer, row.code) == (payer, code)]


def _rows(
    engine: Engine, start: datetime, zone: ZoneInfo, visits: Iterable[Visit]
) -> tuple[list[Row], bool]:
    day = start.date().isoformat()
    rows: list[Row] = []
    seen = set()
    for visit in visits:
        for coverage in visit.coverages:
            record = records.on_day(engine, coverage, day)
            seen.add(coverage["id"])
            rows.append(_row(engine, record, day, zone, _time(visit.at, zone)))
    found, more = records.touched_since(engine, start)
    others = [_row(engine, one, day, zone, "") for one in found if one.coverage["id"] not in seen]
    others.sort(key=lambda row: (not row.needs_look, row.patient.casefold(), row.coverage_id))
    return [*rows, *others], more


def _fits(row: Row, asked: Mapping[str, str]) -> bool:
    state, look = asked.get("state", ""), asked.get("look", "")
    return (not state or row.state.word == _word(state)) and (look != "1" or row.needs_look)


def _word(state: str) -> str:
    return WORDS[State(state)].word if state in set(State) else ""


def _row(engine: Engine, record: Record, day: str, zone: ZoneInfo, time: str) -> Row:
    response = record.response or {}
    state = state_of(record.response, record.open_request, day)
    code, reason, owner, step = _next(state, response)
    return Row(
        time=time,
        coverage_id=record.coverage["id"],
        patient=records.person(record.patient),
        born=(record.patient or {}).get("birthDate", ""),
        payer=records.payer(engine, record.coverage),
        member_id=record.coverage.get("subscriberId", ""),
        state=WORDS[state],
        code=code,
        reason=reason,
        owner=owner,
        step=step,
        service_date=response.get("servicedDate", day),
        checked=records.moment(response, zone),
        needs_look=state in _NEEDS_LOOK,
        is_answered=state in _ANSWERED and response.get("servicedDate") == day,
    )


def _next(state: State, response: Resource) -> tuple[str, str, str, str]:
    """Return code and reason of what went wrong, who acts next, and how."""
    if state not in _NEEDS_LOOK:
        return "", "", "", ""
    for error in response.get("error", []):
        found = flags.problem(error)
        return found.code, found.text, found.owner, found.action
    owner, step = STEPS.get(state, ("front-desk", "Look at what the payer sent."))
    marks = (e.get("valueString", "") for e in elements.extensions(response, systems.EXT_FLAG))
    reasons = [flags.told(mark) for mark in marks if not flags.is_note(mark)]
    return "", reasons[0] if reasons else "", owner, step


def _failures(rows: Iterable[Row]) -> list[Failure]:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.code:
            groups.setdefault((row.payer, row.code), []).append(row)
    found = [Failure(p, code, same[0].reason, len(same)) for (p, code), same in groups.items()]
    return sorted(found, key=lambda one: (-one.count, one.payer, one.code))


def _failing(rows: Iterable[Row]) -> list[str]:
    """Return the payers whose newest answer of the day is none: the way to them is out."""
    newest: dict[str, tuple[datetime, bool]] = {}
    for row in rows:
        if row.checked:
            answer = row.checked, row.code in _OUTAGES
            newest[row.payer] = max(answer, newest.get(row.payer, answer))
    return sorted(payer for payer, (_, is_out) in newest.items() if is_out)


def _verified(engine: Engine, start: datetime) -> str:
    """Say how far the visits of a day are verified, from the report of its sweep."""
    address = f"MeasureReport/t-24h-{start.date().isoformat()}"
    report = read.referenced(engine, "MeasureReport", address)
    if report is None:
        return "not checked yet"
    if report["status"] != "complete":
        return "being checked"
    counts = dict(_counts(report))
    found, wanted = counts["numerator"], counts["denominator"]
    share = f" ({Decimal(found) / wanted:.1%})" if wanted else ""
    return f"{found} of {wanted} coverages verified{share}"


def _counts(report: Resource) -> Iterator[tuple[str, int]]:
    for one in report["group"][0]["population"]:
        yield elements.code(one["code"], systems.MEASURE_POPULATION), one["count"]


def _time(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%H:%M")
