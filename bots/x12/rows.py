"""One EB segment with what follows it (2110, 2115, 2120), and its split by service type."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import cache

import msgspec

from bots.domain.eligibility import (
    Benefit,
    Dated,
    Delivery,
    Entity,
    Identifier,
    Procedure,
)
from bots.x12 import elements
from bots.x12.syntax import Segment, Separators, repeats
from fhir_profiles import codes

_LISTS = {
    "EB01": (1, "eb01_benefit_information"),
    "EB02": (2, "eb02_coverage_level"),
    "EB04": (4, "eb04_insurance_type"),
    "EB06": (6, "eb06_time_period"),
    "EB09": (9, "eb09_quantity_qualifier"),
    "EB11": (11, "eb11_authorization_required"),
    "EB12": (12, "eb12_in_plan_network"),
}
_EMPTY = ("",) * 14  # EB01 to EB14
_PLACE_OF_SERVICE = "ZZ"  # III01
_AUTHORIZATION = {"Y": True, "N": False}
_WHOLE_PERCENT = 100
_RANGE_END = 7  # EB13-8: the last code of a range
# Segments that belong to the row and are kept in its raw text only.
_CARRIED = frozenset({"LS", "LE", "N3", "N4", "PRV"})


class Row(msgspec.Struct):
    """An EB segment being read: give it the segments that follow with take().

    `index` is its place among the EB segments of the transaction, `position` its number in it.
    """

    segment: Segment
    marks: Separators
    index: int
    position: int
    messages: list[str] = msgspec.field(default_factory=list)
    dates: list[Dated] = msgspec.field(default_factory=list)
    identifiers: list[Identifier] = msgspec.field(default_factory=list)
    places: list[str] = msgspec.field(default_factory=list)
    deliveries: list[Delivery] = msgspec.field(default_factory=list)
    entities: list[Entity] = msgspec.field(default_factory=list)
    raw: list[str] = msgspec.field(default_factory=list)
    flags: list[str] = msgspec.field(default_factory=list)

    def take(self, segment: Segment) -> None:
        """Read one segment of this row; one that the guide does not know here is kept raw."""
        self.raw.append(segment.raw)
        if self.entities and segment.id in ("PER", "REF"):
            self._about_entity(segment)
        elif segment.id in _READERS:
            _READERS[segment.id](self, segment)
        elif segment.id not in _CARRIED:
            self.flags.append(f"unknown-segment:{segment.id}")

    def add_message(self, segment: Segment) -> None:
        """Read MSG."""
        self.messages.append(segment.get(1))

    def add_date(self, segment: Segment) -> None:
        """Read DTP."""
        self.dates.append(elements.dated(segment))
        if "-" in segment.get(3) and self.dates[-1].end is None:
            self.flags.append("unreadable:DTP03")
        self._known("DTP01", segment.get(1), "dtp01_date_qualifier")

    def add_reference(self, segment: Segment) -> None:
        """Read REF."""
        self.identifiers.append(elements.identifier(segment))
        self._known("REF01", segment.get(1), "ref01_qualifier")

    def add_delivery(self, segment: Segment) -> None:
        """Read HSD."""
        self.deliveries.append(Delivery(*(segment.get(n) for n in range(1, 7))))

    def add_entity(self, segment: Segment) -> None:
        """Read NM1 of loop 2120."""
        self.entities.append(elements.entity(segment))
        self._known("NM101", segment.get(1), "nm101_entity_identifier")

    def _about_entity(self, segment: Segment) -> None:
        if segment.id == "PER":
            self.entities[-1] = elements.with_contacts(self.entities[-1], segment)

    def benefits(self) -> Iterator[Benefit]:
        """Yield one Benefit per service type of EB03; an empty EB03 gives one without a type."""
        given = self.segment.elements
        e = (*given, *_EMPTY[len(given) :]) if len(given) < len(_EMPTY) else given
        types = repeats(e[2], self.marks)
        amount, quantity = elements.number(e[6]), elements.number(e[9])
        percent, more = _percent(e[7])
        flags = [*self.flags, *_unknown(e, types), *more]
        if e[6] and amount is None:
            flags.append("unreadable:EB07")
        if e[9] and quantity is None:
            flags.append("unreadable:EB10")
        raw = self.marks.segment.join([self.segment.raw, *self.raw])
        rest = (
            e[3], e[4], e[5], amount, percent, e[8], quantity, _AUTHORIZATION.get(e[10]), e[10],
            e[11], self._procedure(e[12]), tuple(self.places), _joined(self.messages),
            tuple(self.dates), tuple(self.identifiers), tuple(self.entities),
            tuple(self.deliveries), tuple(dict.fromkeys(flags)) if flags else (), self.position,
        )  # fmt: skip
        for repeat, service_type in enumerate(types):
            yield Benefit(e[0], self.index, repeat, raw, e[1], service_type or None, *rest)

    def add_place(self, segment: Segment) -> None:
        """Read III: a place of service, or a text on the body part."""
        if segment.get(1) == _PLACE_OF_SERVICE:
            self.places.append(segment.get(2))
        else:
            self.messages.extend(text for text in (segment.get(4),) if text)

    def _procedure(self, text: str) -> Procedure | None:
        """Read EB13: qualifier, code, up to four modifiers, and the end of a range."""
        parts = text.split(self.marks.component)
        if len(parts) < 2:  # noqa: PLR2004 qualifier and code
            return None
        modifiers = tuple(m for m in parts[2:6] if m)
        end = parts[_RANGE_END] if len(parts) > _RANGE_END else ""
        return Procedure(parts[0], parts[1], modifiers, end)

    def _known(self, element: str, code: str, list_name: str) -> None:
        if code not in codes.names(list_name):
            self.flags.append(f"unknown-code:{element}:{code}")


_READERS: dict[str, Callable[[Row, Segment], None]] = {
    "MSG": Row.add_message,
    "DTP": Row.add_date,
    "REF": Row.add_reference,
    "III": Row.add_place,
    "HSD": Row.add_delivery,
    "NM1": Row.add_entity,
}


def _unknown(e: Sequence[str], types: Sequence[str]) -> Iterator[str]:
    """Yield a flag for each code of an EB that is not on its list."""
    for element, place, known in _lists():
        if e[place] and e[place] not in known:
            yield f"unknown-code:{element}:{e[place]}"
    known_types = codes.names("service_type_codes")
    for code in types:
        if code and code not in known_types:
            yield f"unknown-code:EB03:{code}"


@cache
def _lists() -> tuple[tuple[str, int, dict[str, str]], ...]:
    return tuple((name, place - 1, codes.names(file)) for name, (place, file) in _LISTS.items())


def _percent(text: str) -> tuple[Decimal | None, list[str]]:
    """Return EB08 as a fraction; 1 < value <= 100 was meant as whole percent, and is flagged."""
    value = elements.number(text)
    if value is None:
        return None, ["unreadable:EB08"] if text else []
    if value <= 1:
        return value, []
    if value <= _WHOLE_PERCENT:
        return value / _WHOLE_PERCENT, ["percent-range"]
    return None, ["percent-range"]


def _joined(messages: list[str]) -> tuple[str, ...]:
    return tuple(text for text in (m.strip() for m in messages) if text) if messages else ()
