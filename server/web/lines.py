"""The items of an answer as lines for people: every cell is text, and silence is said to be so."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fhir_profiles import elements, systems
from server.web import flags, periods

Resource = dict[str, Any]
NOT_STATED = "Not stated"
_WHOLE_PLAN, _OFFICE_VISIT = "30", "98"  # EB03
PLAN = (_WHOLE_PLAN, "")
_DEDUCTIBLE, _LIMITATION = "C", "F"  # EB01
_SHARES = {"A": "coinsurance", "B": "copay"}
REQUIRED, UNKNOWN = "Required", "Payer does not know"
_AUTHORIZATIONS = (REQUIRED, UNKNOWN, NOT_STATED, "Not required")
_STEPS = {
    REQUIRED: "Ask for authorization before the visit",
    UNKNOWN: "Ask the payer",
    NOT_STATED: "Ask the payer if in doubt",
}
_IN_NETWORK, _OUT_OF_NETWORK = ("Y", "W"), "N"  # EB12
_LEVELS = {"IND": "individual", "FAM": "family"}


@dataclass(frozen=True, slots=True)
class Line:
    """One benefit in the table, every cell as text.

    `sent` are the segments that it rests on, the first being number `position` of the 271;
    `place` is its number among the items of the response.
    """

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
    position: int
    place: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The lines of one plan; `name` is "" where the payer tells of one plan without naming it."""

    name: str
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class Service:
    """What the patient pays for one service of the visit, in one level and network."""

    service: str
    level: str
    network: str
    pays: str
    deductible: str
    limit: str
    authorization: str
    referral: str
    step: str


@dataclass(frozen=True, slots=True)
class Card:
    """One amount on top of the page; no lines means the payer did not state it."""

    title: str
    lines: list[str] = field(default_factory=list)


def plans(items: list[Resource]) -> list[Plan]:
    """Return all lines by plan, what holds for the whole plan first.

    Lines without a plan's name are of the only plan that is named, or stand apart.
    """
    named = list(dict.fromkeys(str(i["name"]) for i in items if i.get("name")))
    groups: dict[str, list[tuple[int, Line]]] = {name: [] for name in named}
    for place, item in enumerate(items):
        name = str(item.get("name") or (named[0] if len(named) == 1 else ""))
        groups.setdefault(name, []).append((_rank(item), _line(place, item)))
    return [
        Plan(name, [line for _, line in sorted(rows, key=lambda row: row[0])])
        for name, rows in groups.items()
    ]


def _rank(item: Resource) -> int:
    is_plan = elements.code(_subject(item), systems.X12_SERVICE_TYPE) == _WHOLE_PLAN
    return (0 if _kind(item) == _LIMITATION else 1) if is_plan else 2


def services(items: list[Resource], asked: Iterable[str]) -> list[Service]:
    """Return what is said of the service types `asked`; of an office visit where only the plan was.

    One line for each service, procedure, place, level and network that the payer tells apart.
    """
    wanted = of_visit(asked)
    found: dict[tuple[int, bool, tuple[str, ...]], list[Resource]] = {}
    for item in items:
        service = elements.code(_subject(item), systems.X12_SERVICE_TYPE)
        if service in wanted:
            level, network = _text(item.get("unit")), _text(item.get("network"))
            parts = (level, network, _text(item.get("productOrService")), *_places(item))
            key = wanted.index(service), not (level or network), parts
            found.setdefault(key, []).append(item)
    return [_service(rows) for _, rows in sorted(found.items(), key=lambda one: one[0])]


def of_visit(asked: Iterable[str]) -> list[str]:
    """Return the service types of a visit: those asked about, else an office visit."""
    return [code for code in asked if code != _WHOLE_PLAN] or [_OFFICE_VISIT]


def _service(rows: list[Resource]) -> Service:
    authorization = _strictest([_authorization(item) for item in rows])
    return Service(
        service=f"{_text(_subject(rows[0])) or 'Service not stated'}{_where(rows[0])}",
        level=_text(rows[0].get("unit")) or NOT_STATED,
        network=_text(rows[0].get("network")) or NOT_STATED,
        pays=" + ".join(_pays(rows)) or _covered(rows),
        deductible=", ".join(_left(i) for i in rows if _kind(i) == _DEDUCTIBLE) or NOT_STATED,
        limit=", ".join(_left(i) for i in rows if _kind(i) == _LIMITATION) or NOT_STATED,
        authorization=authorization,
        referral=", ".join(_referrals(rows)) or NOT_STATED,
        step=_STEPS.get(authorization, "None"),
    )


