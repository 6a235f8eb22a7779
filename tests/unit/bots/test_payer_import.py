"""A list of payers becomes the directory: rows on their own, nothing known overwritten."""

import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from bots.errors import NeverRetry
from bots.mapping import payer, payer_list
from bots.mapping.payer import Conflict
from bots.mapping.payer_list import Id, NotAList, Row
from bots.payer_import import Import, Line, counts
from fhir_profiles import elements, payers, systems
from fhir_profiles.payers import Support
from server.validation import structure
from tests import samples
from tests.fakes import FakeFhir, tools

FOLDER = Path(__file__).parents[3] / "fixtures/payers"
ON = date(2026, 11, 26)
ROW = Row(2, "Example Health", ids=(Id(systems.PAYER_ID, "00099"),))


def rows(name: str) -> list[Row]:
    return payer_list.read((FOLDER / name).read_bytes(), is_json=name.endswith(".json"))


def imported(fhir: FakeFhir, listed: Iterable[Row], *, is_rehearsal: bool = False) -> list[Line]:
    run = Import(tools(fhir), is_rehearsal=is_rehearsal)
    return list(run.run(listed, lambda found: found))


def told(lines: list[Line]) -> list[tuple[int, str]]:
    return [(line.place, line.outcome.value) for line in lines]


def named(fhir: FakeFhir, name: str) -> dict[str, Any]:
    (found,) = [one for one in fhir.all("Organization") if one["name"] == name]
    return found


@pytest.mark.req("R002-34")
def test_a_list_becomes_the_directory_once() -> None:
    """Each payer with its ids at several clearinghouses; the same list again changes nothing."""
    fhir = FakeFhir()

    assert [(2, "created"), (3, "created"), (4, "created")] == told(
        imported(fhir, rows("payers.csv"))
    )
    senior = named(fhir, "Example Senior Care")
    assert {systems.PAYER_ID, systems.STEDI_PAYER, systems.AVAILITY_PAYER, systems.CORE_PAYER,
            systems.OPKIT_PAYER} == payers.ids(senior, ON).keys()  # fmt: skip
    assert ("00311", "00312") == tuple(
        payers.ids(senior, ON, code)[systems.PAYER_ID] for code in ("270", "837")
    )
    assert Support("837", "stedi", "live") == payers.supports(senior)[1]
    assert [] == [i for one in fhir.all("Organization") for i in structure.check(one)]
    assert {"created": 0, "changed": 0, "same": 3, "refused": 0} == counts(
        imported(fhir, rows("payers.csv"))
    )
    assert 1 == len(fhir.versions[f"Organization/{senior['id']}"])


def test_what_is_wrong_with_a_row_is_said_and_the_others_go_on() -> None:
    """Each refusal names its line and what was expected; nothing of such a row is stored."""
    fhir = FakeFhir(samples.payer(identifier=[
        {"system": systems.PAYER_ID, "value": "00099"},
        {"system": systems.STEDI_PAYER, "value": "EXHLT"},
    ]))  # fmt: skip
    lines = imported(fhir, rows("damaged.csv"))

    assert [(7, "created"), (10, "created")] == told([x for x in lines if not x.reason])
    reasons = {line.place: line.reason for line in lines if line.reason}
    for place, part in {
        2: "leading zeros", 3: "a name", 4: "an id", 5: "TRANSACTION:ROUTE=STATE",
        6: "YYYY-MM-DD", 8: "stands at 7", 9: "as many fields",
    }.items():  # fmt: skip
        assert part in reasons[place]
    assert {"Example Health", "Twice Health", "Good Health"} == {
        one["name"] for one in fhir.all("Organization")
    }


def test_json_is_checked_entry_by_entry() -> None:
    """A payer id that is a number is refused, as its leading zeros may be gone."""
    first, second = rows("payers.json")

    assert ("Example Health", "") == (first.name, first.wrong)
    assert Id(systems.PAYER_ID, "00199", ("837", "835")) in first.ids
    assert (Support("270", "stedi", "live", "2026-03-01"),) == first.support
    assert (2, "$.ids[0].value: 710 is not of type 'string'") == (second.place, second.wrong)


def test_a_clearinghouses_own_list_is_read() -> None:
    """Stedi's payers: what it calls aliases are ids, to find the payer by and never to send."""
    first, second = rows("stedi.json")
    made = payer.merged(first, None, ON)

    assert ["Example Health Ohio"] == made["alias"]
    assert {systems.STEDI_PAYER: "EXHLT", systems.PAYER_ID: "00099"} == payers.ids(made, ON)
    assert ["certain", "certain"] == [
        payers.rank(text, [made], ON)[0].grade for text in ("OHEXH", "EXHLT")
    ]
    assert [("270", "supported"), ("276", "not-supported"), ("837P", "enrolment-needed")] == [
        (one.transaction, one.state) for one in payers.supports(made)
    ]
    assert "$: 'primaryPayerId' is a required property" == second.wrong


