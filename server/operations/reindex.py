"""$reindex: index every resource anew, after a SearchParameter was stored or changed."""

from typing import Any

from server.errors import Issue, outcome
from server.interactions import jobs, read
from server.interactions.engine import Engine
from server.interactions.reindex import reindex
from server.operations.operation import INSTANCE, SYSTEM, Answer, Call, Operation

KIND = "reindex"


def accept(call: Call) -> Answer:
    """Accept the work; the answer's Content-Location tells how far it is."""
    if call.id:
        read.read(call.engine, call.type, call.id)
    uid = jobs.accept(call.engine, KIND, {})
    text = "Every resource is being indexed anew; the Content-Location tells how far it is."
    location = {"Content-Location": f"{call.engine.base}/$job/{uid}"}
    return Answer(outcome([Issue("informational", text)], "information"), 202, location)


def run(engine: Engine, _wish: dict[str, Any], note: jobs.Note) -> dict[str, Any]:
    """Do the work and return an OperationOutcome that tells how much was changed."""
    done = reindex(engine, lambda done, whole: note(f"{done} of {whole} resources"))
    text = f"{done.looked_at} resources indexed, {done.changed} of them anew."
    return outcome([Issue("informational", text)], "information")


OPERATION = Operation(
    KIND,
    "https://inforce-fhir.github.io/fhir/OperationDefinition/reindex",
    (SYSTEM, INSTANCE),
    accept,
    types=("SearchParameter",),
)
