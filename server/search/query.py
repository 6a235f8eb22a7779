"""A SearchRequest as SQL text and its bound arguments; no value is ever put into the text.

Of the conditions of a type, the one that is likely to leave fewest resources is the list that the
database starts from (IN); each other is a probe into its index for one resource (EXISTS).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from server import definitions
from server.search.column_tests import TESTS, Numbers, Sql, composite_columns
from server.search.conditions import (
    AnyOf,
    Chain,
    Clause,
    Compartment,
    Condition,
    Has,
    SearchRequest,
    SortKey,
)
from server.search.ranges import DATE, Asked

NEVER = "1 = 0"
UNION_LIMIT = 50
_NATIVE = {"_id": "fhir_id", "_lastUpdated": "upd"}
# Likely size of what a condition leaves, by kind; codes such as a status leave most.
_RANKS = {"uri": 2, "near": 3, "composite": 3, "string": 4, "quantity": 6, "date": 7}
_BROAD = 8


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page begins: after (or, with `back`, before) the row with these sort values."""

    keys: tuple[Any, ...]
    rid: int
    back: bool = False


class Query:
    """Builds the SQL of one search for one tenant."""

    def __init__(self, request: SearchRequest, numbers: Numbers, tenant: int) -> None:
        """Build nothing yet."""
        self._request = request
        self._numbers = numbers
        self._tenant = tenant
        self._where = self._condition_of_all()
        self._first: dict[int, Sql] = {}

    def page(self, position: Position | None, limit: int) -> Sql:
        """Return SQL for rows (rid, vrid, type, id, sort values...) in order, up to `limit`."""
        if position is not None:
            return self._page(position, limit)
        if limit not in self._first:
            self._first[limit] = self._page(None, limit)
        return self._first[limit]

    def _page(self, position: Position | None, limit: int) -> Sql:
        back = position is not None and position.back
        where, args = self._where
        keys, order, key_args = self._keys(back=back)
        after: Sql = ("", [])
        if position is not None:
            after = self._after(position)
        names = [f"k{place}" for place in range(len(keys))]
        columns = "".join(f", {sql} AS {name}" for sql, name in zip(keys, names, strict=True))
        inner = (
            "SELECT r.rid AS rid, r.vrid AS vrid, r.type AS type, r.fhir_id AS fhir_id"  # noqa: S608 fixed parts
            f"{columns} FROM resource r WHERE {where}"
        )
        if not keys:
            text = f"{inner}{after[0]} ORDER BY r.rid {'DESC' if back else 'ASC'} LIMIT ?"
        else:
            text = f"SELECT * FROM ({inner}) q WHERE 1 = 1{after[0]} ORDER BY {order} LIMIT ?"  # noqa: S608
        return text, [*key_args, *args, *after[1], limit]

    def count(self) -> Sql:
        """Return SQL for the number of matches, whatever the page."""
        where, args = self._where
        return f"SELECT count(*) FROM resource r WHERE {where}", args  # noqa: S608 fixed parts

    def _condition_of_all(self) -> Sql:
        """Return what a row of `resource r` must meet: be of one branch, and not deleted."""
        branches = self._request.branches
        if not any(conditions for _, conditions in branches):
            marks = ", ".join("?" * len(branches))
            numbers = [definitions.type_numbers()[name] for name, _ in branches]
            text, args = (f"r.type IN ({marks})", numbers) if branches else (NEVER, [])
        else:
            parts = [self._branch("r", name, conditions) for name, conditions in branches]
            text = _any_of([part for part, _ in parts])
            args = [arg for _, more in parts for arg in more]
        if self._request.compartment is not None:
            inside, more = self._compartment(self._request.compartment)
            text, args = f"r.rid IN ({inside}) AND ({text})", [*more, *args]
        plus = ""
        if self._request.compartment is not None or all(_plus(c) for _, c in branches):
            plus = "+"
        return f"{plus}r.tid = ? AND r.deleted = 0 AND ({text})", [self._tenant, *args]

    def _compartment(self, compartment: Compartment) -> Sql:
        number = definitions.type_numbers()[compartment.name]
        links = [self._numbers.parameter(*link) for link in compartment.links]
        own = self._numbers.system("")
        marks = ", ".join("?" * len(links)) or "0"  # no parameter has this number
        who = ""
        who_args: list[Any] = []
        if compartment.one:
            who = " = ?"
            who_args = [compartment.one]
        elif compartment.group:
            member = self._numbers.parameter("Group", "member")
            who = (
                " IN (SELECT m.tid FROM ix_reference m JOIN resource g ON g.rid = m.rid"
                " WHERE g.tid = ? AND g.type = ? AND g.fhir_id = ? AND m.p = ? AND m.ttype = ?"
                " AND m.url_id = ?)"
            )
            group_type = definitions.type_numbers()["Group"]
            who_args = [self._tenant, group_type, compartment.group, member, number, own]
        text = (
            f"SELECT rid FROM ix_reference WHERE p IN ({marks}) AND ttype = ? AND url_id = ?"  # noqa: S608 fixed parts
            + (f" AND tid{who}" if who else "")
        )
        args = [*links, number, own, *who_args]
        if compartment.itself:
            text += " UNION SELECT rid FROM resource WHERE tid = ? AND type = ?"
            text += f" AND fhir_id{who}" if who else ""
            args += [self._tenant, number, *who_args]
        return text, args

    def _branch(self, alias: str, type_name: str, conditions: Sequence[Condition]) -> Sql:
        ranked = sorted(conditions, key=_rank)
        parts = [f"{_plus(conditions)}{alias}.type = ?"]
        args: list[Any] = [definitions.type_numbers()[type_name]]
        for place, condition in enumerate(ranked):
            text, more = self._condition(alias, type_name, condition, first=place == 0)
            parts.append(text)
            args += more
        return " AND ".join(parts), args

    def _condition(self, alias: str, type_name: str, condition: Condition, *, first: bool) -> Sql:
        match condition:
            case AnyOf():
                found = [
                    self._condition(alias, type_name, one, first=True)
                    for one in condition.conditions
                ]
                text = _any_of([one for one, _ in found])
                return f"({text})", [arg for _, more in found for arg in more]
            case Chain():
                return self._chain(alias, type_name, condition)
            case Has():
                return self._has(alias, type_name, condition)
        if condition.code in _NATIVE:
            return _native(alias, condition)
        return self._indexed(alias, type_name, condition, first=first)

    def _indexed(self, alias: str, type_name: str, clause: Clause, *, first: bool) -> Sql:
        if clause.kind in ("near", "special"):
            return self._near(alias, type_name, clause)
        number = self._numbers.parameter(type_name, clause.code)
        table = f"ix_{clause.kind}"
        probe = f"EXISTS (SELECT 1 FROM {table} WHERE rid = {alias}.rid AND p = ?"  # noqa: S608
        if clause.modifier == "missing":
            return ("NOT " if clause.operands[0][0] else "") + probe + ")", [number]
        text, args = self._any(clause)
        if clause.modifier == "not":
            return f"NOT {probe} AND ({text}))", [number, *args]
        if first:
            inside, args = self._rows(table, number, clause)
            return f"{alias}.rid IN ({inside})", args
        return f"{probe} AND ({text}))", [number, *args]

    def _rows(self, table: str, number: int, clause: Clause) -> Sql:
        """Return a SELECT of the rows that meet a clause.

        One for each operand: SQLite finds no index for an OR of several columns.
        """
        whole = [clause.operands]
        if len(clause.operands) <= UNION_LIMIT:
            whole = [(operand,) for operand in clause.operands]
        texts, args = [], []
        for part in whole:
            text, more = self._any(replace(clause, operands=part))
            texts.append(f"SELECT rid FROM {table} WHERE p = ? AND ({text})")  # noqa: S608 fixed parts
            args += [number, *more]
        return " UNION ALL ".join(texts) or f"SELECT rid FROM {table} WHERE {NEVER}", args  # noqa: S608

    def _any(self, clause: Clause) -> Sql:
        if clause.kind == "composite":
            found = [self._composite(clause, operand) for operand in clause.operands]
        else:
            test = TESTS[clause.kind]
            found = [test(self._numbers, clause.modifier, o) for o in clause.operands]
        return _any_of([one for one, _ in found]), [arg for _, more in found for arg in more]

    def _composite(self, clause: Clause, operand: tuple[Any, ...]) -> Sql:
        """Ask every part of one element: the rows of a part agree on (p, rid, el)."""
        texts, args = [], []
        for place, (kind, one) in enumerate(zip(clause.parts, operand, strict=True)):
            test, more = TESTS[kind](self._numbers, "", one)
            text = f"part = {place} AND {composite_columns(kind, test)}"
            if place:
                text = (
                    "(p, rid, el) IN (SELECT p, rid, el FROM ix_composite"  # noqa: S608 fixed parts
                    f" WHERE {text})"
                )
            texts.append(text)
            args += more
        return " AND ".join(texts), args

    def _near(self, alias: str, type_name: str, clause: Clause) -> Sql:
        names = [self._numbers.parameter(type_name, f"near:{n}") for n in ("latitude", "longitude")]
        if clause.modifier == "missing":
            probe = f"EXISTS (SELECT 1 FROM ix_quantity WHERE rid = {alias}.rid AND p = ?)"  # noqa: S608
            return ("NOT " if clause.operands[0][0] else "") + probe, names[:1]
        texts, args = [], []
        for latitude, longitude, reach, shrink in clause.operands:
            texts.append(
                f"{alias}.rid IN (SELECT a.rid FROM ix_quantity a JOIN ix_quantity b"  # noqa: S608
                " ON b.rid = a.rid WHERE a.p = ? AND a.lo BETWEEN ? AND ? AND b.p = ?"
                " AND (a.lo - ?) * (a.lo - ?) + (b.lo - ?) * (b.lo - ?) * ? <= ?)"
            )
            args += [names[0], latitude - reach, latitude + reach, names[1], latitude, latitude]
            args += [longitude, longitude, shrink * shrink, reach * reach]
        return f"({_any_of(texts)})", args

    def _chain(self, alias: str, type_name: str, chain: Chain) -> Sql:
        number = self._numbers.parameter(type_name, chain.code)
        own = self._numbers.system("")
        inner = f"{alias}c"
        texts, args = [], []
        for target, condition in chain.targets:
            text, more = self._branch(inner, target, (condition,))
            texts.append(
                f"{alias}.rid IN (SELECT f.rid FROM resource {inner} CROSS JOIN ix_reference f"  # noqa: S608
                f" WHERE {_plus((condition,))}{inner}.tid = ? AND {inner}.deleted = 0 AND {text}"
                " AND f.p = ?"
                f" AND f.tid = {inner}.fhir_id AND f.ttype = {inner}.type AND f.url_id = ?)"
            )
            args += [self._tenant, *more, number, own]
        return f"({_any_of(texts)})", args

    def _has(self, alias: str, type_name: str, has: Has) -> Sql:
        number = self._numbers.parameter(has.type, has.code)
        inner = f"{alias}h"
        text, args = self._branch(inner, has.type, (has.condition,))
        found = (
            f"{alias}.fhir_id IN (SELECT f.tid FROM resource {inner} CROSS JOIN ix_reference f"  # noqa: S608
            f" WHERE {_plus((has.condition,))}{inner}.tid = ? AND {inner}.deleted = 0 AND {text}"
            f" AND f.rid = {inner}.rid AND f.p = ? AND f.ttype = ? AND f.url_id = ?)"
        )
        own = self._numbers.system("")
        here = definitions.type_numbers()[type_name]
        return found, [self._tenant, *args, number, here, own]

    def _keys(self, *, back: bool) -> tuple[list[str], str, list[Any]]:
        texts, args, order = [], [], []
        for place, key in enumerate(self._request.sort):
            text, more = self._sort_value(key)
            texts.append(text)
            args += more
            nulls, way = ("DESC", "ASC") if back else ("ASC", "DESC")
            up, down = ("DESC", "ASC") if back else ("ASC", "DESC")
            way = down if key.descending else up
            order.append(f"CASE WHEN k{place} IS NULL THEN 1 ELSE 0 END {nulls}, k{place} {way}")
        order.append(f"rid {'DESC' if back else 'ASC'}")
        return texts, ", ".join(order), args

    def _sort_value(self, key: SortKey) -> Sql:
        if key.code in _NATIVE:
            return f"r.{_NATIVE[key.code]}", []
        column = _SORT_COLUMNS[key.kind][key.descending]
        number = self._numbers.parameter(self._request.type, key.code)
        text = f"(SELECT {column} FROM ix_{key.kind} s WHERE s.rid = r.rid AND s.p = ?)"  # noqa: S608
        return text, [number]

    def _after(self, position: Position) -> Sql:
        """Return the condition of standing behind a row in the order, or before it."""
        if not self._request.sort:
            return f" AND r.rid {'<' if position.back else '>'} ?", [position.rid]
        texts, args = [], []
        same: list[str] = []
        same_args: list[Any] = []
        for place, key in enumerate(self._request.sort):
            value = position.keys[place]
            text, more = _beyond(f"k{place}", value, key, back=position.back)
            texts.append(" AND ".join([*same, text]))
            args += [*same_args, *more]
            same.append(f"k{place} IS NULL" if value is None else f"k{place} = ?")
            same_args += [] if value is None else [value]
        texts.append(" AND ".join([*same, f"rid {'<' if position.back else '>'} ?"]))
        args += [*same_args, position.rid]
        return f" AND ({' OR '.join(f'({one})' for one in texts)})", args


