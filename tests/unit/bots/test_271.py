"""What a 271 says, as values, and the FHIR it becomes: golden files and single elements."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bots.domain.eligibility import Answer, Benefit
from bots.x12 import eligibility_271
from bots.x12.envelope import transactions
from fhir_profiles import codec
from server.validation import structure
from tests.x12_texts import FIXTURES, answer_271, file_271, reject_271
from tools import golden

FILES = sorted((FIXTURES / "271").glob("*.edi"))


def benefit(*rows: str) -> Benefit:
    (found,) = eligibility_271.read(answer_271(*rows)).benefits
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_each_file_becomes_the_expected_response(file: Path) -> None:
    """Golden: written by `make golden`, reviewed as a diff; decimals to the digit."""
    assert golden.dumped(golden.expected(file)) == file.with_suffix(".json").read_bytes()


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_each_expected_response_is_valid_r4(file: Path) -> None:
    """prior-art check 2, by our own table."""
    assert [] == structure.check(codec.decode(file.with_suffix(".json").read_bytes()))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_no_row_is_lost(file: Path) -> None:
    """R003-50: every EB leads back from the response, by its index."""
    answer = eligibility_271.read(file_271(file.stem))
    text = file.with_suffix(".json").read_text("utf-8")
    told = {
        row["valueUnsignedInt"]
        for place in _walk(codec.decode(text))
        if place.get("url", "").endswith("/benefit-source")
        for row in place["extension"]
        if row["url"] == "index"
    }

    assert {b.index for b in answer.benefits} == told


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_row_stands_where_it_says(file: Path) -> None:
    """The number of a row's segment, counted from ST as 1, leads to its EB (X12 IK302)."""
    text = file_271(file.stem)
    first = next(one for one in transactions(text) if one.set_id == "271")
    for row in eligibility_271.read(text).benefits:
        segment = first.segments[row.position - 2]
        assert "EB" == segment.id
        assert row.raw.startswith(segment.raw)


def _walk(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        return [node, *(found for value in node.values() for found in _walk(value))]
    if isinstance(node, list):
        return [found for item in node for found in _walk(item)]
    return []


def test_both_people_are_kept() -> None:
    """The patient is the 2000D, the subscriber stays beside."""
    answer = eligibility_271.read(file_271("dependent-child"))

    assert answer.subscriber is not None
    assert answer.dependent is not None
    assert ("INF100005", "ROBIN") == (answer.subscriber.member_id, answer.dependent.first)
    assert ("payer-corrected",) == answer.flags


def test_elements_of_a_row() -> None:
    """EB05 to EB13, III, MSG and REF on one row."""
    found = benefit(
        "EB*A*IND*98*PR*GOLD|A1*27**.125***Y*Y*HC:99213:25:59",
        "III*ZZ*11", "MSG*AFTER", "MSG*DEDUCTIBLE", "REF*G1*AUTH7", "DTP*291*RD8*20260101-20261231",
    )  # fmt: skip

    assert found.procedure is not None
    assert ("GOLD|A1", Decimal(".125"), True, "Y") == (
        found.plan_name, found.percent, found.auth_required, found.network)  # fmt: skip
    assert ("99213", ("25", "59")) == (found.procedure.code, found.procedure.modifiers)
    assert (("11",), ("AFTER", "DEDUCTIBLE")) == (found.places, found.messages)
    assert ("2026-01-01", "2026-12-31") == (
        str(found.dates[0].start), str(found.dates[0].end))  # fmt: skip


def test_a_period_may_be_written_with_times() -> None:
    """However long: the days are those that are written, and a cut day is none."""
    times = "DTP*291*RD8*20260101T00:00:00.000000000-20261231T00:00:00.000000000"
    (found,) = benefit("EB*1*IND*30", times).dates
    (cut,) = benefit("EB*1*IND*30", "DTP*291*RD8*20260101-2026123").dates

    assert (date(2026, 1, 1), date(2026, 12, 31)) == (found.start, found.end)
    assert (date(2026, 1, 1), None) == (cut.start, cut.end)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("$" * 40 + "1,234.50", "1234.50"),
        ("25", "25"),
        (".5", "0.5"),
        ("1,200.00", "1200.00"),
        ("$25", "25"),
        ("-5", "-5"),
        ("0", "0"),
    ],
)
def test_amounts_as_payers_write_them(text: str, amount: str) -> None:
    """Read as a Decimal; zero is a value."""
    assert Decimal(amount) == benefit(f"EB*B*IND*98*PR**27*{text}").amount


