"""Single segments of a 271 as values: NM1, DMG, PER, REF, DTP and the numbers inside EB."""

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

from msgspec import structs

from bots.domain.eligibility import Dated, Entity, Identifier, Person
from bots.x12.syntax import Segment

_NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)")
_DAY = 8  # CCYYMMDD
_DIGITS = 18  # EB07


def entity(segment: Segment) -> Entity:
    """Return the party of an NM1; a person's name parts are joined."""
    names = [segment.get(n) for n in (4, 5, 3, 7)] if segment.get(2) == "1" else [segment.get(3)]
    return Entity(
        role=segment.get(1),
        name=" ".join(part for part in names if part),
        id=segment.get(9),
        id_qualifier=segment.get(8),
        relationship=segment.get(10),
    )


def person(segment: Segment) -> Person:
    """Return the person of an NM1."""
    last, first, middle, suffix = (segment.get(n) for n in (3, 4, 5, 7))
    return Person(last, first, middle, suffix, member_id=segment.get(9))


def with_demographics(known: Person, segment: Segment) -> Person:
    """Return `known` with birth date and gender of a DMG."""
    return replace(known, birth_date=day(segment.get(2)), gender=segment.get(3))


def with_contacts(known: Entity, segment: Segment) -> Entity:
    """Return `known` with the (qualifier, number) pairs of a PER added."""
    pairs = [(segment.get(n), segment.get(n + 1)) for n in (3, 5, 7)]
    found = tuple(pair for pair in pairs if all(pair))
    return structs.replace(known, contacts=(*known.contacts, *found))


def identifier(segment: Segment) -> Identifier:
    """Return a REF."""
    return Identifier(*(segment.get(n) for n in (1, 2, 3)))


def dated(segment: Segment) -> Dated:
    """Return a DTP; D8 that holds a range is read as one, a range that is reversed as no day."""
    first, _, last = segment.get(3).partition("-")
    start, end = day(first), day(last)
    if start and end and end < start:
        return Dated(segment.get(1), None)
    return Dated(segment.get(1), start, end)


def day(text: str) -> date | None:
    """Return CCYYMMDD (more digits are a time, and cut) as a date, None if it is none."""
    digits = text.strip()[:_DAY]
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def number(text: str) -> Decimal | None:
    """Return an amount, percent or quantity; thousands separators and `$` are tolerated.

    None where it is no number, or longer than EB07 may be (18 characters).
    """
    if not text:
        return None
    plain = text.strip().replace(",", "").replace("$", "")
    if not _NUMBER.fullmatch(plain) or len(plain) > _DIGITS:
        return None
    return Decimal(plain)
