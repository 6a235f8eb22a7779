"""Search: one page of matches as stored bytes, and what they include (FHIR R4 http.html#search)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from fhir_profiles import codec
from server import definitions
from server.errors import BadRequest, Issue, NotFound, PreconditionFailed
from server.interactions import _write, cursor
from server.interactions.engine import Engine
from server.interactions.included import included
from server.interactions.matches import Match, matches
from server.interactions.prepared import is_lasting
from server.interactions.subset import subset
from server.interactions.terminology import StoredTerminology
from server.interactions.words import holds
from server.search import clauses, request
from server.search.conditions import Compartment, Reader, SearchRequest
from server.search.order import Position
from server.search.query import Query
from server.search.values import micros
from server.store import resources
from server.store.connection import Connection
from server.store.database import Names

SCAN_CHUNK, SCAN_LIMIT = 500, 100_000
_MATCHES_ENOUGH = 2
_LINK = "search in order 2"  # another number where the order of equal rows becomes another
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a search looks: the types, a compartment, and the path of the search in links."""

    types: tuple[str, ...]
    compartment: Compartment | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search: matches, what they include, `total` of all pages or None.

    `next` and `previous` are the sealed links to the other pages, "" where there is none.
    """

    request: SearchRequest
    matches: tuple[Match, ...]
    included: tuple[Match, ...]
    total: int | None
    next: str
    previous: str

    @property
    def bodies(self) -> tuple[bytes, ...]:
        """The exact JSON of each match."""
        return tuple(match.body for match in self.matches)


class Numbers:
    """The store's numbers of parameters and systems, for queries on one connection."""

    def __init__(self, connection: Connection, names: Names) -> None:
        """Look up on `connection`."""
        self._connection = connection
        self._names = names
        self.is_complete = True  # every number that was asked for is known

    def parameter(self, resource_type: str, code: str) -> int:
        """Return the number of a parameter of a type, 0 if nothing is indexed for it."""
        return self._found(definitions.type_numbers()[resource_type], code)

    def system(self, url: str) -> int:
        """Return the number of a code system or base URL, 0 if nothing is indexed for it."""
        return self._found(0, url)

    def _found(self, type_number: int, text: str) -> int:
        number = self._names.find(self._connection, type_number, text)
        self.is_complete = self.is_complete and number > 0
        return number


def search(
    engine: Engine, type_name: str, pairs: Iterable[tuple[str, str]], *, strict: bool = False
) -> Page:
    """Search `type_name` by the query `pairs`.

    Unknown parameters are ignored, or refused with BadRequest when `strict`. Raises NotFound for
    an unknown type, BadRequest for a malformed value.
    """
    _write.known_type(type_name)
    return of(engine, Scope((type_name,)), tuple(pairs), strict=strict)


def found(engine: Engine, type_name: str, wanted: Pairs, limit: int) -> list[dict[str, Any]]:
    """Return the first `limit` matches of a search as resources."""
    page = search(engine, type_name, [*wanted, ("_count", str(limit)), ("_total", "none")])
    return [codec.decode(body) for body in page.bodies]


def system(engine: Engine, pairs: Pairs, *, strict: bool) -> Page:
    """Search all types, or those of _type, by the parameters that every type has."""
    return of(engine, Scope(definitions.resource_types()), pairs, strict=strict)


def of_compartment(
    engine: Engine, place: tuple[str, str, str], pairs: Pairs, *, strict: bool
) -> Page:
    """Search compartment (type, id) for resources of a type, or "*" for all that belong to it.

    Raises NotFound where the compartment's own resource is not there.
    """
    name, fhir_id, type_name = place
    members = definitions.compartments().get(name)
    if members is None:
        raise NotFound("R4 has no such compartment.")
    if type_name != "*":
        _write.known_type(type_name)
        if type_name not in members:
            raise BadRequest(f"{type_name} is in no {name} compartment.")
    types = tuple(sorted(members)) if type_name == "*" else (type_name,)
    address = f"{name}/{fhir_id}/{type_name}"
    scope = Scope(types, Compartment(name, one=fhir_id, itself=type_name in ("*", name)), address)
    return of(engine, scope, pairs, strict=strict)


