"""Whose coverage is meant: one person alone, or nobody (payer-partners 4.3)."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_profiles import ladder, systems
from fhir_profiles.crosswalk import Rules
from fhir_profiles.ladder import Asked, Member, Result
from tests import samples

BORN, ON = date(1985, 2, 14), date(2026, 11, 26)
MB = {"coding": [{"system": systems.V2_IDENTIFIER_TYPE, "code": "MB"}]}


def person(fhir_id: str, family: str = "Rivera", first: str = "Ana", **more: Any) -> dict[str, Any]:
    return samples.patient(fhir_id, name=[{"family": family, "given": [first]}], **more)


def member(patient: dict[str, Any], **coverage: Any) -> Member:
    return ladder.member_of(samples.coverage(f"cov-{patient['id']}", **coverage), patient)


def child(patient: dict[str, Any], **more: Any) -> Member:
    return member(patient, relationship=samples.relationship("child"), subscriberId="FAM1", **more)


def asked(member_id: str = "INF-100001", **more: Any) -> Asked:
    known = {"birth_date": BORN, "on": ON, "family": "Rivera", "given": "Ana", **more}
    return Asked(member_id, **known)


ANA, BEN = member(person("ana")), member(person("ben"), subscriberId="OTHER")
LEO = child(person("leo", first="Leo"), dependent="02")
MIA = child(person("mia", first="Mia"), dependent="03")
OLD = member(person("old"), subscriberId="", identifier=[
    {"type": MB, "value": "OLD1", "period": {"end": "2025-12-31"}},
    {"type": MB, "value": "NEW1", "period": {"start": "2026-01-01"}},
    {"type": MB, "value": "GONE", "use": "old"},
])  # fmt: skip
EVERYBODY = [ANA, BEN, LEO, MIA, OLD]


@pytest.mark.req("R000-37 R000-38")
@pytest.mark.parametrize(
    ("question", "result", "rung", "who", "flags"),
    [
        (asked(), "match", "M1", "ana", ()),
        (asked("inf 100.001", family="RIVERA, Jr."), "match", "M1", "ana", ()),
        (asked(family="Weber"), "match", "M2", "ana", ("name-differs",)),
        (asked(family="\u674e"), "match", "M2", "ana", ("name-differs",)),
        (asked("FAM1", given="X", person_code="03"), "match", "M3", "mia", ()),
        (asked("FAM1", given="leo"), "match", "M4", "leo", ()),
        (asked("OLD1"), "match", "M5", "old", ("through-history",)),
        (asked("GONE"), "match", "M5", "old", ("through-history",)),
        (asked("OLD1", on=date(2025, 12, 31)), "match", "M1", "old", ()),
        (asked("NEW1", on=date(2025, 12, 31)), "none", "", "", ()),
        (asked("OLD1", family="Weber"), "none", "", "", ()),
        (asked("FAM1", given=""), "none", "", "", ()),
        (asked(birth_date=date(1985, 2, 15)), "none", "", "", ()),
        (asked("", gender="female"), "none", "", "", ()),
        (asked("INF1OOOO1"), "none", "", "", ()),
    ],
)
def test_the_first_rung_that_fits_one_decides(
    question: Asked, result: str, rung: str, who: str, flags: tuple[str, ...]
) -> None:
    """An id that ended is a way through history; a letter O is no zero."""
    found = ladder.climb(question, EVERYBODY, Rules())

    assert (result, rung, flags) == (found.result, found.rung, found.flags)
    assert ([f"Patient/{who}"] if who else []) == [one.address for one in found.members]


def test_two_are_nobody() -> None:
    """Twins under one id with one family name: a person tells them apart."""
    twins = [member(person("a", first="Leo"), subscriberId="FAM1"),
             member(person("b", first="Mia"), subscriberId="FAM1")]  # fmt: skip
    found = ladder.climb(asked("FAM1", given="Leo"), twins, Rules())

    assert (Result.AMBIGUOUS, "M1", ()) == (found.result, found.rung, found.members)
    assert (("M1", 2),) == found.tried


def test_two_coverages_of_one_person_are_one_person() -> None:
    """The one in force on the day comes first."""
    patient = person("ana")
    ended = ladder.member_of(samples.coverage("a", period={"end": "2025-12-31"}), patient)
    cancelled = ladder.member_of(samples.coverage("b", status="cancelled"), patient)
    current = ladder.member_of(samples.coverage("c"), patient)
    found = ladder.climb(asked(), [ended, cancelled, current], Rules())

    assert ["c", "a", "b"] == [one.coverage["id"] for one in found.members]


@pytest.mark.parametrize(
    ("more", "result"),
    [
        ({"gender": "female"}, "candidate"),
        ({"gender": "female", "postal_code": "44101-1234"}, "candidate"),
        ({"gender": "female", "postal_code": "90210"}, "none"),
        ({"gender": "male"}, "none"),
        ({}, "none"),
    ],
)
def test_a_name_and_a_birth_date_are_no_identity(more: dict[str, str], result: str) -> None:
    """Where the payer allows it they give a candidate, whom its answer has to confirm."""
    home = member(person("ana", address=[{"postalCode": "44101"}]))
    rules = Rules(by_name=True, version="v")

    assert result == ladder.climb(asked("", **more), [home, BEN][:1], rules).result
    assert "none" == ladder.climb(asked("", **more), [home], Rules()).result


def test_a_newborn_is_provisional() -> None:
    """Under the subscriber's id, for 31 days, until it has its own."""
    baby = child(person("leo", first="Leo", birthDate="2026-11-01"))
    born = date(2026, 11, 1)

    def flags(day: date) -> tuple[str, ...]:
        question = asked("FAM1", given="Leo", birth_date=born, on=day)
        return ladder.climb(question, [baby], Rules()).flags

    assert [("provisional",), ("provisional",), ()] == [
        flags(day) for day in (born, date(2026, 12, 2), date(2026, 12, 3))
    ]


@given(
    st.sampled_from(["INF-100001", "FAM1", "OLD1", "NEW1", "GONE", "", "x"]),
    st.sampled_from(["Rivera", "Weber", ""]),
    st.sampled_from(["Ana", "Leo", "Mia", ""]),
    st.sampled_from(["", "02", "03"]),
    st.sampled_from([Rules(), Rules(by_name=True, version="v"), Rules(base=4, version="v")]),
)
def test_nobody_is_matched_without_an_id_and_a_birth_date(
    member_id: str, family: str, first: str, code: str, rules: Rules
) -> None:
    """Whatever is asked: a match has one person, whose birth date it is, and an id was given."""
    question = asked(member_id, family=family, given=first, person_code=code, gender="female")
    found = ladder.climb(question, EVERYBODY, rules)

    persons = {one.address for one in found.members}
    assert (len(persons) == 1) == (found.result in ("match", "candidate"))
    assert found.result != "match" or member_id != ""
    assert all(one.patient["birthDate"] == "1985-02-14" for one in found.members)
    assert Result.NONE == ladder.climb(
        asked(member_id, birth_date=date(1990, 1, 1)), EVERYBODY, rules).result  # fmt: skip
