"""Delete: FHIR R4 http.html#delete. The history stays; a second delete changes nothing."""

from server import definitions
from server.errors import NotFound
from server.interactions import _write
from server.interactions.engine import Engine


def delete(
    engine: Engine, type_name: str, fhir_id: str, *, if_match: int | None, trace: str
) -> None:
    """Delete Type/id if it is there. Raises PreconditionFailed as update does."""
    if type_name not in definitions.type_numbers():
        raise NotFound("R4 has no such resource type.")
    with _write.transaction(engine, trace) as writing:
        writing.remove(type_name, fhir_id, if_match=if_match)