def _pays(rows: list[Resource]) -> Iterator[str]:
    for item in rows:
        word = _SHARES.get(_kind(item))
        if word:
            term = _text(item.get("term")).lower()
            per = f" per {term}" if term else ""
            yield f"{amount(item, 'allowed')} {word}{per}{_tier(item)}"


def _referrals(rows: Iterable[Resource]) -> Iterator[str]:
    """Yield the numbers of referrals that the payer has on file, each once."""
    found = (
        e["valueString"] for row in rows for e in elements.extensions(row, systems.EXT_REFERRAL)
    )
    yield from dict.fromkeys(f"On file: {number}" for number in found)


def _covered(rows: list[Resource]) -> str:
    if any(item.get("excluded") for item in rows):
        return "Not covered"
    is_stated = any("excluded" in item and not item.get("benefit") for item in rows)
    return "Covered; share not stated" if is_stated else NOT_STATED


def _left(item: Resource) -> str:
    """Return a limit with what is left of it."""
    limit = amount(item, "allowed")
    left = elements.extension_value(item, systems.EXT_REMAINING)
    words = str(item.get("description") or "") if limit == NOT_STATED else ""
    calculated = " (calculated)" if _calculated(item, "remaining") else ""
    return f"{_money(left)}{calculated} left of {limit}" if left is not None else words or limit


def _strictest(found: list[str]) -> str:
    return next((one for one in _AUTHORIZATIONS if one in found), NOT_STATED)


def _kind(item: Resource) -> str:
    """Return the kind of benefit (EB01) of an item."""
    return elements.code((item.get("benefit") or [{}])[0].get("type"), systems.X12_BENEFIT)


def cards(items: list[Resource], asked: Iterable[str]) -> list[Card]:
    """Return the amounts that a front desk asks for first, about the service types `asked`.

    What to collect is a copay that the payer states; a share of a charge is known after the visit.
    """
    wanted = of_visit(asked)
    return [
        Card("Collect today", list(_shares(items, "B", wanted))),
        Card("Coinsurance", list(_shares(items, "A", wanted))),
        Card("Deductible left", list(_limits(items, "C"))),
        Card("Out-of-pocket left", list(_limits(items, "G"))),
    ]


def _shares(items: Iterable[Resource], kind: str, wanted: Collection[str]) -> Iterator[str]:
    """Yield what the patient pays for services of the visit in network, and by which rule."""
    for item in in_network(items, kind, wanted):
        code = elements.code(_subject(item), systems.X12_SERVICE_TYPE)
        service = "office visit" if code == _OFFICE_VISIT else _text(_subject(item))
        share = f"{amount(item, 'allowed')} {_SHARES[kind]}"
        yield f"{share}, {service}{_where(item)}{_unstated(item)}{_tier(item)}"


def _limits(items: Iterable[Resource], kind: str) -> Iterator[str]:
    """Yield what is left of the plan's limits in network, by level."""
    for item in in_network(items, kind, PLAN):
        left = elements.extension_value(item, systems.EXT_REMAINING)
        level = _LEVELS.get(elements.code(item.get("unit"), systems.X12_LEVEL), "level not stated")
        limit = amount(item, "allowed")
        calculated = " (calculated)" if _calculated(item, "remaining") else ""
        text = f"{_money(left)}{calculated} of {limit}" if left else f"not stated, limit {limit}"
        yield f"{text}, {level}{_unstated(item)}{_tier(item)}"


def excluded(items: Iterable[Resource], services: Collection[str]) -> bool:
    """Tell whether the payer excludes one of the services in network, not one procedure of it."""
    return any(
        item.get("excluded")
        and elements.code(item.get("category"), systems.X12_SERVICE_TYPE) in services
        and _network(item) != _OUT_OF_NETWORK
        for item in items
    )


def names(items: Iterable[Resource]) -> list[str]:
    """Return what items are about, each once."""
    return list(dict.fromkeys(_text(_subject(item)) or "service not stated" for item in items))


def in_network(
    items: Iterable[Resource], kind: str, services: Collection[str]
) -> Iterator[Resource]:
    """Yield the items of one kind (EB01) that hold in network for some of the services.

    Where there are none, those of which the payer does not say in which network they hold. An
    amount below zero is nothing to go by.
    """
    found = []
    for item in items:
        service = elements.code(_subject(item), systems.X12_SERVICE_TYPE)
        if _kind(item) == kind and service in services and not _is_negative(item):
            found.append(item)
    stated = [one for one in found if _network(one) in _IN_NETWORK]
    yield from stated or (one for one in found if is_unstated(one))


