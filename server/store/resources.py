"""Versions of resources: append a version, read one, list an instance's history."""

import sqlite3
import zlib
from dataclasses import dataclass

from server import definitions
from server.store.statements import sql

TENANT = 1  # the default tenant
COMPRESS_ABOVE = 2048
_LAST = 2**62


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
    """One version in a history; `updated` is microseconds since 1970, `method` the HTTP verb."""

    version: int
    updated: int
    method: str
    body: bytes | None


def current(connection: sqlite3.Connection, type_name: str, fhir_id: str) -> Current | None:
    """Return the newest version of Type/id, deleted or not; None if there never was one."""
    row = connection.execute(sql("current"), _key(type_name, fhir_id)).fetchone()
    if row is None:
        return None
    rid, version, deleted, updated, body = row
    return Current(rid, version, bool(deleted), updated, _unpack(body))


def append(  # noqa: PLR0913 the columns of a version
    connection: sqlite3.Connection,
    *,
    type_name: str,
    fhir_id: str,
    before: Current | None,
    updated: int,
    method: str,
    body: bytes | None,
) -> tuple[int, int]:
    """Add a version, make it the current one, and return its (resource row, version row).

    `body` is None for a deletion.
    """
    if before is None:
        rid = connection.execute(sql("insert_resource"), _key(type_name, fhir_id)).lastrowid or 0
    else:
        rid = before.rid
    number = before.version + 1 if before else 1
    row = (rid, number, updated, method, 0, "", _pack(body))
    vrid = connection.execute(sql("insert_version"), row).lastrowid or 0
    connection.execute(sql("set_current"), (number, updated, body is None, vrid, rid))
    return rid, vrid


def one_version(
    connection: sqlite3.Connection, type_name: str, fhir_id: str, version: int
) -> Version | None:
    """Return version number `version` of Type/id, or None."""
    args = (*_key(type_name, fhir_id), version)
    row = connection.execute(sql("one_version"), args).fetchone()
    return Version(row[0], row[1], row[2], _unpack(row[3])) if row else None


def history(
    connection: sqlite3.Connection,
    type_name: str,
    fhir_id: str,
    *,
    before: int = _LAST,
    limit: int,
) -> list[Version]:
    """Return up to `limit` versions of Type/id older than number `before`, newest first."""
    args = (*_key(type_name, fhir_id), before, limit)
    rows = connection.execute(sql("versions"), args)
    return [Version(ver, upd, method, _unpack(body)) for ver, upd, method, body in rows]


def body_of(connection: sqlite3.Connection, vrid: int) -> bytes:
    """Return the body of a version row that is no deletion."""
    return unpacked(connection.execute(sql("body"), (vrid,)).fetchone()[0])


def unpacked(body: bytes) -> bytes:
    """Return the JSON of a stored body, compressed or not."""
    return zlib.decompress(body) if body[:1] != b"{" else body


def _key(type_name: str, fhir_id: str) -> tuple[int, int, str]:
    return TENANT, definitions.type_numbers()[type_name], fhir_id


def _pack(body: bytes | None) -> bytes | None:
    return zlib.compress(body, 1) if body is not None and len(body) > COMPRESS_ABOVE else body


def _unpack(body: bytes | None) -> bytes | None:
    return None if body is None else unpacked(body)
