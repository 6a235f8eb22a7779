"""Search: one page of matches as stored bytes (FHIR R4 http.html#search)."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from server import definitions
from server.errors import BadRequest, Issue, NotFound, PreconditionFailed
from server.interactions.engine import Engine
from server.search import query, request
from server.search.request import SearchRequest
from server.store import resources

_MATCHES_ENOUGH = 2


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search: `bodies` as stored, `total` of all pages or None, `after` the next."""

    request: SearchRequest
    bodies: tuple[bytes, ...]
    total: int | None
    after: str


def search(
    engine: Engine, type_name: str, pairs: Iterable[tuple[str, str]], *, strict: bool = False
) -> Page:
    """Search `type_name` by the query `pairs`.

    Unknown parameters are ignored, or refused with BadRequest when `strict`. Raises NotFound for
    an unknown type, BadRequest for a malformed value.
    """
    wanted = read(engine, type_name, pairs, strict=strict)
    with engine.database.read() as connection:
        return run(connection, wanted)


def read(
    engine: Engine, type_name: str, pairs: Iterable[tuple[str, str]], *, strict: bool
) -> SearchRequest:
    """Read the query of a search, refusing what cannot be searched."""
    if type_name not in definitions.type_numbers():
        raise NotFound("R4 has no such resource type.")
    wanted = request.parse(type_name, pairs, engine.base)
    if strict and wanted.unknown:
        raise BadRequest(
            issues=[
                Issue("not-supported", "Unknown search parameter.", name[:40])
                for name in wanted.unknown
            ]
        )
    return wanted


def run(connection: sqlite3.Connection, wanted: SearchRequest) -> Page:
    """Run a search that was read, inside the caller's snapshot or transaction."""
    text, args = query.select(wanted, resources.TENANT)
    rows = connection.execute(text, args).fetchall() if wanted.count else []
    shown = rows[: wanted.count]
    bodies = tuple(resources.body_of(connection, vrid) for _, vrid, _ in shown)
    total = None
    if wanted.total:
        text, args = query.count(wanted, resources.TENANT)
        total = int(connection.execute(text, args).fetchone()[0])
    last = shown[-1] if len(rows) > wanted.count else None
    return Page(wanted, bodies, total, request.cursor((last[2], last[0])) if last else "")


def sole_match(
    engine: Engine, connection: sqlite3.Connection, type_name: str, criteria: str
) -> bytes | None:
    """Return the one resource that meets `criteria`, None if there is none.

    For conditional interactions (http.html#ccreate): raises PreconditionFailed where several
    match, BadRequest where the criteria are empty or hold an unknown parameter.
    """
    pairs = parse_qsl(criteria.partition("?")[2] or criteria, keep_blank_values=True)
    wanted = read(engine, type_name, [*pairs, ("_count", str(_MATCHES_ENOUGH))], strict=True)
    if not wanted.clauses:
        raise BadRequest("The condition must name at least one search parameter.")
    page = run(connection, wanted)
    if len(page.bodies) > 1:
        raise PreconditionFailed(
            issues=[Issue("multiple-matches", "More than one resource meets the condition.")]
        )
    return page.bodies[0] if page.bodies else None
