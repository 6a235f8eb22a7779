"""What a visit may cost, from answers as payers write them: to the cent (R002-02, R003-18)."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.mapping import response
from bots.x12 import eligibility_271
from fhir_profiles import codec
from server.web import estimate
from tests.x12_texts import answer_271
from tools.golden import HEAD

COPAY, SHARE = "EB*B*IND*98*PR**27*25*****Y", "EB*A*IND*98*PR**27**.2****Y"
MET = ("EB*C*IND*30*PR**23*1500*****Y", "EB*C*IND*30*PR**29*0*****Y")
LEFT_100 = ("EB*C*IND*30*PR**23*1500*****Y", "EB*C*IND*30*PR**29*100*****Y")
FAMILY_LEFT_60 = ("EB*C*FAM*30*PR**23*3000*****Y", "EB*C*FAM*30*PR**29*60*****Y")
FAR = ("EB*G*IND*30*PR**23*6000*****Y", "EB*G*IND*30*PR**29*5000*****Y")
LEFT_40 = ("EB*G*IND*30*PR**23*6000*****Y", "EB*G*IND*30*PR**29*40*****Y")


def items(*rows: str) -> list[dict[str, Any]]:
    """Return the items of the answer with these rows, as the server stores them."""
    answer = eligibility_271.read(answer_271("EB*1**30*PR*GOLD", *rows))
    made = response.answered(HEAD, answer, "sandbox")
    found: list[dict[str, Any]] = codec.decode(codec.encode(made))["insurance"][0]["item"]
    return found


@pytest.mark.parametrize(
    ("rows", "price", "amount", "ways"),
    [
        ((COPAY, *MET, *FAR), "180", "$25.00", ["copay $25.00"]),
        ((COPAY, *MET, *FAR), "20", "$20.00", ["copay $20.00"]),
        ((COPAY, *LEFT_100, *FAR), "180", "$25.00 to $125.00",
         ["copay $25.00", "deductible $100.00 + copay $25.00"]),
        ((SHARE, *LEFT_100, *FAR), "250", "$50.00 to $130.00",
         ["coinsurance (20% of $250.00) $50.00",
          "deductible $100.00 + coinsurance (20% of $150.00) $30.00"]),
        ((SHARE, *LEFT_100, *FAMILY_LEFT_60, *FAR), "250", "$50.00 to $98.00",
         ["coinsurance (20% of $250.00) $50.00",
          "deductible $60.00 + coinsurance (20% of $190.00) $38.00"]),
        ((SHARE, *MET, *LEFT_40), "250", "$40.00",
         ["coinsurance (20% of $250.00) $50.00 + beyond the out-of-pocket limit −$10.00"]),
        ((SHARE.replace(".2", ".125"), *MET, *FAR), "99.99", "$12.50",
         ["coinsurance (12.5% of $99.99) $12.50"]),
        ((COPAY, SHARE, *MET, *FAR), "125", "$25.00 to $45.00",
         ["copay $25.00", "copay $25.00 + coinsurance (20% of $100.00) $20.00"]),
        ((COPAY, COPAY.replace("*25*", "*60*") + "~MSG*SPECIALIST", *MET, *FAR), "200",
         "$25.00 to $60.00", ["copay $25.00", "copay $60.00"]),
        ((COPAY, "EB*C*IND*98*PR**23*0*****Y", *LEFT_100, *FAR), "180", "$25.00",
         ["copay $25.00"]),
        ((COPAY, *FAR), "180", "$25.00 to $180.00", ["copay $25.00", "deductible $180.00"]),
        (("EB*I*IND*98*PR********Y", *MET), "180", "$180.00", ["not covered by the plan $180.00"]),
        ((COPAY.replace("*25*", "*0*"), *MET, *FAR), "180", "$0.00", ["copay $0.00"]),
    ],
)  # fmt: skip
def test_worked_examples(rows: tuple[str, ...], price: str, amount: str, ways: list[str]) -> None:
    """The range, and the steps of its ends, which add up to them."""
    found = estimate.estimate(items(*rows), ["98"], Decimal(price))

    assert found is not None
    assert (amount, ways) == (found.amount, [steps for _, steps in found.ways])


@pytest.mark.parametrize(
    "rows",
    [
        MET,
        (*MET, COPAY[:-1] + "N"),
        (*MET, COPAY.replace("*25*", "**")),
        (*MET, COPAY.replace("*25*", "*-25*")),
        (*MET, COPAY.replace("*98*", "*33*")),
        (*MET, "EB*I*IND*98*PR********N"),
    ],
    ids=[
        "no terms",
        "out of network only",
        "no amount",
        "below zero",
        "another service",
        "excluded elsewhere",
    ],
)
def test_what_is_not_stated_is_no_estimate(rows: tuple[str, ...]) -> None:
    """Never zero: the payer did not say what the patient pays for this service."""
    assert estimate.estimate(items(*rows), ["98"], Decimal(100)) is None


def open_points(*rows: str, asked: tuple[str, ...] = ("98",)) -> list[str]:
    found = estimate.estimate(items(COPAY, *rows), asked, Decimal(100))
    assert found is not None
    return found.open_points


def test_what_is_open_is_named() -> None:
    """What the payer left out, and what its rows leave open."""
    assert [
        "What is left of the deductible is not stated: it may take the whole price.",
        "What is left until the out-of-pocket limit is not stated.",
    ] == open_points()
    assert ["Whether the deductible applies to this service is not stated."] == open_points(
        *LEFT_100, *FAR
    )
    assert [] == open_points(*MET, *FAR)
    (several,) = open_points(COPAY.replace("*98*", "*UC*"), *MET, *FAR, asked=("98", "UC"))
    assert several.startswith("Stated for Professional (Physician) Visit - Office, Urgent Care:")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("250", "250"), (" $1,250.50 ", "1250.50"), ("0.01", "0.01"), ("0", None), ("", None),
        ("-5", None), ("1e5", None), ("250.001", None), ("12345678", None), ("٣", None),
    ],
)  # fmt: skip
def test_a_price_is_read_as_people_write_it(written: str, read: str | None) -> None:
    """And nothing else is taken for one."""
    assert (None if read is None else Decimal(read)) == estimate.price(written)


cents = st.decimals(0, 20_000, places=2)


@given(cents.filter(bool), cents, st.decimals(0, 1, places=3), cents, cents)
def test_every_reading_adds_up(
    price: Decimal, copay: Decimal, share: Decimal, left: Decimal, limit: Decimal
) -> None:
    """To the cent, between nothing and the price and the out-of-pocket limit."""
    found = estimate.estimate(
        items(
            f"EB*B*IND*98***27*{copay}*****Y", f"EB*A*IND*98***27**{share}****Y",
            f"EB*C*IND*30***29*{left}*****Y", f"EB*G*IND*30***29*{limit}*****Y",
        ),
        ["98"], price,
    )  # fmt: skip

    assert found is not None
    assert 0 <= found.least.total <= found.most.total <= min(price, limit)
    for reading in (found.least, found.most):
        assert reading.total == sum(part.amount for part in reading.parts)
        assert all(part.amount == round(part.amount, 2) for part in reading.parts)
