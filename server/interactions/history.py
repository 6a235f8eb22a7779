"""History of one instance: FHIR R4 http.html#history, newest version first."""

from dataclasses import dataclass

from server import definitions
from server.errors import NotFound
from server.interactions.engine import Engine
from server.store import resources
from server.store.resources import Version

COUNT_DEFAULT, COUNT_LIMIT = 50, 1000


@dataclass(frozen=True, slots=True)
class Past:
    """One page of a history; `before` continues it (a version number), 0 at the end."""

    versions: tuple[Version, ...]
    before: int


def history(
    engine: Engine, type_name: str, fhir_id: str, *, count: int | None, before: int | None
) -> Past:
    """Return up to `count` versions of Type/id older than version `before`. Raises NotFound."""
    if type_name not in definitions.type_numbers():
        raise NotFound("R4 has no such resource type.")
    size = min(COUNT_DEFAULT if count is None else count, COUNT_LIMIT)
    limits = {} if before is None else {"before": before}
    with engine.database.read() as connection:
        if resources.current(connection, type_name, fhir_id) is None:
            raise NotFound("No such resource.")
        found = resources.history(connection, type_name, fhir_id, limit=size + 1, **limits)
    shown = tuple(found[:size])
    return Past(shown, shown[-1].version if len(found) > size and shown else 0)
