"""Update, also of an id that is new: FHIR R4 http.html#update, http.html#upsert."""

import re
from typing import Any

from server.errors import BadRequest
from server.interactions import _write
from server.interactions._write import Incoming, Saved
from server.interactions.engine import Engine

_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")


def update(  # noqa: PLR0913 the parts of the HTTP request
    engine: Engine, type_name: str, fhir_id: str, body: Any, *, if_match: int | None, trace: str
) -> Saved:
    """Store `body` as the next version of Type/id; the same content again makes no version.

    Raises BadRequest where the body's id is not the URL's, PreconditionFailed where `if_match`
    is not the current version.
    """
    incoming = check(engine, type_name, fhir_id, body)
    with _write.transaction(engine, trace) as writing:
        return writing.save(incoming, fhir_id, method="PUT", if_match=if_match)


def check(engine: Engine, type_name: str, fhir_id: str, body: Any) -> Incoming:
    """Return the checked body of an update."""
    if not _ID.fullmatch(fhir_id):
        raise BadRequest("An id is 1 to 64 letters, digits, '-' or '.'.", expression="id")
    incoming = _write.check(engine, type_name, body)
    if incoming.body.get("id") != fhir_id:
        raise BadRequest("The body's id must be the id in the URL.", expression=f"{type_name}.id")
    return incoming
