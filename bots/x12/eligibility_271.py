"""Reads a 271 (005010X279A1) as payers really send it: tolerant, and nothing is dropped.

What breaks the guide is flagged on the row or the answer. Only a text that holds no 271 at all is
refused: NotA271 says what came instead.
"""

from collections.abc import Sequence

from msgspec import structs

from bots.domain.eligibility import Answer, Dated, Entity, Identifier, Person, Reject
from bots.x12 import acknowledgement, elements, guide, rows
from bots.x12.acknowledgement import Acknowledgement
from bots.x12.envelope import Transaction, transactions
from bots.x12.guide import Finding
from bots.x12.rows import Row
from bots.x12.syntax import Segment, Separators, Unreadable

_FIRST = 2  # the number of the segment after ST (X12 IK302)
_LEVELS = {"20": "A", "21": "B", "22": "C", "23": "D"}
_BESIDE = frozenset({"HL", "AAA"})  # they belong to no row
_PERSON_ROLES = ("IL", "03")
_PAYER_CORRECTED = ("001", "25")  # INS03, INS04: the payer changed identifying data
_MORE = "more-patients"  # a flag of the answer


class NotA271(Exception):
    """There is no 271 in the text; `found` is 999, 997, TA1, another set id, or "".

    `acknowledgement` is what a 999, 997 or TA1 says.
    """

    def __init__(self, found: str, acknowledgement: Acknowledgement | None = None) -> None:
        """Name the transaction set that came instead."""
        super().__init__(f"expected a 271, found {found or 'no transaction'}")
        self.found = found
        self.acknowledgement = acknowledgement


def read(text: str) -> Answer:
    """Return the answer in `text`: the first patient of the first 271 that tells of benefits.

    Where none does, of the first that says anything. Raises NotA271, also where each 271 has
    neither a payer level nor a reject.
    """
    try:
        found = list(transactions(text))
    except Unreadable as error:
        raise NotA271("") from error
    if any(one.set_id == "271" for one in found):
        return _first(text, [one for one in found if one.set_id == "271"])
    for one in found:
        if one.set_id in acknowledgement.KINDS:
            raise NotA271(one.set_id, acknowledgement.read(one))
    raise NotA271(found[0].set_id if found else "")


def _first(text: str, found: Sequence[Transaction]) -> Answer:
    every = (_Reader(one).answer(text) for one in found)
    answers = [one for one in every if one.payer.role or one.rejects]
    if not answers:
        raise NotA271("271 without content")
    chosen = next((one for one in answers if one.benefits), answers[0])
    if len(answers) == 1:
        return chosen
    return structs.replace(chosen, flags=tuple(dict.fromkeys((*chosen.flags, _MORE))))


def of_segments(
    segments: Sequence[Segment], marks: Separators, rejects: tuple[Reject, ...] = ()
) -> Answer:
    """Return the answer in the segments of one 271 that came in another form than X12.

    `rejects` are those that were told beside them.
    """
    reader = _Reader(Transaction("271", tuple(segments), marks), numbered=False)
    answer = reader.answer("")
    return structs.replace(answer, rejects=(*answer.rejects, *rejects))


def findings(text: str) -> list[Finding]:
    """Return what breaks the guide in the first 271 of `text`, which `read` has read."""
    first = next(one for one in transactions(text) if one.set_id == "271")
    return guide.check("271", first.segments, first.marks)


class _Level:
    """What one HL level has said so far about its party."""

    def __init__(self) -> None:
        self.entity = Entity("")
        self.person: Person | None = None
        self.identifiers: list[Identifier] = []
        self.dates: list[Dated] = []
        self.traces: list[tuple[str, str]] = []
        self.rows: list[Row] = []


