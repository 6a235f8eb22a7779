"""The decision clocks: every boundary of the 72 hours, the calendar days and the extensions."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_profiles import decision_clock
from fhir_profiles.decision_clock import (
    Clock,
    Extension,
    Judged,
    Limit,
    PayerKind,
    Standing,
    Urgency,
    limit_of,
)

EASTERN = ZoneInfo("America/New_York")
HOURS, DAYS = Limit("72 h", hours=72), Limit("7 d", days=7)
pytestmark = pytest.mark.req("R70")


def local(text: str, zone: ZoneInfo = EASTERN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("received", "last_day"),
    [
        ("2026-11-24T00:00", "2026-12-01"),
        ("2026-11-24T23:59:59", "2026-12-01"),
        ("2026-12-28T09:00", "2027-01-04"),  # over a year
        ("2028-02-25T09:00", "2028-03-03"),  # over a leap day
        ("2026-10-28T09:00", "2026-11-04"),  # over the end of daylight saving time
        ("2027-03-10T09:00", "2027-03-17"),  # over its begin
        ("2026-10-25T09:00", "2026-11-01"),  # ends on the day with 25 hours
    ],
)
def test_seven_days_end_with_the_seventh_day_of_the_payer(received: str, last_day: str) -> None:
    """The day of receipt is day 0; the last day counts to its end, in the payer's zone."""
    due = Clock(local(received), DAYS, EASTERN).due
    assert due is not None
    following = local(str(date.fromisoformat(last_day) + timedelta(days=1)))

    assert date.fromisoformat(last_day) == due.astimezone(EASTERN).date()
    assert timedelta(microseconds=1) == following.astimezone(UTC) - due


def test_the_day_is_the_payers() -> None:
    """Received at 03:00 UTC is still the day before in New York, and the same day in Honolulu."""
    received = datetime(2026, 11, 25, 3, tzinfo=UTC)
    for zone, day in (("America/New_York", 1), ("Pacific/Kiritimati", 2)):
        due = Clock(received, DAYS, ZoneInfo(zone)).due
        assert due is not None

        assert date(2026, 12, day) == due.astimezone(ZoneInfo(zone)).date()


@given(st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2035, 1, 1)))
def test_72_hours_are_72_hours(naive: datetime) -> None:
    """Also in the nights in which the clocks change."""
    received = naive.replace(tzinfo=EASTERN)
    due = Clock(received, HOURS, EASTERN).due

    assert due is not None
    assert timedelta(hours=72) == due - received.astimezone(UTC)


@pytest.mark.parametrize(
    ("after", "standing"),
    [
        (timedelta(hours=54) - timedelta(microseconds=1), Standing.ON_TRACK),
        (timedelta(hours=54), Standing.AT_RISK),
        (timedelta(hours=72), Standing.AT_RISK),
        (timedelta(hours=72, microseconds=1), Standing.OVERDUE),
    ],
)
def test_a_running_clock(after: timedelta, standing: Standing) -> None:
    """On track, at risk from three quarters of its time on, overdue after the last moment."""
    started = local("2026-11-24T15:00")

    assert standing is Clock(started, HOURS, EASTERN).standing(started.astimezone(UTC) + after)


@pytest.mark.parametrize(
    ("after", "standing"),
    [
        (timedelta(hours=72), Standing.DECIDED_IN_TIME),
        (timedelta(hours=72, microseconds=1), Standing.DECIDED_LATE),
    ],
)
def test_a_decision_ends_the_clock(after: timedelta, standing: Standing) -> None:
    """Exactly 72:00:00 is in time; how late it is looked at makes no difference."""
    started = datetime(2026, 11, 24, 15, tzinfo=UTC)
    clock = Clock(started, HOURS, EASTERN, decided=started + after)

    assert standing is clock.standing(started + timedelta(days=30))


def test_a_cancelled_request_has_no_clock_that_runs() -> None:
    """Neither in time nor late: it is in no figure."""
    started = datetime(2026, 11, 24, 15, tzinfo=UTC)
    clock = Clock(started, HOURS, EASTERN, cancelled=True)

    assert Standing.CANCELLED is clock.standing(started + timedelta(days=30))


def test_only_an_extension_moves_the_end() -> None:
    """By calendar days: an end of day stays one, a time of day stays one over a clock change."""
    noticed = datetime(2026, 10, 30, tzinfo=UTC)
    more = Extension(14, noticed, "records of another hospital")
    days = Clock(local("2026-10-27T09:00"), DAYS, EASTERN, extension=more).due
    hours = Clock(local("2026-10-27T09:00"), HOURS, EASTERN, extension=more).due
    assert days is not None
    assert hours is not None

    assert "2026-11-17 23:59:59.999999-05:00" == str(days.astimezone(EASTERN))
    assert "2026-11-13 09:00:00-05:00" == str(hours.astimezone(EASTERN))


