"""When a coverage begins and ends by the rules of a plan: waiting periods, terms, birthdays.

Each rule gives the first covered day, or the first uncovered one. Source: the plan documents'
usual rules; 45 CFR 147.116 for the limit of a waiting period.
"""

from datetime import date, timedelta
from enum import Enum

WAITING_LIMIT_DAYS = 90  # 45 CFR 147.116(a)
_DAY = timedelta(days=1)
_FIFTEENTH = 15


class Start(Enum):
    """How the first covered day follows from the day of hire, or of application."""

    IMMEDIATE = "immediate"
    AFTER_DAYS = "after-days"
    NEXT_MONTH = "first-of-next-month"
    MONTH_COINCIDENT = "first-of-month-coincident"
    MONTH_AFTER_DAYS = "first-of-month-after-days"
    FIFTEENTH = "fifteenth"
    MEDICAID_MONTH = "medicaid-month"


class End(Enum):
    """How the first uncovered day follows from the last day of work, or from a birthday."""

    SAME_DAY = "same-day"
    END_OF_MONTH = "end-of-month"
    END_OF_YEAR = "end-of-year"


def begins(rule: Start, day: date, days: int = 0) -> date:
    """Return the first covered day for somebody hired, or who applied, on `day`."""
    match rule:
        case Start.IMMEDIATE:
            return day
        case Start.AFTER_DAYS:
            return day + timedelta(days=days)
        case Start.NEXT_MONTH:
            return first_of_next_month(day)
        case Start.MONTH_COINCIDENT:
            return _first_on_or_after(day)
        case Start.MONTH_AFTER_DAYS:
            return _first_on_or_after(day + timedelta(days=days))
        case Start.FIFTEENTH:
            following = first_of_next_month(day)
            return following if day.day <= _FIFTEENTH else first_of_next_month(following)
        case Start.MEDICAID_MONTH:
            return day.replace(day=1)


def ends(rule: End, day: date) -> date:
    """Return the first uncovered day for somebody whose last day is `day`."""
    match rule:
        case End.SAME_DAY:
            return day + _DAY
        case End.END_OF_MONTH:
            return first_of_next_month(day)
        case End.END_OF_YEAR:
            return date(day.year + 1, 1, 1)


def waits_too_long(hired: date, first_day: date) -> bool:
    """Tell whether a waiting period is longer than a group plan may make it."""
    return (first_day - hired).days > WAITING_LIMIT_DAYS


def birthday(born: date, age: int, *, leap_day_is_28th: bool = False) -> date:
    """Return the day of an age; of somebody born on 29 February, 1 March or 28 February."""
    try:
        return born.replace(year=born.year + age)
    except ValueError:
        day = date(born.year + age, 2, 28)
        return day if leap_day_is_28th else day + _DAY


def first_of_next_month(day: date) -> date:
    """Return the first day of the month after that of `day`."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def _first_on_or_after(day: date) -> date:
    return day if day.day == 1 else first_of_next_month(day)
