"""Index rows in their tables: add and remove exactly the difference between two versions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from server import definitions
from server.store.connection import Connection, Statement
from server.store.database import Names

Row = tuple[Any, ...]

_COLUMNS: dict[str, dict[str, type]] = {
    "token": {"p": int, "v": str, "rid": int, "sys": int},
    "reference": {"p": int, "tid": str, "rid": int, "ttype": int, "url_id": int},
    "string": {"p": int, "v": str, "rid": int, "raw": str},
    "date": {"p": int, "lo": int, "hi": int, "rid": int},
    "quantity": {"p": int, "lo": float, "hi": float, "rid": int, "sys": int, "code": str},
    "uri": {"p": int, "v": str, "rid": int},
    "composite": {
        "p": int, "part": int, "v": str, "sys": int, "raw": str, "lo": float, "hi": float,
        "ttype": int, "rid": int, "el": int,
    },
}  # fmt: skip
TABLES = tuple(f"ix_{kind}" for kind in _COLUMNS)
_DELETE = {
    kind: f"DELETE FROM ix_{kind} WHERE {' AND '.join(f'{c} = ?' for c in columns)}"  # noqa: S608
    for kind, columns in _COLUMNS.items()
}
_SELECT = {
    kind: f"SELECT {', '.join(columns)} FROM ix_{kind} WHERE rid = ?"  # noqa: S608 closed set
    for kind, columns in _COLUMNS.items()
}


class IndexRows:
    """The index rows of resources, written inside the caller's transaction."""

    def __init__(self, connection: Connection, names: Names) -> None:
        """Work on `connection`; `names` knows the numbers of parameters and systems."""
        self._connection = connection
        self._names = names

    def change(
        self,
        type_name: str,
        rid: int,
        *,
        removed: Iterable[Row],
        added: Iterable[Row],
        statements: Sequence[Statement],
    ) -> None:
        """Store a version by `statements`, and remove and add index rows of resource row `rid`.

        Rows are as search.index makes them.
        """
        self._delete(self._by_kind(type_name, rid, removed))
        self._insert(self._by_kind(type_name, rid, added), statements)

    def _by_kind(self, type_name: str, rid: int, rows: Iterable[Row]) -> dict[str, list[Row]]:
        number = definitions.type_numbers()[type_name]
        found: dict[str, list[Row]] = {}
        for row in rows:
            found.setdefault(row[0], []).append(self._values(number, rid, row))
        return found

    def _insert(
        self, by_kind: Mapping[str, Iterable[Row]], statements: Sequence[Statement] = ()
    ) -> None:
        self._connection.put(
            statements,
            [(f"ix_{kind}", _COLUMNS[kind], rows) for kind, rows in by_kind.items() if rows],
        )

    def _delete(self, by_kind: Mapping[str, Iterable[Row]]) -> None:
        for kind, rows in by_kind.items():
            self._connection.executemany(_DELETE[kind], rows)

    def replace(self, type_name: str, rid: int, rows: Iterable[Row]) -> bool:
        """Let resource row `rid` have exactly these rows; tell whether it had others."""
        number = definitions.type_numbers()[type_name]
        wanted: dict[str, set[Row]] = {kind: set() for kind in _COLUMNS}
        for row in rows:
            wanted[row[0]].add(self._values(number, rid, row))
        there = {
            kind: set(map(tuple, self._connection.execute(_SELECT[kind], (rid,)).fetchall()))
            for kind in _COLUMNS
        }
        if there == wanted:
            return False
        self._delete({kind: there[kind] - wanted[kind] for kind in _COLUMNS})
        self._insert({kind: wanted[kind] - there[kind] for kind in _COLUMNS})
        return True

    def _values(self, type_number: int, rid: int, row: Row) -> Row:
        kind, code, *rest = row
        number = self._names.parameter(self._connection, type_number, code)
        match kind:
            case "token":
                return number, rest[1], rid, self._system(rest[0])
            case "reference":
                base, target, fhir_id = rest
                return number, fhir_id, rid, _type_number(target), self._system(base)
            case "quantity":
                low, high, system, unit = rest
                return number, low, high, rid, self._system(system), unit
            case "string":
                folded, raw = rest
                return number, folded, rid, raw
            case "composite":
                element, part, inner = rest
                return (number, part, *self._part(inner), rid, element)
            case _:
                return (number, *rest, rid)

    def _part(self, row: Row) -> Row:
        """Return (v, sys, raw, lo, hi, ttype) of one part of a composite."""
        match row:
            case ("token", system, value):
                return value, self._system(system), "", 0, 0, 0
            case ("string", folded, raw):
                return folded, 0, raw, 0, 0, 0
            case ("reference", base, target, fhir_id):
                return fhir_id, self._system(base), "", 0, 0, _type_number(target)
            case ("quantity", low, high, system, unit):
                return unit, self._system(system), "", low, high, 0
            case ("date", low, high):
                return "", 0, "", low, high, 0
        raise LookupError(f"no part of a composite: {row[0]}")

    def _system(self, url: str) -> int:
        return self._names.system(self._connection, url)


def _type_number(name: str) -> int:
    return definitions.type_numbers().get(name, 0)
