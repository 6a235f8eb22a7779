"""Index rows in their tables: add and remove exactly the difference between two versions."""

import sqlite3
from collections.abc import Iterable
from typing import Any

from server.store.database import Names

Row = tuple[Any, ...]

_COLUMNS = {
    "token": ("p", "v", "rid", "sys"),
    "reference": ("p", "tid", "rid", "ttype", "url_id"),
    "string": ("p", "v", "rid", "raw"),
    "date": ("p", "lo", "hi", "rid"),
    "quantity": ("p", "lo", "hi", "rid", "sys", "code"),
    "uri": ("p", "v", "rid"),
}
_INSERT = {
    kind: f"INSERT OR IGNORE INTO ix_{kind} ({', '.join(columns)}) "  # noqa: S608 closed set
    f"VALUES ({', '.join('?' for _ in columns)})"
    for kind, columns in _COLUMNS.items()
}
_DELETE = {
    kind: f"DELETE FROM ix_{kind} WHERE {' AND '.join(f'{c} = ?' for c in columns)}"  # noqa: S608
    for kind, columns in _COLUMNS.items()
}


class IndexRows:
    """The index rows of resources of one type, written inside the caller's transaction."""

    def __init__(
        self, connection: sqlite3.Connection, names: Names, type_numbers: dict[str, int]
    ) -> None:
        """Work on `connection`; `names` knows the numbers of parameters and systems."""
        self._connection = connection
        self._names = names
        self._type_numbers = type_numbers

    def change(
        self, type_name: str, rid: int, *, removed: Iterable[Row], added: Iterable[Row]
    ) -> None:
        """Remove and add index rows of resource row `rid`. Rows are as search.index makes them."""
        for statements, rows in ((_DELETE, removed), (_INSERT, added)):
            for row in rows:
                values = self._values(self._type_numbers[type_name], rid, row)
                self._connection.execute(statements[row[0]], values)

    def _values(self, type_number: int, rid: int, row: Row) -> Row:
        kind, code, *rest = row
        number = self._names.parameter(self._connection, type_number, code)
        match kind:
            case "token":
                return number, rest[1], rid, self._system(rest[0])
            case "reference":
                base, target, fhir_id = rest
                target_number = self._type_numbers.get(target, 0)
                return number, fhir_id, rid, target_number, self._system(base)
            case "quantity":
                low, high, system, unit = rest
                return number, low, high, rid, self._system(system), unit
            case "string":
                folded, raw = rest
                return number, folded, rid, raw
            case _:
                return (number, *rest, rid)

    def _system(self, url: str) -> int:
        return self._names.system(self._connection, url)
