"""One prior authorization as a row: whose, by whom it is decided until when, and how it stands."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import (
    decision_clock,
    elements,
    payer_asks,
    payers,
    prior_auth,
    prior_auth_route,
    systems,
)
from fhir_profiles.decision_clock import Urgency
from fhir_profiles.prior_auth import Status
from server.interactions import read
from server.interactions.engine import Engine
from server.web.authorization_lines import Line, lines, used
from server.web.authorization_words import NO_WORD, WORDS, asked, known, service
from server.web.records import person
from server.web.states import Word

Resource = dict[str, Any]
IN_HOURS = timedelta(hours=48)  # below it, the time left is told in hours
PAS = "PAS"
_WAYS = {
    "": PAS, prior_auth_route.X12_278: "X12 278",
    prior_auth_route.SERVICE_REVIEWS: "Availity service review",
}  # fmt: skip
SEND_IT = Word("Ready", "!", "look", "Send it by portal or fax, and record what the payer tells.")
CALL = Word("Call the payer", "☎", "look", "Call it, and record what it tells.")
USED_UP = Word("Used up", "–", "bad", "Ask anew before the next visit.")
_UPHELD = Word("Upheld", "✕", "bad", "The payer stays with its denial: read the reason.")
_OVERTURNED = Word("Overturned", "✓", "good", "The appeal was granted: look at each service.")
_IN_APPEAL = Word("Appeal in review", "…", "open", "Wait for the payer, or ask now.")
_APPEALED = {
    Status.SENT: _IN_APPEAL, Status.PENDED: _IN_APPEAL, Status.DENIED: _UPHELD,
    Status.APPROVED: _OVERTURNED, Status.MODIFIED: _OVERTURNED, Status.PARTIAL: _OVERTURNED,
}  # fmt: skip
BY_HAND = "portal or fax"
LIVE = frozenset({Status.APPROVED, Status.MODIFIED, Status.PARTIAL})
_BY_PAYER = LIVE | {Status.PENDED, Status.MORE_INFORMATION, Status.DENIED, Status.UNREADABLE}


@dataclass(frozen=True, slots=True)
class Clock:
    """The payer's clock in words, and the moment it ends; `tone` as in site.css, `rule` which."""

    words: str
    tone: str
    due: datetime | None
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Payer:
    """Who decides: its name, the id that it is best known by, the way it is asked, its phone."""

    name: str
    id: str
    way: str
    phone: str


@dataclass(frozen=True, slots=True)
class Row:
    """One prior authorization in the list."""

    id: str
    clock: Clock
    patient: str
    payer: Payer
    services: list[str]
    day: str
    is_before: bool  # the service is to be before the decision is due
    status: Word
    reason: str
    asks: list[str]  # what the payer asks for
    codes: list[str]  # X12 306, of the services
    why: list[str]  # the payer's reasons
    numbers: list[str]
    used: list[tuple[int, int]]  # visits kept, and approved
    is_waiting: bool  # for the payer, who can be asked
    owner: str
    changed: datetime | None
    by: str
    is_urgent: bool
    expires: str


class Held:
    """What rows refer to, each read once."""

    def __init__(self, engine: Engine) -> None:
        """Read nothing yet."""
        self.engine = engine
        self._held: dict[str, Resource] = {}

    def at(self, address: str) -> Resource:
        """Return what stands at an address, {} where nothing does."""
        if address not in self._held:
            found = read.referenced(self.engine, address.partition("/")[0], address)
            self._held[address] = found or {}
        return self._held[address]


def row_of(held: Held, task: Resource, zone: ZoneInfo) -> Row:
    """Return the row of one Task, with the names that it refers to."""
    claim = held.at(elements.reference(task.get("focus")))
    payer = held.at(elements.reference(claim.get("insurer")))
    status, reason = prior_auth.status(task), str(task.get("statusReason", {}).get("text", ""))
    clock = _clock(task, payer, held.engine.now(), zone)
    day = min(_days(claim), default="")
    changed = task.get("lastModified") or task.get("authoredOn")
    sent, told = _decided(held, task, claim) if status in {*LIVE, Status.DENIED} else ({}, [])
    visits = list(used(held.engine, sent, claim, told))
    return Row(
        id=task["id"],
        clock=clock,
        patient=person(held.at(elements.reference(task.get("for")))),
        payer=_payer(held, task, claim, payer),
        services=[service(item) for item in claim.get("item", [])],
        day=day,
        is_before=bool(day and clock.due and day <= clock.due.date().isoformat()),
        status=_word(task, sent or claim, visits),
        reason=reason,
        asks=_asks(held, task) if status == Status.MORE_INFORMATION else [],
        codes=_once(line.code for line in told),
        why=_once(one for line in told for one in line.reasons),
        numbers=_once(line.number for line in told),
        used=visits,
        is_waiting=status in prior_auth.WAITING,
        owner=owner(held, task),
        changed=datetime.fromisoformat(changed).astimezone(zone) if changed else None,
        by="the payer" if status in _BY_PAYER else "us",
        is_urgent=task.get("priority") == "urgent",
        expires=str(elements.extension_value(task, prior_auth.EXT_EXPIRES) or ""),
    )