class _Reader:
    """Walks one transaction, segment by segment, keeping what each level says."""

    def __init__(self, transaction: Transaction, *, numbered: bool = True) -> None:
        self._marks: Separators = transaction.marks
        self._levels = {letter: _Level() for letter in "ABCD"}
        self._letter = "A"
        self._row: Row | None = None
        self._eb_count = 0
        self._rejects: list[Reject] = []
        self._flags: list[str] = list(transaction.flags)
        self._ended = False
        for number, segment in enumerate(transaction.segments, _FIRST):
            name = segment.id
            if name == "EB":
                self._row = Row(segment, self._eb_count, number if numbered else 0, [])
                self._levels[self._letter].rows.append(self._row)
                self._eb_count += 1
            elif self._row is None or name in _BESIDE:
                self._take(segment)
                if self._ended:
                    break
            else:
                self._row.following.append(segment)

    def answer(self, raw: str) -> Answer:
        """Return everything that was said about the patient."""
        patient = self._levels["D"] if self._levels["D"].person else self._levels["C"]
        outer = self._levels["C"]
        traces = [*self._levels["D"].traces, *outer.traces]
        # Some payers speak of a child above its level; of one whom they rejected they do not.
        is_apart = bool(patient.rows) or any(one.is_of_dependent for one in self._rejects)
        own = patient if is_apart else outer
        beside = [] if own is outer else outer.rows
        identifiers = [*patient.identifiers]
        identifiers += [] if patient is outer else outer.identifiers
        return Answer(
            trace=next((value for kind, value in traces if kind == "2"), ""),
            payer_trace=next((value for kind, value in traces if kind == "1"), ""),
            payer=self._levels["A"].entity,
            subscriber=outer.person,
            dependent=self._levels["D"].person,
            identifiers=tuple(identifiers),
            dates=tuple(patient.dates),
            subscriber_dates=() if patient is outer else tuple(outer.dates),
            benefits=rows.benefits(own.rows, self._marks),
            subscriber_benefits=rows.benefits(beside, self._marks),
            rejects=tuple(self._rejects),
            flags=tuple(dict.fromkeys(self._flags)),
            raw=raw,
            has_own_rows=own is not outer,
        )

    def _take(self, segment: Segment) -> None:
        """Read a segment outside the rows."""
        if segment.id == "HL":
            self._open(segment.get(3))
        elif segment.id == "AAA":
            loop = f"2110{self._letter}" if self._row else self._loop()
            self._rejects.append(Reject(loop, *(segment.get(n) for n in (1, 3, 4))))
        else:
            self._about_party(segment)

    def _loop(self) -> str:
        named = self._levels[self._letter].entity.role
        return f"{'2100' if named else '2000'}{self._letter}"

    def _open(self, code: str) -> None:
        """Begin a level; a second patient in the transaction is another answer, so we stop."""
        letter = _LEVELS.get(code)
        if letter is None:
            self._flags.append(f"unknown-code:HL03:{code}")
            return
        order = "ABCD"
        seen = self._levels[letter]
        if seen.entity.role and order.index(letter) <= order.index(self._letter) > 1:
            self._flags.append(_MORE)
            self._ended = True
        self._letter, self._row = letter, None

    def _about_party(self, segment: Segment) -> None:
        level = self._levels[self._letter]
        match segment.id:
            case "NM1":
                level.entity = elements.entity(segment)
                if segment.get(1) in _PERSON_ROLES:
                    level.person = elements.person(segment)
            case "DMG" if level.person is not None:
                level.person = elements.with_demographics(level.person, segment)
            case "INS" if (segment.get(3), segment.get(4)) == _PAYER_CORRECTED:
                self._flags.append("payer-corrected")
                if level.person is not None:
                    level.person = structs.replace(level.person, corrected=True)
            case _:
                self._listed(level, segment)

    def _listed(self, level: _Level, segment: Segment) -> None:
        match segment.id:
            case "PER":
                level.entity = elements.with_contacts(level.entity, segment)
            case "REF":
                level.identifiers.append(elements.identifier(segment))
            case "DTP":
                found = elements.dated(segment)
                level.dates.append(found)
                if elements.is_unreadable(found, segment):
                    self._flags.append("unreadable:DTP03")
            case "TRN":
                level.traces.append((segment.get(1), segment.get(2)))
