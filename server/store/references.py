"""Resources found by the references between them, and by their canonical URL."""

from collections.abc import Sequence
from typing import Any

from server.store.connection import Connection
from server.store.resources import TENANT

Row = tuple[Any, ...]  # rid, vrid, type, id


def referenced(  # noqa: PLR0913 what a join is made of
    connection: Connection,
    rows: Sequence[int],
    parameters: Sequence[int],
    *,
    own: int,
    target: int | None,
    limit: int,
) -> list[Row]:
    """Return the resources that `rows` refer to by any of `parameters`, each once.

    `own` is the number of our base; `target` a type's number, None for any.
    """
    if not rows or not parameters:
        return []
    text = (
        # The plus and the CROSS keep SQLite from reading all references of a parameter.
        "SELECT DISTINCT t.rid, t.vrid, t.type, t.fhir_id FROM ix_reference f CROSS JOIN resource t"  # noqa: S608 only marks
        f" WHERE t.tid = ? AND t.type = f.ttype AND t.fhir_id = f.tid AND f.rid IN ({marks(rows)})"
        f" AND +f.p IN ({marks(parameters)}) AND f.url_id = ? AND t.deleted = 0"
    )
    args = [TENANT, *rows, *parameters, own]
    if target is not None:
        text += " AND t.type = ?"
        args.append(target)
    return _all(connection, f"{text} ORDER BY t.rid LIMIT ?", [*args, limit])


def referring(  # noqa: PLR0913 what a join is made of
    connection: Connection,
    parameters: Sequence[int],
    ids: Sequence[str],
    *,
    own: int,
    target: int,
    limit: int,
) -> list[Row]:
    """Return the resources that refer by any of `parameters` to a resource of type `target`."""
    if not ids or not parameters:
        return []
    text = (
        "SELECT DISTINCT s.rid, s.vrid, s.type, s.fhir_id FROM ix_reference f CROSS JOIN resource s"  # noqa: S608 only marks
        f" WHERE s.rid = f.rid AND f.p IN ({marks(parameters)}) AND f.tid IN ({marks(ids)})"
        " AND f.ttype = ? AND f.url_id = ? AND s.tid = ? AND s.deleted = 0 ORDER BY s.rid LIMIT ?"
    )
    return _all(connection, text, [*parameters, *ids, target, own, TENANT, limit])


def versions_by_uri(connection: Connection, parameter: int, uri: str) -> list[int]:
    """Return the current version rows of resources with this URI, newest resource first."""
    text = (
        "SELECT r.vrid FROM ix_uri i JOIN resource r ON r.rid = i.rid"
        " WHERE i.p = ? AND i.v = ? AND r.tid = ? AND r.deleted = 0 ORDER BY r.rid DESC"
    )
    return [row[0] for row in _all(connection, text, [parameter, uri, TENANT])]


def marks(items: Sequence[Any]) -> str:
    """Return one `?` for each item."""
    return ", ".join("?" * len(items))


def _all(connection: Connection, text: str, args: list[Any]) -> list[Row]:
    rows: list[Row] = connection.execute(text, args).fetchall()
    return rows
