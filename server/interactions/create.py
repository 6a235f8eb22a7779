"""Create, also conditional: FHIR R4 http.html#create, http.html#ccreate."""

from typing import Any

from fhir_profiles import codec
from server.interactions import _write
from server.interactions._write import Incoming, Saved, Writing
from server.interactions.engine import Engine
from server.interactions.search import sole_match


def create(engine: Engine, type_name: str, body: Any, *, if_none_exist: str, trace: str) -> Saved:
    """Store `body` under a new id; with `if_none_exist`, only where no resource meets it.

    An existing single match is returned as it is, `created` False. The search and the write are
    one transaction, so that parallel calls make one resource.
    """
    incoming = _write.check(engine, type_name, body)
    with _write.transaction(engine, trace) as writing:
        return inside(engine, writing, incoming, engine.new_id(), if_none_exist)


def inside(
    engine: Engine, writing: Writing, incoming: Incoming, fhir_id: str, if_none_exist: str
) -> Saved:
    """Create within an open transaction, under `fhir_id`."""
    if if_none_exist:
        found = sole_match(engine, writing.connection, incoming.type, if_none_exist)
        if found is not None:
            there = codec.decode(found)
            current = writing.current(incoming.type, there["id"])
            updated = current.updated if current else 0
            version = int(there["meta"]["versionId"])
            return Saved(incoming.type, there["id"], version, updated, found, created=False)
    return writing.save(incoming, fhir_id, method="POST")
