"""How a payer writes member ids, and what is the same in two writings of an id, a name or a date.

What was received is kept as it came; the keys here are made anew from it each time, by the payer's
`identifier-rules` extension, whose version is that of the payer's Organization. Nothing is guessed:
O and 0, I and 1 stay what they are, and years have four digits.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from fhir_profiles import elements, names, pas, systems

Resource = dict[str, Any]
KEEP, STRIP, PAD = "keep", "strip", "pad"
PREFIX_LENGTH, CODE_LENGTH, TOKEN_LENGTH = 3, 2, 3
DAILY_ALTERNATES = 200
_SUFFIXES = frozenset(
    {"JR", "SR", "II", "III", "IV", "V", "MD", "DO", "PHD", "ESQ", "RN", "DDS", "DVM"}
)
_FILL = re.compile(r"[\s.\-]+")
_PREFIX = re.compile(rf"[A-Z]{{{PREFIX_LENGTH}}}(?=[A-Z0-9]*\d)")
_ISO = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})", re.ASCII)
_AMERICAN = re.compile(r"(?P<month>\d{1,2})([/-])(?P<day>\d{1,2})\2(?P<year>\d{4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rules:
    """How one payer writes member ids; `version` names them in an audit, "" for those of all.

    `prefix` and `zeros` are keep or strip, `zeros` also pad to `length`; `base` is the length from
    which the last two characters are a person code, 0 where there is none. `by_name` allows a
    search without any id. `alternates` a day may be asked in another writing after a "not found".
    """

    prefix: str = KEEP
    zeros: str = KEEP
    length: int = 0
    base: int = 0
    by_name: bool = False
    alternates: int = DAILY_ALTERNATES
    version: str = ""


def rules_of(payer: Resource | None) -> Rules:
    """Return the rules on a payer's Organization; those that only take out blanks if it has none.

    Raises ValueError naming a part that makes no sense.
    """
    found = next(elements.extensions(payer or {}, systems.EXT_IDENTIFIER_RULES), None)
    if payer is None or found is None:
        return Rules()
    parts = elements.parts(found)
    zeros, _, length = str(parts.get("leadingZeros", KEEP)).partition(":")
    prefix = str(parts.get("prefix", KEEP))
    if prefix not in (KEEP, STRIP):
        raise ValueError("identifier-rules.prefix: expected keep or strip")
    if (zeros, length.isdecimal()) not in ((KEEP, False), (STRIP, False), (PAD, True)):
        raise ValueError("identifier-rules.leadingZeros: expected keep, strip or pad:LENGTH")
    numbers = [parts.get(name, 0) for name in ("personCodeAfter", "dailyAlternates")]
    if any(not isinstance(number, int) or number < 0 for number in numbers):
        raise ValueError("identifier-rules: expected whole numbers from 0 on")
    version = payer.get("meta", {}).get("versionId", "")
    return Rules(
        prefix=prefix,
        zeros=zeros,
        length=int(length or 0),
        base=parts.get("personCodeAfter", 0),
        by_name=bool(parts.get("searchByName", False)),
        alternates=parts.get("dailyAlternates", DAILY_ALTERNATES),
        version=f"Organization/{payer['id']}/_history/{version}",
    )


@dataclass(frozen=True, slots=True)
class MemberKey:
    """A member id as the payer has it: what the members of a family share, and the person code."""

    base: str
    person_code: str = ""

    def __str__(self) -> str:
        """Return the whole id."""
        return self.base + self.person_code


def member_key(raw: str, rules: Rules) -> MemberKey:
    """Return the key of a member id: its letters and digits, in capitals, by the rules."""
    text = plain_id(raw)
    code = ""
    if rules.base and len(text) == rules.base + CODE_LENGTH:
        text, code = text[: rules.base], text[rules.base :]
    prefix = _PREFIX.match(text)
    if rules.prefix == STRIP and prefix:
        text = text[PREFIX_LENGTH:]
    return MemberKey(_with_zeros(text, rules), code)


def member_identifiers(coverage: Resource) -> Iterator[Resource]:
    """Yield the identifiers of type MB that have a value: the member ids of now and of before."""
    for identifier in coverage.get("identifier", []):
        code = elements.code(identifier.get("type"), systems.V2_IDENTIFIER_TYPE)
        if code == "MB" and identifier.get("value"):
            yield identifier


def member_numbers(coverage: Resource) -> list[Resource]:
    """Return the member ids as identifiers of type MB: where there is none, the subscriber's id."""
    listed = list(member_identifiers(coverage))
    if listed or not coverage.get("subscriberId"):
        return listed
    kind = {"coding": [{"system": systems.V2_IDENTIFIER_TYPE, "code": "MB"}]}
    return [{"type": kind, "value": coverage["subscriberId"]}]


