"""The benefit summary of one coverage, from stored resources only.

What the payer did not state is said so in words: never a zero, never a guess.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import codes, elements, systems
from fhir_profiles.codes import Reason, State
from server.errors import BadRequest
from server.interactions import benefit_order, read
from server.interactions.benefit_order import Ranked
from server.interactions.engine import Engine
from server.web import estimate, flags, lines, periods, records
from server.web.estimate import Quote
from server.web.flags import Error
from server.web.lines import Card, Plan, Service
from server.web.records import Record
from server.web.states import STEPS, WORDS, Word, state_of

Resource = dict[str, Any]
_WHO_AND_WHERE = ("Practitioner", "Location")
_IN_FORCE = (State.ACTIVE, State.ACTIVE_REVIEW)
_NAMING = frozenset({systems.EXT_ENTITY, systems.EXT_SOURCE, "kind", "service"})
_ROLES = {codes.names("nm101_entity_identifier")["P3"]: "Primary care"}
_REQUEST = "CoverageEligibilityRequest"
# Why a check ran, in words.
_REASONS: dict[str, str] = {
    Reason.COVERAGE_CHANGE: "coverage changed",
    Reason.BOOKING: "booking",
    Reason.T_24H: "24 h before the visit",
    Reason.CHECK_IN: "check-in",
    Reason.MANUAL: "asked by a person",
}


@dataclass(frozen=True, slots=True)
class Payer:
    """One coverage of the patient, in the order of payment."""

    order: str
    name: str
    coverage_id: str
    state: Word


@dataclass(frozen=True, slots=True)
class Check:
    """One earlier check of the coverage; `id` is of its answer."""

    id: str
    at: datetime | None
    service_date: str
    state: Word
    reason: str
    route: str
    payer_id: str
    trace: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything the page shows."""

    coverage_id: str
    patient: str
    born: str
    state: Word
    service_date: str
    visit: list[str]
    sentence: str
    step: str
    last: Check
    next_check: str
    goes_on: bool
    may_ask: bool
    plan: list[tuple[str, str]]
    payers: list[Payer]
    cards: list[Card]
    quote: Quote | None
    to_authorize: list[str]
    services: list[Service]
    plans: list[Plan]
    errors: list[Error]
    others: list[str]
    notes: list[str]
    messages: list[str]
    reviews: list[str]
    checks: list[Check]
    answered: bool
    printed: datetime


def summary(
    engine: Engine, coverage_id: str, zone: ZoneInfo, *, price: str = "", on: str = ""
) -> Summary:
    """Return the summary of one coverage, with an estimate where the visit's `price` is one.

    With `on` (YYYY-MM-DD) it is about that day. Raises NotFound or Gone as read does, and
    BadRequest where `on` is no day.
    """
    record = _record(engine, coverage_id, on)
    day = records.start_of_day(engine.now(), zone).date().isoformat()
    response = record.response or {}
    insurance = (response.get("insurance") or [{}])[0]
    items = insurance.get("item", [])
    state = state_of(record.response, record.open_request, day)
    marks = [e.get("valueString", "") for e in elements.extensions(response, systems.EXT_FLAG)]
    checks = [_check(engine, one, day, zone) for one in records.responses(engine, coverage_id)]
    request = read.referenced(engine, _REQUEST, elements.reference(response.get("request")))
    asked = _asked(request or {})
    service_date = response.get("servicedDate", on or day)
    appointment = _appointment(engine, record, service_date, zone)
    current = periods.on_day(items, service_date)
    return Summary(
        coverage_id=coverage_id,
        patient=records.person(record.patient),
        born=(record.patient or {}).get("birthDate", ""),
        state=WORDS[state],
        service_date=service_date,
        step=STEPS[state][1] if state in STEPS and not response.get("error") else "",
        visit=_visit(engine, appointment, zone) if appointment else [],
        sentence=_sentence(state, record),
        last=checks[0] if checks else _check(engine, {}, day, zone),
        next_check=_next_check(appointment, engine.now(), zone),
        goes_on=elements.has_extension(response, systems.EXT_RETRY),
        may_ask=record.coverage["status"] == "active" and record.open_request is None,
        plan=list(_plan(engine, record, insurance)),
        payers=_payers(engine, record, service_date),
        cards=[] if state is State.INACTIVE else lines.cards(current, asked),
        quote=estimate.quote(current, asked, price) if state in _IN_FORCE else None,
        to_authorize=lines.to_authorize(current),
        services=lines.services(current, asked),
        plans=lines.plans(items),
        errors=[flags.problem(error) for error in response.get("error", [])],
        others=list(_others(response)),
        notes=[flags.told(flag) for flag in marks if flags.is_note(flag)],
        messages=list(_messages(response)),
        reviews=list(dict.fromkeys(flags.told(flag) for flag in marks if not flags.is_note(flag))),
        checks=checks,
        answered=bool(items) or "inforce" in insurance,
        printed=engine.now().astimezone(zone),
    )


