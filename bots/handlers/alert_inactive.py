"""CoverageEligibilityResponse not in force -> Communication and one mail per inactive spell."""

from bots.errors import RetryLater
from bots.mapping import alert
from bots.ports import Bot, Resource, Tools
from fhir_profiles import elements, systems
from fhir_profiles.codes import State


def handle(response: Resource, tools: Tools) -> None:
    """Send the mail that tells of an inactive spell of a coverage, once.

    The Communication is stored first, claimed by one delivery, and completed when the relay has
    taken the mail: a crash between the two sends a second copy with the same Message-ID, never
    another alert.
    """
    if elements.tag(response, systems.ELIGIBILITY_STATE) != State.INACTIVE.value:
        return
    message = _message(response, tools)
    if message["status"] == "completed":
        return
    if alert.is_being_sent(message, tools.now()):
        raise RetryLater("another delivery sends this alert", after_s=alert.LEASE_S)
    claimed = tools.fhir.update(alert.claimed(message, tools.now()))
    if claimed is None:
        raise RetryLater("another delivery claimed this alert")
    refused = _send(response, claimed, tools)
    if tools.fhir.update(alert.sent(claimed, tools.now())) is None:
        raise RetryLater("another delivery recorded this alert")
    if refused:
        _tell(claimed, f"{len(refused)} of the recipients are refused by the relay", tools)
    else:
        _close_task(claimed, tools)


def _message(response: Resource, tools: Tools) -> Resource:
    """Return the Communication of this spell: the one there is, else a new one."""
    patient, coverage = elements.reference(response["patient"]), alert.coverage_of(response)
    others = tools.fhir.search("CoverageEligibilityResponse", [("patient", patient)])
    traces = alert.spell(response, others)
    there = tools.fhir.search("Communication", [("subject", patient)])
    found = alert.of_spell(there, coverage, traces)
    if found:
        return found[0]
    cause = alert.cause(coverage, traces[0])
    wish = alert.communication(response, cause, tools.pages)
    return tools.fhir.create_once(wish, f"identifier={systems.CAUSE}|{cause}")


def _send(response: Resource, message: Resource, tools: Tools) -> list[str]:
    """Hand the mail over and return who was refused; or give it back, raise a Task, RetryLater."""
    organizations = tools.fhir.read_all([
        elements.reference(response.get("requestor")), elements.reference(response["insurer"])
    ])  # fmt: skip
    try:
        return tools.mail.send(
            message_id=elements.identifier(message, systems.MESSAGE_ID),
            to=alert.recipients(organizations, tools.alert_to),
            subject=alert.subject(response),
            text=message["payload"][0]["contentString"],
        )
    except RetryLater as error:
        tools.fhir.update(alert.released(message))
        _tell(message, str(error), tools)
        raise


def _tell(message: Resource, reason: str, tools: Tools) -> None:
    """Raise the Task about an alert that did not go out, or not to everybody."""
    task = alert.task(message, reason, tools.now())
    tools.fhir.create_once(task, f"identifier={systems.CAUSE}|{alert.task_cause(message)}")


def _close_task(message: Resource, tools: Tools) -> None:
    """Complete the Task of an alert that went out after all."""
    wanted = [("identifier", f"{systems.CAUSE}|{alert.task_cause(message)}")]
    for task in tools.fhir.search("Task", wanted):
        if task["status"] == "requested":
            tools.fhir.update({**task, "status": "completed"})


BOT = Bot(
    "alert-inactive",
    f"CoverageEligibilityResponse?_tag={systems.ELIGIBILITY_STATE}|{State.INACTIVE}",
    handle,
)
