"""Read and vread, also conditional: FHIR R4 http.html#read, #vread, #cread."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fhir_profiles import codec
from server.errors import FhirError, Gone, NotFound
from server.interactions import _write
from server.interactions.engine import Engine
from server.search import values
from server.store import resources
from server.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Found:
    """A stored version: its exact JSON, its number, and when it was stored (microseconds)."""

    body: bytes
    version: int
    updated: int


def read(engine: Engine, type_name: str, fhir_id: str) -> Found:
    """Return the current version of Type/id. Raises NotFound, or Gone where it was deleted."""
    _write.known_type(type_name)
    with engine.database.read() as connection:
        return inside(connection, type_name, fhir_id)


def referenced(engine: Engine, type_name: str, reference: str) -> dict[str, Any] | None:
    """Return the resource that a reference names, None if it is not here or of another type."""
    kind, _, fhir_id = reference.partition("/")
    if kind != type_name:
        return None
    try:
        found: dict[str, Any] = codec.decode(read(engine, type_name, fhir_id).body)
    except FhirError:
        return None
    return found


def inside(connection: Connection, type_name: str, fhir_id: str) -> Found:
    """Read within an open transaction."""
    current = resources.current(connection, type_name, fhir_id)
    if current is None:
        raise NotFound("No such resource.")
    if current.body is None:
        raise Gone("The resource was deleted.")
    return Found(current.body, current.version, current.updated)


def vread(engine: Engine, type_name: str, fhir_id: str, version_id: str) -> Found:
    """Return one version of Type/id. Raises NotFound, or Gone for the version of a deletion."""
    _write.known_type(type_name)
    with engine.database.read() as connection:
        return version_inside(connection, type_name, fhir_id, version_id)


def version_inside(connection: Connection, type_name: str, fhir_id: str, version_id: str) -> Found:
    """Read one version within an open transaction."""
    digits = version_id.isascii() and version_id.isdecimal()
    if not digits or len(version_id) > 18:  # noqa: PLR2004 digits of a 64-bit integer
        raise NotFound("No such version.")
    number = int(version_id)
    found = resources.one_version(connection, type_name, fhir_id, number)
    if found is None:
        raise NotFound("No such version.")
    updated, body = found
    if body is None:
        raise Gone("This version is the deletion of the resource.")
    return Found(body, number, updated)


def is_unchanged(found: Found, if_none_match: str | None, since: datetime | None) -> bool:
    """Tell whether the client's copy is still good (http.html#cread).

    `if_none_match` is the header's text and wins over `since`, the moment of If-Modified-Since.
    """
    if if_none_match is not None:
        tags = (tag.strip().removeprefix("W/").strip('"') for tag in if_none_match.split(","))
        return any(tag in ("*", str(found.version)) for tag in tags)
    return since is not None and values.moment(found.updated).replace(microsecond=0) <= since