def _any_of(texts: list[str]) -> str:
    """Return SQL that holds if one of them does, as a balanced tree: its depth is limited."""
    if len(texts) <= 1:
        return texts[0] if texts else NEVER
    half = len(texts) // 2
    return f"(({_any_of(texts[:half])}) OR ({_any_of(texts[half:])}))"


def _beyond(name: str, value: Any, key: SortKey, *, back: bool) -> Sql:
    """Return the condition of a sort value after `value`, or before it; none stands last."""
    if value is None:
        return (f"{name} IS NOT NULL", []) if back else (NEVER, [])
    sign = ">" if key.descending == back else "<"
    text = f"{name} {sign} ?"
    return (text, [value]) if back else (f"({text} OR {name} IS NULL)", [value])


def _plus(conditions: Sequence[Condition]) -> str:
    """Return the sign that keeps SQLite from walking through a whole type or tenant.

    It is put before a column where a list of rows is at hand, which is always shorter.
    """
    return "+" if any(map(_is_list, conditions)) else ""


def _is_list(condition: Condition) -> bool:
    """Tell whether a condition gives a list of rows to start from."""
    if isinstance(condition, Clause):
        return condition.code not in _NATIVE and condition.modifier not in ("missing", "not")
    return isinstance(condition, Chain)


