"""The dates that a payer states with a benefit or of a person (DTP), and the days they mean."""

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_profiles import codes, elements, systems

Resource = dict[str, Any]
_NAMES = codes.names("dtp01_date_qualifier")
_RANGES = frozenset(_NAMES[code] for code in ("291", "292", "307"))
_BEGINS = frozenset(_NAMES[code] for code in ("193", "346", "348", "356"))
_ENDS = frozenset(_NAMES[code] for code in ("194", "347", "349", "357"))


def told(node: Resource) -> Iterator[tuple[str, str]]:
    """Yield the name and the days of each date that stands on an item or a response."""
    for name, start, end in _dates(node):
        yield name, " to ".join(day for day in (start, end) if day) or "not readable"


def on_day(items: Iterable[Resource], day: str) -> list[Resource]:
    """Return the items whose own dates do not tell that they hold on other days than `day`."""
    return [item for item in items if _holds(item, day)]


def _holds(item: Resource, day: str) -> bool:
    """Read dates as days: ranges of which one must hold, begins, and ends."""
    ranges = []
    for name, start, end in _dates(item):
        if name in _ENDS and (end or start or day) < day:
            return False
        if name in _BEGINS and start > day:
            return False
        if name in _RANGES | _BEGINS and end:
            ranges.append(start <= day <= end)
    return any(ranges) or not ranges


def _dates(node: Resource) -> Iterator[tuple[str, str, str]]:
    """Yield what each date is of, with its days as YYYY-MM-DD, "" where there is none."""
    for one in elements.extensions(node, systems.EXT_PERIOD):
        parts = {part["url"]: part for part in one["extension"]}
        days = parts["period"]["valuePeriod"] if "period" in parts else {}
        yield parts["qualifier"]["valueString"], days.get("start", ""), days.get("end", "")
