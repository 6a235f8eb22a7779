"""TA1 and 999 (005010X231A1): what a receiver says of an envelope and of the syntax; read, written.

A 999 or TA1 in the place of an answer means that our own message was refused. Values that a 999
repeats (IK404) may be patient data: they are never kept.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from bots.x12.envelope import Sender, Transaction, interchange, transactions, wrap
from bots.x12.guide import Finding
from bots.x12.syntax import Segment, Unreadable

VERSION = "005010X231A1"
KINDS = ("999", "997", "TA1")
_ACCEPTED = frozenset({"A", "E", "P"})  # TA104, IK501, AK501, AK901
_ENVELOPE_ERRORS = "5"  # IK502: one or more segments in error
_SYNTAX = "8"  # IK304: the segment has element errors


class Acknowledgement(msgspec.Struct, frozen=True):
    """What was said: `kind` (999, 997, TA1), the worst `code`, and every note, in codes.

    A note is such as "IK304 8 NM1 3 2100C" or "IK403 7 NM1 9": the element of the 999, its code,
    and the place; `control` is the number of what is acknowledged.
    """

    kind: str
    control: str
    code: str
    notes: tuple[str, ...] = ()

    @property
    def is_accepted(self) -> bool:
        """Tell whether what we sent will be worked on, with errors noted or without."""
        return self.code in _ACCEPTED

    def __str__(self) -> str:
        """Return it in one line, without data."""
        return ", ".join([f"{self.kind} {self.code}".strip(), *self.notes])


def within(text: str) -> Acknowledgement | None:
    """Return the first TA1, 999 or 997 in an interchange, None where there is none to read."""
    try:
        found = list(transactions(text))
    except Unreadable:
        return None
    return next((read(one) for one in found if one.set_id in KINDS), None)


def read(transaction: Transaction) -> Acknowledgement:
    """Return what a TA1, 999 or 997 says; what it lacks is ""."""
    if transaction.set_id == "TA1":
        (ta1,) = transaction.segments
        note = f"TA105 {ta1.get(5)}"
        return Acknowledgement("TA1", ta1.get(1), ta1.get(4), (note,) if ta1.get(5) else ())
    control, codes, notes, place = "", [], [], ""
    for segment in transaction.segments:
        match segment.id:
            case "AK1":
                control = segment.get(2)
            case "IK3" | "AK3":
                place = segment.get(1)
                notes.append(_note("IK304", segment, 4, (1, 2, 3)))
            case "IK4" | "AK4":
                notes.append(f"{_note('IK403', segment, 3, ())} {place} {segment.get(1)}".strip())
            case "IK5" | "AK5" | "AK9":
                codes.append(segment.get(1))
                notes += [f"{segment.id} {code}" for code in segment.elements[2:] if _is_word(code)]
    code = next((one for one in codes if one not in _ACCEPTED), codes[-1] if codes else "")
    return Acknowledgement(transaction.set_id, control, code, tuple(notes))


def _note(name: str, segment: Segment, code: int, places: tuple[int, ...]) -> str:
    return " ".join([name, segment.get(code), *(segment.get(p) for p in places)]).strip()


def _is_word(code: str) -> bool:
    """Tell an error code (I5) from the counts of AK9."""
    return bool(code) and not code.isdecimal()


def write(
    transaction: Transaction,
    findings: Sequence[Finding],
    *,
    sender: Sender,
    control: int,
    moment: datetime,
) -> str:
    """Return the 999 on one transaction: accepted where nothing was found, else rejected.

    `sender` is who acknowledges; `control` numbers the interchange, `moment` (aware) dates it.
    """
    group = transaction.group
    code = "R" if findings else "A"
    accepted = "0" if findings else "1"
    body = [
        ["AK1", group.id, group.control or "1", group.version],
        ["AK2", transaction.set_id, transaction.control, group.version],
        *_errors(transaction, findings),
        ["IK5", code, _ENVELOPE_ERRORS] if findings else ["IK5", code],
        ["AK9", code, "1", "1", accepted],
    ]
    return wrap(body, set_id="999", group_id="FA", sender=sender, control=control, moment=moment,
                version=VERSION)  # fmt: skip


def _errors(transaction: Transaction, findings: Iterable[Finding]) -> Iterable[list[str]]:
    """Yield IK3 for each segment with findings, and IK4 for each of its elements."""
    by_place: dict[tuple[int, str, str], list[Finding]] = {}
    for one in findings:
        by_place.setdefault((one.position, one.segment, one.loop), []).append(one)
    for (position, segment, loop), found in by_place.items():
        own = [one for one in found if not one.element]
        for one in own or found[:1]:
            code = one.code if not one.element else _SYNTAX
            yield ["IK3", segment, str(position), loop[:4] if loop != "HEADER" else "", code]
        for one in found:
            if one.element:
                place, _, component = one.element[len(segment) :].partition("-")
                parts = [str(int(place)), *([str(int(component))] if component else [])]
                yield ["IK4", transaction.marks.component.join(parts), "", one.code]


def write_ta1(  # noqa: PLR0913 the parts of an envelope
    acknowledged: Segment, code: str, note: str, *, sender: Sender, control: int, moment: datetime
) -> str:
    """Return a TA1 on an interchange, whose ISA is `acknowledged`: TA104 `code`, TA105 `note`."""
    get = acknowledged.get
    line = ["TA1", get(13), get(9), get(10), code, note]
    return interchange([line], groups=0, sender=sender, control=control, moment=moment)
