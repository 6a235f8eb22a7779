"""Interchanges: ISA, GS and ST around transactions, taken apart and put together."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec
from msgspec import structs

from bots.x12.syntax import (
    REPLACED,
    Segment,
    Separators,
    Unreadable,
    join,
    readable,
    segments,
    separators,
)

VERSION = "005010X279A1"


class Group(msgspec.Struct, frozen=True):
    """The functional group of a transaction: GS01, GS06 and GS08."""

    id: str = ""
    control: str = ""
    version: str = ""


class Transaction(msgspec.Struct, frozen=True):
    """The segments between ST and SE, the set they are of (271, 999, …), and ST02.

    `flags` tell what is wrong with the envelope: segment-count, control-number, set-count,
    group-count, truncated where the end is missing, and unreadable-characters.
    """

    set_id: str
    segments: tuple[Segment, ...]
    marks: Separators
    control: str = ""
    group: Group = msgspec.field(default_factory=Group)
    flags: tuple[str, ...] = ()


class Sender(msgspec.Struct, frozen=True):
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
            yield from _Reader(interchange, marks).made
    elif text[:2] == "ST" and len(text) > 3:  # noqa: PLR2004 ST and its separator
        marks = Separators(element=text[2])
        yield from _Reader(text, marks).made
    else:
        raise Unreadable("expected X12 that begins with ISA or ST")


def _interchanges(text: str) -> Iterator[str]:
    """Cut a text before each further ISA: every interchange may have its own delimiters."""
    if text.count("ISA") == 1:  # nearly always, and then there is nothing to look for
        yield text
        return
    start = 0
    while start < len(text):
        marks = separators(text[start:])
        again = re.compile(re.escape(marks.segment) + r"\s*(?=ISA[^A-Za-z0-9])").search(text, start)
        end = again.end() if again else len(text)
        yield text[start:end]
        start = end


class _Reader:
    """Takes an interchange apart, and holds its counts and numbers against what came."""

    def __init__(self, text: str, marks: Separators) -> None:
        text = readable(text, marks)
        found = segments(text, marks)
        self.made: list[Transaction] = []
        self._found = found
        self._is_readable = REPLACED not in text
        self._marks = marks
        self._has_ta1 = False
        self._begin: int | None = None  # the place of the ST that is open
        self._group = Group()
        self._first = 0  # the place of the group's first transaction
        self._groups = 0
        self._number = ""  # ISA13
        for place, segment in enumerate(found):
            if segment.id in _ENVELOPE:
                _ENVELOPE[segment.id](self, segment, place)
        self._cut_off(len(found))

    def begin_interchange(self, segment: Segment, _place: int) -> None:
        """Read ISA."""
        self._number = segment.get(13)

    def begin_group(self, segment: Segment, place: int) -> None:
        """Read GS."""
        self._cut_off(place)
        self._group = Group(segment.get(1), segment.get(6), segment.get(8))
        self._first, self._groups = len(self.made), self._groups + 1

    def begin_set(self, _segment: Segment, place: int) -> None:
        """Read ST."""
        self._cut_off(place)
        self._begin = place

    def end_set(self, segment: Segment, place: int) -> None:
        """Read SE."""
        if self._begin is None:
            return
        head, inner = self._found[self._begin], self._inner(self._begin, place)
        wrong = {
            "segment-count": segment.get(1) != str(len(inner) + 2),
            "control-number": segment.get(2) != head.get(2),
        }
        self._keep(head, inner, [flag for flag, is_wrong in wrong.items() if is_wrong])

    def end_group(self, segment: Segment, place: int) -> None:
        """Read GE."""
        self._cut_off(place)
        count = len(self.made) - self._first
        self._flag(self._first, "set-count", wrong=segment.get(1) != str(count))
        self._flag(self._first, "control-number", wrong=segment.get(2) != self._group.control)
        self._group = Group()

    def end_interchange(self, segment: Segment, place: int) -> None:
        """Read IEA."""
        self._cut_off(place)
        self._flag(0, "group-count", wrong=segment.get(1) != str(self._groups))
        self._flag(0, "control-number", wrong=segment.get(2) != self._number)

    def acknowledge(self, segment: Segment, _place: int) -> None:
        """Read TA1, which stands outside any transaction, or belongs to none."""
        self.made.append(Transaction("TA1", (segment,), self._marks, segment.get(1)))
        self._has_ta1 = True

    def _cut_off(self, place: int) -> None:
        """End at `place` a transaction whose SE never came."""
        if self._begin is not None:
            head, inner = self._found[self._begin], self._inner(self._begin, place)
            self._keep(head, inner, ["truncated"])

    def _inner(self, begin: int, end: int) -> tuple[Segment, ...]:
        """Return what stands between the ST at `begin` and `end`."""
        inner = tuple(self._found[begin + 1 : end])
        return tuple(one for one in inner if one.id != "TA1") if self._has_ta1 else inner

    def _keep(self, head: Segment, inner: tuple[Segment, ...], flags: list[str]) -> None:
        """Keep the open transaction, of which `head` is the ST."""
        if not self._is_readable and any(REPLACED in segment.raw for segment in inner):
            flags.append("unreadable-characters")
        self.made.append(Transaction(head.get(1), inner, self._marks, head.get(2),
                                     self._group, tuple(flags)))  # fmt: skip
        self._begin = None

    def _flag(self, first: int, flag: str, *, wrong: bool) -> None:
        for place in range(first, len(self.made)) if wrong else ():
            one = self.made[place]
            self.made[place] = structs.replace(one, flags=tuple(dict.fromkeys([*one.flags, flag])))


_ENVELOPE: dict[str, Callable[[_Reader, Segment, int], None]] = {
    "ISA": _Reader.begin_interchange,
    "GS": _Reader.begin_group,
    "ST": _Reader.begin_set,
    "SE": _Reader.end_set,
    "GE": _Reader.end_group,
    "IEA": _Reader.end_interchange,
    "TA1": _Reader.acknowledge,
}


def wrap(  # noqa: PLR0913 the parts of an envelope
    body: list[list[str]],
    *,
    set_id: str,
    group_id: str,
    sender: Sender,
    control: int,
    moment: datetime,
    version: str = VERSION,
) -> str:
    """Return one interchange with one transaction around `body`, a list of [id, element, …].

    `control` numbers the interchange and the group (ISA13, GS06), 1 to 999,999,999; `moment` is
    aware, written as UTC.
    """
    at = moment.astimezone(UTC)
    inner = [["ST", set_id, "0001", version], *body]
    inner.append(["SE", str(len(inner) + 1), "0001"])
    ids = [sender.sender_id.strip(), sender.receiver_id.strip()]
    lines = [
        ["GS", group_id, *ids, f"{at:%Y%m%d}", f"{at:%H%M}", str(control), "X", version],
        *inner,
        ["GE", "1", str(control)],
    ]
    return interchange(lines, groups=1, sender=sender, control=control, moment=moment)


def interchange(
    lines: list[list[str]], *, groups: int, sender: Sender, control: int, moment: datetime
) -> str:
    """Return ISA, the lines and IEA, which counts the groups among them."""
    marks, at, number = Separators(), moment.astimezone(UTC), f"{control:09d}"
    inner = "".join(join(name, elements, marks) for name, *elements in lines)
    head = _isa(sender, marks, number, f"{at:%y%m%d}", f"{at:%H%M}")
    return head + inner + join("IEA", [str(groups), number], marks)


def _isa(sender: Sender, marks: Separators, number: str, day: str, clock: str) -> str:
    """Return the ISA: 106 characters, every element padded to its full length."""
    unused = ["00", " " * 10]
    parties = [sender.sender_qualifier, f"{sender.sender_id:<15}"]
    parties += [sender.receiver_qualifier, f"{sender.receiver_id:<15}"]
    rest = [day, clock, marks.repetition, "00501", number, "0"]
    usage = "T" if sender.test else "P"
    return join("ISA", [*unused, *unused, *parties, *rest, usage, marks.component], marks)
