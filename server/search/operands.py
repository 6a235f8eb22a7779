"""The values of search parameters, read from text: one reader for each kind of value.

Source: FHIR R4 search.html, sections of the search parameter types, and #escaping.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from server.search.index import STRING_LIMIT, fold
from server.search.ranges import PREFIXES
from server.search.values import number_range, parse_reference, time_range

_PREFIXED = re.compile(r"(?P<prefix>[a-z]{2})?(?P<rest>[^a-z].*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,3})?")
_ESCAPED = re.compile(r"\\([,$|\\])")
_KM_PER_DEGREE = 111.195
_METRES = {"": 0.001, "km": 1.0, "m": 0.001, "[mi_us]": 1.609347}
_FAR = 20_100.0  # half the way around the earth, in km
_NEAR_DEFAULT_KM = 10.0
Operand = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a value is read with.

    Our base URL, now in microseconds, the kinds of a composite's parts, and the modifier that is
    left.
    """

    base: str
    now: int
    parts: tuple[str, ...] = ()
    modifier: str = ""


def cut(text: str, separator: str) -> list[str]:
    """Split at separators that are not escaped; the escapes stay in the parts."""
    parts, start, place = [], 0, 0
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] == separator:
            parts.append(text[start:place])
            start = place + 1
        place += 1
    return [*parts, text[start:]]


def plain(text: str) -> str:
    """Return `text` without the escapes."""
    return _ESCAPED.sub(r"\1", text)


def folded_words(text: str) -> Iterator[str]:
    """Yield the words of a full-text value, folded."""
    yield from fold(plain(text)).split()


def _token(value: str, _scope: Scope) -> Operand:
    parts = cut(value, "|")
    if len(parts) == 1:
        return None, plain(value)
    return plain(parts[0]), plain("|".join(parts[1:])) or None


def _of_type(value: str, _scope: Scope) -> Operand:
    system, code, text = (plain(part) for part in cut(value, "|"))
    return system, f"{code}|{text}"


def reference(value: str, base: str) -> Operand:
    """Return the operand of a reference: `base` and type are None where only an id is given."""
    found = parse_reference(value, base)
    kind = found.type or None
    return found.base if kind else None, kind, found.id, value


def _string(value: str, _scope: Scope) -> Operand:
    text = plain(value)
    return fold(text), text[:STRING_LIMIT]


def _date(value: str, scope: Scope) -> Operand:
    prefix, rest = _prefix(value)
    low, high = time_range(rest.replace(" ", "+"))
    if prefix == "ap":  # a tenth of the way from now
        slack = abs(scope.now - low) // 10
        low, high = low - slack, high + slack
    return prefix, 0, low, high


def _number(value: str, scope: Scope) -> Operand:
    return _quantity(value, scope)[:4]


def _quantity(value: str, _scope: Scope) -> Operand:
    number, *rest = (plain(part) for part in cut(value, "|"))
    prefix, digits = _prefix(number)
    if not _NUMBER.fullmatch(digits):
        message = "expected a number"
        raise ValueError(message)
    exact = Decimal(digits)
    low, high = number_range(exact)
    if prefix == "ap":
        slack = abs(float(exact)) / 10
        low, high = min(low, float(exact) - slack), max(high, float(exact) + slack)
    system, unit = (*rest, "", "")[:2]
    return prefix, float(exact), low, high, system or None, unit or None


def _uri(value: str, scope: Scope) -> Operand:
    return (plain(value).rstrip("/") if scope.modifier else plain(value),)


def _composite(value: str, scope: Scope) -> Operand:
    values = cut(value, "$")
    if len(values) != len(scope.parts):
        message = "expected as many values as the composite has parts"
        raise ValueError(message)
    inner = Scope(scope.base, scope.now)
    return tuple(READERS[kind](one, inner) for kind, one in zip(scope.parts, values, strict=True))


def _near(value: str, _scope: Scope) -> Operand:
    """Return latitude, longitude, and the reach in degrees of each (location.html#search)."""
    parts = value.split("|")
    if not 2 <= len(parts) <= 4 or not all(_NUMBER.fullmatch(p) for p in parts[:3]):  # noqa: PLR2004
        message = "expected latitude|longitude|distance|unit"
        raise ValueError(message)
    latitude, longitude = float(parts[0]), float(parts[1])
    if abs(latitude) > 90 or abs(longitude) > 180:  # noqa: PLR2004 degrees
        message = "expected degrees"
        raise ValueError(message)
    km = _NEAR_DEFAULT_KM
    if len(parts) > 2:  # noqa: PLR2004
        unit = parts[3] if len(parts) > 3 else "km"  # noqa: PLR2004
        km = float(parts[2]) * _METRES[unit] if unit in _METRES else math.nan
    if not 0 <= km <= _FAR:
        message = "expected a distance in km or m"
        raise ValueError(message)
    reach = km / _KM_PER_DEGREE
    return latitude, longitude, reach, max(math.cos(math.radians(latitude)), 1e-6)


def _prefix(value: str) -> tuple[str, str]:
    found = _PREFIXED.fullmatch(value)
    prefix = (found["prefix"] if found else None) or "eq"
    if found is None or prefix not in PREFIXES:
        message = "unknown prefix"
        raise ValueError(message)
    return prefix, found["rest"]


READERS: dict[str, Callable[[str, Scope], Operand]] = {
    "token": _token,
    "of-type": _of_type,
    "reference": lambda value, scope: reference(plain(value), scope.base),
    "string": _string,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
    "uri": _uri,
    "composite": _composite,
    "near": _near,
}
