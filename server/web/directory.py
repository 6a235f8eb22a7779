"""The page of the payer directory: who can be asked, under which id, by which route, since when."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import codec, elements
from fhir_profiles import payers as entry
from fhir_profiles.payers import Enrolment
from server.interactions import payers, search
from server.interactions.engine import Engine
from server.web import records

Resource = dict[str, Any]
SHOWN = 50
_SYSTEMS = {url: name.replace("_", " ").capitalize() for name, url in entry.SYSTEMS.items()}
# What people read for the state of a transaction, and how it looks (see site.css).
_STATES = {
    Enrolment.NOT_SUPPORTED.value: ("not supported", "bad", "×"),
    Enrolment.SUPPORTED.value: ("supported", "good", "✓"),
    Enrolment.NEEDED.value: ("enrolment needed", "look", "!"),
    Enrolment.PENDING.value: ("enrolment pending", "open", "…"),
    Enrolment.LIVE.value: ("live", "good", "✓"),
}


@dataclass(frozen=True, slots=True)
class Way:
    """One transaction by one route; `state` is words, look and sign."""

    transaction: str
    route: str
    state: tuple[str, str, str]
    since: str


@dataclass(frozen=True, slots=True)
class Row:
    """One payer: its ids in words, and when the last check of it was answered."""

    name: str
    aliases: list[str]
    reason: str
    ids: list[str]
    phone: str
    ways: list[Way]
    answered: datetime | None


@dataclass(frozen=True, slots=True)
class Directory:
    """The page; `more` tells that there are payers beyond the rows."""

    rows: list[Row]
    more: bool
    text: str


def directory(engine: Engine, zone: ZoneInfo, asked: Mapping[str, str]) -> Directory:
    """Return the payers that `text` finds, the surest first, or all of them by name."""
    text = asked.get("text", "").strip()
    today = engine.now().astimezone(zone).date()
    found = (
        [(one.payer, one.reason) for one in payers.find(engine, text, today)]
        if text
        else [(one, "") for one in payers.listed(engine)]
    )
    rows = [_row(engine, payer, reason, today, zone) for payer, reason in found[:SHOWN]]
    return Directory(rows, len(found) > SHOWN, text)


def _row(engine: Engine, payer: Resource, reason: str, today: date, zone: ZoneInfo) -> Row:
    phones = (t.get("value", "") for t in payer.get("telecom", []) if t.get("system") == "phone")
    return Row(
        name=payer.get("name", "") or "No name",
        aliases=elements.texts(payer, "alias"),
        reason=reason,
        ids=list(_ids(payer, today)),
        phone=next(phones, ""),
        ways=[
            Way(
                one.transaction,
                one.route,
                _STATES.get(one.state, (one.state, "open", "?")),
                one.since,
            )
            for one in entry.supports(payer)
        ],
        answered=_answered(engine, payer, zone),
    )


def _ids(payer: Resource, today: date) -> Iterator[str]:
    """Yield every id in words: where it is known, for what, and when, if not always and for all."""
    for one in payer.get("identifier", []):
        system = one.get("system", "")
        if system.startswith(entry.ID_SYSTEMS) and one.get("value"):
            where = _SYSTEMS.get(system) or system.rpartition("-")[2]
            is_other = one.get("use") == "secondary"
            told = [f"{where}, also" if is_other else where, one["value"]]
            told += [f"for {' '.join(entry.transactions(one))}"] if entry.transactions(one) else []
            period = one.get("period", {})
            told += [f"from {period['start']}"] if period.get("start", "") > str(today) else []
            told += [f"until {period['end']}"] if "end" in period else []
            yield " ".join(told)


def _answered(engine: Engine, payer: Resource, zone: ZoneInfo) -> datetime | None:
    """Return when a question to the payer was last answered, None if never."""
    asked = [("insurer", f"Organization/{payer['id']}"), ("outcome", "complete,partial")]
    asked += [("_sort", "-created"), ("_count", "1"), ("_total", "none")]
    found = search.search(engine, "CoverageEligibilityResponse", asked).bodies
    return records.moment(codec.decode(found[0]), zone) if found else None
