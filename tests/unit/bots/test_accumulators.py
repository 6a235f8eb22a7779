"""Limits with what is used and left: the worked examples and the traps (x12 3.8, 3.16, 3.17)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.domain import accumulators
from bots.domain.accumulators import Item
from bots.x12 import eligibility_271
from tests.x12_texts import answer_271, file_271


def items(*rows: str) -> list[Item]:
    return accumulators.pair(eligibility_271.read(answer_271(*rows)).benefits)


def numbers(found: list[Item]) -> list[tuple[str | None, ...]]:
    return [
        tuple(None if v is None else f"{v.normalize():f}" for v in (i.allowed, i.used, i.remaining))
        for i in found
    ]


def test_the_worked_family_plan() -> None:
    """x12 3.16: W feeds both networks, the tier stays apart, 4750.5 left of 6000."""
    found = accumulators.pair(eligibility_271.read(file_271("family-plan")).benefits)

    assert [
        ("3000", "1200", "1800"),
        ("5000", "1200", "3800"),
        ("0", None, None),
        ("6000", "1249.5", "4750.5"),
        ("25", None, None),
        ("25", None, None),
        ("0.2", None, None),
        ("0.125", None, None),
        ("20", "6", "14"),
    ] == numbers(found)
    assert ["", "", "", "used = allowed - remaining"] == [i.derived for i in found[:4]]
    assert ("TIER 1 PROVIDERS",) == found[2].tier


def test_the_worked_medicare_example() -> None:
    """x12 3.17: A and B apart, an accumulator that contradicts stays alone with its total."""
    found = accumulators.pair(eligibility_271.read(file_271("medicare-a-and-b")).benefits)

    assert [
        ("1600", "0", "1600"),
        ("240", "240", "0"),
        ("8000", None, None),
        (None, "300", "4200"),
        ("250", "250", "0"),
    ] == numbers(found)
    assert (Decimal(4500), ["accumulator-mismatch"]) == (found[3].implied_total, found[3].flags)


@pytest.mark.parametrize(
    ("rows", "expected", "flags"),
    [
        (["EB*C*IND*30***23*1000*****Y", "EB*C*IND*30***29*400*****Y"],
         [("1000", "600", "400")], []),
        (["EB*C*IND*30***23*1000*****Y", "EB*C*IND*30***24*600*****Y"],
         [("1000", "600", "400")], []),
        (["EB*C*IND*30***23*1000*****Y", "EB*C*IND*30***24*1200*****Y"],
         [("1000", "1200", "0")], ["used-above-allowed"]),
        (["EB*C*IND*30***23*1000*****Y", "EB*C*IND*30***29*1200*****Y"],
         [("1000", None, None), (None, None, "1200")], ["accumulator-mismatch"]),
        (["EB*C*IND*30***29*400*****Y"], [(None, None, "400")], ["accumulator-without-base"]),
        (["EB*C*IND*30***24*400*****Y"], [(None, "400", None)], ["accumulator-without-base"]),
        (["EB*C*IND*30***23*0*****Y"], [("0", None, None)], []),
        (["EB*C*IND*30***23*1000*****Y", "EB*C*IND*30***23*1000*****Y"],
         [("1000", None, None)], []),
        (["EB*C*IND*30***23*1000*****Y", "EB*C*IND*30***23*500*****Y"],
         [("1000", None, None), ("500", None, None)], ["ambiguous-base", "ambiguous-base"]),
        (["EB*C*IND*30***23*1000*****N", "EB*C*IND*30***29*400*****Y"],
         [("1000", None, None), (None, None, "400")], ["accumulator-without-base"]),
        (["EB*C*IND*30***23*1000*****W", "EB*C*IND*30***29*400*****Y"],
         [("1000", "600", "400")], []),
        (["EB*F*IND*82***32*9000", "EB*F*IND*82***23*1000", "EB*F*IND*82***33*8000",
          "EB*F*IND*82***29*300"], [("9000", "1000", "8000"), ("1000", "700", "300")], []),
        (["EB*F*IND*33***23***VS*20", "EB*F*IND*33***23***99*6"], [("20", "6", "14")], []),
        (["EB*C*IND*30***23*100*****Y", "EB*C*IND*30***30******Y"],
         [("100", "100", "0"), (None, None, None)], ["exhausted"]),
        (["EB*C*IND*30***23*1000*****Y", "EB*C*IND*30***24*650*****Y", "EB*C*IND*98***27*5*****Y",
          "EB*C*IND*30***29*300*****Y"],
         [("1000", "650", "300"), ("5", None, None)], ["accumulator-conflict"]),
    ],
)  # fmt: skip
def test_pairs_and_traps(
    rows: list[str], expected: list[tuple[str | None, ...]], flags: list[str]
) -> None:
    """Derived where two of three are there; apart and flagged where they contradict."""
    found = items(*rows)

    assert expected == numbers(found)
    assert flags == [flag for item in found for flag in item.flags]


def test_remaining_is_never_used() -> None:
    """The classic defect: what is left is not what was used (prior-art finding 2)."""
    (found,) = items("EB*C*IND*30***23*1500*****Y", "EB*C*IND*30***29*500*****Y")

    assert (Decimal(1000), Decimal(500)) == (found.used, found.remaining)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["C", "G", "F"]),
            st.sampled_from(["IND", "FAM", ""]),
            st.sampled_from(["23", "24", "29", "32", "33", "30", ""]),
            st.integers(min_value=0, max_value=9999),
            st.sampled_from(["Y", "N", "W", ""]),
        ),
        max_size=8,
    )
)
def test_every_row_is_told_and_nothing_is_negative_by_us(
    rows: list[tuple[str, str, str, int, str]],
) -> None:
    """Any mixture: each row stands in some item, and we never derive a negative rest."""
    found = items(*(f"EB*{k}*{lv}*30***{p}*{a}*****{n}" for k, lv, p, a, n in rows))

    assert {row.index for item in found for row in item.rows} == set(range(len(rows)))
    for item in found:
        if item.derived.startswith("remaining"):
            assert item.remaining is not None
            assert item.remaining >= 0
        if item.derived.startswith("used"):
            assert item.used is not None
            assert item.used >= 0


@given(st.permutations(list(range(1, 10))))
def test_the_order_of_rows_does_not_change_the_amounts(order: list[int]) -> None:
    """The family plan's money rows, shuffled: the same items."""
    money = [f"EB*C*FAM*30*PR**23*{a}*****{n}" for a, n in ((3000, "Y"), (5000, "N"))]
    money += ["EB*C*FAM*30*PR**29*1800*****Y", "EB*C*FAM*30*PR**29*3800*****N"]
    shuffled = [money[i % 4] for i in dict.fromkeys(o % 4 for o in order)]

    assert {("3000", "1200", "1800"), ("5000", "1200", "3800")} == set(numbers(items(*shuffled)))


@pytest.mark.parametrize(
    "row", ["EB*C*IND*30*PR**24*{n}", "EB*B*IND*98*PR**27", "EB*C*IND*30*PR**23*{n}"]
)
def test_hostile_numbers_of_rows_stay_apart(row: str) -> None:
    """Thousands of rows of one group are told one by one, not paired by the square of them."""
    count = accumulators.ROWS_LIMIT + 1
    found = items(*(row.format(n=n) for n in range(count)))

    assert count == len(found)
    assert {"too-many-rows"} == {flag for item in found for flag in item.flags}
