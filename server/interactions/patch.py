"""Patch, also conditional: FHIR R4 http.html#patch. The result is validated like an update."""

from collections.abc import Callable
from typing import Any

from fhir_profiles import codec
from server.errors import Gone, NotFound, Unprocessable
from server.interactions import _changes, _write
from server.interactions._write import Origin, Saved, Writing
from server.interactions.engine import Engine
from server.interactions.search import sole_match

Change = Callable[[Any], Any]


def change_of(content_type: str, body: Any) -> Change:
    """Return the change that a patch body asks for: a function of the resource's JSON.

    `content_type` is json-patch+json (RFC 6902), merge-patch+json (RFC 7386; also plain JSON, as
    some clients send it) or fhir+json, a Parameters (fhirpatch.html). Raises BadRequest where the
    body is no such patch.
    """
    return _changes.read(content_type, body)


def patch(  # noqa: PLR0913 the parts of the HTTP request
    engine: Engine,
    type_name: str,
    fhir_id: str,
    change: Change,
    *,
    if_match: int | None,
    origin: Origin,
) -> Saved:
    """Change Type/id.

    Raises NotFound, Gone, PreconditionFailed, or Unprocessable where the change does not fit or
    its result is not valid.
    """
    _write.known_type(type_name)
    return _write.transact(
        engine,
        origin,
        lambda writing: inside(engine, writing, (type_name, fhir_id), change, if_match),
    )


def conditional(  # noqa: PLR0913 the parts of the HTTP request
    engine: Engine,
    type_name: str,
    criteria: str,
    change: Change,
    *,
    if_match: int | None,
    origin: Origin,
) -> Saved:
    """Change the one resource that meets `criteria`. Raises NotFound where none does."""
    _write.known_type(type_name)

    def work(writing: Writing) -> Saved:
        there = target(engine, writing, type_name, criteria)
        return inside(engine, writing, (type_name, there), change, if_match)

    return _write.transact(engine, origin, work)


def target(engine: Engine, writing: Writing, type_name: str, criteria: str) -> str:
    """Return the id of the one resource that meets `criteria`. Raises NotFound where none does."""
    writing.alone(type_name)
    there = sole_match(engine, writing.connection, type_name, criteria)
    if there is None:
        raise NotFound("No resource meets the condition.")
    return there


def inside(
    engine: Engine,
    writing: Writing,
    address: tuple[str, str],
    change: Change,
    if_match: int | None,
) -> Saved:
    """Change a resource within an open transaction."""
    type_name, fhir_id = address
    before = writing.current(type_name, fhir_id)
    if before is None:
        raise NotFound("No such resource.")
    if before.body is None:
        raise Gone("The resource was deleted.")
    _write.match(before, if_match)
    changed = change(codec.decode(before.body))
    if not isinstance(changed, dict) or changed.get("resourceType") != type_name:
        raise Unprocessable("A patch must not change resourceType.", expression="resourceType")
    if changed.get("id") != fhir_id:
        raise Unprocessable("A patch must not change the id.", expression=f"{type_name}.id")
    incoming = _write.check(engine, type_name, changed, writing.parameters)
    return writing.save(incoming, fhir_id, method="PATCH", if_match=if_match)
