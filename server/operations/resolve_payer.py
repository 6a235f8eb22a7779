"""Organization/$resolve-payer: which payer a name, an alias or an id means, with the reasons.

The answer has the form of FHIR R4 patient-operation-match.html: a Bundle with a score and a grade
for each payer. `certain` is only who alone has the whole name or id: everybody else is for a person
to choose from (R002-35).
"""

from typing import Any

from fhir_profiles import systems
from fhir_profiles.payers import Candidate
from server.errors import BadRequest
from server.interactions import payers
from server.operations.operation import TYPE, Call, Operation

COUNT = 10


def resolve(call: Call) -> dict[str, Any]:
    """Return a Bundle of the payers that may be meant, the surest first.

    `text` is a name, an alias or an id; `on` the day on which ids must hold, today by default;
    `count` how many are wanted, 10 by default. Raises BadRequest where `text` is missing.
    """
    text = call.first("text").strip()
    if not text:
        raise BadRequest("Expected a name, an alias or an id of a payer.", expression="text")
    found = payers.find(call.engine, text, call.day("on"))
    entries = [_entry(one, call.engine.base) for one in found[: call.number("count", COUNT)]]
    answer = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
    return {**answer, "entry": entries} if entries else answer


def _entry(one: Candidate, base: str) -> dict[str, Any]:
    told = [
        {"url": systems.EXT_MATCH_GRADE, "valueCode": one.grade.value},
        {"url": systems.EXT_MATCH_REASON, "valueString": one.reason},
    ]
    return {
        "fullUrl": f"{base}/Organization/{one.payer['id']}",
        "resource": one.payer,
        "search": {"extension": told, "mode": "match", "score": round(one.score, 2)},
    }


OPERATION = Operation(
    "resolve-payer",
    f"{systems.BASE}/OperationDefinition/organization-resolve-payer",
    (TYPE,),
    resolve,
    types=("Organization",),
    methods=("GET", "POST"),
    parameters=("text", "on", "count"),
    needs=("Organization.rs",),
)