def _rank(condition: Condition) -> int:
    match condition:
        case Chain() | Has() | AnyOf():
            return 3
        case Clause(code="_id"):
            return 0
        case Clause(code="_lastUpdated") | Clause(modifier="missing" | "not"):
            return _BROAD + 1
        case Clause(kind="reference"):
            return 2
        case Clause(kind="token", code=code):
            return 1 if code.startswith("identifier") else 5
    return _RANKS.get(condition.kind, _BROAD)


def _native(alias: str, clause: Clause) -> Sql:
    if clause.code == "_id":
        marks = ", ".join("?" for _ in clause.operands)
        return f"{alias}.fhir_id IN ({marks})", [code for _, code in clause.operands]
    tests, args = [], []
    for prefix, *asked in clause.operands:
        compared = DATE[prefix]
        column = f"{alias}.upd "
        tests.append(f"({compared.sql.replace('lo ', column).replace('hi ', column)})")
        args += compared.bound(Asked(*asked))
    return f"({_any_of(tests)})", args


_SORT_COLUMNS = {
    "token": ("min(v)", "max(v)"),
    "string": ("min(v)", "max(v)"),
    "uri": ("min(v)", "max(v)"),
    "reference": ("min(tid)", "max(tid)"),
    "date": ("min(lo)", "max(hi)"),
    "quantity": ("min(lo)", "max(hi)"),
}
