"""Read and vread: FHIR R4 http.html#read, http.html#vread."""

from dataclasses import dataclass

from server import definitions
from server.errors import Gone, NotFound
from server.interactions.engine import Engine
from server.store import resources


@dataclass(frozen=True, slots=True)
class Found:
    """A stored version: its exact JSON, its number, and when it was stored (microseconds)."""

    body: bytes
    version: int
    updated: int


def read(engine: Engine, type_name: str, fhir_id: str) -> Found:
    """Return the current version of Type/id. Raises NotFound, or Gone where it was deleted."""
    _known(type_name)
    with engine.database.read() as connection:
        current = resources.current(connection, type_name, fhir_id)
    if current is None:
        raise NotFound("No such resource.")
    if current.body is None:
        raise Gone("The resource was deleted.")
    return Found(current.body, current.version, current.updated)


def vread(engine: Engine, type_name: str, fhir_id: str, version_id: str) -> Found:
    """Return one version of Type/id. Raises NotFound, or Gone for the version of a deletion."""
    _known(type_name)
    if not version_id.isdecimal() or len(version_id) > 18:  # noqa: PLR2004 digits of a 64-bit int
        raise NotFound("No such version.")
    with engine.database.read() as connection:
        found = resources.one_version(connection, type_name, fhir_id, int(version_id))
    if found is None:
        raise NotFound("No such version.")
    if found.body is None:
        raise Gone("This version is the deletion of the resource.")
    return Found(found.body, found.version, found.updated)


def _known(type_name: str) -> None:
    if type_name not in definitions.type_numbers():
        raise NotFound("R4 has no such resource type.")
