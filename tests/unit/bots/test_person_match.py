"""Whose answer is it? Real differences in how payers write people, and other people."""

from datetime import date

import pytest
from msgspec.structs import replace

from bots.domain import person_match
from bots.domain.eligibility import Answer, Inquiry, Person

BORN = date(1985, 2, 14)
ANA = Person("Müller-García", "Ana María", "Q", "Jr", member_id="W0012345", birth_date=BORN)
SAME = Person("MULLER GARCIA", "ANA MARIA", member_id="W0012345", birth_date=BORN)
ROBIN = Person("Müller", "Robin", birth_date=date(2015, 3, 4))


def inquiry(dependent: Person | None = None) -> Inquiry:
    return Inquiry("T", "Payer", "1", "Clinic", "N", ANA, date(2026, 1, 1), dependent=dependent)


def judged(found: Person, *, corrected: bool = False) -> tuple[tuple[str, ...], tuple[str, ...]]:
    answer = Answer(subscriber=replace(found, corrected=corrected))
    match = person_match.compare(inquiry(), answer)
    return match.mismatches, match.differences


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"last": "MULLER-GARCIA JR"},
        {"last": "GARCIA"},
        {"last": "muller garcia", "first": "Ana-Maria"},
        {"first": ""},
        {"birth_date": None},
        {"member_id": ""},
        {"member_id": "W0012345-01"},
        {"member_id": "w 0012345"},
        {"last": "", "first": "", "birth_date": None},
        {"suffix": "JR."},
    ],
)
def test_the_same_person_as_payers_write_it(change: dict[str, object]) -> None:
    """Accents, suffixes, double names, what is left out, a longer member id: no word on it."""
    assert ((), ()) == judged(replace(SAME, **change))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"last": "SMITH"}, "name"),
        ({"member_id": "X99"}, "member-id"),
        ({"first": "ANA"}, "first-name"),
        ({"first": "A"}, "first-name"),
        ({"suffix": "SR"}, "suffix"),
    ],
)
def test_one_difference_that_leaves_no_doubt_is_told(change: dict[str, str], name: str) -> None:
    """Married, a new card, a name cut short: all else agrees."""
    assert ((), (name,)) == judged(replace(SAME, **change))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"first": "BEA"}, ("first-name",)),
        ({"birth_date": date(1985, 2, 15)}, ("birth-date",)),
        ({"last": "SMITH", "birth_date": None}, ("name",)),
        ({"last": "SMITH", "member_id": "X99"}, ("name", "member-id")),
        ({"member_id": "X99", "birth_date": None}, ("member-id",)),
        ({"last": "", "first": "", "member_id": ""}, ("nobody",)),
        ({"first": "", "birth_date": None, "member_id": ""}, ("nobody",)),
    ],
)
def test_another_person(change: dict[str, object], names: tuple[str, ...]) -> None:
    """A twin, another birth date, two differences, too little to know: none of it is taken."""
    assert (names, ()) == judged(replace(SAME, **change))


def test_what_the_payer_says_that_it_corrected() -> None:
    """INS 001 25: a birth date and a first name may differ, where all else agrees."""
    for change in ({"birth_date": date(1985, 2, 15)}, {"first": "BEA"}):
        mismatches, differences = judged(replace(SAME, **change), corrected=True)
        assert ((), 1) == (mismatches, len(differences))
    assert judged(replace(SAME, last="SMITH", first="BEA"), corrected=True)[0]


@pytest.mark.parametrize(
    ("answer", "mismatches", "differences"),
    [
        (Answer(subscriber=SAME, dependent=ROBIN), (), ()),
        (Answer(subscriber=replace(SAME, last="SMITH"), dependent=ROBIN), (), ("subscriber-name",)),
        (Answer(subscriber=replace(ROBIN, member_id="R1")), (), ("own-member-id",)),
        (Answer(subscriber=SAME), ("subscriber-instead",), ()),
        (Answer(subscriber=SAME, dependent=replace(ROBIN, first="Rosa")), ("first-name",), ()),
        (Answer(), ("nobody",), ()),
    ],
)
def test_a_dependent(
    answer: Answer, mismatches: tuple[str, ...], differences: tuple[str, ...]
) -> None:
    """In a loop of its own or as a subscriber of its own; never the parent's answer."""
    match = person_match.compare(inquiry(ROBIN), answer)

    assert (mismatches, differences) == (match.mismatches, match.differences)


def test_a_subscriber_whom_the_payer_knows_as_a_dependent() -> None:
    """The person is the one asked about, under another's policy."""
    parent = Person("MULLER", "EVA", member_id="W0012345", birth_date=date(1950, 1, 1))
    match = person_match.compare(
        inquiry(), Answer(subscriber=parent, dependent=replace(SAME, member_id=""))
    )

    assert ((), ("dependent-of-another",)) == (match.mismatches, match.differences)
