"""One resource of a search page."""

from dataclasses import dataclass
from typing import Any

from server import definitions
from server.store import resources
from server.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Match:
    """A resource: its row and address, its values in the page's order, and its exact JSON."""

    rid: int
    type: str
    id: str
    keys: tuple[Any, ...]
    body: bytes


def matches(connection: Connection, rows: list[Any]) -> list[Match]:
    """Return the matches of rows (rid, vrid, type, id, sort values...), in the same order."""
    bodies = resources.bodies(connection, [row[1] for row in rows])
    return [
        Match(rid, definitions.type_name(kind), fhir_id, tuple(keys), body)
        for (rid, _, kind, fhir_id, *keys), body in zip(rows, bodies, strict=True)
    ]
