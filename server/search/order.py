"""The order of pages: what a search sorts by, and where the next page begins.

The last key's direction is the row's too, so that an index can be read from either end.
"""

from dataclasses import dataclass
from typing import Any

from server.search.column_tests import NEVER, Numbers, Sql
from server.search.conditions import SearchRequest, SortKey

NATIVE = {"_id": "fhir_id", "_lastUpdated": "upd"}
_SORT_COLUMNS = {
    "token": ("min(v)", "max(v)"),
    "string": ("min(v)", "max(v)"),
    "uri": ("min(v)", "max(v)"),
    "reference": ("min(tid)", "max(tid)"),
    "date": ("min(lo)", "max(hi)"),
    "quantity": ("min(lo)", "max(hi)"),
}


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page begins: after (or, with `back`, before) the row with these sort values."""

    keys: tuple[Any, ...]
    rid: int
    back: bool = False


def keys_of(
    request: SearchRequest, numbers: Numbers, *, back: bool
) -> tuple[list[str], str, list[Any]]:
    """Return the sort values as SQL, the ORDER BY of them, and their arguments."""
    texts: list[str] = []
    args: list[Any] = []
    order: list[str] = []
    way = "ASC"
    for place, key in enumerate(request.sort):
        text, more = _sort_value(request, numbers, key)
        texts.append(text)
        args += more
        way = "DESC" if key.descending != back else "ASC"
        if key.code not in NATIVE:
            nulls = "DESC" if back else "ASC"
            order.append(f"CASE WHEN k{place} IS NULL THEN 1 ELSE 0 END {nulls}")
        order.append(f"k{place} {way}")
    order.append(f"rid {way}")
    return texts, ", ".join(order), args


def _sort_value(request: SearchRequest, numbers: Numbers, key: SortKey) -> Sql:
    if key.code in NATIVE:
        return f"r.{NATIVE[key.code]}", []
    column = _SORT_COLUMNS[key.kind][key.descending]
    number = numbers.parameter(request.type, key.code)
    text = f"(SELECT {column} FROM ix_{key.kind} s WHERE s.rid = r.rid AND s.p = ?)"  # noqa: S608
    return text, [number]


def beyond(request: SearchRequest, position: Position) -> Sql:
    """Return the condition of standing behind a row in the order, or before it."""
    texts, args = [], []
    same: list[str] = []
    same_args: list[Any] = []
    for place, key in enumerate(request.sort):
        value = position.keys[place]
        text, more = _behind(f"k{place}", value, key, back=position.back)
        texts.append(" AND ".join([*same, text]))
        args += [*same_args, *more]
        same.append(f"k{place} IS NULL" if value is None else f"k{place} = ?")
        same_args += [] if value is None else [value]
    is_down = request.sort[-1].descending != position.back
    texts.append(" AND ".join([*same, f"rid {'<' if is_down else '>'} ?"]))
    args += [*same_args, position.rid]
    found = f" AND ({' OR '.join(f'({one})' for one in texts)})"
    first = request.sort[0]
    if first.code in NATIVE:  # for the index, which no OR can be read by
        found = f" AND k0 {'<=' if first.descending != position.back else '>='} ?{found}"
        args = [position.keys[0], *args]
    return found, args


def _behind(name: str, value: Any, key: SortKey, *, back: bool) -> Sql:
    """Return the condition of a sort value after `value`, or before it; none stands last."""
    if value is None:
        return (f"{name} IS NOT NULL", []) if back else (NEVER, [])
    sign = ">" if key.descending == back else "<"
    text = f"{name} {sign} ?"
    return (text, [value]) if back else (f"({text} OR {name} IS NULL)", [value])