def of(engine: Engine, scope: Scope, pairs: Pairs, *, strict: bool) -> Page:
    """Run a search of any scope; the cursor among `pairs`, if any, says which page."""
    position = None
    given = dict(pairs).get(cursor.PARAMETER)
    if given is not None:
        scope, pairs, position = _opened(engine, given, scope)
    with engine.database.read() as connection:
        wanted, query = _prepared(engine, connection, (scope, tuple(pairs), strict))
        return _page(engine, connection, wanted, query, position)


def _prepared(
    engine: Engine, connection: Connection, asked: tuple[Scope, tuple[tuple[str, str], ...], bool]
) -> tuple[SearchRequest, Query]:
    """Return a search and its query, as they were kept or made now."""
    scope, pairs, strict = asked
    names, known = engine.database.names, engine.registry.parameters(connection)
    generation = names.generation  # before any number is looked up
    found = engine.prepared.find(asked, known, generation)
    if found is None:
        wanted = read(engine, connection, scope, pairs, strict=strict)
        numbers = Numbers(connection, names)
        found = wanted, Query(wanted, numbers, resources.TENANT)
        if is_lasting(pairs) and numbers.is_complete:
            engine.prepared.keep(asked, known, generation, found)
    return found


def read(
    engine: Engine, connection: Connection, scope: Scope, pairs: Pairs, *, strict: bool
) -> SearchRequest:
    """Read the query of a search, refusing what cannot be searched."""
    reader = Reader(
        engine.registry.parameters(connection),
        engine.base,
        micros(engine.now()),
        StoredTerminology(connection, engine.database.names),
    )
    wanted = request.parse(reader, scope.types, pairs, scope.address)
    if scope.compartment is not None:
        links = clauses.in_compartment(reader, scope.compartment)
        links = tuple(link for link in links if link[0] in scope.types)
        wanted = replace(wanted, compartment=replace(scope.compartment, links=links))
    if strict and wanted.unknown:
        raise BadRequest(
            issues=[
                Issue("not-supported", "Unknown search parameter.", name[:40])
                for name in wanted.unknown
            ]
        )
    return wanted


def run(
    engine: Engine,
    connection: Connection,
    wanted: SearchRequest,
    position: Position | None = None,
) -> Page:
    """Run a search that was read, inside the caller's snapshot or transaction."""
    query = Query(wanted, Numbers(connection, engine.database.names), resources.TENANT)
    return _page(engine, connection, wanted, query, position)


def _page(
    engine: Engine,
    connection: Connection,
    wanted: SearchRequest,
    query: Query,
    position: Position | None,
) -> Page:
    size = wanted.count
    found = _found(connection, query, wanted, position, size + 1) if size else []
    back = position is not None and position.back
    shown = found[:size][::-1] if back else found[:size]
    more = len(found) > size
    is_whole = position is None and size > 0 and not more
    total = _total(connection, query, wanted, len(found) if is_whole else None)
    ahead, behind = (bool(position), more) if back else (more, position is not None)
    links = [""] * 2
    if shown:
        links = [
            _link(engine, wanted, shown[-1], back=False) if ahead else "",
            _link(engine, wanted, shown[0], back=True) if behind else "",
        ]
    extra = included(engine, connection, wanted, shown)

    if wanted.elements or wanted.summary not in ("false", "count"):
        shown = [_part(one, wanted) for one in shown]
        extra = [_part(one, wanted) for one in extra]
    return Page(wanted, tuple(shown), tuple(extra), total, *links)


def _part(one: Match, wanted: SearchRequest) -> Match:
    return replace(one, body=subset(one.body, wanted.summary, wanted.elements))


