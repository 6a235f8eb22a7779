"""Update, also of a new id, and conditional: FHIR R4 http.html#update, #upsert, #cond-update."""

import re
from typing import Any

from server.errors import BadRequest
from server.interactions import _write
from server.interactions._write import Incoming, Origin, Saved, Writing
from server.interactions.engine import Engine
from server.interactions.search import sole_match
from server.store import resources

_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")


def update(  # noqa: PLR0913 the parts of the HTTP request
    engine: Engine, type_name: str, fhir_id: str, body: Any, *, if_match: int | None, origin: Origin
) -> Saved:
    """Store `body` as the next version of Type/id; the same content again makes no version.

    Raises BadRequest where the body's id is not the URL's, PreconditionFailed where `if_match`
    is not the current version.
    """
    if if_match is not None:
        _refuse_stale(engine, type_name, fhir_id, if_match)
    incoming = checked(engine, type_name, fhir_id, body)
    return _write.transact(
        engine,
        origin,
        lambda writing: writing.save(incoming, fhir_id, method="PUT", if_match=if_match),
    )


def checked(engine: Engine, type_name: str, fhir_id: str, body: Any) -> Incoming:
    """Return the checked body of an update of Type/id."""
    if not _ID.fullmatch(fhir_id):
        raise BadRequest("An id is 1 to 64 letters, digits, '-' or '.'.", expression="id")
    incoming = _write.check(engine, type_name, body)
    same_id(incoming, fhir_id)
    return incoming


def conditional(  # noqa: PLR0913 the parts of the HTTP request
    engine: Engine,
    type_name: str,
    criteria: str,
    body: Any,
    *,
    if_match: int | None,
    origin: Origin,
) -> Saved:
    """Update the one resource that meets `criteria`, or create it where none does.

    Raises PreconditionFailed where several do, BadRequest where the body's id is another's.
    """
    incoming = _write.check(engine, type_name, body)

    def work(writing: Writing) -> Saved:
        fhir_id = target(engine, writing, incoming.body, criteria, type_name)
        return writing.save(incoming, fhir_id, method="PUT", if_match=if_match)

    return _write.transact(engine, origin, work)


def target(
    engine: Engine, writing: Writing, body: dict[str, Any], criteria: str, type_name: str
) -> str:
    """Return the id that a conditional update writes to: the match's, the body's, or a new one."""
    writing.alone(type_name)
    there = sole_match(engine, writing.connection, type_name, criteria)
    given = body.get("id")
    if there is not None and given not in (None, there):
        raise BadRequest(
            "The resource that meets the condition has another id.",
            expression=f"{type_name}.id",
        )
    return there or given or engine.new_id()


def same_id(incoming: Incoming, fhir_id: str) -> None:
    """Raise BadRequest unless the body has the id of the URL."""
    if incoming.body.get("id") != fhir_id:
        raise BadRequest(
            "The body's id must be the id in the URL.", expression=f"{incoming.type}.id"
        )


def _refuse_stale(engine: Engine, type_name: str, fhir_id: str, if_match: int) -> None:
    """Refuse at once what the transaction would refuse too: a stale If-Match costs no writer."""
    _write.known_type(type_name)
    with engine.database.read() as connection:
        _write.match(resources.current(connection, type_name, fhir_id), if_match)
