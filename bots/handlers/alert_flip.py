"""A Task about a flipped plan -> one mail, where the plan is in force again.

Of one that is no longer in force the alert about inactive plans tells.
"""

from bots import alerting
from bots.mapping import alert, tasks
from bots.ports import Bot, Resource, Tools
from fhir_profiles import elements, systems


def handle(task: Resource, tools: Tools) -> None:
    """Tell of a coverage whose plan is in force again."""
    (response,) = tools.fhir.read_all([elements.reference(task.get("focus"))])
    if response is not None and task.get("status") == "requested":
        alerting.tell(alert.FLIP, response, tools)


BOT = Bot("alert-flip", f"Task?code={systems.TASK_CODE}|{tasks.FLIP}", handle)
