"""A payer as an entry of the directory: which id holds, and who is meant by a name."""

from datetime import date
from typing import Any

import pytest

from fhir_profiles import payers, systems
from fhir_profiles.payers import Support

ON = date(2026, 11, 26)
Resource = dict[str, Any]


def payer(name: str, *aliases: str, fhir_id: str = "p", **more: Any) -> Resource:
    return {"resourceType": "Organization", "id": fhir_id, "name": name, "alias": list(aliases),
            **more}  # fmt: skip


def identifier(value: str, *transactions: str, **more: Any) -> Resource:
    served = [{"url": systems.EXT_TRANSACTION, "valueCode": code} for code in transactions]
    return {"system": systems.PAYER_ID, "value": value, "extension": served, **more}


@pytest.mark.req("R002-34")
@pytest.mark.parametrize(
    ("identifiers", "transaction", "expected"),
    [
        ([identifier("A"), identifier("B", "270")], "270", "B"),
        ([identifier("A"), identifier("B", "270")], "837", "A"),
        ([identifier("B", "837", "835")], "270", None),
        ([identifier("B", "837", "835")], "835", "B"),
        ([identifier("A", period={"end": "2026-11-25"}), identifier("B")], "270", "B"),
        ([identifier("A", period={"end": "2026-11-26"}), identifier("B")], "270", "A"),
        ([identifier("A", use="secondary"), identifier("B")], "270", "B"),
        ([identifier("A", use="old")], "270", None),
        ([identifier("A", use="old", period={"end": "2026-12-31"})], "270", "A"),
        ([identifier("B", "270", period={"start": "2026-11-27"}), identifier("A")], "270", "A"),
    ],
)
def test_an_id_is_for_a_transaction_and_a_day(
    identifiers: list[Resource], transaction: str, expected: str | None
) -> None:
    """user-experience E19: eligibility and claims may know a payer by different ids."""
    found = payers.ids(payer("x", identifier=identifiers), ON, transaction)

    assert expected == found.get(systems.PAYER_ID)


BOOK = [
    payer("Example Health", "EHP", fhir_id="a", identifier=[identifier("00710")]),
    payer("Example Health, Inc.", fhir_id="b", identifier=[identifier("710")]),
    payer("Ohio Example Health Partners", fhir_id="c"),
    payer("Crédit Mutuel", "O'Brien & Søn", fhir_id="d",
          identifier=[identifier("OLD1", period={"end": "2025-12-31"})]),
    payer("Riverside Dental", fhir_id="e", active=False),
]  # fmt: skip


@pytest.mark.req("R002-35")
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("example  HEALTH", [("a", "certain"), ("b", "probable"), ("c", "possible")]),
        ("EHP", [("a", "certain")]),
        ("credit mutuel", [("d", "certain")]),
        ("OBRIEN SON", [("d", "certain")]),
        ("health exam", [("a", "possible"), ("b", "possible"), ("c", "possible")]),
        ("00710", [("a", "certain")]),
        ("710", [("b", "certain")]),
        ("OLD1", [("d", "probable")]),
        ("Riverside Dental", []),
        ("Nobody", []),
        ("", []),
        ("&", []),
    ],
)
def test_only_a_whole_name_or_id_is_certain(asked: str, expected: list[tuple[str, str]]) -> None:
    """Leading zeros count; what is near is offered, with its reason, and never picked."""
    found = payers.rank(asked, BOOK, ON)

    assert expected == [(one.payer["id"], one.grade.value) for one in found]
    assert all(one.reason for one in found)


@pytest.mark.req("R002-15")
def test_a_name_that_two_have_is_certain_for_neither() -> None:
    """Ambiguous means stop and ask."""
    two = [payer("Example Health", fhir_id="a"), payer("Other", "Example Health", fhir_id="b")]
    found = payers.rank("Example Health", two, ON)

    assert [("a", "probable"), ("b", "probable")] == [(c.payer["id"], c.grade) for c in found]
    assert "as 2 payers have" in found[0].reason


def test_the_order_of_support_is_kept() -> None:
    """A part that is missing is blank, not an error."""
    parts = [{"url": "transaction", "valueCode": "270"}, {"url": "route", "valueString": "stedi"}]
    whole = [
        *parts,
        {"url": "state", "valueCode": "live"},
        {"url": "since", "valueDate": "2026-01-01"},
    ]
    other = payer("x", extension=[{"url": systems.EXT_SUPPORT, "extension": whole},
                                  {"url": "http://other.example"},
                                  {"url": systems.EXT_SUPPORT, "extension": parts}])  # fmt: skip

    assert [Support("270", "stedi", "live", "2026-01-01"), Support("270", "stedi", "")] == (
        payers.supports(other)
    )
