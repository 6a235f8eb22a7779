"""The services of a prior authorization: what was asked, what was decided, what was used of it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from fhir_profiles import decisions, elements, pas
from fhir_profiles.decisions import Action, Item
from server.interactions import search
from server.interactions.engine import Engine
from server.web.authorization_words import NO_WORD, service
from server.web.states import Word

Resource = dict[str, Any]
VISITS, KEPT = "VS", "arrived,checked-in,fulfilled"
_ACTIONS = {
    Action.CERTIFIED: Word("Approved", "✓", "good", ""),
    Action.PARTIAL: Word("Partly approved", "✓!", "look", ""),
    Action.DENIED: Word("Denied", "✕", "bad", ""),
    Action.PENDED: Word("In review", "…", "open", ""),
    Action.MODIFIED: Word("Approved with changes", "✓!", "look", ""),
    Action.CANCELLED: Word("Cancelled", "–", "open", ""),
    Action.CONTACT_PAYER: Word("Call the payer", "☎", "look", ""),
    Action.NOT_REQUIRED: Word("Not required", "✓", "good", ""),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One service: what was asked, what was decided, and all that the payer says of it."""

    sequence: int
    service: str
    decision: Word
    code: str
    number: str
    reasons: list[str]
    notes: list[str]
    instead: list[str]
    approved: int | None = None  # units of what was asked for
    days: tuple[str, str] = ("", "")  # first and last of those approved

    @property
    def period(self) -> str:
        """Return the days in words."""
        return " to ".join(day for day in self.days if day)


def lines(claim: Resource, response: Resource | None) -> Iterator[Line]:
    """Yield each service of a request as it went out, with what a ClaimResponse decides on it."""
    items = claim.get("item", [])
    answer = None
    if response is not None:
        with suppress(decisions.Unreadable):
            answer = decisions.read(response, [one["sequence"] for one in items])
    decided = {one.sequence: one for one in answer.items} if answer else {}
    for item in items:
        yield _line(item, decided.get(item["sequence"], Item(item["sequence"], None)))
    for one in answer.extra if answer else ():
        yield replace(_line({}, one), service="not asked for", instead=_services(one))


def _line(item: Resource, decided: Item) -> Line:
    word = _ACTIONS[decided.action] if decided.action else NO_WORD
    return Line(
        sequence=decided.sequence,
        service=service(item),
        decision=word,
        code=decided.action.value if decided.action else "",
        number=decided.number,
        reasons=[f"{text or 'no words'} (X12 886 {code})" for code, text in decided.reasons],
        notes=list(decided.notes),
        instead=_services(decided),
        approved=_approved(item, decided),
        days=decided.period,
    )


def _approved(item: Resource, decided: Item) -> int | None:
    """Return how many units are approved, of those that were asked for; None where nobody says."""
    if decided.action not in (Action.CERTIFIED, Action.PARTIAL, Action.MODIFIED):
        return None
    as_asked = (item,) if decided.action is Action.CERTIFIED else ()
    amounts = [one.get("quantity", {}) for one in decided.authorized or as_asked]
    unit = item.get("quantity", {}).get("code")
    if any(one.get("code", unit) != unit for one in amounts):
        return None  # of something else: it is not counted in what was asked for
    return sum(int(one["value"]) for one in amounts if "value" in one) or None


def _services(item: Item) -> list[str]:
    return [service(one) for one in item.authorized]


def used(
    engine: Engine, claim: Resource, stored: Resource, told: list[Line]
) -> Iterator[tuple[int, int]]:
    """Yield how many of the approved visits were kept, and how many are approved, by service.

    Visits are Appointments that are based on the order and were kept in the time approved. `claim`
    is the one that went out, `stored` ours: it names the orders.
    """
    items = {one["sequence"]: one for one in claim.get("item", [])}
    orders = {one["sequence"]: elements.reference(elements.extension_value(
        one, pas.EXT_REQUESTED_SERVICE)) for one in stored.get("item", [])}  # fmt: skip
    for line in told:
        quantity = items.get(line.sequence, {}).get("quantity", {})
        if line.approved is None or quantity.get("code") != VISITS or not orders.get(line.sequence):
            continue
        wanted = [("based-on", orders[line.sequence]), ("status", KEPT), ("_total", "accurate"),
                  ("_summary", "count")]  # fmt: skip
        wanted += [
            ("date", f"{sign}{day}")
            for sign, day in zip(("ge", "le"), line.days, strict=True) if day
        ]  # fmt: skip
        yield search.search(engine, "Appointment", wanted).total or 0, line.approved
