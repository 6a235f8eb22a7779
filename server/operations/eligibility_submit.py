"""CoverageEligibilityRequest/$submit and Coverage/[id]/$check-eligibility: ask, and wait.

Source: FHIR R4 coverageeligibilityrequest-operation-submit.html; the second is ours. The bots
answer; these doors wait for them up to 18 s and then say where to ask again.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_profiles import codes, systems
from server.errors import BadRequest, Issue, outcome
from server.interactions import answers, create, jobs, read, update
from server.operations.operation import INSTANCE, TYPE, Answer, Call, Operation
from server.search.values import instant

RETRY_AFTER_S = "5"
_TYPE = "CoverageEligibilityRequest"


def submit(call: Call) -> Answer:
    """Return the CoverageEligibilityResponse, or 202 with the place to ask for it.

    The body is the request, or a Parameters that holds it as `resource`. `Prefer: respond-async`
    asks for the 202 at once; `Prefer: wait=S` shortens the wait. Raises Unprocessable naming each
    element without which no payer can be asked.
    """
    request_id, since = _stored(call)
    return _answered(call, {"request": request_id, "since": since})


def check(call: Call) -> Answer:
    """Return the response about a coverage, asked anew; waits and answers as $submit does.

    `date` is the day of service, today by default; `serviceType` are X12 codes, the plan as a whole
    by default. Raises Unprocessable for a coverage that is not active.
    """
    read.read(call.engine, "Coverage", call.id)
    inputs = [*_inputs(call)]
    task = answers.demand(call.engine, call.id) | ({"input": inputs} if inputs else {})
    saved = create.create(call.engine, "Task", task, if_none_exist="", origin=call.origin)
    return _answered(call, {"task": saved.id})


def _answered(call: Call, wish: Mapping[str, str]) -> Answer:
    wait_s = answers.wait_s(call.preferences)
    found = answers.awaited(lambda: answers.find(call.engine, wish), wait_s)
    if found is not None:
        return Answer(found)
    uid = jobs.accept(call.engine, answers.KIND, dict(wish))
    location = {
        "Content-Location": f"{call.engine.base}/$job/{uid}",
        "Retry-After": RETRY_AFTER_S,
    }
    text = "The payer has not answered yet; the Content-Location will have the response."
    return Answer(outcome([Issue("informational", text)], "information"), 202, location)


def _inputs(call: Call) -> Iterator[dict[str, Any]]:
    if call.first("date"):
        yield {"type": {"text": "serviced-date"}, "valueDate": call.day("date").isoformat()}
    known = codes.names("service_type_codes")
    for code in sorted(call.all("serviceType")):
        if code not in known:
            raise BadRequest("Expected codes of the X12 list.", expression="serviceType")
        yield {"type": {"text": "service-type"}, "valueCode": code}


def _stored(call: Call) -> tuple[str, str]:
    """Return the request's id, and the instant from which a response answers it as it stands."""
    resource: Any = call.body
    if isinstance(resource, dict) and resource.get("resourceType") == "Parameters":
        resource = next(iter(call.parts("resource")), None)
    if resource is None and call.id:
        return call.id, instant(read.read(call.engine, _TYPE, call.id).updated)
    if not isinstance(resource, dict):
        raise BadRequest(f"Expected a {_TYPE}.", expression="resource")
    there = resource.get("id")
    if isinstance(there, str):
        saved = update.update(
            call.engine, _TYPE, there, resource, if_match=None, origin=call.origin
        )
    else:
        saved = create.create(call.engine, _TYPE, resource, if_none_exist="", origin=call.origin)
    return saved.id, instant(saved.updated)


OPERATION = Operation(
    "submit",
    "http://hl7.org/fhir/OperationDefinition/CoverageEligibilityRequest-submit",
    (TYPE, INSTANCE),
    submit,
    types=(_TYPE,),
    needs=("CoverageEligibilityRequest.cru", "CoverageEligibilityResponse.r"),
)
CHECK = Operation(
    "check-eligibility",
    f"{systems.BASE}/OperationDefinition/coverage-check-eligibility",
    (INSTANCE,),
    check,
    types=("Coverage",),
    parameters=("date", "serviceType"),
    needs=("Coverage.r", "CoverageEligibilityRequest.c", "CoverageEligibilityResponse.r"),
)
