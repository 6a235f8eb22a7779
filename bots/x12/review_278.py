"""Writes a 278 request and reads its response: 005010X217, for what Da Vinci PAS publishes of it.

NOT VERIFIED against the implementation guide (TR3), which is licensed: positions and codes follow
the value sets and element names of Da Vinci PAS 2.2.1. Not written: ambulance, chiropractic, home
oxygen, dental and institutional revenue lines.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime

from bots.domain.eligibility import Person
from bots.domain.review import Decision, Party, Review, ReviewAnswer, Service
from bots.x12 import elements, envelope
from bots.x12.eligibility_270 import clean
from bots.x12.envelope import Sender
from bots.x12.syntax import Segment, Unreadable

VERSION = "005010X217"
_PERSON, _ORGANIZATION = "1", "2"
_NAME, _FIRST, _ID, _TEXT = 60, 35, 80, 264  # characters of NM103, NM104, NM109 and MSG01
_DIAGNOSES = 12  # that HI carries
_EVENT, _SERVICE = "EV", "SS"  # HL03
Line = list[str]


def write(review: Review, *, sender: Sender, control: int, moment: datetime) -> str:
    """Return the interchange that asks for `review`.

    `control` numbers it, `moment` (aware) dates it.
    """
    return envelope.wrap(
        [_safe(line) for line in _body(review, moment)], set_id="278", group_id="HI",
        sender=sender, control=control, moment=moment, version=VERSION,
    )  # fmt: skip


def read(text: str) -> ReviewAnswer:
    """Return what a 278 response says. Raises Unreadable where the text holds none."""
    for transaction in envelope.transactions(text):
        if transaction.set_id == "278":
            if transaction.flags:
                raise Unreadable(f"expected a whole 278, got {', '.join(transaction.flags)}")
            reader = _Reader()
            for segment in transaction.segments:
                reader.take(segment, transaction.marks.component)
            return reader.answer()
    raise Unreadable("expected a 278")


def _body(review: Review, moment: datetime) -> list[Line]:
    number = clean(review.number, 50)
    lines: list[Line] = [
        ["BHT", "0007", "13", number, f"{moment:%Y%m%d}", f"{moment:%H%M}"],
        ["HL", "1", "", "20", "1"], _party(review.payer),
        ["HL", "2", "1", "21", "1"], _party(review.provider),
        ["HL", "3", "2", "22", "1"], *_person("IL", review.subscriber),
    ]  # fmt: skip
    parent = 3
    if review.dependent is not None:
        lines += [["HL", "4", "3", "23", "1"], *_person("QC", review.dependent)]
        lines.append(["INS", "N", review.relationship])
        parent = 4
    event = parent + 1
    lines += [["HL", str(event), str(parent), _EVENT, "1"], *_event(review)]
    for place, service in enumerate(review.services, event + 1):
        lines += [["HL", str(place), str(event), _SERVICE, "0"], *_service(service, review.level)]
    return lines


def _safe(line: Line) -> Line:
    """Return a segment whose codes hold no delimiter; what is free text is clean already."""
    return [re.sub(r"[*~^\r\n]", "", element) for element in line]


def _party(party: Party) -> Line:
    kind = _PERSON if party.is_person else _ORGANIZATION
    name = [clean(party.name, _NAME), clean(party.first, _FIRST)]
    return ["NM1", party.role, kind, *name, "", "", "", party.id_qualifier, clean(party.id, _ID)]


def _person(role: str, person: Person) -> Iterator[Line]:
    has_id = bool(person.member_id)
    yield [
        "NM1", role, _PERSON, clean(person.last, _NAME), clean(person.first, _FIRST), "", "", "",
        "MI" if has_id else "", clean(person.member_id, _ID),
    ]  # fmt: skip
    if person.birth_date is not None:
        yield ["DMG", "D8", f"{person.birth_date:%Y%m%d}", person.gender]


def _event(review: Review) -> Iterator[Line]:
    first = review.services[0]
    yield ["TRN", "1", clean(review.trace, 50), review.originator]
    yield _um(first, review.level)
    if review.diagnoses:
        carried = review.diagnoses[:_DIAGNOSES]
        yield ["HI", *(_diagnosis(n, *one) for n, one in enumerate(carried))]
    for report, control in review.documents:
        yield ["PWK", report, "EL", "", "", "AC" if control else "", clean(control, 50)]
    if review.note:
        yield ["MSG", clean(review.note, _TEXT)]


def _diagnosis(place: int, code: str, recorded: date | None) -> str:
    parts = ["ABF" if place else "ABK", code.replace(".", "")]
    return ":".join([*parts, "D8", f"{recorded:%Y%m%d}"] if recorded else parts)


def _um(service: Service, level: str) -> Line:
    place = f"{service.place}:B" if service.place else ""
    return ["UM", service.category, service.certification, service.service_type, place, "", level]


def _service(service: Service, level: str) -> Iterator[Line]:
    yield ["TRN", "1", clean(service.trace, 50), "9INFORCE01"]
    yield _um(service, level)
    days = [f"{one:%Y%m%d}" for one in (service.start, service.end) if one]
    if days:
        is_day = len(set(days)) == 1
        yield ["DTP", "472", "D8" if is_day else "RD8", days[0] if is_day else "-".join(days)]
    if service.code:
        modifiers = [clean(one, 2) for one in service.modifiers[:4]]
        yield ["SV1", ":".join([service.qualifier, clean(service.code, 48), *modifiers])]
    if service.quantity:
        yield ["HSD", service.unit, service.quantity]
    for party in service.providers:
        yield _party(party)


class _Reader:
    """Takes a response in, loop by loop."""

    def __init__(self) -> None:
        self._number, self._level, self._child = "", "", ""
        self._event = Decision("")
        self._services: list[Decision] = []
        self._rejects: list[tuple[str, str, str]] = []

    def take(self, segment: Segment, component: str) -> None:
        """Read one segment of the transaction; what we do not know of is passed over."""
        match segment.id:
            case "BHT":
                self._number = segment.get(3)
            case "HL":
                self._level = segment.get(3)
                self._services += [Decision("")] if self._level == _SERVICE else []
            case "AAA":
                self._rejects.append((self._level, segment.get(3), segment.get(4)))
            case "DTP":
                self._dated(segment)
            case _:
                self._decided(segment, component)

    def _decided(self, segment: Segment, component: str) -> None:
        here = self._here()
        match segment.id:
            case "TRN" if segment.get(1) == "2" or not here.trace:
                here = replace(here, trace=segment.get(2))
            case "HCR":
                reason = segment.get(3).split(component)[0]
                here = replace(here, action=segment.get(1), number=segment.get(2), reason=reason)
            case "HSD":
                here = replace(here, unit=segment.get(1), quantity=segment.get(2))
            case "PWK":
                here = replace(here, reports=(*here.reports, (segment.get(1), segment.get(6))))
            case "MSG":
                here = replace(here, notes=(*here.notes, segment.get(1)))
        self._put(here)

    def answer(self) -> ReviewAnswer:
        """Return what was read. Raises Unreadable where it decides nothing and rejects nothing."""
        decided = [one for one in (self._event, *self._services) if one.action]
        if not decided and not self._rejects:
            raise Unreadable("expected an HCR or an AAA in the 278")
        return ReviewAnswer(self._number, self._event, tuple(self._services), tuple(self._rejects))

    def _dated(self, segment: Segment) -> None:
        found, here = elements.dated(segment), self._here()
        match found.qualifier:
            case "102":
                here = replace(here, issued=found.start)
            case "007":
                here = replace(here, period=(found.start, found.end or here.period[1]))
            case "036":
                here = replace(here, period=(here.period[0], found.start))
        self._put(here)

    def _here(self) -> Decision:
        return self._services[-1] if self._level == _SERVICE else self._event

    def _put(self, decision: Decision) -> None:
        if self._level == _SERVICE:
            self._services[-1] = decision
        else:
            self._event = decision
