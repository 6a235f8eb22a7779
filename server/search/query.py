"""A SearchRequest as SQL text and its bound arguments; no value is ever put into the text."""

from collections.abc import Callable
from typing import Any

from server import definitions
from server.search.request import Clause, SearchRequest

Sql = tuple[str, list[Any]]

# What a prefix asks of a stored range [lo, hi] against the searched range (search.html#prefix).
RANGE_TESTS = {
    "eq": "lo >= ? AND hi <= ?",
    "ne": "NOT (lo >= ? AND hi <= ?)",
    "gt": "hi > ?",
    "lt": "lo < ?",
    "ge": "hi >= ?",
    "le": "lo <= ?",
    "sa": "lo > ?",
    "eb": "hi < ?",
}
_USES_HIGH = frozenset({"gt", "le", "sa"})
_PARAMETER = "(SELECT p FROM param WHERE type = ? AND code = ?)"


def select(request: SearchRequest, tenant: int) -> Sql:
    """Return SQL for one page: rows (rid, vrid, sort value), one more than the page holds."""
    where, args = _where(request, tenant)
    value, value_args = _sort_value(request)
    if request.after:
        after, after_args = _after(request, value, value_args)
        where, args = f"{where} AND {after}", args + after_args
    order = "DESC" if request.descending else "ASC"
    text = (
        f"SELECT r.rid, r.vrid, {value} AS k FROM resource r WHERE {where} "  # noqa: S608
        f"ORDER BY k IS NULL, k {order}, r.rid {order} LIMIT ?"
    )
    return text, [*value_args, *args, request.count + 1]


def count(request: SearchRequest, tenant: int) -> Sql:
    """Return SQL for the number of matches, whatever the page."""
    where, args = _where(request, tenant)
    return f"SELECT count(*) FROM resource r WHERE {where}", args  # noqa: S608 fixed parts


def _where(request: SearchRequest, tenant: int) -> Sql:
    parts = ["r.tid = ?", "r.type = ?", "r.deleted = 0"]
    args: list[Any] = [tenant, definitions.type_numbers()[request.type]]
    for clause in request.clauses:
        text, more = _clause(request.type, clause)
        parts.append(text)
        args += more
    return " AND ".join(parts), args


def _sort_value(request: SearchRequest) -> Sql:
    if request.sort in ("", "_lastUpdated", "_id"):
        return {"": "0", "_lastUpdated": "r.upd", "_id": "r.fhir_id"}[request.sort], []
    pick = "max(hi)" if request.descending else "min(lo)"
    return (
        f"(SELECT {pick} FROM ix_date WHERE p = {_PARAMETER} AND rid = r.rid)",  # noqa: S608
        [definitions.type_numbers()[request.type], request.sort],
    )


def _after(request: SearchRequest, value: str, value_args: list[Any]) -> Sql:
    key, row = request.after if len(request.after) > 1 else (0, *request.after)
    sign = "<" if request.descending else ">"
    if key is None:
        return f"({value} IS NULL AND r.rid {sign} ?)", [*value_args, row]
    text = f"({value} {sign} ? OR ({value} = ? AND r.rid {sign} ?) OR {value} IS NULL)"
    return text, [*value_args, key, *value_args, key, row, *value_args]


def _clause(resource_type: str, clause: Clause) -> Sql:
    if clause.code == "_id":
        marks = ", ".join("?" for _ in clause.operands)
        return f"r.fhir_id IN ({marks})", [code for _, code in clause.operands]
    if clause.code == "_lastUpdated":
        return _last_updated(clause)
    key = [definitions.type_numbers()[resource_type], clause.code]
    inside = f"SELECT rid FROM ix_{clause.kind} WHERE p = {_PARAMETER}"  # noqa: S608 closed set
    if clause.modifier == "missing":
        known = clause.operands[0][0]
        return f"r.rid {'NOT IN' if known else 'IN'} ({inside})", key
    tests, args = [], []
    for operand in clause.operands:
        test, more = _TESTS[clause.kind](clause.modifier, operand)
        tests.append(f"({test})")
        args += more
    member = "NOT IN" if clause.modifier == "not" else "IN"
    return f"r.rid {member} ({inside} AND ({' OR '.join(tests)}))", [*key, *args]


def _last_updated(clause: Clause) -> Sql:
    tests, args = [], []
    for operand in clause.operands:
        test, more = _range(operand)
        tests.append("(" + test.replace("lo ", "r.upd ").replace("hi ", "r.upd ") + ")")
        args += more
    return f"({' OR '.join(tests)})", args


def _range(operand: tuple[Any, ...]) -> Sql:
    prefix, low, high = operand[:3]
    test = RANGE_TESTS[prefix]
    if prefix in ("eq", "ne"):
        return test, [low, high]
    return test, [high if prefix in _USES_HIGH else low]


def _token(_modifier: str, operand: tuple[Any, ...]) -> Sql:
    system, code = operand
    tests, args = [], []
    if code is not None:
        tests.append("v = ?")
        args.append(code)
    if system is not None:
        tests.append("sys = (SELECT sys FROM code_system WHERE url = ?)")
        args.append(system)
    return " AND ".join(tests) or "1", args


def _reference(_modifier: str, operand: tuple[Any, ...]) -> Sql:
    base, kind, fhir_id = operand
    tests, args = ["tid = ?"], [fhir_id]
    if kind is not None:
        tests.append("ttype = ?")
        args.append(definitions.type_numbers().get(kind, 0))
        tests.append("url_id = (SELECT sys FROM code_system WHERE url = ?)")
        args.append(base)
    return " AND ".join(tests), args


def _string(modifier: str, operand: tuple[Any, ...]) -> Sql:
    text, given = operand
    if modifier == "exact":
        return "v = ? AND raw = ?", [text, given]
    if modifier == "contains":
        return "instr(v, ?) > 0", [text]
    return "v >= ? AND v < ?", [text, text + "\U0010ffff"]


def _uri(_modifier: str, operand: tuple[Any, ...]) -> Sql:
    return "v = ?", [operand[0]]


def _quantity(_modifier: str, operand: tuple[Any, ...]) -> Sql:
    test, args = _range(operand)
    _, _, _, system, unit = operand
    if system is not None:
        test += " AND sys = (SELECT sys FROM code_system WHERE url = ?)"
        args.append(system)
    if unit is not None:
        test += " AND code = ?"
        args.append(unit)
    return test, args


_TESTS: dict[str, Callable[[str, tuple[Any, ...]], Sql]] = {
    "token": _token,
    "reference": _reference,
    "string": _string,
    "date": lambda _modifier, operand: _range(operand),
    "quantity": _quantity,
    "uri": _uri,
}
