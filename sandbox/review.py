"""A payer that takes X12 278 (005010X217): a request for review in, its decisions out.

It decides by the code of the service, as the PAS payer does (fixtures/pas/scenarios.json). Written
from what Da Vinci PAS publishes of the transaction; not verified against the licensed guide.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from sandbox import authorizations

VALID_DAYS = 90
_ISA_LENGTH = 106
_NAMELESS = {"21": "44", "22": "64"}  # provider and member without their numbers
_numbers = itertools.count(1)
Segment = list[str]


@dataclass(slots=True)
class Loop:
    """One HL loop: its level (HL03) and the segments in it."""

    level: str
    segments: list[Segment] = field(default_factory=list)

    def first(self, name: str, *starts: str) -> Segment:
        """Return the first segment of that name that begins so, [] if there is none."""
        wanted = [name, *starts]
        return next((one for one in self.segments if one[: len(wanted)] == wanted), [])


def is_278(x12: str) -> bool:
    """Tell whether an interchange holds a 278."""
    return x12.startswith("ISA") and f"ST{x12[3:4]}278{x12[3:4]}" in x12


def read(x12: str) -> list[Loop]:
    """Return the loops of a 278 in their order, the head as one of level ""."""
    if len(x12) < _ISA_LENGTH:
        return []
    loops = [Loop("")]
    for text in x12.split(x12[105]):
        segment = text.strip().split(x12[3])
        if segment[0] == "HL":
            loops.append(Loop(at(segment, 3)))
        loops[-1].segments.append(segment)
    return loops


def at(segment: Segment, place: int) -> str:
    """Return one element, "" where it is absent."""
    return segment[place] if len(segment) > place else ""


def answer(x12: str) -> str:
    """Return the response to a request for review; what it lacks is rejected by its loop."""
    loops = read(x12)
    element, component, end = x12[3], x12[104], x12[105]
    body: list[Segment] = [["BHT", "0007", "11", at(loops[0].first("BHT"), 3)]]
    wrong = next(_lacking(loops), None)
    number = f"X{next(_numbers):08}"
    for place, loop in enumerate(loops[1:], 1):
        hl = loop.first("HL")
        body.append(["HL", at(hl, 1), at(hl, 2), loop.level, at(hl, 4)])
        body += [["NM1", *one[1:]] for one in loop.segments if one[0] == "NM1"]
        if wrong is not None and wrong[0] == place:
            body.append(["AAA", "N", "", wrong[1], "C"])
            break
        if loop.level in ("EV", "SS"):
            body += [["TRN", "2", *one[2:]] for one in loop.segments if one[0] == "TRN"]
        if loop.level == "SS":
            body += _decided(loop, number, component)
    inner = [["ST", "278", "0001", "005010X217"], *body]
    inner.append(["SE", str(len(inner) + 1), "0001"])
    now = datetime.now(UTC)
    head = x12[:_ISA_LENGTH]
    group = ["GS", "HI", "PAYER", "INFORCE", f"{now:%Y%m%d}", f"{now:%H%M}", "1", "X", "005010X217"]
    lines = [group, *inner, ["GE", "1", "1"], ["IEA", "1", head.split(element)[13]]]
    return head + "".join(element.join(_cut(one)) + end for one in lines)


def _cut(segment: Segment) -> Segment:
    while segment and not segment[-1]:
        segment = segment[:-1]
    return segment


def _lacking(loops: list[Loop]) -> Iterator[tuple[int, str]]:
    """Yield where a request lacks what is mandatory, with the reject reason (AAA03)."""
    for place, loop in enumerate(loops[1:], 1):
        named = at(loop.first("NM1"), 9)
        if loop.level in _NAMELESS and not named:
            yield place, _NAMELESS[loop.level]
        if loop.level == "SS" and not at(loop.first("SV1"), 1):
            yield place, "33"


def _decided(loop: Loop, number: str, component: str) -> list[Segment]:
    """Return HCR and what goes with it."""
    code = at(loop.first("SV1"), 1).split(component)[1]
    decision = authorizations.scenario(code) or authorizations.APPROVED
    if "error" in decision:
        return [["AAA", "N", "", decision["error"]["code"], decision["error"]["follow_up"]]]
    action = decision["code"]
    told = number if action in ("A1", "A2", "A3", "A6") else ""
    reason = decision.get("reason", "0V" if action == "A3" else "")
    lines = [["HCR", action, told, reason]]
    if action in ("A1", "A2", "A6"):
        today = datetime.now(UTC).date()
        ends = today + timedelta(days=VALID_DAYS)
        lines += [_day("102", today), _day("007", today), _day("036", ends)]
    if decision.get("units"):
        lines.append(["HSD", at(loop.first("HSD"), 1), str(decision["units"])])
    for ask in decision.get("ask", ()):
        if "pwk" in ask:
            lines.append(["PWK", ask["pwk"], "", "", "", "AC", f"{number}-1"])
    if decision.get("note"):
        lines.append(["MSG", decision["note"]])
    return lines


def _day(qualifier: str, day: date) -> Segment:
    return ["DTP", qualifier, "D8", f"{day:%Y%m%d}"]
