"""One EB segment with what follows it (2110, 2115, 2120), and its split by service type."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from bots.domain.eligibility import Benefit, Dated, Delivery, Entity, Identifier, Procedure
from bots.x12 import elements
from bots.x12.syntax import Segment, Separators, repeats
from fhir_profiles import codes

_LISTS = (
    (1, "eb01_benefit_information"),
    (2, "eb02_coverage_level"),
    (4, "eb04_insurance_type"),
    (6, "eb06_time_period"),
    (9, "eb09_quantity_qualifier"),
    (11, "eb11_authorization_required"),
    (12, "eb12_in_plan_network"),
    (3, "service_type_codes"),
)
_Lists = tuple[frozenset[str], ...]
_SERVICE_TYPES = 3  # EB03
_EMPTY = ("",) * 14  # EB01 to EB14
_PLACE_OF_SERVICE = "ZZ"  # III01
_AUTHORIZATION = {"Y": True, "N": False}
_WHOLE_PERCENT = 100
_NO_PERCENT = (None, "")
_RANGE_END = 7  # EB13-8: the last code of a range
# Segments that belong to the row and are kept in its raw text only.
_CARRIED = frozenset({"LS", "LE", "N3", "N4", "PRV"})


class Row(msgspec.Struct, gc=False):
    """An EB segment and the segments that follow it, which its reader adds.

    `index` is its place among the EB segments of the transaction, `position` its number in it.
    """

    segment: Segment
    index: int
    position: int
    following: list[Segment]


def benefits(rows: Iterable[Row], marks: Separators) -> tuple[Benefit, ...]:
    """Return one Benefit per service type of each EB03; an empty one gives one without a type."""
    made: list[Benefit] = []
    lists = _lists()
    for row in rows:
        e = row.segment.elements + _EMPTY
        types = [e[3]] if e[3].isalnum() else _service_types(e[3], marks)
        raw, told, flags = row.segment.raw, _NONE, _unknown(e, types, lists)
        if row.following:
            raw, told, more = _followed(row, marks)
            flags = more + flags
        places, messages, dates, identifiers, entities, deliveries = told
        amount = elements.number(e[7]) if e[7] else None
        quantity = elements.number(e[10]) if e[10] else None
        percent, odd = _percent(e[8]) if e[8] else _NO_PERCENT
        if odd:
            flags.append(odd)
        if (e[7] and (amount is None or e[7][0] == "-")) or (quantity is None and e[10]):
            flags += _odd_numbers(e)
        procedure = _procedure(e[13], marks) if e[13] else None
        noted = tuple(dict.fromkeys(flags)) if flags else ()
        for repeat, kind in enumerate(types):
            made.append(Benefit(
                e[1], row.index, repeat, raw, e[2], kind or None, e[4], e[5], e[6], amount, percent,
                e[9], quantity, _AUTHORIZATION.get(e[11]), e[11], e[12], procedure, places,
                messages, dates, identifiers, entities, deliveries, noted, row.position,
            ))  # fmt: skip
    return tuple(made)


def _service_types(text: str, marks: Separators) -> list[str]:
    """Return the codes of an EB03, one that is "" where it has none."""
    found = (one.strip() for one in repeats(text, marks))
    return [one for one in found if one] or [""]


def _followed(row: Row, marks: Separators) -> tuple[str, tuple[tuple[Any, ...], ...], list[str]]:
    """Return the text of a whole row, what its further segments tell, and flags."""
    raws, found = [row.segment.raw], _Following()
    for segment in row.following:
        raws.append(segment.raw)
        read = _READERS.get(segment.id)
        if read is not None:
            read(found, segment)
        elif segment.id not in _CARRIED:
            found.flags.append(f"unknown-segment:{segment.id}")
    return marks.segment.join(raws), found.told(), found.flags


class _Following(msgspec.Struct, gc=False):
    """What the segments after an EB say, in the order of a Benefit's fields."""

    places: list[str] = []
    messages: list[str] = []
    dates: list[Dated] = []
    identifiers: list[Identifier] = []
    entities: list[Entity] = []
    deliveries: list[Delivery] = []
    flags: list[str] = []

    def told(self) -> tuple[tuple[Any, ...], ...]:
        """Return all but the flags."""
        return (
            tuple(self.places), tuple(self.messages), tuple(self.dates),
            tuple(self.identifiers), tuple(self.entities), tuple(self.deliveries),
        )  # fmt: skip

    def add_message(self, segment: Segment) -> None:
        """Read MSG."""
        self._say(segment.get(1))

    def add_date(self, segment: Segment) -> None:
        """Read DTP."""
        found = elements.dated(segment)
        self.dates.append(found)
        if elements.is_unreadable(found, segment):
            self.flags.append("unreadable:DTP03")
        self._known("DTP01", found.qualifier, "dtp01_date_qualifier")

    def add_reference(self, segment: Segment) -> None:
        """Read REF; one that follows an NM1 is about that party, and kept raw."""
        if self.entities:
            return
        self.identifiers.append(elements.identifier(segment))
        self._known("REF01", segment.get(1), "ref01_qualifier")

    def add_delivery(self, segment: Segment) -> None:
        """Read HSD."""
        get = segment.get
        self.deliveries.append(Delivery(get(1), get(2), get(3), get(4), get(5), get(6)))

    def add_entity(self, segment: Segment) -> None:
        """Read NM1 of loop 2120."""
        self.entities.append(elements.entity(segment))
        self._known("NM101", segment.get(1), "nm101_entity_identifier")

    def add_place(self, segment: Segment) -> None:
        """Read III: a place of service, or a text on the body part."""
        if segment.get(1) == _PLACE_OF_SERVICE:
            self.places.append(segment.get(2))
        else:
            self._say(segment.get(4))

    def add_contacts(self, segment: Segment) -> None:
        """Read PER, which follows an NM1."""
        if self.entities:
            self.entities[-1] = elements.with_contacts(self.entities[-1], segment)
        else:
            self.flags.append("unknown-segment:PER")

    def _say(self, text: str) -> None:
        if text := text.strip():
            self.messages.append(text)

    def _known(self, element: str, code: str, list_name: str) -> None:
        if code not in codes.names(list_name):
            self.flags.append(f"unknown-code:{element}:{code}")


