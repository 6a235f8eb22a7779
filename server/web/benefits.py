"""The benefit summary of one coverage, from stored resources only.

What the payer did not state is said so in words: never a zero, never a guess.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from fhir_profiles import codes, elements, systems
from fhir_profiles.codes import State
from server.interactions.engine import Engine
from server.web import records
from server.web.records import Record
from server.web.states import WORDS, Word, state_of
from server.web.today import person

Resource = dict[str, Any]
NOT_STATED = "Not stated"
_CORRECT = ("front-desk", "Correct the data, then save the coverage again.")
_REPEATED = ("system", "Wait: the check is repeated by itself. If this stays, call the payer.")
_SUPPORT = ("front-desk", "Call the payer, and report the trace number to support.")
# Who acts next, and how, where the payer's rejection does not say it.
_NEXT = {
    "not-delivered": _REPEATED,
    "no-answer": _REPEATED,
    "throttled": _REPEATED,
    "route-failed": _REPEATED,
    "credentials": ("system", "The clearinghouse refuses our key: tell support."),
    "payer-not-on-route": ("front-desk", "Call the payer: it cannot be asked electronically."),
    "unreadable-answer": _SUPPORT,
    "rejected-by-clearinghouse": _SUPPORT,
    "request-refused": _SUPPORT,
    "not-sent": _SUPPORT,
    "person-mismatch": (
        "front-desk",
        "Compare name, birth date and member id with the card. If they are right, call the payer.",
    ),
}
_PLAN = ("30", "")
_OFFICE_VISIT = "98"
_IN_NETWORK = ("Y", "W", "")
_LEVELS = {"IND": "individual", "FAM": "family"}
# Flags that a person may know, but need not act on.
_GUIDE, _VENDOR = "guide", "vendor-differs"
_NOTES = frozenset(
    {"payer-corrected", "multi-plan", "as-of-date", "trace-mismatch", "segment-count"}
    | {"control-number", "set-count", "group-count"}
)
_FLAGS = {
    "other-payer": "The payer names another payer.",
    "payer-corrected": "The payer's name, birth date or id of this person differs from ours.",
    "deceased": "The payer has a date of death for this person.",
    "payload-not-kept": "The payer's answer itself could not be kept; only what is shown was.",
    "unreadable-characters": "The answer holds characters that are no text: shown as \ufffd.",
    "truncated": "The end of the payer's answer is missing: what it said there is not known.",
    "segment-count": "The payer's count of segments is wrong; nothing was left out here.",
    "control-number": "The control numbers of the payer's answer do not agree.",
    "set-count": "The payer's count of transactions is wrong.",
    "group-count": "The payer's count of groups is wrong.",
    "differs:name": "The payer has another last name for this person.",
    "differs:first-name": "The payer has the first name in another form.",
    "differs:suffix": "The payer has another suffix of the name.",
    "differs:birth-date": "The payer has another birth date, and says that it corrected ours.",
    "differs:member-id": "The payer has another member id for this person.",
    "differs:subscriber-name": "The payer has another last name for the subscriber.",
    "differs:dependent-of-another": "The payer knows this person as a dependent, not a subscriber.",
    "differs:own-member-id": "The payer knows this person as a subscriber with an own id.",
    "mixed": "The payer sent active and inactive lines for the plan.",
    "multi-plan": "The payer sent more than one plan.",
    "pending": "The payer is still investigating.",
    "no-plan-level": "The payer spoke of single services only, not of the plan.",
    "no-status": "The payer did not say whether the plan is in force.",
    "contact-payer": "The payer asks to be contacted.",
    "partial": "The payer rejected a part of the question.",
    "as-of-date": "The payer gave one date, which may be the start of the plan or the day asked.",
    "trace-mismatch": "The answer carries another trace number than the question.",
    "status-date-conflict": "The payer says active, but its dates do not cover the day.",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One benefit in the table, every cell as text; `sent` are the segments that it rests on."""

    service: str
    what: str
    level: str
    network: str
    amount: str
    used: str
    left: str
    term: str
    authorization: str
    notes: list[str]
    sent: list[str]