@pytest.mark.parametrize(("days", "reason"), [(0, "x"), (15, "x"), (-1, "x"), (5, " ")])
def test_an_extension_has_bounds_and_a_reason(days: int, reason: str) -> None:
    """At most 14 calendar days (42 CFR 422.568(b)(1)(i))."""
    with pytest.raises(ValueError, match=r"expected 1 to 14|reason"):
        Extension(days, datetime(2026, 11, 24, tzinfo=UTC), reason)


@pytest.mark.parametrize(
    ("kind", "urgency", "limit"),
    [
        *((kind, Urgency.EXPEDITED, (72, 0)) for kind in (
            PayerKind.MA, PayerKind.MEDICAID_FFS, PayerKind.MEDICAID_MC, PayerKind.CHIP_FFS,
            PayerKind.CHIP_MC, PayerKind.QHP_FFE)),
        (PayerKind.MA, Urgency.STANDARD, (0, 7)),
        (PayerKind.CHIP_MC, Urgency.STANDARD, (0, 7)),
        (PayerKind.QHP_FFE, Urgency.STANDARD, (0, 15)),  # no alarm after seven days
        (PayerKind.COMMERCIAL, Urgency.STANDARD, None),
        (None, Urgency.EXPEDITED, None),
    ],
)  # fmt: skip
def test_who_has_which_clock(
    kind: PayerKind | None, urgency: Urgency, limit: tuple[int, int] | None
) -> None:
    """By the kind of payer and the urgency; nobody is given a clock that no rule sets."""
    found = limit_of(kind, urgency, is_drug=False)

    assert limit == (found and (found.hours, found.days))


def test_drugs_have_no_clock_by_the_rule_in_force() -> None:
    """Their row is proposed only, and switched off."""
    assert None is limit_of(PayerKind.MA, Urgency.EXPEDITED, is_drug=True)


@pytest.mark.parametrize(
    ("kind", "is_drug", "contracted"),
    [
        (PayerKind.COMMERCIAL, False, True),
        (None, False, True),
        (PayerKind.COMMERCIAL, True, True),
        (PayerKind.MA, False, False),
    ],
)
def test_a_contract_counts_where_no_rule_does(
    kind: PayerKind | None, *, is_drug: bool, contracted: bool
) -> None:
    """An impacted payer has the rule's clock, whatever its contract says."""
    contract = Limit("contract", days=10)
    found = limit_of(kind, Urgency.STANDARD, is_drug=is_drug, contract=contract)

    assert contracted == (found == contract)


@pytest.mark.parametrize(
    ("level", "urgency"),
    [("U", Urgency.EXPEDITED), ("03", Urgency.EXPEDITED), ("E", Urgency.STANDARD),
     ("", Urgency.STANDARD)],
)  # fmt: skip
def test_the_level_of_service_asks_for_urgency(level: str, urgency: Urgency) -> None:
    """UM06: 03 and U are urgent."""
    assert urgency is decision_clock.asked_urgency(level)


def test_an_override_keeps_the_history() -> None:
    """Expedited, held to be standard by a person: the last word counts, the first stays."""
    at = datetime(2026, 11, 24, tzinfo=UTC)
    asked = Judged(Urgency.EXPEDITED, "Practitioner/dr", at)
    held = Judged(Urgency.STANDARD, "Practitioner/reviewer", at + timedelta(hours=1))
    history = (asked, held)

    assert Urgency.STANDARD is decision_clock.urgency(history)
    assert Urgency.EXPEDITED is decision_clock.urgency(history[:1])
    with pytest.raises(ValueError, match="judged"):
        decision_clock.urgency(())


def test_moments_without_a_zone_are_refused() -> None:
    """A limit in hours needs an instant."""
    clock = Clock(datetime(2026, 11, 24, tzinfo=UTC), HOURS, EASTERN)
    naive = datetime(2026, 11, 24)
    with pytest.raises(ValueError, match="time zone"):
        replace(clock, started=naive)
    with pytest.raises(ValueError, match="time zone"):
        replace(clock, decided=naive)
    for hours, days in ((0, 0), (72, 7), (-1, 0)):
        with pytest.raises(ValueError, match="hours or days"):
            Limit("x", hours=hours, days=days)