_NONE = _Following().told()
_READERS: dict[str, Callable[[_Following, Segment], None]] = {
    "MSG": _Following.add_message,
    "DTP": _Following.add_date,
    "REF": _Following.add_reference,
    "III": _Following.add_place,
    "HSD": _Following.add_delivery,
    "NM1": _Following.add_entity,
    "PER": _Following.add_contacts,
}


def _unknown(e: Sequence[str], types: list[str], lists: _Lists) -> list[str]:
    """Return a flag for each code of an EB that is not on its list."""
    one, two, four, six, nine, eleven, twelve, three = lists
    if (
        e[1] in one and e[2] in two and e[4] in four and e[6] in six and e[9] in nine
        and e[11] in eleven and e[12] in twelve and three.issuperset(types)
    ):  # fmt: skip
        return []
    return [
        f"unknown-code:EB{place:02d}:{code}"
        for (place, _), known in zip(_LISTS, lists, strict=True)
        for code in (types if place == _SERVICE_TYPES else [e[place]])
        if code not in known
    ]


@cache
def _lists() -> _Lists:
    return tuple(frozenset(codes.names(file)) | {""} for _, file in _LISTS)


def _odd_numbers(e: Sequence[str]) -> list[str]:
    """Return a flag for each amount or quantity that is there and no number, or below zero."""
    found = []
    for name, text in (("EB07", e[7]), ("EB10", e[10])):
        value = elements.number(text)
        if text and (value is None or value < 0):
            found.append(f"{'unreadable' if value is None else 'negative'}:{name}")
    return found


def _procedure(text: str, marks: Separators) -> Procedure | None:
    """Read EB13: qualifier, code, up to four modifiers, and the end of a range."""
    parts = text.split(marks.component)
    if len(parts) < 2:  # noqa: PLR2004 qualifier and code
        return None
    modifiers = tuple(m for m in parts[2:6] if m)
    end = parts[_RANGE_END] if len(parts) > _RANGE_END else ""
    return Procedure(parts[0], parts[1], modifiers, end)


def _percent(text: str) -> tuple[Decimal | None, str]:
    """Return EB08 as a fraction, and a flag or "".

    1 < value <= 100 was meant as whole percent, and is flagged.
    """
    value = elements.number(text)
    if value is None:
        return None, "unreadable:EB08"
    if value < 0:
        return value, "negative:EB08"
    if value <= 1:
        return value, ""
    return (value / _WHOLE_PERCENT if value <= _WHOLE_PERCENT else None), "percent-range"
