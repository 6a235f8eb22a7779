"""A query string, read: which clauses a resource must meet, and how to page and sort.

Source: FHIR R4 search.html. Values are parsed here once; SQL and in-memory matching share them.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from server.errors import BadRequest
from server.search.index import STRING_LIMIT, fold
from server.search.parameters import NATIVE, Parameter, of_type
from server.search.values import number_range, parse_reference, time_range

COUNT_DEFAULT, COUNT_LIMIT = 50, 1000
VALUES_LIMIT = 500
_DIGITS, _ROWS = 9, 2**62
PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
_MODIFIERS = {
    "token": {"not", "missing"},
    "reference": {"missing"},
    "string": {"exact", "contains", "missing"},
    "date": {"missing"},
    "quantity": {"missing"},
    "number": {"missing"},
    "uri": {"missing"},
}
_PREFIXED = re.compile(r"(?P<prefix>[a-z]{2})?(?P<rest>[^a-z].*)", re.DOTALL)
IGNORED = frozenset({"_format", "_pretty", "_totalMethod"})


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition: any of `operands` (OR) must hold for parameter `code`.

    Operands by kind: token (system or None, code or None); reference (base or None, type or None,
    id); string (folded, as given); date (prefix, lo, hi); quantity (prefix, lo, hi, system or
    None, unit or None);
    uri (value,); missing (True or False,).
    """

    kind: str
    code: str
    modifier: str
    operands: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search of one resource type. `understood` are the pairs to repeat in the self link."""

    type: str
    clauses: tuple[Clause, ...] = ()
    count: int = COUNT_DEFAULT
    sort: str = ""
    descending: bool = False
    after: tuple[Any, ...] = ()
    total: bool = True
    understood: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    type: str
    base: str
    clauses: list[Clause] = field(default_factory=list)
    control: dict[str, Any] = field(default_factory=dict)
    understood: list[tuple[str, str]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def parse(resource_type: str, pairs: Iterable[tuple[str, str]], base: str) -> SearchRequest:
    """Read the query `pairs` of a search for `resource_type`; `base` is our FHIR base URL.

    Parameters we do not know are listed in `unknown`, as FHIR's lenient handling asks; the caller
    refuses them when the client wants strict handling. Raises BadRequest on a malformed value, an
    unsupported modifier or prefix.
    """
    draft = _Draft(resource_type, base)
    for key, value in pairs:
        if value == "" or key in IGNORED:
            continue
        if key in _CONTROLS:
            _CONTROLS[key](draft, value)
        elif not _clause(draft, key, value):
            draft.unknown.append(key)
            continue
        draft.understood.append((key, value))
    return SearchRequest(
        draft.type,
        tuple(draft.clauses),
        understood=tuple(draft.understood),
        unknown=tuple(draft.unknown),
        **draft.control,
    )


def cursor(after: tuple[Any, ...]) -> str:
    """Return the opaque text that continues a search after this (sort value, row)."""
    return base64.urlsafe_b64encode(json.dumps(after).encode()).decode().rstrip("=")


def _count(draft: _Draft, value: str) -> None:
    if not value.isdecimal() or len(value) > _DIGITS:
        raise BadRequest("_count must be a whole number.", expression="_count")
    draft.control["count"] = min(int(value), COUNT_LIMIT)


def _sort(draft: _Draft, value: str) -> None:
    key = value.removeprefix("-")
    parameter = of_type(draft.type).get(key)
    if key not in ("_lastUpdated", "_id") and (parameter is None or parameter.type != "date"):
        raise BadRequest("_sort takes one of _lastUpdated, _id or a date.", expression="_sort")
    draft.control.update(sort=key, descending=value.startswith("-"))


def _summary(draft: _Draft, value: str) -> None:
    if value == "count":
        draft.control["count"] = 0
    elif value != "false":
        raise BadRequest("_summary takes count or false here.", expression="_summary")


def _total(draft: _Draft, value: str) -> None:
    if value not in ("none", "estimate", "accurate"):
        raise BadRequest("_total takes none, estimate or accurate.", expression="_total")
    draft.control["total"] = value != "none"


def _cursor(draft: _Draft, value: str) -> None:
    try:
        after = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    except (binascii.Error, ValueError) as error:
        raise BadRequest("The page link is damaged; start the search anew.") from error
    if not isinstance(after, list) or not 1 <= len(after) <= 2:  # noqa: PLR2004 (value, row)
        raise BadRequest("The page link is damaged; start the search anew.")
    if not all(_may_bind(part) for part in after):
        raise BadRequest("The page link is damaged; start the search anew.")
    draft.control["after"] = tuple(after)


def _may_bind(part: Any) -> bool:
    if isinstance(part, int):
        return abs(part) < _ROWS
    return part is None or isinstance(part, str)


_CONTROLS: dict[str, Callable[[_Draft, str], None]] = {
    "_count": _count,
    "_sort": _sort,
    "_summary": _summary,
    "_total": _total,
    "_cursor": _cursor,
}


def _clause(draft: _Draft, key: str, value: str) -> bool:
    code, _, modifier = key.partition(":")
    parameter = of_type(draft.type).get(code)
    if parameter is None:
        return False
    if modifier and parameter.code in NATIVE:
        raise BadRequest(f"The modifier :{modifier} is not supported here.", expression=code)
    values = _split(value)
    if len(values) > VALUES_LIMIT:
        raise BadRequest(f"At most {VALUES_LIMIT} values in one parameter.", expression=code)
    if modifier == "missing":
        if value not in ("true", "false"):
            raise BadRequest(":missing takes true or false.", expression=code)
        operands: tuple[tuple[Any, ...], ...] = ((value == "true",),)
    else:
        operands, modifier = _operands(draft, parameter, modifier, values)
    kind = "quantity" if parameter.type == "number" else parameter.type
    draft.clauses.append(Clause(kind, code, modifier, operands))
    return True


def _operands(
    draft: _Draft, parameter: Parameter, modifier: str, values: list[str]
) -> tuple[tuple[tuple[Any, ...], ...], str]:
    if parameter.type == "reference" and modifier[:1].isupper():
        values = [v if "/" in v else f"{modifier}/{v}" for v in values]
        modifier = ""
    if modifier and modifier not in _MODIFIERS[parameter.type]:
        raise BadRequest(
            f"The modifier :{modifier} is not supported here.", expression=parameter.code
        )
    try:
        return tuple(_operand(draft, parameter, v) for v in values), modifier
    except (ValueError, InvalidOperation, OverflowError) as error:
        raise BadRequest(f"The value is no {parameter.type}.", expression=parameter.code) from error


def _operand(draft: _Draft, parameter: Parameter, value: str) -> tuple[Any, ...]:
    match parameter.type:
        case "token":
            return _token(value)
        case "reference":
            found = parse_reference(value, draft.base)
            kind = found.type or None
            return (found.base if kind else None, kind, found.id)
        case "string":
            return fold(value), value[:STRING_LIMIT]
        case "date":
            prefix, rest = _prefix(value)
            return (prefix, *time_range(rest.replace(" ", "+")))
        case "number" | "quantity":
            return _quantity(value)
        case _:
            return (value,)


def _token(value: str) -> tuple[str | None, str | None]:
    system, bar, code = value.partition("|")
    if not bar:
        return None, value
    return system, code or None


def _quantity(value: str) -> tuple[Any, ...]:
    number, _, rest = value.partition("|")
    system, _, unit = rest.partition("|")
    prefix, digits = _prefix(number)
    return (prefix, *number_range(Decimal(digits)), system or None, unit or None)


def _prefix(value: str) -> tuple[str, str]:
    found = _PREFIXED.fullmatch(value)
    prefix = (found["prefix"] if found else None) or "eq"
    if found is None or prefix not in PREFIXES:
        message = "unknown prefix"
        raise ValueError(message)
    return prefix, found["rest"]


def _split(value: str) -> list[str]:
    """Split at commas that are not escaped, and remove the escapes (search.html#escaping)."""
    parts = re.split(r"(?<!\\),", value)
    return [re.sub(r"\\([,$|\\])", r"\1", part) for part in parts]
