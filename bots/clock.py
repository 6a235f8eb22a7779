"""The only place where the bots read the time or take a number."""

import itertools
import time
from datetime import UTC, datetime

_CONTROL_NUMBERS = 999_999_999
# Starts at the hundredths of a second since 1970, so that restarts do not repeat numbers while
# fewer than a hundred interchanges a second are sent; wraps after 115 days.
_counter = itertools.count(time.time_ns() // 10_000_000)  # noqa: TID251 this is the door


def now() -> datetime:
    """Return the present moment, aware, UTC."""
    return datetime.now(UTC)  # noqa: TID251 this is the door


def control_number() -> int:
    """Return a new interchange control number (ISA13), 1 to 999,999,999."""
    return next(_counter) % _CONTROL_NUMBERS + 1
