"""Separators, segments and envelopes, as they are really sent (x12 3.1)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.x12 import eligibility_271
from bots.x12.eligibility_271 import NotA271
from bots.x12.envelope import transactions
from bots.x12.syntax import Segment, Separators, Unreadable, join, segments, separators
from tests.x12_texts import FIXTURES, answer_271, file_271

GOOD = file_271("family-plan")
TA1 = (
    "ISA*00*          *00*          *ZZ*A              *ZZ*B              *261124*0930*^"
    "*00501*000000101*0*T*:~TA1*000000101*261124*0930*R*006~IEA*0*000000101~"
)


def rows_of(text: str) -> list[tuple[object, ...]]:
    answer = eligibility_271.read(text)
    return [
        (b.kind, b.level, b.service_type, b.amount, b.percent, b.network, b.messages)
        for b in answer.benefits
    ]


TRANSFORMS = {
    "byte-order mark": lambda t: "\ufeff" + t,
    "CRLF": lambda t: t.replace("\n", "\r\n"),
    "one line": lambda t: t.replace("\n", ""),
    "indented": lambda t: t.replace("\n", "\n    "),
    "blank segments": lambda t: t.replace("~\n", "~\n~\n"),
    "trailing empty elements": lambda t: t.replace("*Y~", "*Y***~"),
    "terminator !": lambda t: t.replace("~", "!"),
    "terminator newline": lambda t: t.replace("~\n", "\n"),
    "terminator 0x1D": lambda t: t.replace("~", "\x1d"),
    "element |": lambda t: t.replace("*", "|"),
    "component >": lambda t: t.replace("*:~", "*>~"),
    "wrong SE count": lambda t: t.replace("SE*", "SE*9"),
    "wrong GS01 and GS08": lambda t: t.replace("GS*HB", "GS*HS").replace("X*005010X279A1", "X*1"),
    "no trailer": lambda t: t[: t.index("SE*")],
    "lower-case names": lambda t: t.replace("EB*", "eb*").replace("NM1*", "nm1*"),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_what_is_seen_in_the_wild_reads_the_same(name: str) -> None:
    """Each irregularity of a good file gives equal rows."""
    assert rows_of(GOOD) == rows_of(TRANSFORMS[name](GOOD))


def test_the_isa_gives_its_separators() -> None:
    """ISA11, ISA16 and the terminator, at their places."""
    assert Separators("|", ">", "#", "'") == separators(file_271("odd-separators"))


def test_a_trimmed_isa_is_counted_out() -> None:
    """Where padding was lost, the sixteenth element still ends the ISA."""
    assert Separators() == separators(file_271("trimmed-isa"))


def test_an_old_isa_has_no_repetition() -> None:
    """ISA11 `U`: a caret is data."""
    text = GOOD.replace("*^*00501*", "*U*00501*")

    assert "" == separators(text).repetition
    assert "98^UC" in [b.service_type for b in eligibility_271.read(text).benefits]


@pytest.mark.parametrize("text", ["", "ISA", "ISA*00*1", "GS*HB~", "hello"])
def test_what_is_no_x12_is_refused(text: str) -> None:
    """With a reason, without the text."""
    with pytest.raises(NotA271):
        eligibility_271.read(text)


def test_many_transactions_groups_and_interchanges() -> None:
    """Several ST in a GS, several ISA in a text, each with its own separators."""
    two = answer_271("EB*1**30") + file_271("odd-separators")

    assert ["271", "271"] == [t.set_id for t in transactions(two)]
    assert ["*", "|"] == [t.marks.element for t in transactions(two)]


def test_a_ta1_belongs_to_no_transaction() -> None:
    """Where its place is within one, or one was broken off before it, it is told all the same."""
    broken = TA1.replace("TA1*", "GS*FA*A*B*20261124*0930*1*X*005010~ST*999*0001~AK1*HS*1~TA1*")
    told, answer = transactions(answer_271("EB*1**30", "TA1*000000101*261124*0930*R*006"))

    assert ("TA1", "271") == (told.set_id, answer.set_id)
    assert "TA1" not in {segment.id for segment in answer.segments}
    with pytest.raises(NotA271) as refused:
        eligibility_271.read(broken)
    assert refused.value.acknowledgement
    assert ("TA1", "R") == (refused.value.found, refused.value.acknowledgement.code)


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000", "\x85", "\t", " "])
def test_a_blank_of_any_kind_is_no_value(blank: str) -> None:
    """Some senders fill up with blanks that are not ASCII; within a value they stay."""
    (found,) = segments(f"NM1*{blank}*A{blank}B*{blank}C~", Separators())

    assert ("NM1", "", f"A{blank}B", "C") == found.elements


def test_a_blank_that_separates_is_none() -> None:
    """U+001F as component separator, as some senders have it, beside a letter that is not ASCII."""
    marks = Separators(component="\x1f")
    (found,) = segments("EB*B**98**PLAN É***\x1fD0120~", marks)

    assert "\x1fD0120" == found.elements[-1]


ENVELOPE_FAULTS = {
    "segment-count": lambda t: t.replace("SE*", "SE*9"),
    "control-number": lambda t: t.replace("IEA*1*000000101", "IEA*1*000000102"),
    "set-count": lambda t: t.replace("GE*1*", "GE*2*"),
    "group-count": lambda t: t.replace("IEA*1*", "IEA*3*"),
    "truncated": lambda t: t[: t.index("SE*")],
}


@pytest.mark.parametrize("flag", ENVELOPE_FAULTS)
def test_a_wrong_envelope_is_noted(flag: str) -> None:
    """Tolerated, and told by its name; a good one is told nothing of."""
    good = answer_271("EB*1**30")
    assert () == eligibility_271.read(good).flags

    assert (flag,) == eligibility_271.read(ENVELOPE_FAULTS[flag](good)).flags


def test_one_bad_transaction_loses_no_other() -> None:
    """Of three in a group the second is broken off: all are there, and it is known which."""
    one = "ST*271*{0}~BHT*0022*11*R*20261124*0930~HL*1**20*1~SE*4*{0}~"
    body = one.format("0001") + one.format("0002").replace("SE*4*0002~", "") + one.format("0003")
    head = answer_271()[: answer_271().index("ST*271")]
    found = list(transactions(head + body + "GE*3*101~IEA*1*000000101~"))

    assert ["0001", "0002", "0003"] == [t.control for t in found]
    assert [(), ("truncated",), ()] == [t.flags for t in found]


def test_an_answer_cut_at_any_place_invents_nothing() -> None:
    """Its rows are the first of the whole's, each with the same values; half a number is none."""
    whole = [row[:-1] for row in rows_of(GOOD)]  # without messages, of which some may be cut
    for place in range(GOOD.index("EB*"), GOOD.index("SE*")):
        assert "truncated" in eligibility_271.read(GOOD[:place]).flags
        cut = [row[:-1] for row in rows_of(GOOD[:place])]
        assert cut == whole[: len(cut)]


