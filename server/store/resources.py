"""Versions of resources: append a version, read one, list histories."""

from dataclasses import dataclass
from typing import Any

from server import definitions
from server.store.connection import Connection, Statement
from server.store.packing import packed, unpacked
from server.store.statements import sql

TENANT = 1  # the default tenant
# How index rows are made; moves when search.index makes other rows of the same resource.
PLAN = 3


@dataclass(frozen=True, slots=True)
class Current:
    """The newest version of a resource; `body` is None when it is deleted."""

    rid: int
    version: int
    deleted: bool
    updated: int
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Version:
    """One version in a history; `updated` is microseconds since 1970, `method` the HTTP verb.

    `created` tells that the resource was not there before.
    """

    type: str
    id: str
    version: int
    updated: int
    method: str
    created: bool
    body: bytes | None
    row: int


@dataclass(frozen=True, slots=True)
class Span:
    """Which versions a history shows: since a moment, current within a range (microseconds)."""

    since: int | None = None
    at: tuple[int, int] | None = None


def current(
    connection: Connection, type_name: str, fhir_id: str, *, lock: bool = False
) -> Current | None:
    """Return the newest version of Type/id, deleted or not; None if there never was one.

    With `lock` nobody else may change it before the end of the transaction.
    """
    key = _key(type_name, fhir_id)
    if lock:
        connection.hold(sql("hold"), key)
    row = connection.execute(sql("current"), key).fetchone()
    if row is None:
        return None
    rid, version, deleted, updated, body = row
    return Current(rid, version, bool(deleted), updated, _json(body))


def next_version(  # noqa: PLR0913 the columns of a version
    *,
    numbers: tuple[int, int],
    type_name: str,
    fhir_id: str,
    before: Current | None,
    updated: int,
    method: str,
    body: bytes | None,
) -> tuple[int, int, list[Statement]]:
    """Return the (resource row, version row) of a version to be, and what makes it the current one.

    `numbers` are unused row numbers; `body` is None for a deletion.
    """
    rid, vrid = numbers
    gone = int(body is None)
    number = before.version + 1 if before else 1
    current: Statement
    if before is None:
        row = (rid, *_key(type_name, fhir_id), number, updated, gone, PLAN, vrid)
        current = sql("insert_resource"), row
    else:
        rid = before.rid
        current = sql("set_current"), (number, updated, gone, PLAN, vrid, rid)
    stored = packed(body) if body is not None else None
    version = (vrid, rid, number, updated, method, 0, "", stored)
    return rid, vrid, [current, (sql("insert_version"), version)]


def one_version(
    connection: Connection, type_name: str, fhir_id: str, version: int
) -> tuple[int, bytes | None] | None:
    """Return when version number `version` of Type/id was stored, and its body; None if never."""
    args = (*_key(type_name, fhir_id), version)
    row = connection.execute(sql("one_version"), args).fetchone()
    return (row[1], _json(row[3])) if row else None


def history(
    connection: Connection,
    address: tuple[str, str],
    span: Span,
    *,
    before: tuple[int, int] | None,
    limit: int,
) -> list[Version]:
    """Return up to `limit` versions at `address`, newest first.

    The address is (type, id), (type, "") or ("", ""); `before` is (updated, row) of the version
    after which to go on.
    """
    where, args = _history_where(address, span)
    if before is not None:
        where += " AND (v.upd < ? OR (v.upd = ? AND v.vrid < ?))"
        args += [before[0], *before]
    text = (
        "SELECT r.type, r.fhir_id, v.ver, v.upd, v.method, v.ver = 1 OR EXISTS"  # noqa: S608 fixed parts
        " (SELECT 1 FROM version o WHERE o.rid = v.rid AND o.ver = v.ver - 1 AND o.body IS NULL),"
        " v.body, v.vrid FROM version v "
        f"JOIN resource r ON r.rid = v.rid WHERE {where} ORDER BY v.upd DESC, v.vrid DESC LIMIT ?"
    )
    rows = connection.execute(text, (*args, limit)).fetchall()
    return [
        Version(definitions.type_name(kind), fhir_id, ver, upd, method, created, _json(body), vrid)
        for kind, fhir_id, ver, upd, method, created, body, vrid in rows
    ]


def count_history(connection: Connection, address: tuple[str, str], span: Span) -> int:
    """Return how many versions `history` would give in all."""
    where, args = _history_where(address, span)
    text = f"SELECT count(*) FROM version v JOIN resource r ON r.rid = v.rid WHERE {where}"  # noqa: S608
    return int(connection.execute(text, args).fetchone()[0])


def _history_where(address: tuple[str, str], span: Span) -> tuple[str, list[Any]]:
    parts, args = ["r.tid = ?"], [TENANT]
    type_name, fhir_id = address
    if type_name:
        parts.append("r.type = ?")
        args.append(definitions.type_numbers()[type_name])
    if fhir_id:
        parts.append("r.fhir_id = ?")
        args.append(fhir_id)  # type: ignore[arg-type]
    if span.since is not None:
        parts.append("v.upd >= ?")
        args.append(span.since)
    if span.at is not None:
        parts.append(
            "v.upd <= ? AND NOT EXISTS (SELECT 1 FROM version n"
            " WHERE n.rid = v.rid AND n.ver = v.ver + 1 AND n.upd <= ?)"
        )
        args += [span.at[1], span.at[0]]
    return " AND ".join(parts), list(args)


def bodies(connection: Connection, rows: list[int]) -> list[bytes]:
    """Return the bodies of version rows that are no deletions, in the same order."""
    if not rows:
        return []
    marks = ", ".join("?" * len(rows))
    text = f"SELECT vrid, body FROM version WHERE vrid IN ({marks})"  # noqa: S608 only marks
    found = dict(connection.execute(text, rows).fetchall())
    return [unpacked(found[row]) for row in rows]


def count_older_plan(connection: Connection) -> int:
    """Return how many resources were indexed by an older release."""
    return int(connection.execute(sql("count_older_plan"), (PLAN,)).fetchone()[0])


def count_all(connection: Connection) -> int:
    """Return how many resources there are, deleted ones included."""
    return int(connection.execute(sql("count_resources")).fetchone()[0])


def next_after(
    connection: Connection, after: int, limit: int
) -> list[tuple[int, int, bytes | None]]:
    """Return (row, type number, body) of resources behind row `after`; no body if deleted.

    Nobody else changes them before the end of the transaction.
    """
    connection.hold(sql("hold_next"), (after, limit))
    rows = connection.execute(sql("next_resources"), (after, limit)).fetchall()
    return [(rid, number, _json(body)) for rid, number, body in rows]


def set_plan(connection: Connection, rid: int) -> None:
    """Note that a resource is indexed by this release."""
    connection.execute(sql("set_plan"), (PLAN, rid))


def _key(type_name: str, fhir_id: str) -> tuple[int, int, str]:
    return TENANT, definitions.type_numbers()[type_name], fhir_id


def _json(body: bytes | None) -> bytes | None:
    return None if body is None else unpacked(body)
