"""$export: all resources, those about patients, or those about a group's patients, as NDJSON.

Source: HL7 Bulk Data Access 2.0, export. The files are written while they are fetched, from what
was stored when the export was asked for; what changed since is written as it was then, and what was
deleted since is left out.
"""

from collections.abc import Iterator
from typing import Any

from server import definitions
from server.errors import BadRequest, Issue, NotAcceptable
from server.interactions import jobs, read, search
from server.interactions.engine import Engine
from server.interactions.matches import Match
from server.interactions.search import Scope
from server.operations.operation import INSTANCE, SYSTEM, TYPE, Answer, Call, Operation
from server.search.conditions import Compartment
from server.search.order import Position
from server.search.values import instant, micros, time_range
from server.store import resources
from server.store.connection import Connection
from server.store.resources import Span

KIND = "export"
CHUNK = 500
FORMATS = ("application/fhir+ndjson", "application/ndjson", "ndjson")
_KNOWN = ("_outputFormat", "_since", "_type", "_elements")


def accept(call: Call) -> Answer:
    """Accept an export; the answer's Content-Location is where its status is asked for.

    Raises BadRequest where Prefer: respond-async is missing, or a parameter is not known and the
    client did not ask for lenient handling.
    """
    if "respond-async" not in call.preferences:
        raise BadRequest("An export needs the header Prefer: respond-async.", expression="Prefer")
    if call.id:
        read.read(call.engine, call.type, call.id)
    wish = _wish(call)
    uid = jobs.accept(call.engine, KIND, wish)
    location = {"Content-Location": f"{call.engine.base}/$job/{uid}"}
    return Answer(b"", 202, location)


def _wish(call: Call) -> dict[str, Any]:
    names = {key for key, _ in call.pairs}
    if isinstance(call.body, dict) and call.body.get("resourceType") == "Parameters":
        given = call.body.get("parameter")
        parts = given if isinstance(given, list) else []
        names |= {str(part.get("name")) for part in parts if isinstance(part, dict)}
    unknown = sorted(names - {*_KNOWN, "_format"})
    if unknown and "handling=lenient" not in call.preferences:
        raise BadRequest(
            issues=[Issue("not-supported", "Unknown parameter.", name[:40]) for name in unknown]
        )
    wanted = call.first("_outputFormat").replace(" ", "+")
    if wanted and wanted not in FORMATS:
        raise NotAcceptable("Only application/fhir+ndjson is written.", expression="_outputFormat")
    types = [name for name in call.first("_type").split(",") if name]
    if any(name not in definitions.type_numbers() for name in types):
        raise BadRequest("_type names no R4 resource type.", expression="_type")
    since = call.first("_since")
    if since:
        try:
            time_range(since.replace(" ", "+"))
        except (ValueError, OverflowError) as error:
            raise BadRequest("Expected an instant.", expression="_since") from error
    return {
        "level": call.type,
        "group": call.id,
        "types": types,
        "since": since,
        "elements": call.first("_elements"),
        "until": instant(_until(call.engine)),
        "request": call.url,
    }


def _until(engine: Engine) -> int:
    """Return a moment (microseconds) that no write under way is older than: it has ended."""
    return engine.database.transact(lambda _connection: micros(engine.now()), alone=True)


def run(engine: Engine, wish: dict[str, Any], note: jobs.Note) -> dict[str, Any]:
    """Find the types that have anything to export; return {"types": [...]}."""
    found = []
    types = _types(wish)
    for number, name in enumerate(types):
        if next(lines(engine, wish, name), None) is not None:
            found.append(name)
        if number % 20 == 0:
            note(f"{number} of {len(types)} types")
    return {"types": found}


def manifest(
    base: str, uid: str, wish: dict[str, Any], result: dict[str, Any], *, needs_token: bool
) -> dict[str, Any]:
    """Return the manifest of a finished export, whose files may be for who has a token only."""
    return {
        "transactionTime": wish["until"],
        "request": wish["request"],
        "requiresAccessToken": needs_token,
        "output": [
            {"type": name, "url": f"{base}/$job/{uid}/{name}.ndjson"} for name in result["types"]
        ],
        "error": [],
    }


def lines(engine: Engine, wish: dict[str, Any], type_name: str) -> Iterator[bytes]:
    """Yield the resources of one type, each as one line of JSON, as they were at `until`."""
    pairs = [("_total", "none"), ("_count", str(CHUNK))]
    if wish["since"]:
        pairs.append(("_lastUpdated", f"gt{wish['since']}"))
    if wish["elements"]:
        pairs.append(("_elements", wish["elements"]))
    position = None
    while True:
        with engine.database.read() as connection:
            scope = Scope((type_name,), _compartment(wish))
            wanted = search.read(engine, connection, scope, pairs, strict=True)
            page = search.run(engine, connection, wanted, position)
            bodies = [_as_of(connection, match, wish) for match in page.matches]
        yield from (body + b"\n" for body in bodies if body is not None)
        if len(page.matches) < CHUNK:
            return
        position = Position((), page.matches[-1].rid)


def _as_of(connection: Connection, match: Match, wish: dict[str, Any]) -> bytes | None:
    """Return a resource as it was at `until`, None if it was not there or did not change since."""
    if _updated(match.body) <= wish["until"]:
        return match.body
    moment = time_range(wish["until"])[0]
    span = Span(at=(moment, moment))
    address = (match.type, match.id)
    for version in resources.history(connection, address, span, before=None, limit=1):
        since = wish["since"].replace(" ", "+")
        if not since or version.updated > time_range(since)[1]:
            return version.body
    return None


def _updated(body: bytes) -> str:
    """Return meta.lastUpdated of a stored body, an instant as we write them."""
    sign = b'"lastUpdated":"'
    start = body.index(sign) + len(sign)
    return body[start : body.index(b'"', start)].decode()


def _types(wish: dict[str, Any]) -> list[str]:
    of_patients = {*definitions.compartments()["Patient"], "Patient"}
    possible = of_patients if wish["level"] else set(definitions.resource_types())
    return sorted(possible & set(wish["types"] or possible))


def _compartment(wish: dict[str, Any]) -> Compartment | None:
    if not wish["level"]:
        return None
    return Compartment("Patient", group=wish["group"], itself=True)


OPERATION = Operation(
    "export",
    "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export",
    (SYSTEM,),
    accept,
    methods=("GET", "POST"),
    needs=("*.rs",),
)
OF_PATIENTS = Operation(
    "export",
    "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export",
    (TYPE,),
    accept,
    types=("Patient",),
    methods=("GET", "POST"),
    needs=("*.rs",),
)
OF_GROUP = Operation(
    "export",
    "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export",
    (INSTANCE,),
    accept,
    types=("Group",),
    methods=("GET", "POST"),
    needs=("*.rs",),
)