def _found(
    connection: Connection,
    query: Query,
    wanted: SearchRequest,
    position: Position | None,
    limit: int,
) -> list[Match]:
    """Return matches in order from a position, one more than a page to know whether it ends."""
    if not wanted.words:
        return _rows(connection, query, position, limit)
    kept: list[Match] = []
    scanned = 0
    while scanned < SCAN_LIMIT:
        rows = _rows(connection, query, position, SCAN_CHUNK)
        kept += [row for row in rows if holds(wanted.words, row.body)]
        if len(kept) >= limit or len(rows) < SCAN_CHUNK:
            return kept[:limit]
        scanned += len(rows)
        back = position is not None and position.back
        position = Position(rows[-1].keys, rows[-1].rid, back)
    raise BadRequest(
        issues=[
            Issue(
                "too-costly",
                f"More than {SCAN_LIMIT} texts would be read; narrow the search.",
                wanted.words[0].where,
            )
        ]
    )


def _rows(
    connection: Connection, query: Query, position: Position | None, limit: int
) -> list[Match]:
    rows = connection.execute(*query.page(position, limit)).fetchall()
    return matches(connection, rows)


def _total(
    connection: Connection, query: Query, wanted: SearchRequest, known: int | None
) -> int | None:
    if not wanted.total:
        return None
    if known is not None:
        return known
    if wanted.words:
        return len(_found(connection, query, wanted, None, SCAN_LIMIT))
    return int(connection.execute(*query.count()).fetchone()[0])


def _link(engine: Engine, wanted: SearchRequest, edge: Match, *, back: bool) -> str:
    state = [
        _LINK,
        wanted.address,
        list(wanted.understood),
        [list(edge.keys), edge.rid, back],
    ]
    return engine.seal.close(state)


def effective(engine: Engine, pairs: Pairs) -> Pairs:
    """Return what is searched by: `pairs`, or in their place what a page link among them hides.

    Raises BadRequest where the link is damaged. That of a history hides no parameters.
    """
    link = dict(pairs).get(cursor.PARAMETER)
    if link is None:
        return pairs
    state = engine.seal.open(link)
    return tuple((key, value) for key, value in state[2]) if state[0] == _LINK else ()


def _opened(engine: Engine, text: str, scope: Scope) -> tuple[Scope, Pairs, Position]:
    state = engine.seal.open(text)
    address = scope.address or (scope.types[0] if len(scope.types) == 1 else "")
    if state[0] != _LINK or state[1] != address:
        text = "The page link is of another address or release; start the search anew."
        raise BadRequest(text, expression=cursor.PARAMETER)
    keys, rid, back = state[3]
    return scope, tuple((k, v) for k, v in state[2]), Position(tuple(keys), rid, back)


def sole_match(engine: Engine, connection: Connection, type_name: str, criteria: str) -> str | None:
    """Return the id of the one resource that meets `criteria`, None if there is none.

    For conditional interactions (http.html#ccreate): raises PreconditionFailed where several
    match, BadRequest where the criteria are empty or hold an unknown parameter.
    """
    try:
        pairs = parse_qsl(
            criteria.partition("?")[2] or criteria, keep_blank_values=True, max_num_fields=100
        )
    except ValueError as error:
        raise BadRequest("The condition has too many parameters.") from error
    limited = [*pairs, ("_count", str(_MATCHES_ENOUGH)), ("_total", "none")]
    wanted = read(engine, connection, Scope((type_name,)), limited, strict=True)
    if not wanted.is_narrow:
        raise BadRequest("The condition must name at least one search parameter.")
    query = Query(wanted, Numbers(connection, engine.database.names), resources.TENANT)
    found = _found(connection, query, wanted, None, _MATCHES_ENOUGH)
    if len(found) > 1:
        raise PreconditionFailed(
            issues=[Issue("multiple-matches", "More than one resource meets the condition.")]
        )
    return found[0].id if found else None
