"""Interchanges: ISA, GS and ST around transactions, taken apart and put together."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from bots.x12.syntax import Segment, Separators, Unreadable, join, segments, separators

VERSION = "005010X279A1"


@dataclass(frozen=True, slots=True)
class Transaction:
    """The segments between ST and SE, and the set they are of (271, 999, …)."""

    set_id: str
    segments: tuple[Segment, ...]
    marks: Separators


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends to whom, in ISA05 to ISA08 and GS02, GS03. `test` is ISA15 T."""

    sender_id: str
    receiver_id: str
    sender_qualifier: str = "ZZ"
    receiver_qualifier: str = "ZZ"
    test: bool = False


def transactions(text: str) -> Iterator[Transaction]:
    """Yield the transactions of a text: many per group, many groups, many interchanges.

    A TA1, which stands outside any ST, is yielded as a transaction of its own. A bare ST..SE is
    read with the usual delimiters. Raises Unreadable where neither ISA nor ST begins the text.
    """
    text = text.lstrip("\ufeff\r\n\t ")
    if text[:3].upper() == "ISA":
        for interchange in _interchanges("ISA" + text[3:]):
            marks = separators(interchange)
            yield from _sets(segments(interchange, marks), marks)
    elif text[:2] == "ST" and len(text) > 3:  # noqa: PLR2004 ST and its separator
        marks = Separators(element=text[2])
        yield from _sets(segments(text, marks), marks)
    else:
        raise Unreadable("expected X12 that begins with ISA or ST")


def _interchanges(text: str) -> Iterator[str]:
    """Cut a text before each further ISA: every interchange may have its own delimiters."""
    start = 0
    while start < len(text):
        marks = separators(text[start:])
        again = re.compile(re.escape(marks.segment) + r"\s*(?=ISA[^A-Za-z0-9])").search(text, start)
        end = again.end() if again else len(text)
        yield text[start:end]
        start = end


def _sets(found: Iterator[Segment], marks: Separators) -> Iterator[Transaction]:
    kept: list[Segment] = []
    set_id = ""
    for segment in found:
        if segment.id == "TA1":
            yield Transaction("TA1", (segment,), marks)
        elif segment.id == "ST":
            if set_id:
                yield Transaction(set_id, tuple(kept), marks)
            set_id, kept = segment.get(1), []
        elif segment.id in ("SE", "GE", "IEA") and set_id:
            yield Transaction(set_id, tuple(kept), marks)
            set_id = ""
        elif set_id:
            kept.append(segment)
    if set_id:
        yield Transaction(set_id, tuple(kept), marks)


def wrap(  # noqa: PLR0913 the parts of an envelope
    body: list[list[str]],
    *,
    set_id: str,
    group_id: str,
    sender: Sender,
    control: int,
    moment: datetime,
) -> str:
    """Return one interchange with one transaction around `body`, a list of [id, element, …].

    `control` numbers the interchange and the group (ISA13, GS06), 1 to 999,999,999; `moment` is
    aware, written as UTC.
    """
    marks = Separators()
    day, clock = moment.strftime("%Y%m%d"), moment.strftime("%H%M")
    inner = [["ST", set_id, "0001", VERSION], *body]
    inner.append(["SE", str(len(inner) + 1), "0001"])
    ids = [sender.sender_id.strip(), sender.receiver_id.strip()]
    lines = [
        ["GS", group_id, *ids, day, clock, str(control), "X", VERSION],
        *inner,
        ["GE", "1", str(control)],
        ["IEA", "1", f"{control:09d}"],
    ]
    text = "".join(join(name, elements, marks) for name, *elements in lines)
    return _isa(sender, marks, f"{control:09d}", day[2:], clock) + text


def _isa(sender: Sender, marks: Separators, number: str, day: str, clock: str) -> str:
    """Return the ISA: 106 characters, every element padded to its full length."""
    unused = ["00", " " * 10]
    parties = [sender.sender_qualifier, f"{sender.sender_id:<15}"]
    parties += [sender.receiver_qualifier, f"{sender.receiver_id:<15}"]
    rest = [day, clock, marks.repetition, "00501", number, "0"]
    usage = "T" if sender.test else "P"
    return join("ISA", [*unused, *unused, *parties, *rest, usage, marks.component], marks)
