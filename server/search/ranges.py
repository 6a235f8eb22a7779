"""What a prefix asks of a stored range, once as SQL and once as Python.

A stored date, period or number is a range from lo to hi. A searched one has its exact value
(numbers only) and the range that its precision implies. Source: FHIR R4 search.html#prefix,
#number, #date.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")


class Stored(NamedTuple):
    """A stored range; a moment's or a number's ends are the same."""

    lo: Any
    hi: Any


class Asked(NamedTuple):
    """A searched value and the range of its precision."""

    exact: Any
    low: Any
    high: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """One prefix: SQL over the columns lo and hi, its arguments by name, and the same in Python."""

    sql: str
    arguments: tuple[str, ...]
    holds: Callable[[Stored, Asked], bool]

    def bound(self, asked: Asked) -> list[Any]:
        """Return the arguments of `sql` in order."""
        return [getattr(asked, name) for name in self.arguments]


def _contained(there: Stored, asked: Asked) -> bool:
    return bool(there.lo >= asked.low and there.hi <= asked.high)


def _overlapping(there: Stored, asked: Asked) -> bool:
    return bool(there.lo <= asked.high and there.hi >= asked.low)


def _half_open(there: Stored, asked: Asked) -> bool:
    return bool(there.lo >= asked.low and there.hi < asked.high)


_CONTAINED, _OVERLAPPING = "(lo >= ? AND hi <= ?)", "(lo <= ? AND hi >= ?)"
_ENDS = ("low", "high")
# A date is a closed range of microseconds; eq asks that the searched range contains the stored.
DATE = {
    "eq": Comparison(_CONTAINED, _ENDS, _contained),
    "ne": Comparison(f"NOT {_CONTAINED}", _ENDS, lambda there, a: not _contained(there, a)),
    "gt": Comparison("hi > ?", ("high",), lambda there, a: there.hi > a.high),
    "lt": Comparison("lo < ?", ("low",), lambda there, a: there.lo < a.low),
    "ge": Comparison(
        f"(hi > ? OR {_CONTAINED})",
        ("high", *_ENDS),
        lambda there, a: there.hi > a.high or _contained(there, a),
    ),
    "le": Comparison(
        f"(lo < ? OR {_CONTAINED})",
        ("low", *_ENDS),
        lambda there, a: there.lo < a.low or _contained(there, a),
    ),
    "sa": Comparison("lo > ?", ("high",), lambda there, a: there.lo > a.high),
    "eb": Comparison("hi < ?", ("low",), lambda there, a: there.hi < a.low),
    "ap": Comparison(_OVERLAPPING, ("high", "low"), _overlapping),
}
# A number is exact; the precision of the searched one counts for eq, ne and ap only, and its
# range is half open: 100 is 99.5 up to, but not, 100.5.
_HALF_OPEN = "(lo >= ? AND hi < ?)"
NUMBER = {
    "eq": Comparison(_HALF_OPEN, _ENDS, _half_open),
    "ne": Comparison(f"NOT {_HALF_OPEN}", _ENDS, lambda there, a: not _half_open(there, a)),
    "gt": Comparison("hi > ?", ("exact",), lambda there, a: there.hi > a.exact),
    "lt": Comparison("lo < ?", ("exact",), lambda there, a: there.lo < a.exact),
    "ge": Comparison("hi >= ?", ("exact",), lambda there, a: there.hi >= a.exact),
    "le": Comparison("lo <= ?", ("exact",), lambda there, a: there.lo <= a.exact),
    "sa": Comparison("lo > ?", ("exact",), lambda there, a: there.lo > a.exact),
    "eb": Comparison("hi < ?", ("exact",), lambda there, a: there.hi < a.exact),
    "ap": Comparison(_OVERLAPPING, ("high", "low"), _overlapping),
}
COMPARISONS = {"date": DATE, "quantity": NUMBER}