def is_unstated(item: Resource) -> bool:
    """Tell whether the payer does not say in which network an item holds (EB12 empty or U)."""
    return _network(item) not in (*_IN_NETWORK, _OUT_OF_NETWORK)


def _unstated(item: Resource) -> str:
    return ", network not stated" if is_unstated(item) else ""


def _network(item: Resource) -> str:
    return elements.code(item.get("network"), systems.X12_NETWORK)


def _is_negative(item: Resource) -> bool:
    money = item["benefit"][0].get("allowedMoney", {})
    percent = elements.extension_value(item, systems.EXT_PERCENT) or 0
    return bool(money.get("value", 0) < 0 or percent < 0)


def _subject(item: Resource) -> Resource | None:
    """Return the concept that says what an item is about."""
    return item.get("category") or item.get("productOrService")


def _tier(item: Resource) -> str:
    tier = elements.extension_value(item, systems.EXT_TIER)
    return f" – {tier}" if tier else ""


def _calculated(item: Resource, name: str) -> bool:
    derived = elements.extension_value(item, systems.EXT_DERIVED) or ""
    return str(derived).startswith(name)


def _line(place: int, item: Resource) -> Line:
    benefit = (item.get("benefit") or [{}])[0]
    covered = "Not covered" if item.get("excluded") else "Covered"
    marks = {n: " (calculated)" if _calculated(item, n) else "" for n in ("used", "remaining")}
    used = amount(item, "used")
    left = elements.extension_value(item, systems.EXT_REMAINING)
    return Line(
        service=_text(_subject(item)) or "Service not stated",
        what=_text(benefit.get("type")) or covered,
        level=_text(item.get("unit")) or NOT_STATED,
        network=_text(item.get("network")) or NOT_STATED,
        amount=amount(item, "allowed") if benefit else "–",
        used=f"{used}{marks['used']}" if used != NOT_STATED else "–",
        left="–" if left is None else f"{_money(left)}{marks['remaining']}",
        term=_text(item.get("term")) or "–",
        authorization=_authorization(item),
        notes=list(_notes(item)),
        sent=list(sent(item)),
        position=_position(item),
        place=place,
    )


def sent(item: Resource) -> Iterator[str]:
    """Yield the segments that an item rests on, as they came."""
    for source in elements.extensions(item, systems.EXT_SOURCE):
        yield from (part["valueString"] for part in source["extension"] if part["url"] == "segment")


def to_authorize(items: Iterable[Resource]) -> list[str]:
    """Return the services for which the payer wants an authorization, each once."""
    found = (_text(_subject(one)) for one in items if one.get("authorizationRequired"))
    return list(dict.fromkeys(text or "Service not stated" for text in found))


def _where(item: Resource) -> str:
    return "".join(f", place of service {one}" for one in _places(item))


def _places(item: Resource) -> list[str]:
    """Return the codes of places of service for which an item holds."""
    found = elements.extensions(item, systems.EXT_PLACE_OF_SERVICE)
    return [place["valueString"] for place in found]


def _position(item: Resource) -> int:
    """Return the number of the first segment that an item rests on, 0 where it has none."""
    for source in elements.extensions(item, systems.EXT_SOURCE):
        for part in source["extension"]:
            if part["url"] == "position":
                return int(part["valuePositiveInt"])
    return 0


def _authorization(item: Resource) -> str:
    stated = item.get("authorizationRequired")
    if stated is not None:
        return REQUIRED if stated else "Not required"
    if elements.extension_value(item, systems.EXT_AUTHORIZATION):
        return UNKNOWN
    return NOT_STATED


def _notes(item: Resource) -> Iterator[str]:
    if item.get("description"):
        yield str(item["description"])
    for more in item.get("benefit", [])[1:]:
        yield f"Also {amount({**item, 'benefit': [more]}, 'allowed')}"
    if "productOrService" in item:
        modifiers = ", ".join(_text(one) for one in item.get("modifier", []))
        yield f"Procedure {_text(item['productOrService'])}" + (
            f", modifier {modifiers}" if modifiers else ""
        )
    for place in _places(item):
        yield f"Place of service {place}"
    yield from (f"{name}: {days}" for name, days in periods.told(item))
    for found in elements.extensions(item, systems.EXT_FLAG):
        yield flags.told(found.get("valueString", ""))


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
        amount = Decimal(value["value"])
        return f"{'−' if amount < 0 else ''}{sign}{abs(amount):,.2f}"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _text(concept: Any) -> str:
    return str(concept.get("text", "")) if isinstance(concept, dict) else ""
