"""CoverageEligibilityResponse not in force -> Communication and one mail per inactive spell."""

from bots.errors import RetryLater
from bots.mapping import alert
from bots.ports import Bot, Resource, Tools
from fhir_profiles import elements, systems
from fhir_profiles.codes import State


def handle(response: Resource, tools: Tools) -> None:
    """Send the mail that begins an inactive spell of a coverage, once.

    The Communication is stored first and completed when the relay has taken the mail: a crash
    between the two sends a second copy with the same Message-ID, never another alert.
    """
    if elements.tag(response, systems.ELIGIBILITY_STATE) != State.INACTIVE.value:
        return
    patient = elements.reference(response["patient"])
    others = tools.fhir.search("CoverageEligibilityResponse", [("patient", patient)])
    cause = f"inactive/{alert.coverage_of(response)}/{alert.spell_start(response, others)}"
    wish = alert.communication(response, cause, tools.pages)
    message = tools.fhir.create_once(wish, f"identifier={systems.CAUSE}|{cause}")
    if message["status"] == "completed":
        return
    _send(response, message, cause, tools)
    if tools.fhir.update(alert.sent(message, tools.now())) is None:
        raise RetryLater("another delivery recorded this alert")
    _close_task(cause, tools)


def _send(response: Resource, message: Resource, cause: str, tools: Tools) -> None:
    """Hand the mail over, or raise a Task and RetryLater."""
    organizations = tools.fhir.read_all(
        [elements.reference(response.get("requestor")), elements.reference(response["insurer"])]
    )
    to = alert.recipients(organizations, tools.alert_to)
    try:
        tools.mail.send(
            message_id=elements.identifier(message, systems.MESSAGE_ID),
            to=to,
            subject=alert.subject(response),
            text=message["payload"][0]["contentString"],
        )
    except RetryLater as error:
        task = alert.task(message, cause, str(error), tools.now())
        tools.fhir.create_once(task, f"identifier={systems.CAUSE}|undelivered/{cause}")
        raise


def _close_task(cause: str, tools: Tools) -> None:
    """Complete the Task of an alert that went out after all."""
    wanted = [("identifier", f"{systems.CAUSE}|undelivered/{cause}")]
    for task in tools.fhir.search("Task", wanted):
        if task["status"] == "requested":
            tools.fhir.update({**task, "status": "completed"})


BOT = Bot(
    "alert-inactive",
    f"CoverageEligibilityResponse?_tag={systems.ELIGIBILITY_STATE}|{State.INACTIVE}",
    handle,
)
