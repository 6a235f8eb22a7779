"""Transactions held against their guide, and the acknowledgements that tell of it."""

from datetime import UTC, datetime

import pytest

from bots.x12 import acknowledgement, guide
from bots.x12.envelope import Sender, Transaction, transactions
from bots.x12.syntax import Separators, segments
from tests.x12_texts import FIXTURES, answer_271, file_271

CLEAN = ("active-ppo", "dependent-child", "family-plan", "medicare-a-and-b", "aaa-75-not-found")
MOMENT = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)
SENDER = Sender("INFORCE", "STEDI")


def parsed(text: str) -> Transaction:
    return next(transactions(text))


def findings(text: str) -> list[str]:
    one = parsed(text)
    return [str(found) for found in guide.check(one.set_id, one.segments, one.marks)]


@pytest.mark.parametrize("name", CLEAN)
def test_what_keeps_to_the_guide_is_clean(name: str) -> None:
    """Nothing is found in it."""
    assert [] == findings(file_271(name))


EB, DMG, NPI = "EB*1**30", "DMG*D8*19850214*F~", "NM1*1P*2*RIVERSIDE CLINIC*****XX*1999999984~"


@pytest.mark.parametrize(
    ("found", "put", "place", "loop", "position", "words"),
    [
        (EB, "EB*ZZ**30", "EB01", "2110C", 11, "invalid code value"),
        (EB, "EB***30", "EB01", "2110C", 11, "required element missing"),
        (EB, "EB*B**98****12345678901234567890", "EB07", "2110C", 11, "element too long"),
        (EB, "EB*B**98****x", "EB07", "2110C", 11, "invalid character"),
        (EB, "EB*1**30************X", "EB15", "2110C", 11, "too many elements"),
        (EB, "EB*1**98**********HC", "EB13-02", "2110C", 11, "required element missing"),
        ("20261124*0930", "20261131*0930", "BHT04", "HEADER", 2, "invalid date"),
        ("*0930", "*9930", "BHT05", "HEADER", 2, "invalid time"),
        ("DMG*D8*19850214*F", "ZZZ*1", "ZZZ", "2100C", 10, "unrecognized segment"),
        ("DMG*D8*19850214*F", "HSD*VS*1", "HSD", "2100C", 10, "not-used segment present"),
        (DMG, DMG * 2, "DMG", "2100C", 11, "segment exceeds maximum use"),
        (DMG, f"{DMG}N3*1 ROAD~", "N3", "2100C", 11, "segment out of sequence"),
        (NPI, "", "NM1", "2100B", 6, "required segment missing"),
        (f"HL*2*1*21*1~\n{NPI}", "", "HL", "2000B", 9, "required segment missing"),
    ],
)
def test_each_breach_is_told_by_its_place_and_code(
    found: str, put: str, place: str, loop: str, position: int, words: str
) -> None:
    """One change of a clean answer, one finding about it; no value is repeated."""
    head, mark, rest = answer_271(EB).partition("BHT*")
    told = findings(head + mark + rest.replace(found, put, 1))

    assert f"{place} in loop {loop}, segment {position}: {words}" in told


def test_a_transaction_without_a_table_gives_nothing() -> None:
    """Of an 835 we know nothing."""
    assert [] == findings(answer_271().replace("ST*271", "ST*835"))


def test_a_999_tells_each_finding_and_keeps_to_its_own_guide() -> None:
    """Written of a bad answer, read again: the same places and codes, and no value."""
    bad = parsed(answer_271("EB*ZZ**30", "ZZZ*1"))
    found = guide.check(bad.set_id, bad.segments, bad.marks)
    text = acknowledgement.write(bad, found, sender=SENDER, control=7, moment=MOMENT)

    assert [] == findings(text)
    told = acknowledgement.read(parsed(text))
    assert ("999", "101", "R", False) == (told.kind, told.control, told.code, told.is_accepted)
    assert ("IK304 8 EB 11 2110", "IK403 7 EB 1", "IK304 1 ZZZ 12 2110") == told.notes


def test_a_clean_transaction_is_accepted() -> None:
    """IK5 A, AK9 A, one of one."""
    good = parsed(answer_271("EB*1**30"))
    text = acknowledgement.write(good, (), sender=SENDER, control=7, moment=MOMENT)

    assert [] == findings(text)
    assert "AK9*A*1*1*1~" in text
    assert acknowledgement.read(parsed(text)).is_accepted


def test_what_others_refuse_is_read_without_their_values() -> None:
    """A 999 repeats the bad value in IK404: it may be a member id."""
    text = (FIXTURES / "999" / "rejected.edi").read_text()
    told = acknowledgement.read(parsed(text.replace("IK4*9*67*1", "IK4*9*67*7*MEM0001")))

    assert "999 R, IK304 8 NM1 8 2100, IK403 7 NM1 9, IK5 I5" == str(told)


def test_a_ta1_is_written_and_read() -> None:
    """The interchange it is about, its code and its note."""
    isa = segments(answer_271(), Separators())[0]
    text = acknowledgement.write_ta1(isa, "R", "006", sender=SENDER, control=8, moment=MOMENT)
    told = acknowledgement.read(parsed(text))

    assert ("TA1", "000000101", "R", ("TA105 006",)) == (
        told.kind, told.control, told.code, told.notes)  # fmt: skip
    assert text.endswith("IEA*0*000000008~")
    assert not told.is_accepted
