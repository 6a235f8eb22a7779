"""Delete, also conditional: FHIR R4 http.html#delete.

The history stays; a second delete changes nothing.
"""

from server.interactions import _write
from server.interactions._write import Origin, Saved, Writing
from server.interactions.engine import Engine
from server.interactions.search import sole_match


def delete(
    engine: Engine, type_name: str, fhir_id: str, *, if_match: int | None, origin: Origin
) -> Saved | None:
    """Delete Type/id if it is there. Raises PreconditionFailed as update does."""
    _write.known_type(type_name)
    return _write.transact(
        engine, origin, lambda writing: writing.remove(type_name, fhir_id, if_match=if_match)
    )


def conditional(engine: Engine, type_name: str, criteria: str, *, origin: Origin) -> Saved | None:
    """Delete the one resource that meets `criteria`, if any.

    Raises PreconditionFailed where several do.
    """
    _write.known_type(type_name)
    return _write.transact(
        engine, origin, lambda writing: inside(engine, writing, type_name, criteria)
    )


def inside(engine: Engine, writing: Writing, type_name: str, criteria: str) -> Saved | None:
    """Delete within an open transaction what meets `criteria`."""
    writing.alone(type_name)
    there = sole_match(engine, writing.connection, type_name, criteria)
    return writing.remove(type_name, there) if there else None
