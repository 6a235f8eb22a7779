"""The bots' answers to questions that came in by an operation: waited for, found, or refused.

The bots answer through this same server: waiting must leave it threads, so few calls wait at once.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fhir_profiles import codec, elements, systems, wishes
from server.errors import FhirError, Issue, NotFound, Unprocessable
from server.interactions import read, search
from server.interactions.engine import Engine

KIND = "eligibility-submit"
DEMAND = "check-eligibility"  # of our task-code list
# CAQH CORE 156 asks for a real-time 271 within 20 s; two of them are left for the way back.
WAIT_S, POLL_S = 18.0, 0.025
WAITING_LIMIT = 4
_waiting = threading.BoundedSemaphore(WAITING_LIMIT)
_ENDED = frozenset({"rejected", "failed", "cancelled", "entered-in-error"})
_REQUEST, _RESPONSE = "CoverageEligibilityRequest", "CoverageEligibilityResponse"


def awaited(look: Callable[[], bytes | None], wait_s: float) -> bytes | None:
    """Return what `look` finds within `wait_s`; it looks once where too many wait already."""
    if wait_s == 0 or not _waiting.acquire(blocking=False):
        return look()
    try:
        pause = threading.Event()
        for _ in range(int(wait_s / POLL_S) + 1):
            found = look()
            if found is not None:
                return found
            pause.wait(POLL_S)
        return None
    finally:
        _waiting.release()


def wait_s(preferences: frozenset[str]) -> float:
    """Return how long a caller wants to wait, by the Prefer header (RFC 7240)."""
    if "respond-async" in preferences:
        return 0.0
    for preference in preferences:
        name, _, value = preference.partition("=")
        if name == "wait" and value.isdecimal():
            return min(float(value), WAIT_S)
    return WAIT_S


def demand(engine: Engine, coverage_id: str) -> dict[str, Any]:
    """Return the Task by which the bot check-on-demand asks about a coverage, today and in all."""
    now = engine.now().isoformat(timespec="milliseconds")
    text = "Check the eligibility of a coverage"
    return wishes.wish(DEMAND, text, f"Coverage/{coverage_id}", now)


def find(engine: Engine, wish: Mapping[str, Any]) -> bytes | None:
    """Return the answer to a wish: a `request` stored at `since`, or a `task`; None to wait on.

    Raises NotFound where the question is gone, Unprocessable where it could not be asked.
    """
    found = None
    if "task" in wish:
        found = _to_task(engine, str(wish["task"]))
    else:
        found = _to_request(engine, str(wish["request"]), str(wish["since"]))
        if found is None:
            _there(engine, _REQUEST, str(wish["request"]))
    if found is not None:
        _refuse(codec.decode(found))
    return found


def _to_request(engine: Engine, request_id: str, since: str = "") -> bytes | None:
    """Return the newest response to a request, stored at `since` or later."""
    asked = [("request", f"{_REQUEST}/{request_id}"), ("_sort", "-created"), ("_count", "1")]
    asked += [("_lastUpdated", f"ge{since}")] if since else []
    page = search.search(engine, _RESPONSE, [*asked, ("_total", "none")])
    return page.matches[0].body if page.matches else None


def _to_task(engine: Engine, task_id: str) -> bytes | None:
    """Return the response to the request that a Task was completed with."""
    task = codec.decode(_there(engine, "Task", task_id))
    if task["status"] in _ENDED:
        reason = str(task.get("statusReason", {}).get("text", ""))
        raise Unprocessable(reason or "This coverage cannot be checked.", expression="Coverage")
    if task["status"] != "completed":
        return None
    address = elements.reference(task["output"][0]["valueReference"])
    return _to_request(engine, address.removeprefix(f"{_REQUEST}/"))


def _there(engine: Engine, type_name: str, fhir_id: str) -> bytes:
    try:
        return read.read(engine, type_name, fhir_id).body
    except FhirError as error:
        raise NotFound("The question is gone.") from error


def _refuse(response: dict[str, Any]) -> None:
    """Raise Unprocessable naming each thing for whose lack the payer was never asked."""
    if elements.extension_value(response, systems.EXT_ROUTE):
        return
    issues = [Issue("required", text, where) for text, where in _lacking(response)]
    if issues:
        raise Unprocessable(issues=issues)


def _lacking(response: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for error in response.get("error", []):
        if elements.code(error["code"], systems.CHECK_ERROR):
            nothing: dict[str, Any] = {"extension": []}
            details = next(elements.extensions(error, systems.EXT_REJECTION), nothing)
            parts = elements.parts(details)
            yield str(error["code"].get("text", "")), parts.get("loop") or ""
