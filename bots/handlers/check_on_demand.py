"""Task of a person who wants to know -> CoverageEligibilityRequest; the Task leads to it."""

from datetime import date

from bots import asking
from bots.errors import RetryLater
from bots.mapping.request import GENERAL, Wish
from bots.ports import Bot, Resource, Tools
from fhir_profiles import elements, systems
from fhir_profiles.codes import Reason

CODE = "check-eligibility"
DAY, TYPE = "serviced-date", "service-type"  # Task.input.type.text


def handle(task: Resource, tools: Tools) -> None:
    """Ask, and complete the Task with the request; a coverage that is not active fails it."""
    if task.get("status") != "requested":
        return
    (coverage,) = tools.fhir.read_all([elements.reference(task.get("focus"))])
    if coverage is None or coverage.get("status") != "active":
        reason = {"text": "Only an active coverage is checked."}
        _end(task, tools, {"status": "rejected", "statusReason": reason})
        return
    try:
        wish = _wish(task, tools)
    except (KeyError, ValueError):
        reason = {"text": f"Expected {DAY} as valueDate with day, {TYPE} as valueCode."}
        _end(task, tools, {"status": "rejected", "statusReason": reason})
        return
    made = asking.ask(coverage, wish, tools)
    output = {"type": {"text": "request"}, "valueReference": _reference(made)}
    _end(task, tools, {"status": "completed", "output": [output]})


def _wish(task: Resource, tools: Tools) -> Wish:
    given = [(one["type"].get("text"), one) for one in task.get("input", [])]
    today = tools.now().astimezone(tools.zone).date()
    day = next((date.fromisoformat(one["valueDate"]) for name, one in given if name == DAY), today)
    types = tuple(one["valueCode"] for name, one in given if name == TYPE) or (GENERAL,)
    return Wish(Reason.MANUAL, f"Task/{task['id']}", day, types)


def _reference(made: Resource) -> Resource:
    return {"reference": f"CoverageEligibilityRequest/{made['id']}"}


def _end(task: Resource, tools: Tools, ended: Resource) -> None:
    if tools.fhir.update({**task, **ended}) is not None:
        return
    (now,) = tools.fhir.read_all([f"Task/{task['id']}"])
    if now is not None and now["status"] == "requested":
        raise RetryLater("the task changed meanwhile")


BOT = Bot("check-on-demand", f"Task?code={systems.TASK_CODE}|{CODE}&status=requested", handle)
