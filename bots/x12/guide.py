"""Holds a transaction against its guide: 005010X279A1 (270, 271) and 005010X231A1 (999).

What we write is refused unless nothing is found. Of what we receive every finding is told, and
nothing is refused for it: payers break the guide every day. A finding speaks in the codes of a
999 (IK304 for segments, IK403 for elements) and holds no data. The tables are
`fhir_profiles/x12/*_usage.csv`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache

import msgspec

from bots.x12.syntax import Segment, Separators
from fhir_profiles import codes

UNKNOWN_SEGMENT, SEGMENT_MISSING, TOO_MANY_SEGMENTS, OUT_OF_SEQUENCE = "1", "3", "5", "7"
NOT_USED_SEGMENT = "I4"
MISSING, TOO_MANY_ELEMENTS, TOO_SHORT, TOO_LONG = "1", "3", "4", "5"
INVALID_CHARACTER, INVALID_CODE, INVALID_DATE, INVALID_TIME = "6", "7", "8", "9"
TOO_MANY_REPEATS, NOT_USED_ELEMENT = "12", "I10"
_TABLES = {"270": "x279a1_270_usage", "271": "x279a1_271_usage", "999": "x231a1_999_usage"}
# Segments that begin a loop, or lead back to one, whatever the level; X stands for its letter.
_OPENS = {
    "270": {"EQ": "2110X"},
    "271": {"EB": "2110X", "III": "2115X", "LS": "2110X", "LE": "2110X"},
    "999": {
        "AK1": "HEADER", "AK2": "2000", "IK3": "2100", "IK4": "2110", "IK5": "2000",
        "AK9": "HEADER",
    },
}  # fmt: skip
_BEGINS = frozenset({"EB", "EQ", "III", "AK2", "IK3", "IK4"})
_LEVELS = {"20": "A", "21": "B", "22": "C", "23": "D"}  # HL03
_SHAPES = {"N0": re.compile(r"-?\d+"), "R": re.compile(r"-?(\d+\.?\d*|\.\d+)")}
_TIME = re.compile(r"([01]\d|2[0-3])[0-5]\d([0-5]\d(\d{1,2})?)?")
_CENTURY = 6  # a date of six digits has none


class Finding(msgspec.Struct, frozen=True):
    """One breach: where (ST is position 1), in which segment and element, and its code.

    `element` is such as "EB03" or "EB13-02", and "" where the breach is the segment's.
    """

    loop: str
    segment: str
    position: int
    code: str
    element: str = ""

    @property
    def rule(self) -> str:
        """What is broken, in words without data: the same for every segment that breaks it."""
        listed = "IK403" if self.element else "IK304"
        words = codes.names(f"ack_{listed.lower()}").get(self.code, self.code).lower()
        return f"{self.element or self.segment} in loop {self.loop}: {words}"

    def __str__(self) -> str:
        """Return where and what, in words without data."""
        place, _, words = self.rule.partition(": ")
        return f"{place}, segment {self.position}: {words}"


class _Element(msgspec.Struct, frozen=True):
    """A row of the table: how a value has to be."""

    name: str
    is_needed: bool
    repeats: int
    type: str
    least: int
    most: int
    codes: frozenset[str]


class _Place(msgspec.Struct):
    """What may stand at one place of a segment: an element, or the components of one."""

    whole: _Element | None = None
    parts: dict[int, _Element] = msgspec.field(default_factory=dict)


class _Use(msgspec.Struct):
    """A segment in a loop: how often it may stand, and what at its places; `last` is the last."""

    is_needed: bool
    most: int
    order: int
    places: dict[int, _Place] = msgspec.field(default_factory=dict)
    last: int = 0


_Loops = dict[str, dict[str, _Use]]


@cache
def _loops(set_id: str) -> _Loops:
    """Return loop -> segment -> use, in the order of the guide."""
    loops: _Loops = {}
    for row in codes.rows(_TABLES[set_id]):
        uses = loops.setdefault(row["loop"], {})
        needed = row["segment_usage"] == "R"
        use = uses.setdefault(row["segment"], _Use(needed, int(row["segment_max"]), len(uses)))
        name = row["element"]
        if not name:
            continue
        number, _, component = name[len(row["segment"]) :].partition("-")
        place = use.places.setdefault(int(number), _Place())
        use.last = max(use.last, int(number))
        if component:
            place.parts[int(component)] = _element(row)
        else:
            place.whole = _element(row)
    return loops


def _element(row: dict[str, str]) -> _Element:
    return _Element(
        name=row["element"],
        is_needed=row["element_usage"] == "R",
        repeats=int(row["element_repeat"] or 1),
        type=row["type"],
        least=int(row["min"] or 0),
        most=int(row["max"] or 0),
        codes=_listed(row),
    )


def _listed(row: dict[str, str]) -> frozenset[str]:
    """Return the codes that an element may hold, none where it may hold any."""
    named = re.fullmatch(r"see (\w+)\.csv", row["codes"])
    if named:
        return frozenset(codes.names(named[1]))
    return frozenset(row["codes"].split()) if row["type"] == "ID" else frozenset()


def check(set_id: str, segments: Sequence[Segment], marks: Separators) -> list[Finding]:
    """Return what breaks the guide in the segments between ST and SE, in their order.

    A set that has no table gives nothing.
    """
    if set_id not in _TABLES:
        return []
    walk = _Walk(set_id, marks)
    for segment in segments:
        walk.take(segment)
    return sorted(walk.end(), key=lambda found: found.position)


class _Walk:
    """Goes through a transaction and knows in which loop it is."""

    def __init__(self, set_id: str, marks: Separators) -> None:
        self._loops = _loops(set_id)
        self._opens = _OPENS[set_id]
        self._marks = marks
        self._loop = "HEADER"
        self._letter = ""
        self._seen: dict[str, Counter[str]] = {"HEADER": Counter()}
        self._last_order = -1
        self._position = 1  # that of ST
        self._found: list[Finding] = []
        self._known = {name for uses in self._loops.values() for name in uses}
        self._levels: list[str] = []
        self._has_reject = False

    def take(self, segment: Segment) -> None:
        """Place one segment in its loop and hold it against that."""
        self._position += 1
        self._move(segment)
        use = self._loops[self._loop].get(segment.id)
        if use is None:
            code = NOT_USED_SEGMENT if segment.id in self._known else UNKNOWN_SEGMENT
            self._tell(segment.id, code)
            return
        seen = self._seen[self._loop]
        seen[segment.id] += 1
        if seen[segment.id] > use.most:
            self._tell(segment.id, TOO_MANY_SEGMENTS)
        if use.order < self._last_order:
            self._tell(segment.id, OUT_OF_SEQUENCE)
        self._last_order = max(self._last_order, use.order)
        self._found += _elements(segment, use, self._marks, self._loop, self._position)

    def end(self) -> list[Finding]:
        """Return all findings, also what is missing at the end."""
        self._end_level()
        self._close("HEADER")
        if self._levels and not self._has_reject:  # a reject may end the tree at any level
            for letter in "ABC":
                if letter not in self._levels:
                    self._tell("HL", SEGMENT_MISSING, f"2000{letter}")
        return self._found

    def _move(self, segment: Segment) -> None:
        """Go to the loop that a segment begins or belongs to."""
        self._has_reject |= segment.id == "AAA"
        if segment.id == "HL":
            self._end_level()
            self._letter = _LEVELS.get(segment.get(3), "A")
            self._levels.append(self._letter)
            self._open(f"2000{self._letter}")
        elif segment.id == "NM1":
            self._party()
        elif segment.id in self._opens:
            loop = self._opens[segment.id].replace("X", self._letter or "A")
            if segment.id in _BEGINS:
                self._open(loop)
            elif loop in self._loops:
                self._seen.setdefault(loop, Counter())
                self._loop, self._last_order = loop, -1

    def _end_level(self) -> None:
        """Tell what the level that has ended lacks, its party first of all."""
        if self._letter and f"2100{self._letter}" not in self._seen:
            self._tell("NM1", SEGMENT_MISSING, f"2100{self._letter}")
        for loop in [one for one in self._seen if one != "HEADER"]:
            self._close(loop)

    def _party(self) -> None:
        inside = self._loop[:4] in ("2110", "2115", "2120")
        loop = f"{'2120' if inside else '2100'}{self._letter}"
        self._open(loop)

    def _open(self, loop: str) -> None:
        if loop in self._loops:
            self._close(loop)
            self._loop, self._last_order = loop, -1
            self._seen[loop] = Counter()

    def _close(self, loop: str) -> None:
        """Tell what a loop that has ended lacks."""
        seen = self._seen.pop(loop, Counter())
        for name, use in self._loops[loop].items() if seen else ():
            if use.is_needed and not seen[name]:
                self._tell(name, SEGMENT_MISSING, loop)

    def _tell(self, segment: str, code: str, loop: str = "") -> None:
        self._found.append(Finding(loop or self._loop, segment, self._position, code))


def _elements(
    segment: Segment, use: _Use, marks: Separators, loop: str, position: int
) -> Iterator[Finding]:
    for number in range(1, max(use.last + 1, len(segment.elements))):
        value, place = segment.get(number), use.places.get(number)
        if place is not None:
            for element, code in _breaches(place, value, marks):
                yield Finding(loop, segment.id, position, code, element)
        elif value:
            code = TOO_MANY_ELEMENTS if number > use.last else NOT_USED_ELEMENT
            yield Finding(loop, segment.id, position, code, f"{segment.id}{number:02d}")


def _breaches(place: _Place, value: str, marks: Separators) -> Iterator[tuple[str, str]]:
    """Yield (element, code) for each breach at one place."""
    whole, parts = place.whole, place.parts
    if not value:
        if whole is not None and whole.is_needed:
            yield whole.name, MISSING
        return
    limit = whole.repeats if whole is not None else 1
    given = value.split(marks.repetition) if limit > 1 and marks.repetition else [value]
    if whole is not None and len(given) > limit:
        yield whole.name, TOO_MANY_REPEATS
    for one in given:
        if parts:
            yield from _components(parts, one.split(marks.component))
        elif whole is not None:
            yield from ((whole.name, code) for code in _value(whole, one))


def _components(parts: dict[int, _Element], values: list[str]) -> Iterator[tuple[str, str]]:
    for number, element in parts.items():
        value = values[number - 1] if number <= len(values) else ""
        if value:
            yield from ((element.name, code) for code in _value(element, value))
        elif element.is_needed:
            yield element.name, MISSING


def _value(element: _Element, text: str) -> Iterator[str]:
    """Yield the codes of what is wrong with a value: type, length, characters, code list."""
    shape = _SHAPES.get(element.type)
    if shape is not None and not shape.fullmatch(text):
        yield INVALID_CHARACTER
        return
    length = len(text.replace("-", "").replace(".", "")) if shape is not None else len(text)
    if length < element.least:
        yield TOO_SHORT
    if element.most and length > element.most:
        yield TOO_LONG
    if not text.isprintable():
        yield INVALID_CHARACTER
    if element.type == "DT" and not _is_date(text):
        yield INVALID_DATE
    if element.type == "TM" and not _TIME.fullmatch(text):
        yield INVALID_TIME
    if element.codes and text not in element.codes:
        yield INVALID_CODE


def _is_date(text: str) -> bool:
    whole = f"20{text}" if len(text) == _CENTURY else text
    try:
        return len(whole) == len("CCYYMMDD") and bool(
            date(int(whole[:4]), int(whole[4:6]), int(whole[6:]))
        )
    except ValueError:
        return False