def _word(task: Resource, claim: Resource, visits: list[tuple[int, int]]) -> Word:
    """Return where a request stands, in words.

    The reason may say that it is for people to act; an appeal has words of its own, and so has an
    approval whose visits are all used.
    """
    status, reason = prior_auth.status(task), str(task.get("statusReason", {}).get("text", ""))
    if status == Status.READY and reason:
        return SEND_IT
    if visits and all(kept >= of for kept, of in visits):
        return USED_UP
    if prior_auth.is_appeal(claim) and status in _APPEALED:
        return _APPEALED[known(status)]
    return CALL if reason.startswith(prior_auth.CALL) else WORDS.get(known(status), NO_WORD)


def owner(held: Held, task: Resource) -> str:
    """Return who looks after a request, "" where nobody does."""
    there = task.get("owner")
    if not there:
        return ""
    one = held.at(elements.reference(there))
    one = held.at(elements.reference(one.get("practitioner"))) or one
    name = one.get("name")
    told = name if isinstance(name, str) else person(one) if name else there.get("display")
    return str(told or elements.reference(there))


def _payer(held: Held, task: Resource, claim: Resource, payer: Resource) -> Payer:
    insurer = claim.get("insurer", {})
    ids = payers.ids(payer, held.engine.now().date())
    addresses = [prior_auth.part(task, prior_auth.ENDPOINT)]
    addresses += [elements.reference(one) for one in payer.get("endpoint", [])]
    endpoint = prior_auth_route.best(held.at(one) for one in addresses if one)
    return Payer(
        name=str(payer.get("name") or insurer.get("display") or "Not on file"),
        id=ids.get(systems.PAYER_ID) or next(iter(ids.values()), ""),
        way=_WAYS[prior_auth_route.review_of(endpoint)] if endpoint else BY_HAND,
        phone=next(
            (
                str(one.get("value", ""))
                for one in payer.get("telecom", [])
                if one.get("system") == "phone"
            ),
            "",
        ),
    )


def _asks(held: Held, task: Resource) -> list[str]:
    response = held.at(prior_auth.part(task, prior_auth.RESPONSE))
    return [asked(one) for one in payer_asks.asks(response).values()]


def _decided(held: Held, task: Resource, claim: Resource) -> tuple[Resource, list[Line]]:
    """Return the Claim as it went out, and its services with what was decided on each."""
    bundle = held.at(prior_auth.part(task, prior_auth.REQUEST))
    sent: Resource = bundle["entry"][0]["resource"] if bundle else claim
    response = held.at(prior_auth.part(task, prior_auth.RESPONSE))
    return sent, list(lines(sent, response or None))


def _once(told: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(one for one in told if one))


def _rule(task: Resource, payer: Resource) -> str:
    """Return which clock it is, in words."""
    urgency = Urgency.EXPEDITED if task.get("priority") == "urgent" else Urgency.STANDARD
    limit = decision_clock.limit_of(decision_clock.kind_of(payer), urgency, is_drug=False)
    if limit is None:
        return ""
    told = f"{limit.hours} hours" if limit.hours else f"{limit.days} days"
    return f"{told}, extended" if prior_auth.extension(task) else told


def _clock(task: Resource, payer: Resource, now: datetime, zone: ZoneInfo) -> Clock:
    due, start = _bounds(task, zone)
    if due is None:
        return Clock("No clock", "open", None)
    if task.get("status") in ("completed", "cancelled"):
        return Clock("Ended", "open", None)
    left, local, start = due - now, due.astimezone(zone), start or due
    if left < timedelta():
        return Clock(f"{_span(-left)} overdue", "bad", local, _rule(task, payer))
    tone = "look" if now >= start + (due - start) * prior_auth.AT_RISK_SHARE else "open"
    return Clock(f"{_span(left)} left", tone, local, _rule(task, payer))


def _bounds(task: Resource, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """Return when a decision is due and since when the clock runs; None for what is not said."""
    period = task.get("restriction", {}).get("period", {})
    found: list[datetime | None] = []
    for name in ("end", "start"):
        try:
            at = datetime.fromisoformat(period.get(name, ""))
            found.append(at if at.tzinfo else at.replace(tzinfo=zone))
        except ValueError:
            found.append(None)
    return found[0], found[1]


def _span(time: timedelta) -> str:
    if time < IN_HOURS:
        minutes = int(time.total_seconds() // 60)
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{time.days} days"


def _days(claim: Resource) -> Iterator[str]:
    for item in claim.get("item", []):
        served = item.get("servicedDate") or item.get("servicedPeriod", {}).get("start")
        if served:
            yield str(served)