@dataclass(frozen=True, slots=True)
class Card:
    """One amount on top of the page; no lines means the payer did not state it."""

    title: str
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Error:
    """One thing that went wrong: the code as it came, in words, and who can mend it."""

    code: str
    text: str
    owner: str
    action: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything the page shows."""

    patient: str
    born: str
    state: Word
    service_date: str
    sentence: str
    checked: datetime | None
    route: str
    trace: str
    plan: list[tuple[str, str]]
    cards: list[Card]
    lines: list[Line]
    errors: list[Error]
    others: list[str]
    messages: list[str]
    reviews: list[str]
    answered: bool


def summary(engine: Engine, coverage_id: str, zone: ZoneInfo) -> Summary:
    """Return the summary of one coverage. Raises NotFound or Gone as read does."""
    record = records.record(engine, coverage_id)
    day = records.start_of_day(engine.now(), zone).date().isoformat()
    response = record.response or {}
    insurance = (response.get("insurance") or [{}])[0]
    items = insurance.get("item", [])
    state = state_of(record.response, record.open_request, day)
    flags = [e.get("valueString", "") for e in elements.extensions(response, systems.EXT_FLAG)]
    return Summary(
        patient=person(record),
        born=(record.patient or {}).get("birthDate", ""),
        state=WORDS[state],
        service_date=response.get("servicedDate", day),
        sentence=_sentence(state, record),
        checked=records.moment(response, zone),
        route=elements.extension_value(response, systems.EXT_ROUTE) or "",
        trace=elements.identifier(response, systems.TRACE),
        plan=list(_plan(engine, record, insurance)),
        cards=_cards(items),
        lines=[_line(item) for item in items],
        errors=[_error(error) for error in response.get("error", [])],
        others=[_parts(e) for e in elements.extensions(response, systems.EXT_OTHER_PAYER)],
        messages=[
            *(_flag(flag) for flag in flags if _is_note(flag)),
            *(_parts(e) for e in elements.extensions(response, systems.EXT_MESSAGE)),
        ],
        reviews=list(dict.fromkeys(_flag(flag) for flag in flags if not _is_note(flag))),
        answered=bool(items) or "inforce" in insurance,
    )


def _flag(code: str) -> str:
    """Return a review flag in words; an unknown code is named as it came."""
    kind, _, rest = code.partition(":")
    if kind in ("unknown-code", "unknown-segment"):
        what = kind.removeprefix("unknown-")
        return f"The payer sent a {what} we do not know yet: {rest.replace(':', ' ')}. It is kept."
    if kind in ("unreadable", "percent-range"):
        return f"A number in the answer is out of form: {rest or 'percent'}. It is kept as sent."
    if kind == _GUIDE:
        return f"The answer breaks the guide: {rest}."
    if kind == _VENDOR:
        name = codes.names("eb01_benefit_information").get(rest, rest)
        return f"The clearinghouse tells “{name}” otherwise than the payer: the payer's is shown."
    return _FLAGS.get(code, code)


def _is_note(flag: str) -> bool:
    return flag in _NOTES or flag.startswith((f"{_GUIDE}:", f"{_VENDOR}:"))


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
    payor = coverage["payor"][0]
    payer = records.organization(engine, elements.reference(payor)) or {}
    yield "Payer", payer.get("name") or payor.get("display") or NOT_STATED
    names = [i["name"] for i in insurance.get("item", []) if i.get("name")]
    yield "Plan", ", ".join(dict.fromkeys(names)) or NOT_STATED
    yield "Member id", coverage.get("subscriberId") or NOT_STATED
    relationship = coverage.get("relationship", {})
    yield "Relationship", elements.code(relationship, systems.RELATIONSHIP) or NOT_STATED
    period = insurance.get("benefitPeriod", {})
    yield "Plan dates", _period(period) or NOT_STATED
    phones = [t.get("value") for t in payer.get("telecom", []) if t.get("system") == "phone"]
    if phones and phones[0]:
        yield "Payer phone", phones[0]


def _period(period: Resource) -> str:
    start, end = period.get("start"), period.get("end")
    if not start and not end:
        return ""
    return f"{start or 'start not stated'} to {end or 'no end stated'}"


def _cards(items: list[Resource]) -> list[Card]:
    return [
        Card("Copay, office visit", list(_shares(items, "B"))),
        Card("Coinsurance, office visit", list(_shares(items, "A"))),
        Card("Deductible left", list(_limits(items, "C"))),
        Card("Out-of-pocket left", list(_limits(items, "G"))),
    ]


def _shares(items: Iterable[Resource], kind: str) -> Iterator[str]:
    """Yield what the patient pays for an office visit in network."""
    for item in _of(items, kind, (_OFFICE_VISIT,)):
        yield f"{amount(item, 'allowed')}{_tier(item)}"


def _limits(items: Iterable[Resource], kind: str) -> Iterator[str]:
    """Yield what is left of the plan's limits in network, by level."""
    for item in _of(items, kind, _PLAN):
        left = elements.extension_value(item, systems.EXT_REMAINING)
        level = _LEVELS.get(elements.code(item.get("unit"), systems.X12_LEVEL), "level not stated")
        limit = amount(item, "allowed")
        calculated = " (calculated)" if _calculated(item, "remaining") else ""
        text = f"{_money(left)}{calculated} of {limit}" if left else f"not stated, limit {limit}"
        yield f"{text}, {level}{_tier(item)}"


