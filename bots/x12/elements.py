"""Single segments of a 271 as values: NM1, DMG, PER, REF, DTP and the numbers inside EB."""

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache

from msgspec import structs

from bots.domain.eligibility import Dated, Entity, Identifier, Person
from bots.x12.syntax import Segment

_NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)")
_PERSON = "1"  # NM102
_DAY = 8  # CCYYMMDD
_DIGITS = 18  # EB07
_KEPT = 35  # longer values than DTP03 may be are read anew each time, and not kept


def entity(segment: Segment) -> Entity:
    """Return the party of an NM1; a person's name parts are joined."""
    get = segment.get
    name = get(3)
    if get(2) == _PERSON:
        name = " ".join(part for part in (get(4), get(5), name, get(7)) if part)
    return Entity(get(1), name, get(9), get(8), get(10))


def person(segment: Segment) -> Person:
    """Return the person of an NM1."""
    last, first, middle, suffix = (segment.get(n) for n in (3, 4, 5, 7))
    return Person(last, first, middle, suffix, member_id=segment.get(9))


def with_demographics(known: Person, segment: Segment) -> Person:
    """Return `known` with birth date and gender of a DMG."""
    return structs.replace(known, birth_date=day(segment.get(2)), gender=segment.get(3))


def with_contacts(known: Entity, segment: Segment) -> Entity:
    """Return `known` with the (qualifier, number) pairs of a PER added."""
    pairs = [(segment.get(n), segment.get(n + 1)) for n in (3, 5, 7)]
    found = tuple(pair for pair in pairs if all(pair))
    return structs.replace(known, contacts=(*known.contacts, *found))


def identifier(segment: Segment) -> Identifier:
    """Return a REF."""
    return Identifier(segment.get(1), segment.get(2), segment.get(3))


def dated(segment: Segment) -> Dated:
    """Return a DTP; D8 that holds a range is read as one, a range that is reversed as no day."""
    qualifier, text = segment.get(1), segment.get(3)
    return (_dated if len(qualifier) + len(text) <= _KEPT else _read_dated)(qualifier, text)


def is_unreadable(found: Dated, segment: Segment) -> bool:
    """Tell whether a DTP, read as `found`, lacks a day that it should name."""
    return found.start is None or (found.end is None and "-" in segment.get(3))


def _read_dated(qualifier: str, text: str) -> Dated:
    first, _, last = text.partition("-")
    start, end = day(first), day(last) if last else None
    if start and end and end < start:
        return Dated(qualifier, None)
    return Dated(qualifier, start, end)


_dated = lru_cache(maxsize=1024)(_read_dated)  # rows of an answer name the same few days


def day(text: str) -> date | None:
    """Return CCYYMMDD (more digits are a time, and cut) as a date, None if it is none."""
    digits = text.strip()[:_DAY]
    if len(digits) < _DAY:
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def number(text: str) -> Decimal | None:
    """Return an amount, percent or quantity; thousands separators and `$` are tolerated.

    None where it is no number, or longer than EB07 may be (18 characters).
    """
    return (_number if len(text) <= _KEPT else _read_number)(text)


def _read_number(text: str) -> Decimal | None:
    plain = text.strip().replace(",", "").replace("$", "")
    if not _NUMBER.fullmatch(plain) or len(plain) > _DIGITS:
        return None
    return Decimal(plain)


_number = lru_cache(maxsize=1024)(_read_number)  # as they name the same few amounts
