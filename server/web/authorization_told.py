"""What a payer tells a person about a prior authorization: by phone, fax or portal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_profiles import elements, payer_word, prior_auth
from fhir_profiles.prior_auth import Status
from server.errors import NotFound
from server.interactions import create, prior_auth_answer
from server.interactions._write import Origin
from server.interactions.engine import Engine
from server.interactions.prior_auth_answer import Word
from server.web import authorizations
from server.web.authorization_row import LIVE

Resource = dict[str, Any]
WORDS = {"A1": "Approved", "A3": "Denied", "A4": "In review", "C": "Cancelled"}  # X12 306
_UNITS_LIMIT = 9999


@dataclass(frozen=True, slots=True)
class Told:
    """What is filled in: for each item a code of WORDS or "" and its units; `by` who told it."""

    decisions: Mapping[int, str]
    units: Mapping[int, str]
    by: str = ""
    number: str = ""
    start: str = ""
    end: str = ""
    note: str = ""

    def lacks(self) -> list[str]:
        """Return the fields that are missing or make no sense."""
        wrong = [] if self.by.strip() else ["by"]
        if not any(self.decisions.values()) or set(self.decisions.values()) - {*WORDS, ""}:
            wrong.append("decision")
        if any(one and not _is_count(one) for one in self.units.values()):
            wrong.append("units")
        given = [one for one in (self.start, self.end) if one]
        days = [day for one in given if (day := elements.full_date(one))]
        return wrong if len(days) == len(given) and days == sorted(days) else [*wrong, "days"]


def may_record(task: Resource) -> bool:
    """Tell whether a payer may have told something: it waits, is granted, or is sent by hand."""
    by_hand = prior_auth.status(task) == Status.READY and "statusReason" in task
    is_built = bool(prior_auth.part(task, prior_auth.REQUEST))
    return is_built and (by_hand or prior_auth.status(task) in _OPEN)


_OPEN = prior_auth.WAITING | LIVE | {Status.SEND_FAILED}


def filled(fields: Mapping[str, str]) -> Told:
    """Return what a person filled in; an item's fields end with its number."""
    told = {name: fields.get(name, "").strip() for name in ("by", "number", "start", "end", "note")}
    return Told(decisions=_numbered(fields, "decision-"), units=_numbered(fields, "units-"), **told)


def record(engine: Engine, task_id: str, told: Told) -> None:
    """Have it recorded. Raises NotFound where nothing waits for a payer's word."""
    task = authorizations.found(engine, task_id)
    if not may_record(task):
        raise NotFound("There is nothing to record: it does not wait for the payer.")
    words = {
        sequence: _word(told, code, told.units.get(sequence, ""))
        for sequence, code in told.decisions.items() if code
    }  # fmt: skip
    note = f"Told by {told.by.strip()}" + (f": {told.note}" if told.note else "")
    answer = prior_auth_answer.told(engine, task_id, words, note)
    origin = Origin(engine.new_id())
    kept = create.create(engine, "Bundle", answer, if_none_exist="", origin=origin)
    now = engine.now().isoformat(timespec="milliseconds")
    wish = payer_word.wish(task, f"Bundle/{kept.id}", now)
    create.create(engine, "Task", wish, if_none_exist="", origin=origin)


def _word(told: Told, code: str, units: str) -> Word:
    """Return the word on an item: other units than were asked for are a modification."""
    is_other = code == "A1" and bool(units)
    number, days = told.number, (told.start, told.end)
    return Word("A6" if is_other else code, int(units) if is_other else None, number, days)


def _numbered(fields: Mapping[str, str], start: str) -> dict[int, str]:
    found = {name.removeprefix(start): text for name, text in fields.items()
             if name.startswith(start)}  # fmt: skip
    return {int(number): text.strip() for number, text in found.items() if number.isdecimal()}


def _is_count(text: str) -> bool:
    return text.isdecimal() and 1 <= int(text) <= _UNITS_LIMIT
