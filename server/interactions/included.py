"""What a page includes: by references from its matches, and to them (search.html#include)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from server import definitions
from server.errors import BadRequest, Issue
from server.interactions.engine import Engine
from server.interactions.matches import Match, matches
from server.search.conditions import Include, SearchRequest
from server.store import references
from server.store.connection import Connection

LIMIT, ROUNDS = 1000, 10
_CHUNK = 400
Source = tuple[int, str, str]  # row, type, id


def included(
    engine: Engine, connection: Connection, wanted: SearchRequest, shown: list[Match]
) -> list[Match]:
    """Return what the matches of a page include, each once, and none of the matches again.

    Raises BadRequest (too-costly) beyond LIMIT resources.
    """
    if not wanted.includes or not shown:
        return []
    bringer = _Bringer(engine, connection)
    known = {one.rid for one in shown}
    newest: list[Source] = [(one.rid, one.type, one.id) for one in shown]
    found: dict[int, Any] = {}
    for step in range(ROUNDS):
        asked = [one for one in wanted.includes if step == 0 or one.iterate]
        rows = (row for one in asked for row in bringer.rows(one, newest))
        fresh = {row[0]: row for row in rows if row[0] not in known}
        if not fresh:
            break
        found |= fresh
        known |= fresh.keys()
        if len(found) > LIMIT:
            text = f"The page includes more than {LIMIT} resources; ask for fewer matches."
            raise BadRequest(issues=[Issue("too-costly", text, "_include")])
        newest = [(row[0], definitions.type_name(row[2]), row[3]) for row in fresh.values()]
    return matches(connection, list(found.values()))


@dataclass(frozen=True, slots=True)
class _Bringer:
    engine: Engine
    connection: Connection

    def rows(self, include: Include, sources: list[Source]) -> Iterator[Any]:
        """Yield rows (rid, vrid, type, id) that an include brings to `sources`."""
        ask = self._backward if include.reverse else self._forward
        for start in range(0, len(sources), _CHUNK):
            yield from ask(include, sources[start : start + _CHUNK])

    def _forward(self, include: Include, sources: list[Source]) -> list[Any]:
        types = {name for _, name, _ in sources} & _types(include.type)
        return references.referenced(
            self.connection,
            [rid for rid, name, _ in sources if name in types],
            self._parameters(types, include.code),
            own=self._own(),
            target=definitions.type_numbers().get(include.target),
            limit=LIMIT + 1,
        )

    def _backward(self, include: Include, sources: list[Source]) -> list[Any]:
        numbers = self._parameters(_types(include.type), include.code)
        found: list[Any] = []
        for name in sorted({kind for _, kind, _ in sources}):
            if include.target in ("", name):
                found += references.referring(
                    self.connection,
                    numbers,
                    [fhir_id for _, kind, fhir_id in sources if kind == name],
                    own=self._own(),
                    target=definitions.type_numbers()[name],
                    limit=LIMIT + 1,
                )
        return found

    def _parameters(self, types: Iterable[str], code: str) -> list[int]:
        """Return the numbers of the reference parameters that an include names."""
        known = self.engine.registry.parameters(self.connection)
        numbers = [
            self.engine.database.names.find(
                self.connection, definitions.type_numbers()[name], parameter.code
            )
            for name in types
            for parameter in known.of_type(name).values()
            if parameter.type == "reference" and code in ("*", parameter.code)
        ]
        return [number for number in numbers if number]

    def _own(self) -> int:
        return self.engine.database.names.find(self.connection, 0, "")


def _types(name: str) -> set[str]:
    return set(definitions.resource_types()) if name == "*" else {name}
