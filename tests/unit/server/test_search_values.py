"""Moments, numbers and references as search compares them (fhir-server SRC-07, SRC-08, SRC-09)."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.search.values import (
    Reference,
    micros,
    number_range,
    parse_reference,
    time_range,
)


def at(*parts: int) -> int:
    return micros(datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type,misc]  # date parts


@pytest.mark.parametrize(
    ("text", "low", "beyond"),
    [
        ("2026", at(2026, 1, 1), at(2027, 1, 1)),
        ("2028", at(2028, 1, 1), at(2029, 1, 1)),
        ("2028-02", at(2028, 2, 1), at(2028, 3, 1)),
        ("2026-12", at(2026, 12, 1), at(2027, 1, 1)),
        ("2026-11-24", at(2026, 11, 24), at(2026, 11, 25)),
        ("2026-11-24T10:15", at(2026, 11, 24, 10, 15), at(2026, 11, 24, 10, 16)),
        ("2026-11-24T10:15:30Z", at(2026, 11, 24, 10, 15, 30), at(2026, 11, 24, 10, 15, 31)),
        ("2026-11-24T10:15:30+05:30", at(2026, 11, 24, 4, 45, 30), at(2026, 11, 24, 4, 45, 31)),
        (
            "2026-11-24T10:15:30.5Z",
            at(2026, 11, 24, 10, 15, 30, 500000),
            at(2026, 11, 24, 10, 15, 30, 600000),
        ),
    ],
)
def test_a_moment_covers_what_its_precision_says(text: str, low: int, beyond: int) -> None:
    """A year is a whole year, a second a whole second."""
    assert (low, beyond - 1) == time_range(text)


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(1900, 1, 1)))
def test_an_instant_is_itself(moment: datetime) -> None:
    """To the microsecond, in whatever zone it was written."""
    utc = moment.astimezone(UTC)
    text = utc.isoformat(timespec="microseconds").replace("+00:00", "Z")

    assert (micros(utc), micros(utc)) == time_range(text)


@pytest.mark.parametrize("text", ["", "26", "2026-13", "2026-02-30", "yesterday", "2026-11-24T"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    """A search by it is answered with 400, so it must not pass."""
    with pytest.raises(ValueError, match=r".+"):
        time_range(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_the_ends_of_the_calendar_are_moments(text: str) -> None:
    """Valid R4 at the edge of what a computer's calendar holds."""
    low, high = time_range(text)

    assert low < high


@pytest.mark.parametrize("text", ["1e999999", "-1e999999", "1e-999999", "0"])
def test_extreme_numbers_have_bounds(text: str) -> None:
    """A decimal that no float holds is stored and searched all the same."""
    low, high = number_range(Decimal(text))

    assert low <= high


def test_a_number_stands_for_its_precision() -> None:
    """100 is 99.5 to 100.5, 100.00 is 99.995 to 100.005 (search.html#number)."""
    assert (99.5, 100.5) == number_range(Decimal(100))
    assert (99.995, 100.005) == number_range(Decimal("100.00"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient/1", Reference("", "Patient", "1")),
        ("http://me/fhir/Patient/1", Reference("", "Patient", "1")),
        ("http://other/fhir/Patient/1/_history/3", Reference("http://other/fhir", "Patient", "1")),
        ("1", Reference("", "", "1")),
        ("urn:uuid:x", Reference("", "", "urn:uuid:x")),
    ],
)
def test_references_are_taken_apart(text: str, expected: Reference) -> None:
    """Our own absolute URL is the same as the relative one."""
    assert expected == parse_reference(text, "http://me/fhir")