def _is_of_payer(identifier: Resource) -> bool:
    """Tell whether a payer gave an identifier: a UMB, or a member number with its assigner."""
    kind = identifier.get("type")
    is_member = elements.code(kind, systems.V2_IDENTIFIER_TYPE) == "MB"
    is_unique = elements.code(kind, pas.HREX_TEMP) == pas.UNIQUE_MEMBER
    return is_unique or (is_member and bool(elements.reference(identifier.get("assigner"))))


def known_to(resource: Resource, payers: Container[str]) -> Resource:
    """Return a Patient without what other payers call the person; any other resource as it is.

    `payers` are the addresses of those that may see it.
    """
    if resource["resourceType"] != "Patient" or "identifier" not in resource:
        return resource
    kept = [
        one for one in resource["identifier"]
        if not _is_of_payer(one) or elements.reference(one.get("assigner")) in payers
    ]  # fmt: skip
    return {**resource, "identifier": kept}


def plain_id(raw: str) -> str:
    """Return an id in capitals, without blanks, hyphens and dots."""
    return _FILL.sub("", raw).upper()


def _with_zeros(text: str, rules: Rules) -> str:
    if rules.zeros == STRIP:
        return text.lstrip("0") or text[-1:]
    return text.zfill(rules.length) if rules.zeros == PAD else text


def other_writings(raw: str, rules: Rules, person_code: str) -> list[tuple[str, str]]:
    """Return (what is otherwise, id) for the writings of an id that another policy would give.

    Of a payer without rules there are none. Those that come out like the first are left out.
    """
    if not rules.version:
        return []
    first = member_key(raw, rules)
    prefix = KEEP if rules.prefix == STRIP else STRIP
    zeros = STRIP if rules.zeros == KEEP else KEEP
    tries = [
        ("prefix", str(member_key(raw, replace(rules, prefix=prefix)))),
        ("leading-zeros", str(member_key(raw, replace(rules, zeros=zeros)))),
        ("person-code", first.base if first.person_code else f"{first.base}{person_code}"),
    ]
    found: dict[str, str] = {}
    for what, tried in tries:
        if tried and tried != str(first):
            found.setdefault(tried, what)
    return [(what, tried) for tried, what in found.items()]


def name_key(text: str) -> str:
    """Return a name in plain capitals, without suffixes and credentials; "" if nothing is left."""
    words = names.words(text)
    while len(words) > 1 and words[-1] in _SUFFIXES:
        words.pop()
    return " ".join(words)


def family_keys(text: str) -> tuple[str, ...]:
    """Return the keys of a family name: whole, without blanks, its last word and its first.

    A word of less than three letters is no key by itself.
    """
    whole = name_key(text)
    words = [word for word in whole.split() if len(word) >= TOKEN_LENGTH]
    found = [whole, whole.replace(" ", ""), *words[-1:], *words[:1]]
    return tuple(dict.fromkeys(key for key in found if key))


def read_date(text: str) -> date:
    """Return the day that a text gives as ISO, CCYYMMDD, M/D/CCYY or M-D-CCYY.

    Raises ValueError for anything else, an impossible day, and a year of two digits.
    """
    iso, american = _ISO.fullmatch(text.strip()), _AMERICAN.fullmatch(text.strip())
    if iso:
        return date(*(int(part) for part in iso.groups()))
    if american:
        return date(*(int(american[name]) for name in ("year", "month", "day")))
    raise ValueError("expected a day as YYYY-MM-DD, YYYYMMDD or M/D/YYYY")
