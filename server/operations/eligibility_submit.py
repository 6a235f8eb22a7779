"""CoverageEligibilityRequest/$submit: store the request, wait for the payer's answer.

Source: FHIR R4 coverageeligibilityrequest-operation-submit.html. The bots answer; this door waits
for them up to WAIT_S and then says where to ask again.
"""

import threading
from typing import Any

from fhir_profiles import codec
from server.errors import BadRequest, Issue, NotFound, outcome
from server.interactions import create, jobs, read, search, update
from server.interactions.engine import Engine
from server.operations.operation import INSTANCE, TYPE, Answer, Call, Operation
from server.search.values import instant

KIND = "eligibility-submit"
# CAQH CORE 156 asks for a real-time 271 within 20 s; two of them are left for the way back.
WAIT_S, POLL_S = 18.0, 0.025
# The bots answer through this same server: waiting must leave it threads.
WAITING_LIMIT = 4
_waiting = threading.BoundedSemaphore(WAITING_LIMIT)
RETRY_AFTER_S = "5"
_TYPE = "CoverageEligibilityRequest"


def submit(call: Call) -> Answer:
    """Return the CoverageEligibilityResponse, or 202 with the place to ask for it.

    The body is the request, or a Parameters that holds it as `resource`. `Prefer: respond-async`
    asks for the 202 at once; `Prefer: wait=S` shortens the wait.
    """
    request_id, since = _stored(call)
    wait_s = _wait_s(call.preferences)
    found = _awaited(call.engine, request_id, since, wait_s)
    if found is not None:
        return Answer(found)
    uid = jobs.accept(call.engine, KIND, {"request": request_id, "since": since})
    location = {
        "Content-Location": f"{call.engine.base}/$job/{uid}",
        "Retry-After": RETRY_AFTER_S,
    }
    text = "The payer has not answered yet; the Content-Location will have the response."
    return Answer(outcome([Issue("informational", text)], "information"), 202, location)


def _awaited(engine: Engine, request_id: str, since: str, wait_s: float) -> bytes | None:
    """Wait for the response, unless too many wait already."""
    if wait_s == 0 or not _waiting.acquire(blocking=False):
        return answer_to(engine, request_id, since)
    try:
        pause = threading.Event()
        for _ in range(int(wait_s / POLL_S) + 1):
            found = answer_to(engine, request_id, since)
            if found is not None:
                return found
            pause.wait(POLL_S)
        return None
    finally:
        _waiting.release()


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


def _wait_s(preferences: frozenset[str]) -> float:
    if "respond-async" in preferences:
        return 0.0
    for preference in preferences:
        name, _, value = preference.partition("=")
        if name == "wait" and value.isdecimal():
            return min(float(value), WAIT_S)
    return WAIT_S


def answer_to(engine: Engine, request_id: str, since: str) -> bytes | None:
    """Return the newest response to a request stored at `since` or later, None if there is none."""
    asked = [
        ("request", f"{_TYPE}/{request_id}"),
        ("_lastUpdated", f"ge{since}"),
        ("_sort", "-created"),
        ("_count", "1"),
        ("_total", "none"),
    ]
    page = search.search(engine, "CoverageEligibilityResponse", asked)
    return page.matches[0].body if page.matches else None


def job_answer(engine: Engine, wish: bytes) -> bytes | None:
    """Return what a waiting client asks for, None if it has to wait on."""
    asked = codec.decode(wish)
    request_id = asked["request"]
    found = answer_to(engine, request_id, asked["since"])
    if found is None:
        try:
            read.read(engine, _TYPE, request_id)
        except NotFound as error:
            raise NotFound("The request is gone.") from error
    return found


OPERATION = Operation(
    "submit",
    "http://hl7.org/fhir/OperationDefinition/CoverageEligibilityRequest-submit",
    (TYPE, INSTANCE),
    submit,
    types=(_TYPE,),
)