@pytest.mark.req("R000-38")
def test_an_id_that_changes_keeps_its_past() -> None:
    """A check for a day before the change is sent with the earlier id."""
    there = {**samples.payer(), "identifier": [
        {"system": systems.PAYER_ID, "value": "00099"},
        {"system": systems.STEDI_PAYER, "value": "E"},
    ]}  # fmt: skip
    new = Row(2, "Example Health of Ohio", valid_from=date(2027, 1, 1),
              ids=(Id(systems.PAYER_ID, "00100"), Id(systems.STEDI_PAYER, "E")))  # fmt: skip
    made = payer.merged(new, there, ON)

    assert ["00099", "00100"] == [
        payers.ids(made, day)[systems.PAYER_ID] for day in (date(2026, 12, 31), date(2027, 1, 1))
    ]
    assert ("Example Health of Ohio", ["Example Health"]) == (made["name"], made["alias"])
    assert made == payer.merged(new, made, ON)
    with pytest.raises(Conflict, match="holds from 2027-01-01 on already"):
        payer.merged(Row(2, "x", ids=(Id(systems.PAYER_ID, "00101"),),
                         valid_from=date(2027, 1, 1)), made, ON)  # fmt: skip


def test_ids_of_two_payers_are_for_a_person() -> None:
    """Nobody is merged by a list."""
    fhir = FakeFhir(samples.payer("a"), samples.payer("b", identifier=[
        {"system": systems.STEDI_PAYER, "value": "OTHER"}]))  # fmt: skip
    row = Row(2, "x", ids=(*ROW.ids, Id(systems.STEDI_PAYER, "OTHER")))
    (line,) = imported(fhir, [row])

    assert "these ids belong to several payers: Organization/a, Organization/b" == line.reason


def test_an_alias_is_nobodys_property() -> None:
    """Another payer's id among the aliases of a list renames nobody."""
    fhir = FakeFhir(samples.payer())
    ids = (Id(systems.PAYER_ID, "12345"), Id(systems.PAYER_ID, "00099", is_alias=True))
    imported(fhir, [Row(1, "Other Plan", ids=ids)])

    assert {"Example Health", "Other Plan"} == {one["name"] for one in fhir.all("Organization")}
    assert samples.payer()["identifier"] == named(fhir, "Example Health")["identifier"]


@pytest.mark.parametrize("more", [{"use": "secondary"}, {"period": {"end": "2025-12-31"}}])
def test_an_id_that_a_payer_had_is_for_a_person(more: dict[str, Any]) -> None:
    """It may be the payer under an old id, or another one that has the id now."""
    fhir = FakeFhir(samples.payer(identifier=[{**samples.payer()["identifier"][0], **more}]))
    (line,) = imported(fhir, [ROW])

    assert "aliases or former ids of Organization/payer: is it the same payer?" in line.reason


@pytest.mark.parametrize("value", ["99", "000099"])
def test_an_id_with_other_leading_zeros_makes_no_second_payer(value: str) -> None:
    """Also where nothing else of the row is known here: a spreadsheet may have taken them."""
    fhir = FakeFhir(samples.payer())
    (line,) = imported(fhir, [Row(2, "Example Health", ids=(Id(systems.PAYER_ID, value),))])

    assert f"{value} and 00099 differ by leading zeros only; which is right?" == line.reason
    assert 1 == len(fhir.all("Organization"))


@pytest.mark.parametrize(
    ("had", "told", "is_vendors", "expected"),
    [
        ("live", "enrolment-needed", True, "live"),
        ("live", "supported", True, "live"),
        ("pending", "enrolment-needed", True, "pending"),
        ("live", "not-supported", True, "not-supported"),
        ("supported", "enrolment-needed", True, "enrolment-needed"),
        ("live", "enrolment-needed", False, "enrolment-needed"),
    ],
)
def test_a_vendors_list_takes_no_enrolment_back(
    had: str, told: str, expected: str, *, is_vendors: bool
) -> None:
    """It says what the payer asks for, not how far this practice is."""
    own = Row(
        2, "Example Health", ids=ROW.ids, support=(Support("270", "stedi", had, "2026-01-01"),)
    )
    there = payer.merged(own, None, ON)
    row = Row(2, "Example Health", ids=ROW.ids, support=(Support("270", "stedi", told),),
              is_vendors=is_vendors)  # fmt: skip
    (found,) = payers.supports(payer.merged(row, there, ON))

    assert expected == found.state
    assert ("2026-01-01" if expected == had else "") == found.since


