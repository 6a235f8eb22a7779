"""An alert about a plan: its Communication, and the mail of it, once for each spell.

The Communication is stored first, claimed by one delivery, and completed when the relay has taken
the mail: a crash between the two sends a second copy with the same Message-ID, never another alert.
Where alerts go out as a digest, the Communication waits for it in preparation.
"""

from collections.abc import Sequence

from bots.errors import RetryLater
from bots.mapping import alert, known
from bots.mapping.alert import Kind
from bots.ports import Resource, Tools
from fhir_profiles import elements, systems


def tell(kind: Kind, response: Resource, tools: Tools) -> None:
    """Tell of a response of this kind, if nobody was told of its spell. Raises RetryLater."""
    is_due = elements.tag(response, systems.ELIGIBILITY_STATE) in kind.says
    if not is_due or known.is_history(response, tools.zone):
        return
    message = _message(kind, response, tools)
    if message is None or message["status"] in alert.OVER or tools.digest:
        return
    if alert.is_being_sent(message, tools.now()):
        raise RetryLater("another delivery sends this alert", after_s=alert.LEASE_S)
    claimed = tools.fhir.update(alert.claimed(message, tools.now()))
    if claimed is None:
        raise RetryLater("another delivery claimed this alert")
    send(
        [claimed], recipients(response, tools), tools,
        subject=alert.subject(kind, response), text=claimed["payload"][0]["contentString"],
    )  # fmt: skip


def recipients(response: Resource, tools: Tools) -> list[str]:
    """Return who is to be told of a response."""
    return alert.recipients(tools.fhir.read_all(alert.named_by(response)), tools.alert_to)


def send(
    messages: Sequence[Resource], to: Sequence[str], tools: Tools, *, subject: str, text: str
) -> None:
    """Hand one mail about these claimed messages over; or give them back, raise Tasks, RetryLater.

    Its Message-ID is that of the alert, or of the batch.
    """
    batch = alert.batch_of(messages[0])
    own = elements.identifier(messages[0], systems.MESSAGE_ID)
    whole = alert.message_id(batch, tools.pages) if batch else own
    try:
        refused = tools.mail.send(message_id=whole, to=to, subject=subject, text=text)
    except RetryLater as error:
        for message in messages:
            tools.fhir.update(alert.released(message))
            complain(message, str(error), tools)
        raise
    is_recorded = True
    for message in messages:
        is_recorded &= tools.fhir.update(alert.sent(message, tools.now())) is not None
        if refused:
            text = f"{len(refused)} of the recipients are refused by the relay"
            complain(message, text, tools)
        else:
            _close_task(message, tools)
    if not is_recorded:
        raise RetryLater("another delivery recorded this alert")


def _message(kind: Kind, response: Resource, tools: Tools) -> Resource | None:
    """Return the Communication of this spell, there or new; None where none is due."""
    patient, coverage = elements.reference(response["patient"]), alert.coverage_of(response)
    others = tools.fhir.search("CoverageEligibilityResponse", [("patient", patient)])
    traces = alert.spell(kind, response, others, tools.zone)
    if not traces:
        return None
    there = tools.fhir.search("Communication", [("subject", patient)])
    found = alert.of_spell(kind, there, coverage, traces)
    if found:
        return found[0]
    cause = alert.cause(kind, coverage, traces[0])
    wish = alert.communication(kind, response, cause, pages=tools.pages, moment=tools.now())
    return tools.fhir.create_once(wish, f"identifier={systems.CAUSE}|{cause}")


def complain(message: Resource, reason: str, tools: Tools) -> None:
    """Raise the Task about an alert that did not go out, or not to everybody."""
    task = alert.task(message, reason, tools.now())
    tools.fhir.create_once(task, f"identifier={systems.CAUSE}|{alert.task_cause(message)}")


def _close_task(message: Resource, tools: Tools) -> None:
    """Complete the Task of an alert that went out after all."""
    wanted = [("identifier", f"{systems.CAUSE}|{alert.task_cause(message)}")]
    for task in tools.fhir.search("Task", wanted):
        if task["status"] == "requested":
            tools.fhir.update({**task, "status": "completed"})
