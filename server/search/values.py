"""Values that search compares: references, moments with their precision, numbers with theirs.

Source: FHIR R4 search.html#reference, #date, #number.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXPONENT_LIMIT = 400
_MOMENT = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2})"
    r"(?:T(?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d+))?)?"
    r"(?P<zone>Z|[+-]\d{2}:\d{2})?)?)?)?"
)
_REFERENCE = re.compile(
    r"(?:(?P<base>https?://\S+)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9.\-]{1,64})"
    r"(?:/_history/[A-Za-z0-9.\-]+)?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference taken apart. `base` is "" for our own; `type` is "" for a bare id or URI."""

    base: str
    type: str
    id: str


def parse_reference(text: str, base: str) -> Reference:
    """Take `text` apart: Type/id, an absolute URL, a urn, or a bare id."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return Reference("", "", text)
    there = found["base"] or ""
    return Reference("" if there == base else there, found["type"], found["id"])


def micros(moment: datetime) -> int:
    """Return microseconds since 1970-01-01 UTC, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def time_range(text: str) -> tuple[int, int]:
    """Return the first and last microsecond that a FHIR date, dateTime or instant covers.

    A text without a zone is taken as UTC. Raises ValueError where it is no moment.
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        message = "expected a date or time"
        raise ValueError(message)
    year, month, day = (int(found[k] or 1) for k in ("year", "month", "day"))
    start = datetime(
        year,
        month,
        day,
        int(found["hour"] or 0),
        int(found["minute"] or 0),
        min(int(found["second"] or 0), 59),
        tzinfo=UTC,
    )
    fraction = (found["fraction"] or "")[:6]
    start += timedelta(microseconds=int(fraction.ljust(6, "0")) if fraction else 0)
    low = micros(start) - _offset(found["zone"]) // timedelta(microseconds=1)
    return low, low + _width(found, year, month) - 1


def _offset(zone: str | None) -> timedelta:
    if zone in (None, "Z"):
        return timedelta()
    sign = -1 if zone[0] == "-" else 1
    return sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))


def _width(found: re.Match[str], year: int, month: int) -> int:
    second = 1_000_000
    if found["fraction"]:
        return int(10 ** max(0, 6 - len(found["fraction"])))
    if found["second"]:
        return second
    if found["minute"]:
        return 60 * second
    days = monthrange(year, month)[1] if found["month"] else 365 + (monthrange(year, 2)[1] - 28)
    return (1 if found["day"] else days) * 86_400 * second


def number_range(value: Decimal) -> tuple[float, float]:
    """Return the bounds that `value` stands for at its precision.

    100 is 99.5 to 100.5, and 1e2 is 95 to 105, as search.html#number has it.
    """
    exponent = int(value.as_tuple().exponent)  # bounded: beyond it a float has no digits anyway
    exponent -= exponent > 0
    half = Decimal(5).scaleb(max(-_EXPONENT_LIMIT, min(_EXPONENT_LIMIT, exponent)) - 1)
    return float(value - half), float(value + half)


def instant(updated: int) -> str:
    """Return microseconds since 1970 as a FHIR instant in UTC."""
    return moment(updated).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(updated: int) -> datetime:
    """Return microseconds since 1970 as an aware UTC datetime."""
    return datetime.fromtimestamp(updated // 1_000_000, UTC).replace(
        microsecond=updated % 1_000_000
    )
