"""The primitive types of FHIR R4: what JSON value each may hold.

Source: FHIR R4 datatypes.html#primitive; the patterns are the standard's own rules.
"""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

STRING_LIMIT = 1024 * 1024
_GREATEST_DECIMAL = Decimal("1E+300")  # what a search index can hold
_LEAST_INT, _GREATEST_INT = -(2**31), 2**31 - 1

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # below blank: tab and line ends only
_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_CODE = re.compile(r"\S+( \S+)*")
_URI = re.compile(r"\S+")
_OID = re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+")
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?")
_ZONE = re.compile(r"Z|[+-](0\d:[0-5]\d|1[0-3]:[0-5]\d|14:00)")
_INSTANT = re.compile(r"(\d{4}-\d{2}-\d{2})T([^Z+\-]+)(.+)")


def _is_text(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > STRING_LIMIT:
        return False
    if not value or value.isspace():
        return False
    return value.isprintable() or _CONTROL.search(value) is None  # the pattern takes its time


def _pattern(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_date(value: Any) -> bool:
    found = _DATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return False
    year, month, day = (int(part) if part else 1 for part in found.groups())
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _is_instant(value: Any) -> bool:
    found = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return False
    day, clock, zone = found.groups()
    return _is_date(day) and bool(_TIME.fullmatch(clock)) and bool(_ZONE.fullmatch(zone))


def _is_int(least: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= _GREATEST_INT


def _is_decimal(value: Any) -> bool:
    is_number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    return is_number and abs(value) < _GREATEST_DECIMAL


def _is_base64(value: Any) -> bool:
    if not isinstance(value, str) or not value:
        return False
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


# name -> (test, what was expected, in words)
PRIMITIVES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "base64Binary": (_is_base64, "base64 text"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "canonical": (_pattern(_URI), "a URL without blanks"),
    "code": (_pattern(_CODE), "a code without leading, trailing or double blanks"),
    "date": (_is_date, "a date YYYY, YYYY-MM or YYYY-MM-DD"),
    "dateTime": (lambda v: _is_date(v) or _is_instant(v), "a date, or a time with its zone"),
    "decimal": (_is_decimal, "a JSON number below 1E+300"),
    "id": (_pattern(_ID), "1 to 64 letters, digits, '-' or '.'"),
    "instant": (_is_instant, "a time to the second with its zone"),
    "integer": (_is_int(_LEAST_INT), "a whole number"),
    "markdown": (_is_text, "text that is not blank"),
    "oid": (_pattern(_OID), "urn:oid:…"),
    "positiveInt": (_is_int(1), "a whole number above 0"),
    "string": (_is_text, "text that is not blank"),
    "time": (_pattern(_TIME), "a time hh:mm:ss"),
    "unsignedInt": (_is_int(0), "a whole number, 0 or above"),
    "uri": (_pattern(_URI), "a URI without blanks"),
    "url": (_pattern(_URI), "a URL without blanks"),
    "uuid": (_pattern(_UUID), "urn:uuid:…"),
    "xhtml": (_is_text, "an XHTML div"),
}
