"""Create, also conditional: FHIR R4 http.html#create, http.html#ccreate."""

from typing import Any

from server.interactions import _write
from server.interactions._write import Incoming, Origin, Saved, Writing
from server.interactions.engine import Engine
from server.interactions.search import sole_match


def create(
    engine: Engine, type_name: str, body: Any, *, if_none_exist: str, origin: Origin
) -> Saved:
    """Store `body` under a new id; with `if_none_exist`, only where no resource meets it.

    An existing single match is returned as it is, `created` False. The search and the write are
    one transaction, so that parallel calls make one resource.
    """
    incoming = _write.check(engine, type_name, body)
    return _write.transact(
        engine,
        origin,
        lambda writing: inside(engine, writing, incoming, engine.new_id(), if_none_exist),
        fresh=not if_none_exist,
    )


def inside(
    engine: Engine, writing: Writing, incoming: Incoming, fhir_id: str, if_none_exist: str
) -> Saved:
    """Create within an open transaction, under `fhir_id`, which is new."""
    if if_none_exist:
        writing.alone(incoming.type)
        there = sole_match(engine, writing.connection, incoming.type, if_none_exist)
        found = writing.current(incoming.type, there) if there else None
        if found is not None and found.body is not None and there is not None:
            return Saved(
                incoming.type, there, found.version, found.updated, found.body, created=False
            )
    return writing.create(incoming, fhir_id)
