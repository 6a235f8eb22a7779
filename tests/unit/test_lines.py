"""What the benefit summary makes of rows that only look as if they were for this visit."""

from decimal import Decimal
from typing import Any

import pytest

from bots.mapping import response
from bots.x12 import eligibility_271
from fhir_profiles import codec
from server.web import estimate, lines, periods
from tests.x12_texts import answer_271
from tools.golden import HEAD

DAY = "2026-11-24"
LAST_YEAR, THIS_YEAR = "DTP*291*RD8*20250101-20251231", "DTP*291*RD8*20260101-20261231"
COPAY = "EB*B*IND*98***27*25*****Y"


def items(*rows: str) -> list[dict[str, Any]]:
    """Return the items of the answer with these rows that hold on the day."""
    answer = eligibility_271.read(answer_271("EB*1**30*PR*GOLD", *rows))
    made = codec.decode(codec.encode(response.answered(HEAD, answer, "sandbox")))
    return periods.on_day(made["insurance"][0]["item"], DAY)


def cards(*rows: str) -> dict[str, list[str]]:
    """Return what the cards say."""
    return {card.title: card.lines for card in lines.cards(items(*rows), ["98"])}


def test_last_years_limits_are_not_this_years() -> None:
    """x12 3.6, 3.8: the deductible of 2026 is open, and so may take the whole price."""
    rows = (
        "EB*C**30*MB**23*240", LAST_YEAR, "EB*C**30*MB**29*0", LAST_YEAR,
        "EB*C**30*MB**23*257", THIS_YEAR, "EB*C**30*MB**29*257", THIS_YEAR,
        "EB*A**98*MB**27**.2",
    )  # fmt: skip
    found = estimate.estimate(items(*rows), ["98"], Decimal(200))

    assert found is not None
    assert "$40.00 to $200.00" == found.amount
    (left,) = cards(*rows)["Deductible left"]
    assert left.startswith("$257.00 of $257.00")


@pytest.mark.parametrize(
    ("date", "is_shown"),
    [
        (LAST_YEAR, False), (THIS_YEAR, True), ("DTP*348*RD8*20250101-20251231", False),
        ("DTP*349*D8*20251231", False), ("DTP*349*D8*20261124", True),
        ("DTP*348*D8*20270101", False), ("DTP*348*D8*20261124", True),
        ("DTP*304*D8*20200101", True), ("DTP*291*D8*20270101", True), ("DTP*349*D8*2025", True),
    ],
)  # fmt: skip
def test_a_benefit_has_days_of_its_own(date: str, is_shown: bool) -> None:
    """x12 3.6: a range, a begin, an end; a single date of a plan may be the day asked."""
    assert is_shown is bool(cards(COPAY, date)["Collect today"])


def test_one_of_several_ranges_is_enough() -> None:
    """Last year and this: it holds."""
    assert cards(COPAY, LAST_YEAR, THIS_YEAR)["Collect today"]


def test_the_table_shows_the_days() -> None:
    """Also of what does not hold on the day."""
    answer = eligibility_271.read(answer_271(COPAY, LAST_YEAR))
    made = codec.decode(codec.encode(response.answered(HEAD, answer, "sandbox")))
    (plan,) = lines.plans(made["insurance"][0]["item"])

    assert ["Plan: 2025-01-01 to 2025-12-31"] == plan.lines[0].notes


def test_places_and_procedures_do_not_add_up() -> None:
    """x12 3.5, 3.8: one line each, named, never a sum."""
    other = COPAY.replace("25", "75")
    places = lines.services(items(COPAY, "III*ZZ*11", other, "III*ZZ*22"), ["98"])
    codes = lines.services(items(f"{COPAY}*HC:99213", f"{other}*HC:99214:25"), ["98"])

    assert ["$25.00 copay per visit", "$75.00 copay per visit"] == [one.pays for one in places]
    assert all(place in one.service for place, one in zip(("11", "22"), places, strict=True))
    assert ["$25.00 copay per visit", "$75.00 copay per visit"] == [one.pays for one in codes]
    said = cards(COPAY, "III*ZZ*11", other, "III*ZZ*22")["Collect today"]
    assert "$75.00 copay, office visit, place of service 22" == said[1]


def test_an_excluded_procedure_excludes_no_service() -> None:
    """The service itself is covered, at a share that is not stated: no estimate, not the price."""
    procedure = "EB*I*IND*35**********AD:D8080"
    found = items("EB*1**35", procedure)

    assert estimate.estimate(found, ["35"], Decimal(200)) is None
    whole = estimate.estimate(items("EB*I*IND*35"), ["35"], Decimal(200))
    assert whole is not None
    assert "$200.00" == whole.amount


@pytest.mark.parametrize("network", ["", "U"])
def test_silence_on_the_network_is_said(network: str) -> None:
    """x12 3.10: never as in network; what the payer does state for it goes first."""
    silent = f"EB*B*IND*98***27*60*****{network}"
    found = estimate.estimate(items(silent), ["98"], Decimal(200))

    assert ["$60.00 copay, office visit, network not stated"] == cards(silent)["Collect today"]
    assert ["$25.00 copay, office visit"] == cards(silent, COPAY)["Collect today"]
    assert found is not None
    assert "The payer does not say in which network these amounts hold." in found.open_points


def test_what_is_below_zero_is_not_collected() -> None:
    """It stands in the table, as it came."""
    rows = ("EB*B*IND*98***27*-25*****Y", "EB*A*IND*98***27**-.2****Y")

    assert [] == cards(*rows)["Collect today"] + cards(*rows)["Coinsurance"]
    (plan,) = lines.plans(items(*rows))
    assert "−$25.00" in [line.amount for line in plan.lines]


def test_modifiers_and_second_numbers_stand_beside_a_row() -> None:
    """EB13 with its modifiers; a limit by money and by visits."""
    rows = (f"{COPAY}*HC:99214:25:GT", "EB*F*IND*33***23*1000**VS*20**Y")
    (plan,) = lines.plans(items(*rows))
    notes = [note for line in plan.lines for note in line.notes]

    assert any(note.endswith("modifier 25, GT") for note in notes)
    assert "Also 20 visits" in notes
