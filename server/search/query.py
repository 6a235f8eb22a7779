"""A SearchRequest as SQL text and its bound arguments; no value is ever put into the text.

Of the conditions of a type, the one that is likely to leave fewest resources is the list that the
database starts from (IN); each other is a probe into its index for one resource (EXISTS).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from server import definitions
from server.search.column_tests import NEVER, TESTS, Numbers, Sql, composite_columns
from server.search.conditions import (
    AnyOf,
    Chain,
    Clause,
    Compartment,
    Condition,
    Has,
    SearchRequest,
)
from server.search.order import NATIVE, Position, beyond, keys_of
from server.search.ranges import DATE, Asked

UNION_LIMIT = 50
# Likely size of what a condition leaves, by kind; codes such as a status leave most.
_RANKS = {"uri": 2, "near": 3, "composite": 3, "string": 4, "quantity": 6, "date": 7}
_BROAD = 8
# Kinds whose index holds the rows of one value in the order of pages.
_ORDERED = ("token", "reference", "uri")


class Query:
    """Builds the SQL of one search for one tenant."""

    def __init__(self, request: SearchRequest, numbers: Numbers, tenant: int) -> None:
        """Build nothing yet."""
        self._request = request
        self._numbers = numbers
        self._tenant = tenant
        # All numbers are looked up here: the query may outlive the connection they come from.
        self._where = self._condition_of_all()
        self._driven = None if request.sort else self._driver()
        self._order = {back: keys_of(request, numbers, back=back) for back in (False, True)}
        self._first: dict[int, Sql] = {}

    def page(self, position: Position | None, limit: int) -> Sql:
        """Return SQL for rows (rid, vrid, type, id, sort values...) in order, up to `limit`."""
        if position is not None:
            return self._page(position, limit)
        if limit not in self._first:
            self._first[limit] = self._page(None, limit)
        return self._first[limit]

    def _page(self, position: Position | None, limit: int) -> Sql:
        if not self._request.sort:
            return self._in_order(position, limit)
        back = position is not None and position.back
        where, args = self._where
        keys, order, key_args = self._order[back]
        after: Sql = beyond(self._request, position) if position else ("", [])
        names = [f"k{place}" for place in range(len(keys))]
        columns = "".join(f", {sql} AS {name}" for sql, name in zip(keys, names, strict=True))
        inner = (
            "SELECT r.rid AS rid, r.vrid AS vrid, r.type AS type, r.fhir_id AS fhir_id"  # noqa: S608 fixed parts
            f"{columns} FROM resource r WHERE {where}"
        )
        text = f"SELECT * FROM ({inner}) q WHERE 1 = 1{after[0]} ORDER BY {order} LIMIT ?"  # noqa: S608
        return text, [*key_args, *args, *after[1], limit]

    def _in_order(self, position: Position | None, limit: int) -> Sql:
        """Return SQL of a page in the order of storing.

        Where one value of one parameter is asked for, its index is read in that order, as far as
        the page goes; so a page costs the same however many resources have that value.
        """
        source, row, (where, args) = "resource r", "r.rid", self._where
        source_args: list[Any] = []
        unique = ""
        if self._driven is not None:
            (text, source_args), (where, args) = self._driven
            source = f"({text}) d CROSS JOIN resource r"
            row, unique = "d.row", "DISTINCT "  # a code may stand under two systems
        more: list[Any] = []
        back = position is not None and position.back
        if position is not None:
            where += f" AND {row} {'<' if back else '>'} ?"
            more = [position.rid]
        return (
            f"SELECT {unique}{row} AS rid, r.vrid AS vrid, r.type AS type, r.fhir_id AS fhir_id"  # noqa: S608 fixed parts
            f" FROM {source} WHERE {where} ORDER BY {row} {'DESC' if back else 'ASC'} LIMIT ?"
        ), [*source_args, *args, *more, limit]

    def _driver(self) -> tuple[Sql, Sql] | None:
        """Return the SELECT of the rows to start from in order, and what else each has to meet."""
        if len(self._request.branches) != 1 or self._request.compartment is not None:
            return None
        ((type_name, conditions),) = self._request.branches
        ranked = sorted(conditions, key=_rank)
        first = ranked[0] if ranked else None
        if not isinstance(first, Clause) or not _is_list(first) or first.modifier:
            return None
        if first.kind not in _ORDERED or len(first.operands) != 1:
            return None
        number = self._numbers.parameter(type_name, first.code)
        test, args = self._any(first)
        rows = f"SELECT rid AS row FROM ix_{first.kind} WHERE p = ? AND ({test})"  # noqa: S608 closed set
        parts = ["r.rid = d.row AND r.tid = ? AND r.deleted = 0 AND r.type = ?"]
        rest: list[Any] = [self._tenant, definitions.type_numbers()[type_name]]
        for condition in ranked[1:]:
            text, more = self._condition("r", type_name, condition, first=False)
            parts.append(text)
            rest += more
        return (rows, [number, *args]), (" AND ".join(parts), rest)

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
        if condition.code in NATIVE:
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


def _any_of(texts: list[str]) -> str:
    """Return SQL that holds if one of them does, as a balanced tree: its depth is limited."""
    if len(texts) <= 1:
        return texts[0] if texts else NEVER
    half = len(texts) // 2
    return f"(({_any_of(texts[:half])}) OR ({_any_of(texts[half:])}))"


def _plus(conditions: Sequence[Condition]) -> str:
    """Return the sign that keeps SQLite from walking through a whole type or tenant.

    It is put before a column where a list of rows is at hand, which is always shorter; not where
    an id is, which the index of ids finds at once.
    """
    if any(isinstance(one, Clause) and one.code == "_id" for one in conditions):
        return ""
    return "+" if any(map(_is_list, conditions)) else ""


def _is_list(condition: Condition) -> bool:
    """Tell whether a condition gives a list of rows to start from."""
    if isinstance(condition, Clause):
        return condition.code not in NATIVE and condition.modifier not in ("missing", "not")
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