def test_a_row_that_the_server_refuses_is_a_line_of_the_report() -> None:
    """The others come in."""

    class Strict(FakeFhir):
        def create_once(self, resource: dict[str, Any], condition: str) -> dict[str, Any]:
            if resource["name"] == "Bad":
                raise NeverRetry("FHIR server refused a new Organization: HTTP 422")
            return super().create_once(resource, condition)

    good = Row(3, "Good", ids=(Id(systems.PAYER_ID, "2"),))
    lines = imported(Strict(), [Row(2, "Bad", ids=(Id(systems.PAYER_ID, "1"),)), good])

    assert [(2, "refused"), (3, "created")] == told(lines)
    assert "HTTP 422" in lines[0].reason


def test_what_the_list_does_not_say_stays() -> None:
    """Other identifiers, telecoms and extensions of an EHR's own record."""
    own = samples.payer(
        identifier=[{"system": "http://tax.example", "value": "1"}, *samples.payer()["identifier"]],
        telecom=[{"system": "fax", "value": "1"}, {"system": "phone", "value": "2"}],
        extension=[{"url": "http://other.example", "valueBoolean": True}],
        type=[{"text": "Payer"}],
    )  # fmt: skip
    row = Row(2, "Example Health", phone="3", ids=ROW.ids, support=(Support("270", "a", "live"),))
    made = payer.merged(row, own, ON)

    assert own["identifier"] == made["identifier"]
    assert ["3", "1", "2"] == [point["value"] for point in made["telecom"]]
    assert {"text": "Payer"} in made["type"]
    assert payers.is_payer({"type": made["type"]})
    assert elements.extension_value(made, "http://other.example")
    later = payer.merged(Row(2, "Example Health", ids=ROW.ids,
                             support=(Support("270", "b", "live"),)), made, ON)  # fmt: skip
    assert ["b", "a"] == [one.route for one in payers.supports(later)]


def test_a_rehearsal_writes_nothing() -> None:
    """It tells what would come of the list."""
    fhir = FakeFhir()

    assert [(2, "created")] == told(imported(fhir, [ROW], is_rehearsal=True))
    assert [] == fhir.all("Organization")


def test_a_payer_that_changes_meanwhile_is_told() -> None:
    """Nobody's change is overwritten."""
    fhir = FakeFhir(samples.payer())
    fhir.lose_next_update = True
    (line,) = imported(fhir, [Row(2, "New Name", ids=ROW.ids)])

    assert ("refused", "somebody changed this payer meanwhile; import the list again") == (
        line.outcome.value, line.reason)  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ({"ids": [{"system": "stedi", "value": v} for v in "ab"]}, "one id for a system"),
        ({"ids": [{"system": "stedi", "value": "a", "transactions": ["8 37"]}]}, "without blanks"),
        ({"support": [{"transaction": "270", "route": "a", "state": "live", "since": "March"}]},
         "since: expected a date"),
        ({"valid_from": "March"}, "expected a date"),
        ({"name": " "}, "expected a name"),
    ],
)  # fmt: skip
def test_what_the_server_would_refuse_is_refused_here(entry: dict[str, Any], part: str) -> None:
    """With the reason, before anything is sent."""
    whole = {"name": "x", "ids": [{"system": "stedi", "value": "a"}], **entry}
    (row,) = payer_list.read(json.dumps({"payers": [whole]}).encode(), is_json=True)

    assert part in row.wrong


@pytest.mark.parametrize(
    ("content", "is_json", "part"),
    [
        (b'"na"me,payer_id\nx,1\n', False, "heads"),
        (b"name,payer_id,payer_id\nx,1,2\n", False, "stands twice"),
        (b"name,payer_id\n", False, "at least one payer"),
        (b"", False, "a column called name"),
        (b"payer_id\n00099\n", False, "a column called name"),
        (b"name,tax\nx,1\n", False, "not 'tax'"),
        ("name\nCr\u00e9dit\n".encode("latin-1"), False, "UTF-8"),
        (b'name,payer_id\n"x,1\n', False, "is no CSV"),
        (b"{", True, "JSON"),
        (b"[]", True, '"payers"'),
        (json.dumps({"payers": []}).encode(), True, "at least one payer"),
    ],
)
def test_what_is_no_list_is_refused_as_a_whole(content: bytes, is_json: bool, part: str) -> None:
    """With what was expected."""
    with pytest.raises(NotAList, match=part):
        payer_list.read(content, is_json=is_json)
