"""One EB segment with what follows it (2110, 2115, 2120), and its split by service type."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

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
_PLACE_OF_SERVICE = "ZZ"  # III01
_AUTHORIZATION = {"Y": True, "N": False}
_WHOLE_PERCENT = 100
_RANGE_END = 7  # EB13-8: the last code of a range
# Segments that belong to the row and are kept in its raw text only.
_CARRIED = frozenset({"LS", "LE", "N3", "N4", "PRV"})


@dataclass(slots=True)
class Row:
    """An EB segment being read: give it the segments that follow with take().

    `index` is its place among the EB segments of the transaction.
    """

    segment: Segment
    marks: Separators
    index: int
    messages: list[str] = field(default_factory=list)
    dates: list[Dated] = field(default_factory=list)
    identifiers: list[Identifier] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    entities: list[Entity] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

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
        get = self.segment.get
        types = repeats(get(3), self.marks)
        flags = [*self.flags, *self._unknown(types)]
        percent, more = _percent(get(8))
        raw = self.marks.segment.join([self.segment.raw, *self.raw])
        for repeat, service_type in enumerate(types):
            yield Benefit(
                kind=get(1),
                index=self.index,
                repeat=repeat,
                raw=raw,
                level=get(2),
                service_type=service_type or None,
                insurance_type=get(4),
                plan_name=get(5),
                period=get(6),
                amount=elements.number(get(7)),
                percent=percent,
                quantity_unit=get(9),
                quantity=elements.number(get(10)),
                auth_required=_AUTHORIZATION.get(get(11)),
                auth_raw=get(11),
                network=get(12),
                procedure=self._procedure(),
                places=tuple(self.places),
                messages=_joined(self.messages),
                dates=tuple(self.dates),
                identifiers=tuple(self.identifiers),
                entities=tuple(self.entities),
                deliveries=tuple(self.deliveries),
                flags=tuple(dict.fromkeys([*flags, *more])),
            )

    def add_place(self, segment: Segment) -> None:
        """Read III: a place of service, or a text on the body part."""
        if segment.get(1) == _PLACE_OF_SERVICE:
            self.places.append(segment.get(2))
        else:
            self.messages.extend(text for text in (segment.get(4),) if text)

    def _procedure(self) -> Procedure | None:
        parts = self.segment.get(13).split(self.marks.component)
        if len(parts) < 2:  # noqa: PLR2004 qualifier and code
            return None
        modifiers = tuple(m for m in parts[2:6] if m)
        end = parts[_RANGE_END] if len(parts) > _RANGE_END else ""
        return Procedure(parts[0], parts[1], modifiers, end)

    def _unknown(self, types: list[str]) -> Iterator[str]:
        for element, (place, list_name) in _LISTS.items():
            code = self.segment.get(place)
            if code and code not in codes.names(list_name):
                yield f"unknown-code:{element}:{code}"
        for code in types:
            if code and code not in codes.names("service_type_codes"):
                yield f"unknown-code:EB03:{code}"
        for place in (7, 10):
            if self.segment.get(place) and elements.number(self.segment.get(place)) is None:
                yield f"unreadable:EB{place:02d}"

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
    return tuple(text for text in (m.strip() for m in messages) if text)