def _record(engine: Engine, coverage_id: str, on: str) -> Record:
    """Return the coverage's record with its newest answer, or the one about a day, if there is."""
    record = records.record(engine, coverage_id)
    if not on:
        return record
    try:
        date.fromisoformat(on)
    except ValueError as error:
        raise BadRequest("date: expected a day, such as 2026-12-24.") from error
    found = records.on_day(engine, record.coverage, on)
    is_about = (found.response or {}).get("servicedDate") == on
    return found if is_about else replace(found, response=None, open_request=None)


def _appointment(engine: Engine, record: Record, day: str, zone: ZoneInfo) -> Resource | None:
    """Return the visit that an answer is about: the patient's first on that day."""
    patient = elements.reference(record.coverage["beneficiary"])
    start = datetime.combine(date.fromisoformat(day), time(), zone)
    return records.appointment(engine, patient, start)


def _visit(engine: Engine, appointment: Resource, zone: ZoneInfo) -> list[str]:
    """Return the time of a visit, and the names of who and where as far as they are known."""
    told = [datetime.fromisoformat(appointment["start"]).astimezone(zone).strftime("%H:%M")]
    for part in appointment["participant"]:
        actor = part.get("actor", {})
        kind = elements.reference(actor).partition("/")[0]
        if kind in _WHO_AND_WHERE:
            there = read.referenced(engine, kind, elements.reference(actor)) or {}
            name = there.get("name") if kind == "Location" else there and records.person(there)
            told.append(str(actor.get("display") or name or f"{kind} not on file"))
    return told


def _next_check(appointment: Resource | None, now: datetime, zone: ZoneInfo) -> str:
    """Say when a visit that lies ahead is checked by itself (docs/checks.md)."""
    if appointment is None or appointment["status"] not in ("booked", "pending"):
        return ""
    start = datetime.fromisoformat(appointment["start"])
    if start <= now:
        return ""
    days = (start.astimezone(zone).date() - now.astimezone(zone).date()).days
    return "the day before the visit, and at check-in" if days > 1 else "at check-in"


def _asked(request: Resource) -> list[str]:
    """Return the service types that a request asks about."""
    return [
        coding.get("code", "")
        for item in request.get("item", [])
        for coding in item.get("category", {}).get("coding", [])
    ]


def _check(engine: Engine, response: Resource, day: str, zone: ZoneInfo) -> Check:
    request = read.referenced(engine, _REQUEST, elements.reference(response.get("request")))
    reason = elements.tag(request or {}, systems.CHECK_REASON)
    return Check(
        id=response.get("id", ""),
        at=records.moment(response, zone),
        service_date=response.get("servicedDate", day),
        state=WORDS[state_of(response or None, None, "")],
        reason=_REASONS.get(reason, reason),
        route=elements.extension_value(response, systems.EXT_ROUTE) or "",
        payer_id=elements.extension_value(response, systems.EXT_PAYER_ID) or "",
        trace=elements.identifier(response, systems.TRACE),
    )


def _payers(engine: Engine, record: Record, day: str) -> list[Payer]:
    """Return the patient's coverages in the order on file, or else in the one that we find."""
    if record.patient is None:
        return [_listed(engine, record.coverage, "the only coverage on file", day)]
    ranked = benefit_order.of_patient(engine, record.patient, date.fromisoformat(day))
    is_on_file = all(one.recorded for one in ranked) and not benefit_order.findings(ranked)
    if is_on_file:
        ranked.sort(key=lambda one: one.recorded or 0)
    found = [
        _listed(engine, one.coverage, _place(one, count=len(ranked), is_on_file=is_on_file), day)
        for one in ranked
    ]
    if all(one.coverage["id"] != record.coverage["id"] for one in ranked):
        status = record.coverage["status"]
        why = "not of this day" if status == "active" else f"{status}, so not in the order"
        found.append(_listed(engine, record.coverage, why, day))
    return found


def _listed(engine: Engine, coverage: Resource, order: str, day: str) -> Payer:
    state = WORDS[state_of(*records.standing(engine, coverage), day)]
    return Payer(order, records.payer(engine, coverage), coverage["id"], state)


def _place(one: Ranked, *, count: int, is_on_file: bool) -> str:
    """Return the place of a coverage in words, with the reason where it is we who found it."""
    if is_on_file:
        return f"order {one.recorded}"
    if count == 1:
        return "the only coverage on file"
    on_file = f"order {one.recorded} on file; " if one.recorded is not None else ""
    if one.placed.place == 0:
        return f"{on_file}does not pay: {one.placed.reason}"
    found = "not settled" if one.placed.is_tie else "calculated"
    return f"{on_file}{found}: {one.placed.reason}"


