"""History of an instance, a type or the system: FHIR R4 http.html#history, newest first."""

from collections.abc import Iterable
from dataclasses import dataclass

from server.errors import BadRequest, NotFound
from server.interactions import _write, cursor
from server.interactions.engine import Engine
from server.search.values import time_range
from server.store import resources
from server.store.connection import Connection
from server.store.resources import Span, Version

COUNT_DEFAULT, COUNT_LIMIT = 50, 1000
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Past:
    """One page of a history; `next` is the sealed link that continues it, "" at the end."""

    address: tuple[str, str]
    versions: tuple[Version, ...]
    total: int
    understood: tuple[tuple[str, str], ...]
    next: str


def history(engine: Engine, address: tuple[str, str], pairs: Iterable[tuple[str, str]]) -> Past:
    """Return a page of the versions at `address`: (type, id), (type, "") or ("", "").

    `pairs` may hold _since, _at, _count, and the cursor of a further page. Raises NotFound where
    an instance never was, BadRequest on a malformed value.
    """
    if address[0]:
        _write.known_type(address[0])
    with engine.database.read() as connection:
        return inside(engine, connection, address, pairs)


def inside(
    engine: Engine,
    connection: Connection,
    address: tuple[str, str],
    pairs: Iterable[tuple[str, str]],
) -> Past:
    """Return a page of history within an open transaction."""
    type_name, fhir_id = address
    given = dict(pairs)
    before: tuple[int, int] | None = None
    if cursor.PARAMETER in given:
        there, given, before = _opened(engine, given[cursor.PARAMETER])
        if there != list(address):
            raise BadRequest("The page link is of another address.", expression=cursor.PARAMETER)
    span, size = _span(given), _size(given.get("_count"))
    understood = tuple((k, v) for k, v in given.items() if k in ("_since", "_at", "_count"))
    if fhir_id and resources.current(connection, type_name, fhir_id) is None:
        raise NotFound("No such resource.")
    total = resources.count_history(connection, address, span)
    found = []
    if size:
        found = resources.history(connection, address, span, before=before, limit=size + 1)
    shown = tuple(found[:size])
    more = ""
    if len(found) > size and shown:
        last = [shown[-1].updated, shown[-1].row]
        more = engine.seal.close(["history", list(address), dict(understood), last])
    return Past(address, shown, total, understood, more)


def _opened(engine: Engine, text: str) -> tuple[list[str], dict[str, str], tuple[int, int]]:
    state = engine.seal.open(text)
    if state[0] != "history":
        raise BadRequest("The page link is of a search.", expression=cursor.PARAMETER)
    _, address, pairs, (updated, row) = state
    return address, pairs, (updated, row)


def _span(given: dict[str, str]) -> Span:
    found: dict[str, tuple[int, int]] = {}
    for name in ("_since", "_at"):
        if name in given:
            try:
                found[name] = time_range(given[name].replace(" ", "+"))
            except (ValueError, OverflowError) as error:
                raise BadRequest("Expected a date or time.", expression=name) from error
    since = found.get("_since")
    return Span(since[0] if since else None, found.get("_at"))


def _size(text: str | None) -> int:
    if text is None:
        return COUNT_DEFAULT
    if not (text.isascii() and text.isdecimal()) or len(text) > _DIGITS:
        raise BadRequest("Expected a whole number.", expression="_count")
    return min(int(text), COUNT_LIMIT)