@pytest.mark.parametrize(
    ("text", "percent", "flags"),
    [
        (".2", "0.2", ()),
        ("0", "0", ()),
        ("1", "1", ()),
        ("20", "0.2", ("percent-range",)),
        ("200", None, ("percent-range",)),
        ("x", None, ("unreadable:EB08",)),
    ],
)
def test_percent_is_a_fraction(text: str, percent: str | None, flags: tuple[str, ...]) -> None:
    """EB08 "0.2" is twenty percent; 20 is taken as that and flagged."""
    found = benefit(f"EB*A*IND*98*PR****{text}")

    assert (None if percent is None else Decimal(percent), flags) == (found.percent, found.flags)


@pytest.mark.parametrize(("code", "value"), [("Y", True), ("N", False), ("U", None), ("", None)])
def test_authorization_is_three_valued(code: str, value: bool | None) -> None:
    """prior-art check 13: Y, N, and everything else is not said."""
    assert value is benefit(f"EB*A*IND*98*PR**27**.1***{code}*Y").auth_required


@pytest.mark.parametrize(
    ("row", "flag"),
    [
        ("EB*ZZ**30", "unknown-code:EB01:ZZ"),
        ("EB*1*ZZ*30", "unknown-code:EB02:ZZ"),
        ("EB*1**Z9", "unknown-code:EB03:Z9"),
        ("EB*1**30*ZZ", "unknown-code:EB04:ZZ"),
        ("EB*1**30***99", "unknown-code:EB06:99"),
        ("EB*1**30********ZZ", "unknown-code:EB11:ZZ"),
        ("EB*1**30*********Q", "unknown-code:EB12:Q"),
        ("EB*F**30***23***ZZ*1", "unknown-code:EB09:ZZ"),
    ],
)
def test_unknown_codes_are_kept_and_flagged(row: str, flag: str) -> None:
    """R003-50: nothing is dropped, a person hears of it."""
    assert (flag,) == benefit(row).flags


def test_unknown_segments_stay_in_the_raw_text() -> None:
    """A segment that the guide does not have is kept on its row."""
    found = benefit("EB*1**30", "VEH*1*2", "DTP*XYZ*D8*20260101", "REF*ZZZ*1")

    assert "EB*1**30~VEH*1*2~DTP*XYZ*D8*20260101~REF*ZZZ*1" == found.raw
    assert (
        "unknown-segment:VEH",
        "unknown-code:DTP01:XYZ",
        "unknown-code:REF01:ZZZ",
    ) == found.flags


def test_parties_without_ls_and_le() -> None:
    """Any NM1 after an EB belongs to its row; a REF after it is the party's, not the row's."""
    found = benefit("EB*R**30", "NM1*PRP*2*OTHER*****PI*77", "PER*IC**TE*8005550100", "REF*1L*X")

    assert ("OTHER", "77", (("TE", "8005550100"),)) == (
        found.entities[0].name, found.entities[0].id, found.entities[0].contacts)  # fmt: skip
    assert () == found.identifiers


def rejects(text: str) -> list[tuple[str, str, str]]:
    return [(r.loop, r.reason, r.follow_up) for r in eligibility_271.read(text).rejects]


def test_rejects_know_their_loop() -> None:
    """AAA at every level, and inside a benefit."""
    assert [("2100C", "75", "C"), ("2100C", "73", "C")] == rejects(
        reject_271("AAA*N**75*C", "AAA*N**73*C"))  # fmt: skip
    assert [("2100A", "42", "R")] == rejects(file_271("aaa-42-payer-down"))
    assert [("2110C", "70", "C")] == rejects(answer_271("EB*1**30", "AAA*N**70*C"))
    bare = "ST*271*1~HL*1**20*0~AAA*N**04*C~SE*4*1~"
    assert [("2000A", "04", "C")] == rejects(bare)


def test_a_second_patient_is_another_answer() -> None:
    """Benefits of somebody else never reach the first patient."""
    text = answer_271("EB*1**30", "HL*4*2*22*0", "NM1*IL*1*OTHER*ONE****MI*X", "EB*6**30")
    answer: Answer = eligibility_271.read(text)

    assert ["1"] == [b.kind for b in answer.benefits]
    assert ("more-patients",) == answer.flags


def test_broken_levels_are_survived() -> None:
    """An unknown HL code is flagged, and reading goes on."""
    text = answer_271("HL*9*3*77*0", "EB*1**30")

    assert ("unknown-code:HL03:77",) == eligibility_271.read(text).flags


def test_rows_that_the_same_follows_keep_their_own_flags() -> None:
    """What a text says is read once; what is odd about one row is not told of the next."""
    after = ("DTP*999*D8*20261231", "MSG*ASK THE PLAN")
    first, second = eligibility_271.read(
        answer_271("EB*ZQ**30", *after, "EB*1**30", *after)
    ).benefits
    assert ("unknown-code:DTP01:999", "unknown-code:EB01:ZQ") == first.flags
    assert ("unknown-code:DTP01:999",) == second.flags
    assert (first.dates, first.messages) == (second.dates, second.messages)
    assert "EB*1**30~DTP*999*D8*20261231~MSG*ASK THE PLAN" == second.raw