def _sentence(state: State, record: Record) -> str:
    response = record.response or {}
    stored = str(response.get("disposition", ""))
    status = record.coverage["status"]
    if state is State.STALE and status != "active":
        return f"The coverage is {status}: only an active coverage is checked."
    if state in (State.CHECKING, State.STALE) and stored:
        return f"{WORDS[state].meaning} The last answer was: {stored}"
    return stored or WORDS[state].meaning


def _plan(engine: Engine, record: Record, insurance: Resource) -> Iterator[tuple[str, str]]:
    coverage = record.coverage
    payer = records.organization(engine, elements.reference(coverage["payor"][0])) or {}
    payer_id = elements.identifier(payer, systems.PAYER_ID)
    yield "Payer", records.payer(engine, coverage) + (f" ({payer_id})" if payer_id else "")
    names = [i["name"] for i in insurance.get("item", []) if i.get("name")]
    kind = next((_insurance_type(i) for i in insurance.get("item", []) if _insurance_type(i)), "")
    yield "Plan", ", ".join(dict.fromkeys(names)) or lines.NOT_STATED
    if kind:
        yield "Plan type", kind
    yield "Member id", coverage.get("subscriberId") or lines.NOT_STATED
    stated = [
        one["valueString"] for one in elements.extensions(record.response or {}, systems.EXT_GROUP)
    ]
    yield "Group", ", ".join(dict.fromkeys(stated)) or _group(coverage) or lines.NOT_STATED
    told = [elements.code(coverage.get("relationship", {}), systems.RELATIONSHIP)]
    if "subscriber" in coverage:
        there = read.referenced(engine, "Patient", elements.reference(coverage["subscriber"]))
        named = records.person(there) if there else coverage["subscriber"].get("display")
        told.append(f"subscriber {named or 'not on file'}")
    yield "Relationship", ", ".join(one for one in told if one) or lines.NOT_STATED
    period = insurance.get("benefitPeriod", {})
    yield "Plan dates", _period(period) or lines.NOT_STATED
    yield from periods.told(record.response or {})
    yield from dict.fromkeys(_parties(record.response or {}))
    phones = [t.get("value") for t in payer.get("telecom", []) if t.get("system") == "phone"]
    if phones and phones[0]:
        yield "Payer phone", phones[0]


def _parties(response: Resource) -> Iterator[tuple[str, str]]:
    """Yield whom the payer names beside benefits, such as a primary care provider, and where."""
    for message in elements.extensions(response, systems.EXT_MESSAGE):
        for one in elements.extensions(message, systems.EXT_ENTITY):
            parts = [(part["url"], part.get("valueString", "")) for part in one["extension"]]
            role = next((text for url, text in parts if url == "role"), "")
            told = ", ".join(text for url, text in parts if url in ("name", "contact"))
            if told:
                yield _ROLES.get(role, role), told


def _others(response: Resource) -> Iterator[str]:
    """Yield what the payer says of each other payer."""
    for one in elements.extensions(response, systems.EXT_OTHER_PAYER):
        yield _parts(one, without="kind")


def _messages(response: Resource) -> Iterator[str]:
    """Yield what the payer wrote, but for parties that it only names."""
    for one in elements.extensions(response, systems.EXT_MESSAGE):
        if not _names_only(one):
            yield _parts(one)


def _names_only(message: Resource) -> bool:
    """Tell whether a message does nothing but name a party, which stands among the plan's facts."""
    urls = {part["url"] for part in message["extension"]}
    return systems.EXT_ENTITY in urls and urls <= _NAMING


def _insurance_type(item: Resource) -> str:
    concept = elements.extension_value(item, systems.EXT_INSURANCE_TYPE)
    return str(concept.get("text", "")) if isinstance(concept, dict) else ""


def _group(coverage: Resource) -> str:
    """Return number and name of the group (Coverage.class of type group)."""
    for one in coverage.get("class", []):
        if elements.code(one["type"], systems.COVERAGE_CLASS) == "group":
            return " ".join(part for part in (one.get("value"), one.get("name")) if part)
    return ""


def _period(period: Resource) -> str:
    start, end = period.get("start"), period.get("end")
    if not start and not end:
        return ""
    return f"{start or 'start not stated'} to {end or 'no end stated'}"


def _parts(extension: Resource, without: str = "") -> str:
    """Return the texts inside a finding, without the raw segments, and without one part."""
    found = []
    for part in extension.get("extension", []):
        if part["url"] in (systems.EXT_SOURCE, without):
            continue
        nested = part.get("extension")
        found.append(
            _parts(part)
            if nested
            else str(part.get("valueString") or _period(part.get("valuePeriod", {})))
        )
    return " · ".join(text for text in found if text)