def test_limits_are_limits() -> None:
    """More segments or elements than any payer sends are refused at once."""
    with pytest.raises(Unreadable):
        list(segments("A~" * 500_001, Separators()))
    with pytest.raises(Unreadable):
        list(segments("A" + "*" * 1_001 + "~", Separators()))
    with pytest.raises(Unreadable):
        list(segments("A" * (12 * 1024 * 1024 + 1), Separators()))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ((FIXTURES / "999" / "rejected.edi").read_text(), "999"),
        (TA1, "TA1"),
        (answer_271().replace("ST*271", "ST*277"), "277"),
        ("ST*271*0001~SE*2*0001~", "271 without content"),
    ],
)  # fmt: skip
def test_what_came_instead_is_named(text: str, found: str) -> None:
    """A 999 or TA1 is our defect or routing, not an answer."""
    with pytest.raises(NotA271) as refused:
        eligibility_271.read(text)

    assert found == refused.value.found


def test_join_trims_empty_elements() -> None:
    """X12.6: no trailing separators."""
    assert "NM1*PR**X~" == join("NM1", ["PR", "", "X", "", ""], Separators())
    assert "" == Segment("A", ("A", "x"), "A*x").get(2)


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever comes is read or refused."""
    for hostile in (text, "ISA" + text, GOOD[:400] + text, GOOD.replace("EB*C", text or "EB*C")):
        with suppress(NotA271):
            eligibility_271.read(hostile)