def _of(items: Iterable[Resource], kind: str, services: tuple[str, ...]) -> Iterator[Resource]:
    for item in items:
        types = [elements.code(b.get("type"), systems.X12_BENEFIT) for b in item.get("benefit", [])]
        service = elements.code(_subject(item), systems.X12_SERVICE_TYPE)
        network = elements.code(item.get("network"), systems.X12_NETWORK)
        if types == [kind] and service in services and network in _IN_NETWORK:
            yield item


def _subject(item: Resource) -> Resource | None:
    """Return the concept that says what an item is about."""
    return item.get("category") or item.get("productOrService")


def _tier(item: Resource) -> str:
    tier = elements.extension_value(item, systems.EXT_TIER)
    return f" – {tier}" if tier else ""


def _calculated(item: Resource, name: str) -> bool:
    derived = elements.extension_value(item, systems.EXT_DERIVED) or ""
    return str(derived).startswith(name)


def _line(item: Resource) -> Line:
    benefit = (item.get("benefit") or [{}])[0]
    covered = "Not covered" if item.get("excluded") else "Covered"
    calculated = " (calculated)" if _calculated(item, "used") else ""
    used = amount(item, "used")
    left = elements.extension_value(item, systems.EXT_REMAINING)
    return Line(
        service=_text(_subject(item)) or "Service not stated",
        what=_text(benefit.get("type")) or covered,
        level=_text(item.get("unit")) or NOT_STATED,
        network=_text(item.get("network")) or NOT_STATED,
        amount=amount(item, "allowed") if benefit else "–",
        used=f"{used}{calculated}" if used != NOT_STATED else "–",
        left="–" if left is None else _money(left),
        term=_text(item.get("term")) or "–",
        authorization=_authorization(item),
        notes=list(_notes(item)),
        sent=list(_sent(item)),
    )


def _sent(item: Resource) -> Iterator[str]:
    for source in elements.extensions(item, systems.EXT_SOURCE):
        yield from (part["valueString"] for part in source["extension"] if part["url"] == "segment")


def _authorization(item: Resource) -> str:
    stated = item.get("authorizationRequired")
    if stated is not None:
        return "Required" if stated else "Not required"
    if elements.extension_value(item, systems.EXT_AUTHORIZATION):
        return "Payer does not know"
    return NOT_STATED


def _notes(item: Resource) -> Iterator[str]:
    if item.get("description"):
        yield str(item["description"])
    if "productOrService" in item:
        yield f"Procedure {_text(item['productOrService'])}"
    for place in elements.extensions(item, systems.EXT_PLACE_OF_SERVICE):
        yield f"Place of service {place['valueString']}"
    for found in elements.extensions(item, systems.EXT_FLAG):
        yield _flag(found.get("valueString", ""))


def amount(item: Resource, name: str) -> str:
    """Return the allowed or used value of an item as text, "Not stated" where there is none."""
    for benefit in item.get("benefit", []):
        if f"{name}Money" in benefit:
            return _money(benefit[f"{name}Money"])
        if f"{name}String" in benefit:
            return str(benefit[f"{name}String"])
        if f"{name}UnsignedInt" in benefit:
            number = benefit[f"{name}UnsignedInt"]
            is_percent = elements.extension_value(item, systems.EXT_PERCENT) is not None
            return f"{number}%" if is_percent else str(number)
    return NOT_STATED


def _money(value: Any) -> str:
    if value is None:
        return NOT_STATED
    if isinstance(value, dict):
        sign = "$" if value.get("currency") == "USD" else f"{value.get('currency', '')} "
        return f"{sign}{Decimal(value['value']):,.2f}"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _text(concept: Any) -> str:
    return str(concept.get("text", "")) if isinstance(concept, dict) else ""


def _error(error: Resource) -> Error:
    codings = error["code"].get("coding", [{}])
    code = codings[0].get("code", "")
    nothing: Resource = {"extension": []}
    details = next(elements.extensions(error, systems.EXT_REJECTION), nothing)
    parts = {part["url"]: part.get("valueString", "") for part in details["extension"]}
    owner, action = _NEXT.get(code, _CORRECT)
    return Error(
        code=code,
        text=_text(error["code"]),
        owner=parts.get("owner") or owner,
        action=parts.get("action") or action,
    )


def _parts(extension: Resource) -> str:
    """Return the texts inside a finding, without the raw segments."""
    found = []
    for part in extension.get("extension", []):
        if part["url"] == systems.EXT_SOURCE:
            continue
        nested = part.get("extension")
        found.append(
            _parts(part)
            if nested
            else str(part.get("valueString") or _period(part.get("valuePeriod", {})))
        )
    return " · ".join(text for text in found if text)
