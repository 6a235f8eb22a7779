"""Writings of one thing have one key; nothing is guessed (payer-partners 4.2, its vectors)."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_profiles import crosswalk, npi, systems
from fhir_profiles.crosswalk import MemberKey, Rules
from tests import samples

PAYERS = Rules(version="Organization/payer/_history/1")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("O\u2019Brien-Smith, Jr.", ("OBRIEN SMITH", "OBRIENSMITH", "SMITH", "OBRIEN")),
        ("Garc\u00eda M\u00e1rquez", ("GARCIA MARQUEZ", "GARCIAMARQUEZ", "MARQUEZ", "GARCIA")),
        ("D'Angelo", ("DANGELO",)),
        ("van der Berg III", ("VAN DER BERG", "VANDERBERG", "BERG", "VAN")),
        ("Li", ("LI",)),
        ("de la O", ("DE LA O", "DELAO")),
        ("\u674e Wang", ("WANG",)),
        ("\u674e", ()),
        ("S\u00f8rensen", ("SORENSEN",)),
        ("Stra\u00dfer, MD PhD", ("STRASSER",)),
        ("V", ("V",)),
    ],
)
def test_a_family_name_has_its_keys(name: str, expected: tuple[str, ...]) -> None:
    """Accents, punctuation and suffixes do not count; a short word alone is none."""
    assert expected == crosswalk.family_keys(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1985-02-14", date(1985, 2, 14)),
        ("19850214", date(1985, 2, 14)),
        ("2/3/1985", date(1985, 2, 3)),
        ("12-31-1985", date(1985, 12, 31)),
        (" 2024-02-29 ", date(2024, 2, 29)),
    ],
)
def test_a_day_is_read(text: str, expected: date) -> None:
    """ISO, X12 and American writings."""
    assert expected == crosswalk.read_date(text)


@pytest.mark.parametrize(
    "text",
    ["1985-02-30", "2/3/85", "13/1/1985", "2023-02-29", "1985", "", "1/2-1985", "\u0661/1/1985"],
)
def test_an_impossible_day_is_refused(text: str) -> None:
    """No guess of a century, and none of a day."""
    with pytest.raises(ValueError, match=r".+"):
        crosswalk.read_date(text)


@pytest.mark.req("R002-16 R000-37")
@pytest.mark.parametrize(
    ("raw", "rules", "expected"),
    [
        ("xyz 123-456-789", Rules(), MemberKey("XYZ123456789")),
        ("XYZ12345678901", Rules(base=12), MemberKey("XYZ123456789", "01")),
        ("XYZ123456789", Rules(base=12), MemberKey("XYZ123456789")),
        ("XYZ123456789", Rules(prefix="strip"), MemberKey("123456789")),
        ("XYZW", Rules(prefix="strip"), MemberKey("XYZW")),
        ("12345", Rules(zeros="pad", length=9), MemberKey("000012345")),
        ("0000", Rules(zeros="strip"), MemberKey("0")),
        ("00710", Rules(zeros="strip"), MemberKey("710")),
        ("00710", Rules(), MemberKey("00710")),
        ("O0I1", Rules(), MemberKey("O0I1")),
        ("", Rules(zeros="strip"), MemberKey("")),
    ],
)
def test_a_member_id_is_written_as_the_payer_does(
    raw: str, rules: Rules, expected: MemberKey
) -> None:
    """By its rules only; O and 0 are never exchanged."""
    assert expected == crosswalk.member_key(raw, rules)


@pytest.mark.parametrize(
    ("raw", "rules", "code", "expected"),
    [
        ("XYZ00123", Rules(), "", []),
        ("XYZ00123", PAYERS, "", [("prefix", "00123")]),
        ("00123", PAYERS, "", [("leading-zeros", "123")]),
        ("00123", PAYERS, "02", [("leading-zeros", "123"), ("person-code", "0012302")]),
        ("0012302", Rules(base=5, version="v"), "",
         [("leading-zeros", "12302"), ("person-code", "00123")]),
        ("XYZ123", Rules(prefix="strip", version="v"), "", [("prefix", "XYZ123")]),
        ("123", Rules(zeros="strip", version="v"), "", []),
        ("0123", Rules(zeros="strip", version="v"), "", [("leading-zeros", "0123")]),
        ("0123", Rules(zeros="pad", length=9, version="v"), "", [("leading-zeros", "0123")]),
        ("XYZ12345678901", Rules("strip", base=12, version="v"), "02",
         [("prefix", "XYZ12345678901"), ("person-code", "123456789")]),
    ],
)  # fmt: skip
def test_other_writings_follow_other_policies(
    raw: str, rules: Rules, code: str, expected: list[tuple[str, str]]
) -> None:
    """Only of payers whose rules are known; none that is the same again."""
    assert expected == crosswalk.other_writings(raw, rules, code)


def payer(**parts: Any) -> dict[str, Any]:
    values = {
        "prefix": "valueCode", "leadingZeros": "valueString", "personCodeAfter": "valueInteger",
        "searchByName": "valueBoolean", "dailyAlternates": "valueInteger",
    }  # fmt: skip
    listed = [{"url": name, values[name]: value} for name, value in parts.items()]
    told = {"url": systems.EXT_IDENTIFIER_RULES, "extension": listed}
    return samples.payer(extension=[told], meta={"versionId": "7"})


def test_rules_stand_on_the_payer_with_their_version() -> None:
    """A payer that says nothing has the common ones, and allows nothing more."""
    full = payer(prefix="strip", leadingZeros="pad:11", personCodeAfter=9, searchByName=True)

    assert Rules("strip", "pad", 11, 9, True, 200, "Organization/payer/_history/7") == (
        crosswalk.rules_of(full)
    )
    assert Rules() == crosswalk.rules_of(samples.payer()) == crosswalk.rules_of(None)
    assert 0 == crosswalk.rules_of(payer(dailyAlternates=0)).alternates


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("prefix", "cut"),
        ("leadingZeros", "pad"),
        ("leadingZeros", "strip:3"),
        ("leadingZeros", "x"),
    ],
)
def test_rules_that_make_no_sense_are_named(part: str, value: str) -> None:
    """Nobody is matched by half a rule."""
    with pytest.raises(ValueError, match=f"{part}|whole numbers"):
        crosswalk.rules_of(payer(**{part: value}))


@pytest.mark.req("R002-14")
@pytest.mark.parametrize(
    ("text", "expected"),
    [("1234567893", True), ("1234567890", False), ("3234567893", False), ("123456789", False),
     (samples.NPI, True), ("12345678\u0669\u0663", False)],
)  # fmt: skip
def test_an_npi_has_its_check_digit(text: str, *, expected: bool) -> None:
    """Luhn over 80840 and the number."""
    assert expected == npi.is_npi(text)


@given(st.text(), st.sampled_from([Rules(), Rules(zeros="strip"), Rules(zeros="pad", length=9)]))
def test_a_key_is_its_own_key(raw: str, rules: Rules) -> None:
    """However an id is written, the key of its key is the key."""
    key = str(crosswalk.member_key(raw, rules))

    assert key == str(crosswalk.member_key(key, rules))


@given(
    st.text(),
    st.sampled_from([PAYERS, Rules(base=9, version="v"), Rules(zeros="strip", version="v")]),
)
def test_another_writing_is_another(raw: str, rules: Rules) -> None:
    """Whatever the id is, no alternate repeats the question that was asked."""
    tried = [text for _, text in crosswalk.other_writings(raw, rules, "01")]

    assert str(crosswalk.member_key(raw, rules)) not in tried
    assert len(tried) == len(set(tried))


@given(st.integers(min_value=100_000_000, max_value=299_999_999))
def test_the_check_digit_of_an_npi(body: int) -> None:
    """Exactly one last digit makes nine digits an NPI (45 CFR 162.406)."""
    good = [d for d in range(10) if npi.is_npi(f"{body:09d}{d}")]

    assert 1 == len(good)
