"""The front desk's page: today's coverages with their state."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import elements
from fhir_profiles.codes import State
from server.interactions.engine import Engine
from server.web import records
from server.web.records import Record
from server.web.states import WORDS, Word, state_of

_POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
_NEEDS_LOOK = frozenset(
    {
        State.ACTIVE_REVIEW,
        State.INACTIVE,
        State.NOT_FOUND,
        State.COULD_NOT_CHECK,
        State.NOT_SUPPORTED,
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """One coverage in the list."""

    coverage_id: str
    patient: str
    born: str
    payer: str
    member_id: str
    state: Word
    service_date: str
    checked: datetime | None
    needs_look: bool


@dataclass(frozen=True, slots=True)
class Today:
    """The whole list; `more` tells that there are coverages beyond it."""

    day: str
    rows: list[Row]
    more: bool
    need_look: int
    tomorrow: str


def today(engine: Engine, zone: ZoneInfo) -> Today:
    """Return the coverages posted, changed or checked today: who needs a look first, by name."""
    start = records.start_of_day(engine.now(), zone)
    found, more = records.touched_since(engine, start)
    day = start.date().isoformat()
    rows = [_row(engine, record, day, zone) for record in found]
    rows.sort(key=lambda row: (not row.needs_look, row.patient.casefold(), row.coverage_id))
    looks = sum(row.needs_look for row in rows)
    return Today(day, rows, more, looks, _verified(engine, start + timedelta(days=1)))


def _verified(engine: Engine, start: datetime) -> str:
    """Say how far the visits of a day are verified, from the report of its sweep."""
    address = f"MeasureReport/t-24h-{start.date().isoformat()}"
    report = records.resource(engine, "MeasureReport", address)
    if report is None:
        return "not checked yet"
    if report["status"] != "complete":
        return "being checked"
    counts = {
        elements.code(one["code"], _POPULATION): one["count"]
        for one in report["group"][0]["population"]
    }
    found, wanted = counts["numerator"], counts["denominator"]
    share = f" ({Decimal(found) / wanted:.1%})" if wanted else ""
    return f"{found} of {wanted} coverages verified{share}"


def _row(engine: Engine, record: Record, day: str, zone: ZoneInfo) -> Row:
    response = record.response or {}
    state = state_of(record.response, record.open_request, day)
    return Row(
        coverage_id=record.coverage["id"],
        patient=person(record),
        born=(record.patient or {}).get("birthDate", ""),
        payer=_payer(engine, record.coverage["payor"][0]),
        member_id=record.coverage.get("subscriberId", ""),
        state=WORDS[state],
        service_date=response.get("servicedDate", day),
        checked=records.moment(response, zone),
        needs_look=state in _NEEDS_LOOK,
    )


def _payer(engine: Engine, payor: dict[str, Any]) -> str:
    address = elements.reference(payor)
    named = payor.get("display") or (records.organization(engine, address) or {}).get("name")
    return str(named or address or "Not stated")


def person(record: Record) -> str:
    """Return the patient's name as people say it."""
    name = elements.human_name(record.patient or {})
    text = " ".join([*elements.texts(name, "given"), name.get("family") or ""]).strip()
    return text or name.get("text", "") or "Name not on file"
